//! `du`.

use std::time::{SystemTime, UNIX_EPOCH};

use jettison_ops::{Group, Usage};

use super::workplace;
use crate::args::DuArgs;
use crate::environment::Environment;
use crate::failure::{Failure, code};
use crate::format::{Listing, docker_size, printable, since};
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
        print_line("\nCache mounts:\n")?;
        let fields = ["ID", "InUse", "Size", "LastUsedSince"];
        print(&mounts(&usage, SystemTime::now()).render(None, &fields)?)?;
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
        ("Cache Mounts", &usage.cache_mounts),
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
        listing.push(vec![
            layer.id.as_str().chars().take(12).collect(),
            layer.in_use.to_string(),
            docker_size(layer.bytes),
            since_use(layer.last_used, now),
            layer.created_by.clone(),
        ]);
    }
    listing
}

fn mounts(usage: &Usage, now: SystemTime) -> Listing {
    let mut listing =
        Listing::new(&[("ID", "ID"), ("InUse", "IN USE"), ("Size", "SIZE"), ("LastUsedSince", "LAST USED")]);
    for mount in &usage.mounts {
        listing.push(vec![
            printable(&mount.name),
            mount.in_use.to_string(),
            docker_size(mount.bytes),
            since_use(mount.last_used, now),
        ]);
    }
    listing
}

fn since_use(used: Option<SystemTime>, now: SystemTime) -> String {
    let used = used.and_then(|used| used.duration_since(UNIX_EPOCH).ok());
    used.map(|used| since(used.as_secs() as i64, now)).unwrap_or_default()
}
