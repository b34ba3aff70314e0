//! `report` and `diff`.

use std::fs;

use jettison_image::Platform;
use jettison_ops::{Error, Store, Transfer};

use super::workplace;
use crate::args::{DiffArgs, ReportArgs, ReportFormat};
use crate::environment::{Environment, registry_client};
use crate::failure::{Failure, code};
use crate::format::printable;
use crate::interrupt;
use crate::output::print;
use crate::settings;

/// Reports where an image's bytes are.
pub fn report(args: &ReportArgs, environment: &Environment) -> Result<u8, Failure> {
    let report = with_store(args.platform.as_deref(), environment, |store, platform, transfer| {
        jettison_ops::report(store, &args.image, platform, transfer)
    })?;
    let text = match args.format {
        ReportFormat::Text => jettison_ops::report_text(&report, &clean),
        ReportFormat::Json => json(&report)?,
        ReportFormat::Html => jettison_ops::report_page(&report).map_err(unwritable)?,
    };
    write(&text, args.output.as_deref())?;
    Ok(code::OK)
}

/// Compares two images.
pub fn diff(args: &DiffArgs, environment: &Environment) -> Result<u8, Failure> {
    let diff = with_store(args.platform.as_deref(), environment, |store, platform, transfer| {
        jettison_ops::diff(store, [&args.before, &args.after], platform, transfer)
    })?;
    let text = match args.format {
        ReportFormat::Text => jettison_ops::diff_text(&diff, &clean),
        ReportFormat::Json => json(&diff)?,
        ReportFormat::Html => jettison_ops::diff_page(&diff).map_err(unwritable)?,
    };
    write(&text, args.output.as_deref())?;
    Ok(code::OK)
}

/// Opens the store, and the way to registries, for what reads images.
fn with_store<T>(
    platform: Option<&str>,
    environment: &Environment,
    read: impl FnOnce(&Store, &Platform, Transfer<'_>) -> Result<T, Error>,
) -> Result<T, Failure> {
    let platform: Vec<String> = platform.map(str::to_owned).into_iter().collect();
    let platform = settings::platform(&platform)?.unwrap_or_else(Platform::host);
    let place = workplace::open(environment)?;
    let (client, cancel) = (registry_client(), interrupt::watch()?);
    let transfer =
        Transfer { client: &client, cancel: &cancel, progress: &|_, _, _| (), now: workplace::now() };
    Ok(read(&place.store, &platform, transfer)?)
}

/// Takes out of a name what could move the cursor.
fn clean(name: &str) -> String {
    printable(name).replace('\n', "\\n")
}

fn unwritable(error: serde_json::Error) -> Failure {
    Failure::command(error.to_string())
}

fn json(report: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(report).map_err(unwritable)?;
    Ok(text + "\n")
}

fn write(text: &str, output: Option<&str>) -> Result<(), Failure> {
    match output {
        None | Some("-") => print(text),
        Some(path) => {
            fs::write(path, text).map_err(|error| Failure::command(format!("cannot write {path}: {error}")))
        }
    }
}
