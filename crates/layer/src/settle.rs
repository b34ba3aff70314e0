//! Laying a layer on the tree below it, where its tar left something open.
//!
//! A tar may use directories that it does not list, lead through symbolic links of lower layers, and delete what is
//! not there. containerd applies layers to the mounted tree, so links are followed and parents are those below; we
//! come to the same from the index.

use std::collections::{BTreeMap, BTreeSet};

use crate::path::{ancestors, file_name, join, parent};
use crate::resolve::{Found, resolve};
use crate::{Entry, Index, Kind, Tree};

/// The mode of a directory that no layer lists. containerd: `archive/tar.go`, `mkparent`.
pub(crate) const IMPLIED_MODE: u32 = 0o755;

/// What settling a layer changed.
#[derive(Debug, Default)]
pub struct Settled {
    /// The new index, or `None` where the layer was settled already.
    pub index: Option<Index>,
    /// Old and new path of what lay behind a link.
    pub moved: Vec<(Vec<u8>, Vec<u8>)>,
    /// Directories that neither the layer nor the tree below lists: mode 0755, root's, 1970.
    pub implied: Vec<Vec<u8>>,
    /// Whiteouts of what was not there.
    pub dropped: Vec<Vec<u8>>,
}

/// Fits `index` onto `below`: unlisted parents are added where nothing below provides them, paths that lead through a
/// symbolic link of a lower layer move to where it points (so do targets of hard links), whiteouts of nothing go away.
pub fn settle(index: &Index, below: &Tree) -> Settled {
    let mut work = Work { index, below, relocated: BTreeMap::new(), implied: BTreeSet::new(), parent: None };
    let mut result = Settled::default();
    let mut retargeted = Vec::new();
    for (number, entry) in index.entries.iter().enumerate() {
        let path = work.place(&entry.path);
        if entry.kind == Kind::Whiteout && !work.shows_below(path.as_deref().unwrap_or(&entry.path)) {
            result.dropped.push(entry.path.clone());
            continue;
        }
        if let Some(path) = path {
            work.relocated.insert(path.clone(), number);
            result.moved.push((entry.path.clone(), path));
        }
        if let Kind::Hardlink { target } = &entry.kind
            && let Some(target) = work.place_target(target)
        {
            retargeted.push((number, target));
        }
    }
    result.implied = work.implied.into_iter().collect();
    if !result.moved.is_empty()
        || !result.implied.is_empty()
        || !result.dropped.is_empty()
        || !retargeted.is_empty()
    {
        result.index = Some(rebuild(index, &result, retargeted));
    }
    result
}

fn rebuild(index: &Index, result: &Settled, retargeted: Vec<(usize, Vec<u8>)>) -> Index {
    let mut entries = index.entries.clone();
    for (number, target) in retargeted {
        entries[number].kind = Kind::Hardlink { target };
    }
    // Both lists are in the order of the index.
    let mut dropped = result.dropped.iter().peekable();
    entries.retain(|entry| dropped.next_if(|path| **path == entry.path).is_none());
    let mut moved = result.moved.iter().peekable();
    for entry in &mut entries {
        if let Some((_, path)) = moved.next_if(|(old, _)| *old == entry.path) {
            entry.path = path.clone();
        }
    }
    entries.extend(result.implied.iter().map(|path| implied_directory(path)));
    Index::from_entries(entries)
}

/// Makes the entry of a directory that nobody listed.
pub(crate) fn implied_directory(path: &[u8]) -> Entry {
    Entry { mode: IMPLIED_MODE, ..Entry::new(path, Kind::Directory { opaque: false }) }
}

struct Work<'a> {
    index: &'a Index,
    below: &'a Tree,
    /// New paths of entries that moved, with their numbers.
    relocated: BTreeMap<Vec<u8>, usize>,
    implied: BTreeSet<Vec<u8>>,
    /// The parent that was looked at last, and where it went if it moved: neighbours share it.
    parent: Option<(Vec<u8>, Option<Vec<u8>>)>,
}

impl<'a> Work<'a> {
    /// Returns the path that `path` really has, if another one; makes sure of its parents.
    fn place(&mut self, path: &[u8]) -> Option<Vec<u8>> {
        let directory = parent(path)?;
        if self.parent.as_ref().is_none_or(|(known, _)| known != directory) {
            let moved = self.place_directory(directory);
            self.parent = Some((directory.to_vec(), moved));
        }
        let moved = self.parent.as_ref()?.1.as_ref()?;
        Some(join(moved, file_name(path)))
    }

    fn place_directory(&mut self, directory: &[u8]) -> Option<Vec<u8>> {
        let listed = |path: &[u8]| self.index.get(path).is_some_and(Entry::is_directory);
        // Parents come first, so a listed one was placed itself.
        if directory.is_empty() || (self.relocated.is_empty() && listed(directory)) {
            return None;
        }
        // A loop of links: the directory replaces the first of them.
        let real = self.follow(directory).unwrap_or_else(|| directory.to_vec());
        for path in ancestors(&real).chain([real.as_slice()]) {
            if !matches!(self.find(path), Found::Directory) {
                self.implied.insert(path.to_vec());
            }
        }
        (real != directory).then_some(real)
    }

    fn place_target(&mut self, target: &[u8]) -> Option<Vec<u8>> {
        if self.index.get(target).is_some() || self.below.get(target).is_some() {
            return None;
        }
        let real = join(&self.follow(parent(target)?)?, file_name(target));
        (real != target).then_some(real)
    }

    fn follow(&self, path: &[u8]) -> Option<Vec<u8>> {
        let lookup = |path: &[u8]| match self.find(path) {
            // What is no directory but is used as one is replaced.
            Found::Other => Found::Missing,
            found => found,
        };
        resolve(path, true, lookup).ok()
    }

    /// Returns what the layer and the tree below it show at `path`.
    fn find(&self, path: &[u8]) -> Found<'a> {
        let relocated = self.relocated.get(path).and_then(|number| self.index.entries.get(*number));
        match self.index.get(path).or(relocated).map(|entry| &entry.kind) {
            Some(Kind::Directory { .. }) => Found::Directory,
            Some(Kind::Symlink { target }) => Found::Link(target),
            Some(_) => Found::Other,
            None if self.implied.contains(path) => Found::Directory,
            None if self.hides(path) => Found::Missing,
            None => self.below.find(path),
        }
    }

    /// Returns whether the layer hides what is below it at `path`, a path that it does not list.
    fn hides(&self, path: &[u8]) -> bool {
        ancestors(path).any(|above| {
            let kind = self.index.get(above).map(|entry| &entry.kind);
            !matches!(kind, None | Some(Kind::Directory { opaque: false }))
        })
    }

    fn shows_below(&self, path: &[u8]) -> bool {
        self.below.get(path).is_some() && !self.hides(path)
    }
}
