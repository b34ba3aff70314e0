//! Arguments to settings: what the user typed becomes plain data, or a usage error that says what was expected.

mod advise;
mod annotations;
mod budgets;
mod build;
mod call;
mod csv;
mod forwarded;
mod hosts;
mod output;
mod prune;
mod resources;
mod run;

pub use advise::advise;
pub use build::build;
pub use call::{Calling, call};
pub use prune::prune;
pub use run::run;

use jettison_image::{Platform, Reference};
use jettison_ops::Network;

use crate::failure::Failure;

/// Reads `--platform` where there can be one only.
pub fn platform(values: &[String]) -> Result<Option<Platform>, Failure> {
    match platforms(values)?.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        _ => Err(Failure::usage(format!("--platform {}: one platform only, please", values.join(",")))),
    }
}

/// Reads `--platform`, each value of which may hold several platforms separated by commas. Each counts once.
fn platforms(values: &[String]) -> Result<Vec<Platform>, Failure> {
    let names =
        values.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|name| !name.is_empty());
    let mut platforms: Vec<Platform> = Vec::new();
    for name in names {
        // buildx: "local" is the builder's own.
        let platform = match name {
            "local" => Platform::host(),
            name => name.parse().map_err(|error| Failure::usage(format!("--platform: {error}")))?,
        };
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Ok(platforms)
}

/// Reads a name that gets a tag.
pub fn tag(text: &str) -> Result<Reference, Failure> {
    let reference =
        Reference::parse(text).map_err(|error| Failure::usage(format!("invalid tag: {error}")))?;
    if reference.digest().is_some() {
        return Err(Failure::usage(format!(
            "invalid tag \"{text}\": a name for an image cannot have a digest"
        )));
    }
    Ok(reference)
}

/// Reads `--network`.
fn network(flag: &str, text: &str) -> Result<Network, Failure> {
    match text {
        "default" | "bridge" | "" => Ok(Network::Default),
        "host" => Ok(Network::Host),
        "none" => Ok(Network::None),
        other => Err(Failure::usage(format!(
            "{flag} \"{other}\" is not supported: expected default, host or none"
        ))),
    }
}

#[cfg(test)]
mod tests;
