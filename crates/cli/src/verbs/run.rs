//! `run`: a smoke test.

use super::workplace;
use crate::args::RunArgs;
use crate::environment::{Environment, registry_client, user_variable};
use crate::failure::{Failure, code};
use crate::interrupt;
use crate::output::note;
use crate::settings;

/// Starts a container of an image and passes its exit code on.
pub fn run(args: &RunArgs, environment: &Environment) -> Result<u8, Failure> {
    let (settings, _) = settings::run(args, &user_variable)?;
    let place = workplace::open(environment)?;
    if let Some(why) = place.no_sandbox {
        return Err(Failure::environment(format!("commands cannot be run here: {why}"))
            .help("`jettison doctor` tells what to do about each"));
    }
    let (client, cancel) = (registry_client(), jettison_ops::Cancel::new());
    let now = workplace::now();
    let launched = jettison_ops::launch(&place.store, &place.identity, &client, &cancel, &settings, now)
        .map_err(|error| Failure::from(error).with_code(code::RUN_FAILED))?;
    let killer = launched.killer();
    interrupt::on_signal(move || killer.kill())?;
    let outcome = launched.wait().map_err(|error| Failure::from(error).with_code(code::RUN_FAILED))?;
    for text in &outcome.notes {
        note(&format!("warning: {text}\n"));
    }
    if let Some(refused) = outcome.refused.first() {
        note(&format!(
            "warning: {} to id {} was refused: {}\n",
            refused.call,
            refused.id,
            place.identity.remedy()
        ));
    }
    Ok(u8::try_from(outcome.code).unwrap_or(code::FAILED))
}
