//! `build --call` and `build --check`: an answer about the Dockerfile instead of an image.

use jettison_ops::lint::{self, BuildError, Checked};
use jettison_ops::{Answer, SourceFile};

use crate::failure::{Failure, code};
use crate::output::{print, print_line};
use crate::settings::Calling;

/// Prints an answer as docker does; warnings and errors give exit code 1.
pub fn answer(calling: Calling, file: &SourceFile, answer: &Answer) -> Result<u8, Failure> {
    match answer {
        Answer::Targets(targets) if calling.json => json(&lint::targets_json(targets, &file.text)),
        Answer::Targets(targets) => print(&lint::targets_text(targets)).map(|()| code::OK),
        Answer::Outline(Err(error)) => Err(build_error(error, file)),
        Answer::Outline(Ok(outline)) if calling.json => json(&lint::outline_json(outline, &file.text)),
        Answer::Outline(Ok(outline)) => print(&lint::outline_text(outline)).map(|()| code::OK),
        Answer::Check(checked) => check(calling, file, checked),
    }
}

fn check(calling: Calling, file: &SourceFile, checked: &Checked) -> Result<u8, Failure> {
    if calling.json {
        json(&lint::check_json(checked, &file.name, &file.text))?;
    } else {
        print(&lint::check_text(checked, &file.name, &file.text))?;
    }
    let clean = checked.findings.is_empty() && checked.error.is_none();
    match &checked.error {
        _ if calling.ignore_status || clean => Ok(code::OK),
        Some(error) if !calling.json => Err(build_error(error, file)),
        _ => Ok(code::FAILED),
    }
}

fn json(value: &serde_json::Value) -> Result<u8, Failure> {
    print_line(&serde_json::to_string_pretty(value).unwrap_or_default()).map(|()| code::OK)
}

fn build_error(error: &BuildError, file: &SourceFile) -> Failure {
    let text = format!("error: {}", lint::error_text(error, &file.name, &file.text));
    Failure { rendered: true, ..Failure::command(text) }
}
