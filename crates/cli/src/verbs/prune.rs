//! The `prune` commands.

use std::io::{self, BufRead};
use std::time::SystemTime;

use jettison_ops::PruneSettings;

use super::workplace;
use crate::args::PruneArgs;
use crate::environment::Environment;
use crate::failure::{Failure, code};
use crate::format::docker_size;
use crate::output::{note, print_line};
use crate::settings;

/// Removes what is not in use, after asking.
pub fn prune(args: &PruneArgs, environment: &Environment) -> Result<u8, Failure> {
    let settings = settings::prune(args, SystemTime::now())?;
    let place = workplace::open(environment)?;
    if !args.force && !agreed(&settings)? {
        return Ok(code::OK);
    }
    let pruned = jettison_ops::prune(&place.store, &settings)?;
    if !pruned.untagged.is_empty() || !pruned.images.is_empty() {
        print_line("Deleted Images:")?;
        for name in &pruned.untagged {
            print_line(&format!("untagged: {name}"))?;
        }
        for image in &pruned.images {
            print_line(&format!("deleted: {image}"))?;
        }
        print_line("")?;
    }
    if pruned.records > 0 {
        print_line(&format!("Deleted build cache records: {}\n", pruned.records))?;
    }
    if pruned.cache_mounts > 0 {
        print_line(&format!("Deleted cache mounts: {}\n", pruned.cache_mounts))?;
    }
    print_line(&format!("Total reclaimed space: {}", docker_size(pruned.bytes)))?;
    Ok(code::OK)
}

fn agreed(settings: &PruneSettings) -> Result<bool, Failure> {
    let what = match (settings.images, settings.cache, settings.all) {
        (true, false, false) => "all dangling images",
        (true, false, true) => "all images",
        (false, true, false) => "all build cache that no image uses",
        (false, true, true) => "all build cache",
        (_, _, false) => "all dangling images and all build cache that no image uses",
        (_, _, true) => "all images and all build cache",
    };
    note(&format!("WARNING! This will remove {what}.\nAre you sure you want to continue? [y/N] "));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
