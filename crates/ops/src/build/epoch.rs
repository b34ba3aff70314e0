//! The date of the image, where a build argument, the environment or the Dockerfile asks for one.

use jettison_build::{Environment, Fetcher};
use jettison_dockerfile::Parsed;
use jettison_layer::Timestamp;
use jettison_plan::{Epoch, SOURCE_DATE_EPOCH, source_date_epoch};

use crate::settings::BuildSettings;

/// Settles the date: a build argument goes before the environment, and that before the Dockerfile. A stage that declares
/// the argument sees the seconds, whatever they came from; docker does the same.
pub(super) fn settle(
    settings: &BuildSettings,
    environment: &Environment<'_>,
    started: Timestamp,
    parsed: &Parsed,
    plan: &mut jettison_plan::Request,
) -> Result<Option<i64>, jettison_build::Error> {
    if let Some(seconds) = settings.epoch {
        plan.build_args.entry(SOURCE_DATE_EPOCH.to_owned()).or_insert_with(|| seconds.to_string());
    }
    let (remote, span) = match source_date_epoch(parsed, plan)? {
        None => return Ok(None),
        Some(Epoch::Seconds(seconds)) => return Ok(Some(seconds)),
        Some(Epoch::Remote(remote, span)) => (remote, span),
    };
    let fetcher = Fetcher {
        store: environment.store,
        client: environment.client,
        cancel: environment.cancel,
        secrets: &settings.secrets.iter().cloned().collect(),
        agents: &settings.agents.iter().cloned().collect(),
        started,
        progress: &|_, _| {},
    };
    let fetched = fetcher.date(&remote).map_err(|source| jettison_build::Error::Fetch {
        span,
        url: remote.shown(),
        source: Box::new(source),
    });
    let seconds = fetched?;
    let shown = seconds.map(|seconds| seconds.to_string()).unwrap_or_default();
    plan.build_args.insert(SOURCE_DATE_EPOCH.to_owned(), shown);
    Ok(seconds)
}
