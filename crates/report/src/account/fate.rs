//! What became of a file: until which layer it shows, and what ended that.

use std::sync::Arc;

use jettison_layer::{Entry, Index, Kind, Place, Tree};
use serde::{Deserialize, Serialize};

use super::NOWHERE;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The final tree shows it.
    Live,
    /// It does not.
    Dead {
        /// Why.
        cause: Cause,
        /// The number of the layer that did it.
        by: usize,
    },
}

/// Why a file is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Its path holds something else.
    Overwritten,
    /// Its path, or a directory above it, is gone.
    Deleted,
    /// Its path holds the same content with another mode, owner, time or attribute.
    Metadata,
    /// Its path holds the very same again.
    Identical,
}

/// How long a file was shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    /// The last layer in whose tree it shows.
    last: usize,
    /// The name under which it shows there: its own if it can be, else the first.
    pub(super) name: Place,
}

/// Stacks layers and notes how long each file shows.
pub(super) fn lives(layers: impl Iterator<Item = Arc<Index>>) -> (Tree, Vec<Vec<Life>>) {
    let mut tree = Tree::default();
    let mut lives: Vec<Vec<Life>> = Vec::new();
    for (number, index) in layers.enumerate() {
        tree.push(index);
        lives.push(vec![Life { last: number, name: NOWHERE }; tree.layers()[number].entries.len()]);
        for (name, file) in tree.places() {
            let Some(file) = file else { continue };
            let life = &mut lives[file.0][file.1];
            if name == file || life.last < number || life.name == NOWHERE {
                *life = Life { last: number, name };
            }
        }
    }
    (tree, lives)
}

/// Tells what became of the file at `place`.
pub(super) fn fate(tree: &Tree, place: Place, life: Life) -> Fate {
    let layers = tree.layers().len();
    // A damaged index may list what it hides itself.
    if life.name == NOWHERE {
        return Fate::Dead { cause: Cause::Overwritten, by: place.0 };
    }
    let by = life.last + 1;
    if by >= layers {
        return Fate::Live;
    }
    let (name, file) = (entry(tree, life.name), entry(tree, place));
    Fate::Dead { cause: cause(&tree.layers()[by], name, file), by }
}

/// Tells what the layer `by` did to `name`, a name of `file` that shows no more with it.
fn cause(by: &Index, name: &Entry, file: &Entry) -> Cause {
    let Some(now) = by.get(&name.path) else { return Cause::Deleted };
    let Some(now) = content(by, now) else { return Cause::Deleted };
    let (Kind::File { size, digest: Some(digest) }, Kind::File { size: old_size, digest: Some(old) }) =
        (&now.kind, &file.kind)
    else {
        return Cause::Overwritten;
    };
    if (size, digest) != (old_size, old) {
        return Cause::Overwritten;
    }
    let times = now.fresh == file.fresh && (now.fresh || now.mtime.seconds == file.mtime.seconds);
    let same = (now.mode, now.uid, now.gid, &now.xattrs) == (file.mode, file.uid, file.gid, &file.xattrs);
    if same && times { Cause::Identical } else { Cause::Metadata }
}

/// Returns what stands at a path of a layer, hard links within it followed; `None` where that is nothing.
fn content<'a>(by: &'a Index, mut entry: &'a Entry) -> Option<&'a Entry> {
    /// A chain of links that is longer is no sane layer.
    const MAX_CHAIN: usize = 40;
    for _ in 0..MAX_CHAIN {
        match &entry.kind {
            Kind::Whiteout => return None,
            Kind::Hardlink { target } => match by.get(target) {
                Some(next) => entry = next,
                None => return Some(entry),
            },
            _ => return Some(entry),
        }
    }
    Some(entry)
}

/// Returns the entry at a place of `tree`.
pub(super) fn entry(tree: &Tree, (layer, position): Place) -> &Entry {
    &tree.layers()[layer].entries[position]
}
