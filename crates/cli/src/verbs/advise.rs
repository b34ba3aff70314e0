//! `advise`.

use jettison_ops::{Advised, Bases, Transfer, lint};
use serde_json::json;

use super::workplace;
use crate::args::{AdviseArgs, CheckFormat};
use crate::environment::{Environment, registry_client, user_variable};
use crate::failure::{Failure, code};
use crate::format::{printable, table};
use crate::interrupt;
use crate::output::{print, print_line};
use crate::settings;

/// Says what to write instead. Advice is no failure.
pub fn advise(args: &AdviseArgs, environment: &Environment) -> Result<u8, Failure> {
    if args.bases && matches!(args.format, CheckFormat::Sarif | CheckFormat::Github) {
        return Err(Failure::usage("--bases is for --format text and json: it lists images, not findings"));
    }
    let settings = settings::advise(args, &user_variable)?;
    let place = workplace::open(environment)?;
    let (client, cancel) = (registry_client(), interrupt::watch()?);
    let transfer =
        Transfer { client: &client, cancel: &cancel, progress: &|_, _, _| (), now: workplace::now() };
    let advised = jettison_ops::advise(&place.store, &settings, transfer)?;
    write(&advised, args.format)?;
    Ok(code::OK)
}

fn write(advised: &Advised, format: CheckFormat) -> Result<(), Failure> {
    let Advised { name, dockerfile, advice, bases } = advised;
    let dockerfile = dockerfile.as_ref();
    let findings = || jettison_ops::advice_findings(advice, dockerfile);
    match format {
        CheckFormat::Text => {
            let clean = |text: &str| printable(text).replace('\n', " ");
            print(&jettison_ops::advice_text(advice, name, dockerfile, &clean))?;
            bases.as_ref().map_or(Ok(()), |bases| print(&bases_text(bases, &clean)))
        }
        CheckFormat::Json => {
            let advice = jettison_ops::advice_json(advice, name, dockerfile);
            let document = match bases {
                Some(bases) => json!({ "advice": advice, "bases": jettison_ops::bases_json(bases) }),
                None => advice,
            };
            print_line(&document.to_string())
        }
        CheckFormat::Sarif => {
            print_line(&serde_json::to_string_pretty(&lint::sarif(&findings(), name)).unwrap_or_default())
        }
        CheckFormat::Github => print(&lint::github(&findings(), name)),
    }
}

fn bases_text(bases: &Bases, clean: &dyn Fn(&str) -> String) -> String {
    let mut rows = jettison_ops::bases_rows(bases);
    rows.iter_mut().flatten().for_each(|cell| *cell = clean(cell));
    let notes = jettison_ops::bases_notes(bases).iter().map(|note| clean(note) + "\n").collect::<String>();
    format!("\n{}\n{notes}", table(&rows))
}
