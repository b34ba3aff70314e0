//! `check`: what all rules say of a Dockerfile.

use std::path::{Path, PathBuf};

use jettison_ops::lint::{self, Checked, Finding, Level, Settings};
use jettison_ops::{Diagnostic, Severity, SourceFile};

use crate::args::{CheckArgs, CheckFormat, Threshold};
use crate::diagnostic;
use crate::environment::{Environment, hadolint_config};
use crate::failure::{Failure, code};
use crate::output::{print, print_line};

/// Checks a Dockerfile; findings of the threshold's level or above give exit code 1.
pub fn check(args: &CheckArgs, environment: &Environment) -> Result<u8, Failure> {
    let settings = match args.config.as_ref().map(PathBuf::from).or_else(hadolint_config) {
        Some(path) => jettison_ops::hadolint_settings(&path)?,
        None => Settings::default(),
    };
    let dockerfile = args.file.as_deref().map(Path::new);
    let (file, checked) = jettison_ops::check(Path::new(&args.path), dockerfile, &settings)?;
    match args.format {
        CheckFormat::Text => print(&text(&file, &checked, !environment.no_color))?,
        CheckFormat::Json => print_line(&lint::findings_json(&checked, &file.name).to_string())?,
        CheckFormat::Sarif => {
            print_line(
                &serde_json::to_string_pretty(&lint::sarif(&checked, &file.name)).unwrap_or_default(),
            )?;
        }
        CheckFormat::Github => print(&lint::github(&checked, &file.name))?,
    }
    let least = match (args.failure_threshold, settings.no_fail) {
        (Some(threshold), _) => level(threshold),
        (None, true) => None,
        (None, false) => settings.failure_threshold.unwrap_or(Some(Level::Info)),
    };
    let counts = |finding: &Finding| least.is_some_and(|least| finding.level <= least);
    let failed = checked.error.is_some() || checked.findings.iter().any(counts);
    Ok(if failed { code::FAILED } else { code::OK })
}

/// Returns the lowest level that fails.
fn level(threshold: Threshold) -> Option<Level> {
    match threshold {
        Threshold::Error => Some(Level::Error),
        Threshold::Warning => Some(Level::Warning),
        Threshold::Info => Some(Level::Info),
        Threshold::Style => Some(Level::Style),
        Threshold::None => None,
    }
}

fn text(file: &SourceFile, checked: &Checked, color: bool) -> String {
    use std::io::IsTerminal;
    let color = color && std::io::stdout().is_terminal();
    let mut shown: Vec<Diagnostic> = checked.findings.iter().map(as_diagnostic).collect();
    if let Some(error) = &checked.error {
        shown.push(Diagnostic {
            severity: Severity::Error,
            code: "build-error",
            message: error.message.clone(),
            span: error.span,
            help: None,
        });
    }
    if shown.is_empty() {
        return format!("{}: no findings\n", file.name);
    }
    let count = match checked.findings.len() {
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    format!("{}\n{}: {count}\n", diagnostic::render_all(file, &shown, color), file.name)
}

fn as_diagnostic(finding: &Finding) -> Diagnostic {
    let severity = if finding.level == Level::Error { Severity::Error } else { Severity::Warning };
    Diagnostic {
        severity,
        code: finding.rule.name,
        message: format!("{}: {}", finding.rule.name, finding.message),
        span: finding.span,
        help: None,
    }
}
