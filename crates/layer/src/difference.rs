//! What differs between two trees.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use crate::path::compare_paths;
use crate::{Entry, Kind, Node, Tree};

/// A path at which two trees differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// In the form of [`Entry::path`].
    pub path: Vec<u8>,
    /// How.
    pub change: Change,
}

/// How two trees differ at a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only the second has it.
    Added {
        /// The bytes of a file; 0 of all else.
        size: u64,
    },
    /// Only the first has it.
    Removed {
        /// The bytes of a file; 0 of all else.
        size: u64,
    },
    /// Both have it, but these are not the same: of `type`, `content`, `mode`, `owner`, `time`, `attributes`, `links`
    /// (which names are one file), in this order.
    Changed {
        /// What.
        what: Vec<&'static str>,
        /// The bytes of the file in the first.
        from: u64,
        /// The bytes of the file in the second.
        to: u64,
    },
}

/// Compares what two trees show, in the order of paths. Files are compared by the digests in the indexes: where one is
/// missing, equally long files of other places count as changed.
///
/// Times are compared as a tar shows them: in whole seconds, and all fresh files alike.
pub fn differences(first: &Tree, second: &Tree) -> Vec<Difference> {
    let (first_links, second_links) = (links(first), links(second));
    let mut found = Vec::new();
    for pair in side_by_side(first.iter(), second.iter(), |node| &node.entry.path) {
        let (path, change) = match pair {
            (Some(one), Some(two)) => {
                let mut what = changed(&one, &two);
                if first_links.get(&one.entry.path) != second_links.get(&two.entry.path) {
                    what.push("links");
                }
                if what.is_empty() {
                    continue;
                }
                let (from, to) = (one.content().1.size(), two.content().1.size());
                (&one.entry.path, Change::Changed { what, from, to })
            }
            (Some(one), None) => (&one.entry.path, Change::Removed { size: one.content().1.size() }),
            (None, Some(two)) => (&two.entry.path, Change::Added { size: two.content().1.size() }),
            (None, None) => continue,
        };
        found.push(Difference { path: path.clone(), change });
    }
    found
}

/// Walks two lists in the order of paths at once: what both have at a path comes together.
pub fn side_by_side<T>(
    ours: impl Iterator<Item = T>,
    theirs: impl Iterator<Item = T>,
    path: impl Fn(&T) -> &[u8],
) -> impl Iterator<Item = (Option<T>, Option<T>)> {
    let (mut ours, mut theirs) = (ours.peekable(), theirs.peekable());
    iter::from_fn(move || {
        let order = match (ours.peek(), theirs.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(two)) => compare_paths(path(one), path(two)),
        };
        Some((ours.next_if(|_| order.is_le()), theirs.next_if(|_| order.is_ge())))
    })
}

/// Returns for every path that is one of several names of a file the first of the names.
fn links(tree: &Tree) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names: BTreeMap<crate::Place, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for (node, (_, file)) in tree.iter().zip(tree.places()) {
        let Some(file) = file else { continue };
        if !node.entry.is_directory() {
            names.entry(file).or_default().insert(node.entry.path.clone());
        }
    }
    let several = names.into_values().filter(|names| names.len() > 1);
    several
        .flat_map(|names| {
            let first = names.first().cloned().unwrap_or_default();
            names.into_iter().map(move |name| (name, first.clone()))
        })
        .collect()
}

fn changed(one: &Node<'_>, two: &Node<'_>) -> Vec<&'static str> {
    let (a, b) = (one.content().1, two.content().1);
    let mut what = Vec::new();
    if !same_type(&a.kind, &b.kind) {
        what.push("type");
    } else if !same_content(a, b) {
        what.push("content");
    }
    // One inode has one set of attributes: those of the name that was written last.
    let (a, b) = (one.entry, two.entry);
    for (name, same) in [
        ("mode", a.mode == b.mode),
        ("owner", (a.uid, a.gid) == (b.uid, b.gid)),
        ("time", a.fresh == b.fresh && (a.fresh || a.mtime.seconds == b.mtime.seconds)),
        ("attributes", a.xattrs == b.xattrs),
    ] {
        if !same {
            what.push(name);
        }
    }
    what
}

fn same_type(one: &Kind, two: &Kind) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(two)
}

fn same_content(one: &Entry, two: &Entry) -> bool {
    match (&one.kind, &two.kind) {
        // Opaque directories hide; what they are themselves is the same.
        (Kind::Directory { .. }, Kind::Directory { .. }) => true,
        (Kind::File { size, digest }, Kind::File { size: other_size, digest: other }) => {
            let unread = *size == 0 || std::ptr::eq(one, two);
            size == other_size && (unread || (digest.is_some() && digest == other))
        }
        (one, two) => one == two,
    }
}
