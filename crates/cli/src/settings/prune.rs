//! The `prune` commands: arguments to settings.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jettison_ops::PruneSettings;

use crate::args::PruneArgs;
use crate::failure::Failure;
use crate::format::{parse_duration, parse_rfc3339, parse_size};

/// Turns arguments into settings; `now` is what `until=24h` counts from.
pub fn prune(args: &PruneArgs, now: SystemTime) -> Result<PruneSettings, Failure> {
    let mut until = None;
    for filter in &args.filters {
        until = Some(until_filter(filter, now)?);
    }
    let keep_storage = match args.keep_storage.as_deref() {
        Some(text) => Some(parse_size(text).ok_or_else(|| {
            Failure::usage(format!("--keep-storage \"{text}\": expected a number of bytes, such as 10GB"))
        })?),
        None => None,
    };
    Ok(PruneSettings {
        images: !args.cache_only,
        cache: !args.images_only,
        all: args.all,
        until,
        keep_storage,
    })
}

/// Returns how long ago `until` is; a time to come lets everything go.
fn until_filter(filter: &str, now: SystemTime) -> Result<Duration, Failure> {
    let bad =
        || Failure::usage(format!("--filter \"{filter}\": expected until=24h or until=2026-01-31T00:00:00Z"));
    let value = filter.strip_prefix("until=").ok_or_else(|| {
        let name = filter.split('=').next().unwrap_or_default();
        Failure::usage(format!("--filter \"{name}\" is not supported yet")).help("\"until\" is")
    })?;
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let seconds = if digits { value.parse().ok() } else { parse_rfc3339(value) };
    match seconds.map(u64::try_from) {
        Some(Ok(seconds)) => {
            let then = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or_else(bad)?;
            Ok(now.duration_since(then).unwrap_or_default())
        }
        Some(Err(_)) => Err(bad()),
        None if digits => Err(bad()),
        None => parse_duration(value).ok_or_else(bad),
    }
}
