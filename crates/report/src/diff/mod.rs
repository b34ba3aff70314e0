//! Two images side by side: what changed in bytes, packages, settings and files, and what each costs to deploy.

mod text;

use std::collections::{BTreeMap, BTreeSet};

use jettison_layer::{Change, Difference};
use serde::Serialize;

use crate::{ImageInfo, Report, Sums};

pub use text::diff_text;

/// The version of the document's form.
pub const DIFF_SCHEMA: u32 = 1;

/// The speed of the network that pulls are estimated for, in bytes a second: 100 Mbit/s.
pub const PULL_RATE: u64 = 12_500_000;

/// What differs between two images.
#[derive(Debug, Clone, Serialize)]
pub struct Diff {
    /// The version of this form.
    pub schema: u32,
    /// The first image.
    pub before: Side,
    /// The second image.
    pub after: Side,
    /// Packages that only one has, or that have other versions, by kind and name.
    pub packages: Vec<PackageChange>,
    /// Settings that differ, by name.
    pub config: Vec<SettingChange>,
    /// Paths that differ, in order.
    pub files: Vec<PathChange>,
}

/// One of the images.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    /// Which.
    pub image: ImageInfo,
    /// Its bytes.
    pub totals: Sums,
    /// How many layers it has.
    pub layers: usize,
    /// How many live files.
    pub files: usize,
    /// How many packages: the surface for attacks.
    pub packages: usize,
    /// What it costs to deploy.
    pub costs: Costs,
}

/// What it costs to bring an image to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Costs {
    /// The length of its compressed layers in bytes.
    pub compressed: u64,
    /// The part of them that a machine with the other image does not have.
    pub compressed_new: u64,
    /// How long a pull of all of it takes at [`PULL_RATE`], in seconds.
    pub pull_seconds: f64,
    /// The same for the part that is new.
    pub pull_new_seconds: f64,
    /// How long it took to decompress and write its layers here, one after the other, in seconds.
    pub unpack_seconds: f64,
}

impl Costs {
    /// Works out the pull from what there is to pull.
    pub fn new(compressed: u64, compressed_new: u64, unpack_seconds: f64) -> Costs {
        let pull = |bytes: u64| bytes as f64 / PULL_RATE as f64;
        let (pull_seconds, pull_new_seconds) = (pull(compressed), pull(compressed_new));
        Costs { compressed, compressed_new, pull_seconds, pull_new_seconds, unpack_seconds }
    }
}

/// A package that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// Who manages it, as in [`crate::PackageReport`].
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its versions in the first image; empty where that does not have it.
    pub before: Vec<String>,
    /// Its versions in the second.
    pub after: Vec<String>,
    /// Its live bytes in the first.
    pub bytes_before: u64,
    /// Its live bytes in the second.
    pub bytes_after: u64,
}

/// A setting that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingChange {
    /// As in [`ImageInfo::config`].
    pub name: String,
    /// In the first image, if it is there.
    pub before: Option<String>,
    /// In the second.
    pub after: Option<String>,
}

/// A path that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathChange {
    /// With a leading slash; bytes that are not UTF-8 are U+FFFD.
    pub path: String,
    /// What of it changed; empty where only one image has it.
    pub what: Vec<&'static str>,
    /// Its bytes in the first image, if it is there.
    pub before: Option<u64>,
    /// Its bytes in the second.
    pub after: Option<u64>,
}

/// Compares two images by their reports and by what differs between their trees.
pub fn diff(sides: [(&Report, Costs); 2], differences: &[Difference]) -> Diff {
    let [(before, before_costs), (after, after_costs)] = sides;
    Diff {
        schema: DIFF_SCHEMA,
        before: side(before, before_costs),
        after: side(after, after_costs),
        packages: packages(before, after),
        config: settings(&before.image.config, &after.image.config),
        files: differences.iter().filter_map(path).collect(),
    }
}

fn side(report: &Report, costs: Costs) -> Side {
    Side {
        image: report.image.clone(),
        totals: report.totals,
        layers: report.layers.len(),
        files: report.files.iter().filter(|file| file.dead.is_none()).count(),
        packages: report.packages.len(),
        costs,
    }
}

/// The versions of a package, and its live bytes.
type Versions = (BTreeSet<String>, u64);

fn packages(before: &Report, after: &Report) -> Vec<PackageChange> {
    let (before, after) = (versions(before), versions(after));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let none = Versions::default();
    let mut changes = Vec::new();
    for key in names {
        let (ours, theirs) = (before.get(key).unwrap_or(&none), after.get(key).unwrap_or(&none));
        if ours.0 == theirs.0 {
            continue;
        }
        changes.push(PackageChange {
            kind: key.0.to_owned(),
            name: key.1.to_owned(),
            before: ours.0.iter().cloned().collect(),
            after: theirs.0.iter().cloned().collect(),
            bytes_before: ours.1,
            bytes_after: theirs.1,
        });
    }
    changes
}

fn versions(report: &Report) -> BTreeMap<(&str, &str), Versions> {
    let mut versions: BTreeMap<(&str, &str), Versions> = BTreeMap::new();
    for package in &report.packages {
        let entry = versions.entry((&package.kind, &package.name)).or_default();
        entry.0.insert(package.version.clone());
        entry.1 = entry.1.saturating_add(package.sums.live);
    }
    versions
}

fn settings(before: &[(String, String)], after: &[(String, String)]) -> Vec<SettingChange> {
    let before: BTreeMap<_, _> = before.iter().cloned().collect();
    let after: BTreeMap<_, _> = after.iter().cloned().collect();
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |name: &String| SettingChange {
        name: name.clone(),
        before: before.get(name).cloned(),
        after: after.get(name).cloned(),
    };
    names.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

/// Describes a difference. What only has another time is left out: directories change theirs whenever something in them
/// changes, and a file of the same content and mode is the same to whoever runs the image.
fn path(difference: &Difference) -> Option<PathChange> {
    let (what, before, after) = match &difference.change {
        Change::Added { size } => (Vec::new(), None, Some(*size)),
        Change::Removed { size } => (Vec::new(), Some(*size), None),
        Change::Changed { what, .. } if what == &["time"] => return None,
        Change::Changed { what, from, to } => (what.clone(), Some(*from), Some(*to)),
    };
    Some(PathChange { path: format!("/{}", String::from_utf8_lossy(&difference.path)), what, before, after })
}

impl PathChange {
    /// By how much it makes the second image larger.
    pub fn growth(&self) -> i64 {
        growth(self.before.unwrap_or(0), self.after.unwrap_or(0))
    }
}

/// The difference of two sizes.
fn growth(before: u64, after: u64) -> i64 {
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    signed(after).saturating_sub(signed(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_differ_by_name() {
        let list = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        let found = settings(
            &list(&[("cmd", "a"), ("user", "x")]),
            &list(&[("cmd", "b"), ("user", "x"), ("env P", "1")]),
        );
        let found: Vec<_> =
            found.iter().map(|c| (c.name.as_str(), c.before.as_deref(), c.after.as_deref())).collect();
        assert_eq!(found, [("cmd", Some("a"), Some("b")), ("env P", None, Some("1"))]);
    }

    #[test]
    fn another_time_alone_is_no_difference() {
        let changed = |what: Vec<&'static str>| Difference {
            path: b"a/b".to_vec(),
            change: Change::Changed { what, from: 5, to: 3 },
        };
        assert_eq!(path(&changed(vec!["time"])), None);
        let found = path(&changed(vec!["content", "time"])).unwrap();
        assert_eq!((found.path.as_str(), found.growth()), ("/a/b", -2));
    }

    #[test]
    fn a_pull_takes_its_bytes_at_a_hundred_megabits() {
        let costs = Costs::new(125_000_000, 12_500_000, 2.0);
        assert_eq!((costs.pull_seconds, costs.pull_new_seconds), (10.0, 1.0));
    }
}
