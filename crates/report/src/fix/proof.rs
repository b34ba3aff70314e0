//! Whether two trees differ only in what a rewrite names.

use std::collections::BTreeSet;

use jettison_layer::{Change, Difference, Tree, is_below};

/// What may be gone after a rewrite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waste {
    /// What is below a directory, given without leading slash.
    Below(&'static str),
    /// What has this name, or is below a directory that has. `*` at the start stands for anything.
    Named(String),
}

impl Waste {
    fn has(&self, path: &[u8]) -> bool {
        match self {
            Waste::Below(directory) => is_below(path, directory.as_bytes()),
            Waste::Named(name) => path.split(|byte| *byte == b'/').any(|part| match name.strip_prefix('*') {
                Some(end) => part.ends_with(end.as_bytes()),
                None => part == name.as_bytes(),
            }),
        }
    }
}

/// Returns which of the `differences` of a tree from `after` are neither noise nor waste.
///
/// `noise` are paths that differed between two builds of one Dockerfile. That a directory was changed at another time
/// says only that waste is gone from it.
pub fn unexplained<'d>(
    differences: &'d [Difference],
    after: &Tree,
    noise: &BTreeSet<Vec<u8>>,
    waste: &[Waste],
) -> Vec<&'d Difference> {
    let wasted = |path: &[u8]| waste.iter().any(|waste| waste.has(path));
    let explained = |found: &Difference| {
        if noise.contains(&found.path) {
            return true;
        }
        match &found.change {
            Change::Added { .. } => false,
            Change::Removed { .. } => wasted(&found.path),
            Change::Changed { what, .. } => {
                let directory = after.get(&found.path).is_some_and(|node| node.entry.is_directory());
                wasted(&found.path) || (directory && what == &["time"])
            }
        }
    };
    differences.iter().filter(|found| !explained(found)).collect()
}
