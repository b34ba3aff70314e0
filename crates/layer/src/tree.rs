//! The merged view of layers, from their indexes alone.

use std::collections::HashSet;
use std::sync::Arc;

use crate::path::{compare_paths, is_below};
use crate::resolve::{Found, ResolveError, resolve};
use crate::settle::settle;
use crate::{Entry, Index, Kind};

/// What a stack of layers shows: whiteouts, opaque directories and replaced paths applied.
///
/// Looking up costs a binary search and no allocation. Directories that a layer uses without listing them are there,
/// and paths through a lower layer's symbolic link are where the link points, as [`crate::settle`] says.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    layers: Vec<Arc<Index>>,
    /// What shows, in the order of paths.
    slots: Vec<Slot>,
}

/// A path of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'a> {
    /// The layer that it comes from, 0 the lowest.
    pub layer: usize,
    /// Its entry there.
    pub entry: &'a Entry,
    /// Of a hard link, the layer and the entry of the file that it is another name of; `None` also where that file is
    /// in no layer.
    pub file: Option<(usize, &'a Entry)>,
}

/// Where an entry is: the number of its layer, and its position in that layer's settled index ([`Tree::layers`]).
pub type Place = (usize, usize);

/// An entry by number, and the one that holds its content: itself, unless it is a hard link.
#[derive(Debug, Clone, Copy)]
struct Slot {
    layer: u32,
    entry: u32,
    file: Option<(u32, u32)>,
}

impl Tree {
    /// Stacks `layers`, the lowest first.
    pub fn new(layers: impl IntoIterator<Item = Arc<Index>>) -> Tree {
        let mut tree = Tree::default();
        for layer in layers {
            tree.push(layer);
        }
        tree
    }

    /// Puts one more layer on top.
    pub fn push(&mut self, index: Arc<Index>) {
        let index = match settle(&index, self).index {
            Some(settled) => Arc::new(settled),
            None => index,
        };
        let layer = self.layers.len() as u32;
        let mut slots = Vec::with_capacity(self.slots.len() + index.entries.len());
        let mut rest: &[Slot] = &self.slots;
        for (number, entry) in index.entries.iter().enumerate() {
            let before = self.count_before(rest, &entry.path);
            slots.extend_from_slice(&rest[..before]);
            rest = &rest[before..];
            let same = rest.first().is_some_and(|slot| self.path(slot) == entry.path);
            // A directory over what is none hides nothing more: there is nothing below it.
            let hidden = match entry.kind {
                Kind::Directory { opaque: false } => usize::from(same),
                _ if !same && !entry.is_directory() => 0,
                _ => self.count_below(rest, &entry.path),
            };
            rest = &rest[hidden..];
            if entry.kind != Kind::Whiteout {
                let file = self.find_file(&index, number as u32);
                slots.push(Slot { layer, entry: number as u32, file });
            }
        }
        slots.extend_from_slice(rest);
        self.slots = slots;
        self.layers.push(index);
    }

    /// Returns the layers' indexes, settled.
    pub fn layers(&self) -> &[Arc<Index>] {
        &self.layers
    }

    /// Returns the number of paths.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns what is at `path`, links not followed.
    pub fn get(&self, path: &[u8]) -> Option<Node<'_>> {
        let position = self.slots.binary_search_by(|slot| compare_paths(self.path(slot), path)).ok()?;
        self.slots.get(position).map(|slot| self.node(slot))
    }

    /// Returns where the entry of `path` is.
    pub(crate) fn place(&self, path: &[u8]) -> Option<Place> {
        let position = self.slots.binary_search_by(|slot| compare_paths(self.path(slot), path)).ok()?;
        self.slots.get(position).map(|slot| (slot.layer as usize, slot.entry as usize))
    }

    /// Returns where the entry with the content of `path` is, as [`Node::content`] says.
    pub fn content_place(&self, path: &[u8]) -> Option<Place> {
        let position = self.slots.binary_search_by(|slot| compare_paths(self.path(slot), path)).ok()?;
        let slot = self.slots.get(position)?;
        let own = (slot.layer, slot.entry);
        let link = matches!(self.entry(own.0, own.1).kind, Kind::Hardlink { .. });
        let (layer, entry) = slot.file.filter(|_| link).unwrap_or(own);
        Some((layer as usize, entry as usize))
    }

    /// Returns the entry at a place.
    pub fn at(&self, (layer, entry): Place) -> Option<&Entry> {
        self.layers.get(layer)?.entries.get(entry)
    }

    /// Returns everything, in order.
    pub fn iter(&self) -> impl Iterator<Item = Node<'_>> {
        self.slots.iter().map(|slot| self.node(slot))
    }

    /// Returns for every path, in order, where its entry is, and where the one with its content: the same but for hard
    /// links, `None` for a link whose file is in no layer.
    pub fn places(&self) -> impl Iterator<Item = (Place, Option<Place>)> {
        let place = |(layer, entry): (u32, u32)| (layer as usize, entry as usize);
        self.slots.iter().map(move |slot| (place((slot.layer, slot.entry)), slot.file.map(place)))
    }

    /// Returns `path` and all below it, in order; of the empty path, all.
    pub fn subtree(&self, path: &[u8]) -> impl Iterator<Item = Node<'_>> {
        self.subtree_slots(path).iter().map(|slot| self.node(slot))
    }

    /// Returns what is directly in directory `path`, in order.
    pub fn children(&self, path: &[u8]) -> impl Iterator<Item = Node<'_>> {
        let mut rest = self.subtree_slots(path);
        if rest.first().is_some_and(|slot| self.path(slot) == path) {
            rest = &rest[1..];
        }
        std::iter::from_fn(move || {
            let child = rest.first()?;
            rest = &rest[self.count_below(rest, self.path(child))..];
            Some(self.node(child))
        })
    }

    /// Resolves `path` (with or without leading slash) as a process with this tree as its root would: links are
    /// followed, the last one only with `follow_last`; absolute ones start at the root, `..` stops there. The part that
    /// does not exist is kept. The result has the form of [`Entry::path`].
    pub fn resolve(&self, path: &[u8], follow_last: bool) -> Result<Vec<u8>, ResolveError> {
        resolve(path, follow_last, |path| self.find(path))
    }

    /// Returns the bytes of all files that show, each file once whatever the number of its names.
    pub fn unpacked_size(&self) -> u64 {
        let mut linked: HashSet<(u32, u32)> = HashSet::new();
        let mut size = 0;
        for slot in &self.slots {
            let Some(file) = slot.file else { continue };
            let entry = self.entry(file.0, file.1);
            if file == (slot.layer, slot.entry) {
                size += entry.size();
                continue;
            }
            let shows = self.get(&entry.path).is_some_and(|node| std::ptr::eq(node.entry, entry));
            if !shows && linked.insert(file) {
                size += entry.size();
            }
        }
        size
    }

    /// Returns what a path that is free of links up to its last component is.
    pub(crate) fn find(&self, path: &[u8]) -> Found<'_> {
        match self.get(path).map(|node| &node.content().1.kind) {
            None => Found::Missing,
            Some(Kind::Directory { .. }) => Found::Directory,
            Some(Kind::Symlink { target }) => Found::Link(target),
            Some(_) => Found::Other,
        }
    }

    /// Returns the entry that holds the content of entry `number` of `index`, a layer about to be put on top.
    fn find_file(&self, index: &Index, number: u32) -> Option<(u32, u32)> {
        /// A link to a link to a link… is no sane layer.
        const MAX_CHAIN: usize = 40;
        let start = number as usize;
        let mut number = start;
        for _ in 0..MAX_CHAIN {
            match &index.entries.get(number)?.kind {
                Kind::Hardlink { target } => match index.position(target) {
                    Some(position) => number = position,
                    None => {
                        let position = self
                            .slots
                            .binary_search_by(|slot| compare_paths(self.path(slot), target))
                            .ok()?;
                        let slot = self.slots.get(position)?;
                        return slot.file.filter(|file| !self.entry(file.0, file.1).is_directory());
                    }
                },
                Kind::Whiteout => return None,
                Kind::Directory { .. } if number != start => return None,
                _ => return Some((self.layers.len() as u32, number as u32)),
            }
        }
        None
    }

    fn node(&self, slot: &Slot) -> Node<'_> {
        let entry = self.entry(slot.layer, slot.entry);
        let link = matches!(entry.kind, Kind::Hardlink { .. });
        let file =
            slot.file.filter(|_| link).map(|(layer, entry)| (layer as usize, self.entry(layer, entry)));
        Node { layer: slot.layer as usize, entry, file }
    }

    fn entry(&self, layer: u32, entry: u32) -> &Entry {
        // Slots are made from these very lists, which never change.
        &self.layers[layer as usize].entries[entry as usize]
    }

    fn path(&self, slot: &Slot) -> &[u8] {
        &self.entry(slot.layer, slot.entry).path
    }

    fn subtree_slots(&self, path: &[u8]) -> &[Slot] {
        let rest = &self.slots[self.count_before(&self.slots, path)..];
        &rest[..self.count_below(rest, path)]
    }

    /// Returns how many of `slots` come before `path`.
    fn count_before(&self, slots: &[Slot], path: &[u8]) -> usize {
        gallop(slots, |slot| compare_paths(self.path(slot), path).is_lt())
    }

    /// Returns how many of `slots`, which start at or after `path`, are `path` or below it.
    fn count_below(&self, slots: &[Slot], path: &[u8]) -> usize {
        gallop(slots, |slot| is_below(self.path(slot), path))
    }
}

impl<'a> Node<'a> {
    /// Returns the layer and the entry that hold the content: of a hard link its file, else the node's own.
    pub fn content(&self) -> (usize, &'a Entry) {
        self.file.unwrap_or((self.layer, self.entry))
    }
}

/// Like `partition_point`, but fast where the point is near the start: a merge mostly takes small steps.
fn gallop(slots: &[Slot], before: impl Fn(&Slot) -> bool) -> usize {
    let mut reach = 1;
    while slots.get(reach - 1).is_some_and(&before) {
        reach *= 2;
    }
    let start = reach / 2;
    let end = (reach - 1).min(slots.len());
    start + slots[start..end].partition_point(before)
}
