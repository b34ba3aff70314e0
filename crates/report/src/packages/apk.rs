//! Alpine's database (apk-tools: `doc/apk-installed.5`).

use jettison_layer::join;

use super::Inventory;
use crate::files::Files;

/// Where it is, and where apk 3 keeps it.
const DATABASES: [&[u8]; 2] = [b"lib/apk/db/installed", b"usr/lib/apk/db/installed"];

/// Finds Alpine packages.
pub(super) fn find(files: &Files<'_>, found: &mut Inventory) {
    let mut seen = None;
    for path in DATABASES {
        // With a merged /usr both are one.
        let real = files.find(path).map(|(real, _)| real);
        if real.is_none() || real == seen {
            continue;
        }
        seen = real;
        let Some(database) = files.database(path, found) else { continue };
        for block in String::from_utf8_lossy(&database).split("\n\n") {
            package(files, block, path, found);
        }
    }
}

fn package(files: &Files<'_>, block: &str, database: &[u8], found: &mut Inventory) {
    let (mut name, mut version, mut folder) = ("", "", "");
    let mut paths = Vec::new();
    for line in block.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        match key {
            "P" => name = value,
            "V" => version = value,
            "F" => folder = value,
            "R" => paths.extend(files.real(&join(folder.as_bytes(), value.as_bytes()))),
            _ => {}
        }
    }
    if !name.is_empty() {
        found.add("apk", name, version, database, paths);
    }
}
