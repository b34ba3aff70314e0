//! Dropping what a stack of layers does not show.

use std::sync::Arc;

use crate::path::parent;
use crate::settle::settle;
use crate::{Entry, Index, Kind, Place, Tree};

/// Returns the layers from number `first` on without what the whole stack does not show. Stacked on the layers below
/// `first`, which stay as they are, they show the very same tree.
///
/// What stays: every entry that shows, the files that its hard links name, the directories above it, and what hides
/// something below. A dead file that hides something becomes a whiteout.
pub fn drop_dead(layers: &[Arc<Index>], first: usize) -> Vec<Index> {
    let stack = Stack::new(layers);
    let kept = stack.kept();
    let mut lean = Tree::new(layers.iter().take(first).cloned());
    let mut dropped = Vec::new();
    for (index, kept) in stack.tree.layers().iter().zip(&kept).skip(first) {
        let entries = index.entries.iter().zip(kept);
        let entries = entries.filter_map(|(entry, kept)| match kept {
            true => Some(entry.clone()),
            false => hider(entry, &lean, &stack.tree),
        });
        let index = Index::from_entries(entries.collect());
        // Of what hid the dropped, something may be left that hides nothing any more.
        let index = settle(&index, &lean).index.unwrap_or(index);
        lean.push(Arc::new(index.clone()));
        dropped.push(index);
    }
    dropped
}

/// Returns what must stay of an entry that shows no more: what hides something of `below` that would show instead.
///
/// What a later whiteout, file or opaque directory hides as well needs no second hider. A later plain directory hides a
/// file, but nothing below its path: there the final tree shows a path, and the hider stays.
fn hider(entry: &Entry, below: &Tree, shown: &Tree) -> Option<Entry> {
    below.get(&entry.path)?;
    match entry.kind {
        Kind::Whiteout => Some(entry.clone()),
        Kind::Directory { opaque: false } => None,
        Kind::Directory { opaque: true } => shown.get(&entry.path).map(|_| entry.clone()),
        _ => shown.get(&entry.path).map(|_| Entry::whiteout(entry.path.clone())),
    }
}

/// All layers, stacked, with what each entry cannot be without.
struct Stack {
    tree: Tree,
    /// By layer and position: the directory above, and the file that a hard link names.
    needs: Vec<Vec<[Option<Place>; 2]>>,
}

impl Stack {
    fn new(layers: &[Arc<Index>]) -> Stack {
        let mut stack = Stack { tree: Tree::default(), needs: Vec::new() };
        for (number, index) in layers.iter().enumerate() {
            let settled = settle(index, &stack.tree).index.map_or_else(|| index.clone(), Arc::new);
            let find = |path: &[u8]| match settled.position(path) {
                Some(position) => Some((number, position)),
                None => stack.tree.place(path),
            };
            let needs = |entry: &Entry| {
                let target = match &entry.kind {
                    Kind::Hardlink { target } => find(target),
                    _ => None,
                };
                [parent(&entry.path).and_then(find), target]
            };
            stack.needs.push(settled.entries.iter().map(needs).collect());
            stack.tree.push(settled);
        }
        stack
    }

    /// Marks what shows and all that it needs.
    fn kept(&self) -> Vec<Vec<bool>> {
        let mut kept: Vec<Vec<bool>> = self.needs.iter().map(|layer| vec![false; layer.len()]).collect();
        let shown = self.tree.places().flat_map(|(place, file)| [Some(place), file]);
        let mut open: Vec<Place> = shown.flatten().collect();
        while let Some((layer, position)) = open.pop() {
            let known = std::mem::replace(&mut kept[layer][position], true);
            if !known {
                open.extend(self.needs[layer][position].into_iter().flatten());
            }
        }
        kept
    }
}
