//! The entries of a layer in the making.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use jettison_layer::{Entry, Index, compare_paths};

use super::Placed;

/// Entries and where their bytes are, each path once. A map would hold every path twice.
#[derive(Default)]
pub(super) struct Made {
    all: Vec<(Entry, Placed)>,
    /// Where in `all` each path is.
    places: HashTable<usize>,
    hasher: RandomState,
}

impl Made {
    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        self.all.reserve(more);
        self.places.reserve(more, |&at| self.hasher.hash_one(&self.all[at].0.path));
    }

    /// Adds an entry, in place of one of the same path.
    pub(super) fn insert(&mut self, entry: Entry, placed: Placed) {
        let Made { all, places, hasher } = self;
        let hash = hasher.hash_one(&entry.path);
        let same = |&at: &usize| all[at].0.path == entry.path;
        match places.entry(hash, same, |&at| hasher.hash_one(&all[at].0.path)) {
            Slot::Occupied(slot) => all[*slot.get()] = (entry, placed),
            Slot::Vacant(slot) => {
                slot.insert(all.len());
                all.push((entry, placed));
            }
        }
    }

    /// Takes away what is at a path.
    pub(super) fn remove(&mut self, path: &[u8]) -> Option<(Entry, Placed)> {
        let Made { all, places, hasher } = self;
        let same = |&at: &usize| all[at].0.path == path;
        let (at, _) = places.find_entry(hasher.hash_one(path), same).ok()?.remove();
        let last = all.len() - 1;
        // The last one takes the place that is free now.
        if let Some(place) = places.find_mut(hasher.hash_one(&all[last].0.path), |&at| at == last) {
            *place = at;
        }
        Some(all.swap_remove(at))
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&Entry> {
        Some(&self.all[self.place(path)?].0)
    }

    pub(super) fn get_mut(&mut self, path: &[u8]) -> Option<&mut Entry> {
        let at = self.place(path)?;
        Some(&mut self.all[at].0)
    }

    pub(super) fn contains(&self, path: &[u8]) -> bool {
        self.place(path).is_some()
    }

    /// Returns the entries in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.all.iter().map(|(entry, _)| entry)
    }

    /// Returns the entries in order, and where the bytes of each are.
    pub(super) fn finish(self) -> (Index, Vec<Placed>) {
        let Made { mut all, .. } = self;
        all.sort_unstable_by(|(a, _), (b, _)| compare_paths(&a.path, &b.path));
        let origins = all.iter_mut().map(|(_, placed)| std::mem::replace(placed, Placed::Nothing)).collect();
        // Where they are, without a second copy of all.
        let entries = all.into_iter().map(|(entry, _)| entry).collect();
        (Index { entries }, origins)
    }

    fn place(&self, path: &[u8]) -> Option<usize> {
        self.places.find(self.hasher.hash_one(path), |&at| self.all[at].0.path == path).copied()
    }
}

#[cfg(test)]
mod tests {
    use jettison_layer::Kind;

    use super::*;

    fn file(path: &str, size: u64) -> Entry {
        Entry::new(path, Kind::File { size, digest: None })
    }

    #[test]
    fn each_path_is_there_once_and_in_order() {
        let mut made = Made::default();
        made.reserve(2);
        for number in 0..1000 {
            made.insert(file(&format!("d/{}", number % 100), number), Placed::Inline(vec![number as u8]));
        }
        for number in (0..100).step_by(3) {
            let path = format!("d/{number}");
            let (entry, placed) = made.remove(path.as_bytes()).unwrap();
            assert_eq!((entry.size(), placed), (900 + number, Placed::Inline(vec![(900 + number) as u8])));
            assert!(made.remove(path.as_bytes()).is_none() && !made.contains(path.as_bytes()));
        }
        made.get_mut(b"d/1").unwrap().mode = 0o600;
        assert_eq!(made.get(b"d/1").unwrap().mode, 0o600);
        assert_eq!(made.iter().count(), 66);
        let (index, origins) = made.finish();
        assert_eq!(index, Index::from_entries(index.entries.clone()));
        assert_eq!((index.entries.len(), origins.len()), (66, 66));
        for (entry, placed) in index.entries.iter().zip(origins) {
            assert_eq!(placed, Placed::Inline(vec![entry.size() as u8]));
        }
    }
}
