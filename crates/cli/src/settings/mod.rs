//! Arguments to settings: what the user typed becomes plain data, or a usage error that says what was expected.

mod build;
mod call;
mod csv;
mod forwarded;
mod hosts;
mod output;
mod prune;
mod resources;
mod run;

pub use build::build;
pub use call::{Calling, call};
pub use prune::prune;
pub use run::run;

use jettison_image::{Platform, Reference};
use jettison_ops::Network;

use crate::failure::Failure;

/// Reads `--platform`, which may hold several values separated by commas; we take one.
pub fn platform(values: &[String]) -> Result<Option<Platform>, Failure> {
    let mut names =
        values.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|name| !name.is_empty());
    let Some(first) = names.next() else { return Ok(None) };
    if let Some(second) = names.next() {
        return Err(Failure::usage(format!(
            "--platform {first},{second}: several platforms are not supported yet"
        ))
        .help("build them one after the other, each with its own tag"));
    }
    let platform = first.parse().map_err(|error| Failure::usage(format!("--platform: {error}")))?;
    Ok(Some(platform))
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
