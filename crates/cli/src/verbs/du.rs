//! `du`.

use std::time::{SystemTime, UNIX_EPOCH};

use jettison_ops::{Group, Usage};

use super::workplace;
use crate::args::DuArgs;
use crate::environment::Environment;
use crate::failure::{Failure, code};
use crate::format::{Listing, docker_size, since};
use crate::output::{print, print_line};

/// Shows what takes disk space.
pub fn du(args: &DuArgs, environment: &Environment) -> Result<u8, Failure> {
    let place = workplace::open(environment)?;
    let usage = jettison_ops::usage(&place.store)?;
    print(&summary(&usage).render(args.format.as_deref(), &["Type", "TotalCount", "Size", "Reclaimable"])?)?;
    if args.verbose && args.format.is_none() {
        print_line("\nLayers:\n")?;
        let fields = ["ID", "InUse", "Size", "LastUsedSince", "CreatedBy"];
        print(&layers(&usage, SystemTime::now()).render(None, &fields)?)?;
    }
    Ok(code::OK)
}

fn summary(usage: &Usage) -> Listing {
    let mut listing = Listing::new(&[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ]);
    let groups = [
        ("Images", &usage.images),
        ("Build Cache", &usage.cache),
        ("Blobs", &usage.blobs),
        ("Downloads", &usage.partials),
    ];
    for (name, group) in groups {
        listing.push(vec![
            name.to_owned(),
            group.count.to_string(),
            docker_size(group.bytes),
            reclaimable(group),
        ]);
    }
    listing
}

/// docker adds the share: `1.2GB (34%)`.
fn reclaimable(group: &Group) -> String {
    let size = docker_size(group.reclaimable);
    match (u128::from(group.reclaimable) * 100).checked_div(u128::from(group.bytes)) {
        Some(percent) => format!("{size} ({percent}%)"),
        None => size,
    }
}

fn layers(usage: &Usage, now: SystemTime) -> Listing {
    let mut listing = Listing::new(&[
        ("ID", "ID"),
        ("InUse", "IN USE"),
        ("Size", "SIZE"),
        ("LastUsedSince", "LAST USED"),
        ("CreatedBy", "CREATED BY"),
    ]);
    for layer in &usage.layers {
        let used = layer.last_used.and_then(|used| used.duration_since(UNIX_EPOCH).ok());
        listing.push(vec![
            layer.id.as_str().chars().take(12).collect(),
            layer.in_use.to_string(),
            docker_size(layer.bytes),
            used.map(|used| since(used.as_secs() as i64, now)).unwrap_or_default(),
            layer.created_by.clone(),
        ]);
    }
    listing
}
