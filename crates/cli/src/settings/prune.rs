//! The `prune` commands: arguments to settings.

use std::time::{SystemTime, UNIX_EPOCH};

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

fn until_filter(filter: &str, now: SystemTime) -> Result<i64, Failure> {
    let bad =
        || Failure::usage(format!("--filter \"{filter}\": expected until=24h or until=2026-01-31T00:00:00Z"));
    let value = filter.strip_prefix("until=").ok_or_else(|| {
        let name = filter.split('=').next().unwrap_or_default();
        Failure::usage(format!("--filter \"{name}\" is not supported yet")).help("\"until\" is")
    })?;
    if let Some(seconds) = parse_rfc3339(value) {
        return Ok(seconds);
    }
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return value.parse().map_err(|_| bad());
    }
    let age = parse_duration(value).ok_or_else(bad)?;
    let then = now.checked_sub(age).and_then(|then| then.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    Ok(then.as_secs() as i64)
}
