//! `report`.

use std::fs;

use jettison_image::Platform;
use jettison_ops::{Report, Transfer};

use super::workplace;
use crate::args::{ReportArgs, ReportFormat};
use crate::environment::{Environment, registry_client};
use crate::failure::{Failure, code};
use crate::format::printable;
use crate::interrupt;
use crate::output::print;
use crate::settings;

/// Reports where an image's bytes are.
pub fn report(args: &ReportArgs, environment: &Environment) -> Result<u8, Failure> {
    let platform: Vec<String> = args.platform.clone().into_iter().collect();
    let platform = settings::platform(&platform)?.unwrap_or_else(Platform::host);
    let place = workplace::open(environment)?;
    let (client, cancel) = (registry_client(), interrupt::watch()?);
    let transfer =
        Transfer { client: &client, cancel: &cancel, progress: &|_, _, _| (), now: workplace::now() };
    let report = jettison_ops::report(&place.store, &args.image, &platform, transfer)?;
    write(&render(&report, args.format)?, args.output.as_deref())?;
    Ok(code::OK)
}

fn render(report: &Report, format: ReportFormat) -> Result<String, Failure> {
    match format {
        ReportFormat::Text => {
            Ok(jettison_ops::report_text(report, &|name| printable(name).replace('\n', "\\n")))
        }
        ReportFormat::Json => json(report),
        ReportFormat::Html => {
            jettison_ops::report_page(report).map_err(|error| Failure::command(error.to_string()))
        }
    }
}

fn json(report: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(report).map_err(|error| Failure::command(error.to_string()))?;
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
