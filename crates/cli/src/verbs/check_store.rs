//! `cache check`.

use super::workplace;
use crate::environment::Environment;
use crate::failure::{Failure, code};
use crate::output::print_line;

/// Compares everything in the store with its digests.
pub fn check_store(environment: &Environment) -> Result<u8, Failure> {
    let place = workplace::open(environment)?;
    let damage = jettison_ops::check_store(&place.store)?;
    for found in &damage {
        print_line(&format!("{}: {}", found.object, found.why))?;
    }
    match damage.len() {
        0 => print_line("everything is as its digests say").map(|()| code::OK),
        count => Err(Failure::command(format!("{count} damaged"))
            .help("\"jettison prune --all\" removes all images and all cache")),
    }
}
