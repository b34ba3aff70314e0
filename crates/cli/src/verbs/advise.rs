//! `advise`.

use std::path::Path;

use jettison_image::Platform;
use jettison_ops::{Advised, Transfer, lint};

use super::workplace;
use crate::args::{AdviseArgs, CheckFormat};
use crate::environment::{Environment, registry_client};
use crate::failure::{Failure, code};
use crate::format::printable;
use crate::interrupt;
use crate::output::{print, print_line};
use crate::settings;

/// Says what to write instead. Advice is no failure.
pub fn advise(args: &AdviseArgs, environment: &Environment) -> Result<u8, Failure> {
    let platform: Vec<String> = args.platform.clone().into_iter().collect();
    let platform = settings::platform(&platform)?.unwrap_or_else(Platform::host);
    let place = workplace::open(environment)?;
    let (client, cancel) = (registry_client(), interrupt::watch()?);
    let transfer =
        Transfer { client: &client, cancel: &cancel, progress: &|_, _, _| (), now: workplace::now() };
    let dockerfile = args.file.as_deref().map(Path::new);
    let advised = jettison_ops::advise(&place.store, &args.subject, dockerfile, &platform, transfer)?;
    write(&advised, args.format)?;
    Ok(code::OK)
}

fn write(advised: &Advised, format: CheckFormat) -> Result<(), Failure> {
    let Advised { name, dockerfile, advice } = advised;
    let dockerfile = dockerfile.as_ref();
    let findings = || jettison_ops::advice_findings(advice, dockerfile);
    match format {
        CheckFormat::Text => {
            let clean = |text: &str| printable(text).replace('\n', " ");
            print(&jettison_ops::advice_text(advice, name, dockerfile, &clean))
        }
        CheckFormat::Json => print_line(&jettison_ops::advice_json(advice, name, dockerfile).to_string()),
        CheckFormat::Sarif => {
            print_line(&serde_json::to_string_pretty(&lint::sarif(&findings(), name)).unwrap_or_default())
        }
        CheckFormat::Github => print(&lint::github(&findings(), name)),
    }
}
