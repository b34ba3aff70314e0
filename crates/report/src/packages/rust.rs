//! What cargo-auditable writes into Rust programs: section `.dep-v0`, JSON in zlib (cargo-auditable: `PARSING.md`).

use std::io::Read;

use serde::Deserialize;

use super::Inventory;
use crate::elf;
use crate::files::Files;

/// Smaller than any Rust program.
const LEAST: u64 = 100 << 10;
/// The largest section that is read, and the largest list that comes out of it, in bytes.
const MAX_LIST: u64 = 8 << 20;

#[derive(Deserialize)]
struct List {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    /// Absent for what is in the program.
    #[serde(default)]
    kind: String,
    #[serde(default)]
    root: bool,
}

/// Finds Rust programs and the crates in them.
pub(super) fn find(files: &Files<'_>, found: &mut Inventory) {
    let programs: Vec<Vec<u8>> = files
        .regular()
        .filter(|(_, size, mode)| *size >= LEAST && mode & 0o111 != 0)
        .map(|(path, ..)| path.to_vec())
        .collect();
    for path in programs {
        let Ok(Some(mut content)) = files.content(&path) else { continue };
        let Ok(Some(section)) = elf::section(&mut *content, b".dep-v0", MAX_LIST) else { continue };
        let mut json = Vec::new();
        let unpacked = flate2::read::ZlibDecoder::new(&section[..]).take(MAX_LIST).read_to_end(&mut json);
        let list = unpacked.ok().and_then(|_| serde_json::from_slice::<List>(&json).ok());
        for one in list.map(|list| list.packages).unwrap_or_default() {
            if one.kind != "build" {
                let own = if one.root { vec![path.clone()] } else { Vec::new() };
                found.add("rust", &one.name, &one.version, &path, own);
            }
        }
    }
}
