//! The packages in a tree, from the databases that package managers leave, and from what compilers write into programs.
//!
//! All of it is outside input: what cannot be read is left out and noted, never believed beyond its limits.

mod apk;
mod deb;
mod go;
mod jar;
mod node;
mod python;
mod rpm;
mod rust;

use std::collections::HashMap;

use jettison_layer::{Kind, Tree};
use serde::{Deserialize, Serialize};

use crate::files::{Files, Open};

/// A package of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Who manages it: `deb`, `apk`, `rpm`, `python`, `node`, `java`, `go` or `rust`.
    pub kind: String,
    /// Its name there.
    pub name: String,
    /// Its version, as it writes it; empty where it has none.
    pub version: String,
    /// Its files by their paths free of links. Of what is compiled into a program, none.
    pub files: Vec<Vec<u8>>,
    /// The database, folder or program that tells of it.
    pub place: Vec<u8>,
}

/// The packages of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Sorted by kind and name.
    pub packages: Vec<Package>,
    /// What could not be read, for the user.
    pub notes: Vec<String>,
}

/// The largest package database that is read, in bytes.
const MAX_DATABASE: u64 = 256 << 20;

/// Packages of one image.
const MAX_PACKAGES: usize = 200_000;

/// Finds the packages of `tree`.
pub fn inventory(tree: &Tree, open: &Open<'_>) -> Inventory {
    let files = Files { tree, open };
    let mut found = Inventory::default();
    for search in [deb::find, apk::find, rpm::find, python::find, node::find, jar::find, go::find, rust::find]
    {
        search(&files, &mut found);
    }
    found.packages.truncate(MAX_PACKAGES);
    found.packages.sort_by(|a, b| {
        (&a.kind, &a.name, &a.version, &a.place).cmp(&(&b.kind, &b.name, &b.version, &b.place))
    });
    found.notes.sort();
    found.notes.dedup();
    found
}

impl Inventory {
    /// Returns for each path the number of the package that owns it. Of several the system's package manager comes first,
    /// as in Debian's own Python packages.
    pub fn owners(&self) -> HashMap<&[u8], usize> {
        let mut order: Vec<usize> = (0..self.packages.len()).collect();
        let system = |package: &Package| matches!(package.kind.as_str(), "deb" | "apk" | "rpm");
        order.sort_by_key(|number| !system(&self.packages[*number]));
        let mut owners = HashMap::new();
        for number in order {
            for path in &self.packages[number].files {
                owners.entry(path.as_slice()).or_insert(number);
            }
        }
        owners
    }

    fn add(&mut self, kind: &str, name: &str, version: &str, place: &[u8], files: Vec<Vec<u8>>) {
        let place = place.to_vec();
        self.packages.push(Package {
            kind: kind.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            files,
            place,
        });
    }

    fn note(&mut self, what: &str, path: &[u8]) {
        self.notes.push(format!("{what}: /{}", String::from_utf8_lossy(path)));
    }
}

impl Files<'_> {
    /// Reads a database; `None` where there is none. One whose content is not at hand is noted.
    fn database(&self, path: &[u8], found: &mut Inventory) -> Option<Vec<u8>> {
        let (real, entry) = self.find(path)?;
        if !matches!(entry.kind, Kind::File { .. }) {
            return None;
        }
        let bytes = self.bytes(&real, MAX_DATABASE);
        if bytes.is_none() {
            found.note("not read", path);
        }
        bytes
    }

    /// Returns the path free of links that a database means by `path`, if something is there.
    fn real(&self, path: &[u8]) -> Option<Vec<u8>> {
        let real = self.tree.resolve(path, false).ok()?;
        self.tree.get(&real).is_some().then_some(real)
    }

    /// Returns the paths and sizes of all regular files.
    fn regular(&self) -> impl Iterator<Item = (&[u8], u64, u32)> {
        self.tree.iter().filter_map(|node| match (&node.entry.kind, node.content().1) {
            (Kind::File { .. }, file) => Some((node.entry.path.as_slice(), file.size(), node.entry.mode)),
            _ => None,
        })
    }
}

/// Returns the value of a field in a block of `Name: value` lines (RFC 822's form, as dpkg and Python write it).
fn field<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    };
    block.lines().find_map(value)
}

#[cfg(test)]
mod tests;
