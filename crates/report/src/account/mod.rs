//! Who owns each byte of an image: counted from layer indexes alone.
//!
//! Every file of every layer is either live (the final tree shows it) or dead, and a dead one died once, of one cause.
//! File bytes and overhead (headers, padding) make up the tar of a layer exactly; nothing is counted twice.

mod fate;
mod sums;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use jettison_image::Digest;
use jettison_layer::{Entry, Index, Kind, Place, Tree};

pub use fate::{Cause, Fate};
pub(crate) use sums::share;
pub use sums::{Compressed, Sums};

/// A layer of the image to be counted.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What it holds, with the digests that [`wanted_digests`] asks for.
    pub index: Arc<Index>,
    /// The digest of its tar.
    pub diff_id: Digest,
    /// Whether it belongs to the base image.
    pub base: bool,
    /// The length of its uncompressed tar in bytes.
    pub tar: u64,
    /// The length of its compressed blob in bytes, if it has one.
    pub compressed: Option<u64>,
}

/// A file of a layer: one inode, whatever the number of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedFile {
    /// Its path; of a file that lives on under other names only, the first of those.
    pub path: Vec<u8>,
    /// The number of its layer.
    pub layer: usize,
    /// In bytes.
    pub size: u64,
    /// What became of it.
    pub fate: Fate,
    /// Whether an earlier live file has the same content.
    pub duplicate: bool,
}

/// All bytes of an image, each with its owner.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// The merged view.
    pub tree: Tree,
    /// The files of all layers, in the order of layers and paths.
    pub files: Vec<CountedFile>,
    /// The sums of each layer, lowest first.
    pub layers: Vec<Sums>,
}

impl Accounts {
    /// Counts `layers`, the lowest first.
    pub fn new(layers: &[Layer]) -> Accounts {
        let (tree, lives) = fate::lives(layers.iter().map(|layer| layer.index.clone()));
        let mut files = Vec::new();
        for (number, index) in tree.layers().iter().enumerate() {
            for (position, entry) in index.entries.iter().enumerate() {
                if !matches!(entry.kind, Kind::File { .. }) {
                    continue;
                }
                let life = lives[number][position];
                let fate = fate::fate(&tree, (number, position), life);
                let name = if fate == Fate::Live { fate::entry(&tree, life.name) } else { entry };
                let path = name.path.clone();
                files.push(CountedFile { path, layer: number, size: entry.size(), fate, duplicate: false });
            }
        }
        mark_duplicates(&tree, &mut files);
        let sums = sums::of_layers(layers, &files);
        Accounts { tree, files, layers: sums }
    }
}

/// Marks live files whose content an earlier live one has already. Empty ones cost nothing.
fn mark_duplicates(tree: &Tree, files: &mut [CountedFile]) {
    let mut digests: HashMap<Digest, ()> = HashMap::new();
    let entries = tree.layers().iter().flat_map(|index| &index.entries);
    let entries = entries.filter(|entry| matches!(entry.kind, Kind::File { .. }));
    for (file, entry) in files.iter_mut().zip(entries) {
        if let (Fate::Live, Kind::File { size: 1.., digest: Some(digest) }) = (file.fate, &entry.kind) {
            file.duplicate = digests.insert(*digest, ()).is_some();
        }
    }
}

/// Returns for each layer the positions of files whose digests the accounts need: those that are as long as another
/// one, which may be a copy.
pub fn wanted_digests(layers: &[Arc<Index>]) -> Vec<Vec<usize>> {
    let mut count: HashMap<u64, u32> = HashMap::new();
    for entry in layers.iter().flat_map(|index| &index.entries) {
        *count.entry(entry.size()).or_default() += 1;
    }
    let wanted = |entry: &Entry| {
        matches!(entry.kind, Kind::File { size: 1.., digest: None }) && count[&entry.size()] > 1
    };
    let of_layer = |index: &Arc<Index>| {
        (0..index.entries.len()).filter(|position| wanted(&index.entries[*position])).collect()
    };
    layers.iter().map(of_layer).collect()
}

/// A place that no entry has.
const NOWHERE: Place = (usize::MAX, usize::MAX);
