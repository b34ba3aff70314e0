//! `--max-size`, `--max-growth`, `--max-dead`: judged when an image is built, before it is named or sent anywhere.

use std::fs;
use std::path::Path;

use jettison_build::Event;
use jettison_image::{Platform, Reference};
use jettison_report::{Report, SCHEMA, exceeded};

use super::Workplace;
use super::outputs::names;
use crate::Error;
use crate::report::{of_stored, report};
use crate::settings::BuildSettings;
use crate::stored::Stored;
use crate::transfer::Transfer;

/// Finds what each of the images is compared with, before anything is built: a baseline that is asked for must be
/// there, and the name may stand for another image afterwards.
pub(super) fn baselines(
    settings: &BuildSettings,
    workplace: &Workplace<'_>,
) -> Result<Vec<Option<Report>>, Error> {
    if settings.budgets.growth.is_none() {
        return Ok(Vec::new());
    }
    let host = [Platform::host()];
    let platforms = if settings.platforms.is_empty() { &host[..] } else { &settings.platforms };
    let name = names(settings)?.first().map(Reference::familiar);
    platforms.iter().map(|platform| baseline(settings, workplace, name.as_deref(), platform)).collect()
}

fn baseline(
    settings: &BuildSettings,
    workplace: &Workplace<'_>,
    name: Option<&str>,
    platform: &Platform,
) -> Result<Option<Report>, Error> {
    let now = i64::try_from(workplace.now.as_secs()).unwrap_or(i64::MAX);
    let (client, cancel) = (workplace.client, workplace.cancel);
    let transfer = Transfer { client, cancel, progress: &|_, _, _| (), now };
    match &settings.baseline {
        Some(file) if Path::new(file).is_file() && file.ends_with(".json") => read(Path::new(file)).map(Some),
        Some(image) => report(workplace.store, image, platform, transfer).map(Some),
        None => {
            let Some(name) = name else { return Ok(None) };
            if workplace.store.resolve(name).is_err() {
                let message =
                    format!("--max-growth: {name} names no image yet, there is nothing to compare with");
                (workplace.events)(Event::Warning { step: None, message });
                return Ok(None);
            }
            report(workplace.store, name, platform, transfer).map(Some)
        }
    }
}

fn read(path: &Path) -> Result<Report, Error> {
    let bytes = fs::read(path).map_err(|source| Error::io("read", path, source))?;
    let report: Report = serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("--baseline {}: this is no report: {error}", path.display());
        Error::request_with_help(message, "`jettison report --format json IMAGE` writes one")
    })?;
    if report.schema != SCHEMA {
        let (path, schema) = (path.display(), report.schema);
        return Err(Error::request(format!("--baseline {path}: form {schema} of reports is not known here")));
    }
    Ok(report)
}

/// Judges the images.
pub(super) fn check(
    settings: &BuildSettings,
    images: &[Stored<'_>],
    names: &[Reference],
    baselines: &[Option<Report>],
) -> Result<(), Error> {
    if settings.budgets.is_empty() {
        return Ok(());
    }
    for (number, image) in images.iter().enumerate() {
        let name = names.first().map_or_else(|| image.record.config.short(), Reference::familiar);
        let name = match images.len() {
            1 => name,
            _ => format!("{name} ({})", image.record.platform),
        };
        let report = of_stored(image, &name)?;
        let baseline = baselines.get(number).and_then(Option::as_ref);
        let exceeded = exceeded(&report, baseline, &settings.budgets);
        if !exceeded.is_empty() {
            return Err(Error::OverBudget { image: name, exceeded });
        }
    }
    Ok(())
}
