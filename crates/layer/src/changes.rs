//! From all that was seen in a directory to what belongs into the layer.

use std::collections::{HashMap, HashSet};

use crate::path::parent;
use crate::{Entry, Index, Kind, Node};

/// What was seen, in the order of paths but for deletions.
pub(crate) struct Changes<'a> {
    seen: Vec<Seen<'a>>,
    /// Files with several names, with the numbers of what was seen.
    files: HashMap<(u64, u64), Vec<usize>>,
}

struct Seen<'a> {
    entry: Entry,
    changed: bool,
    below: Option<Node<'a>>,
}

impl<'a> Changes<'a> {
    pub fn new() -> Changes<'a> {
        Changes { seen: Vec::new(), files: HashMap::new() }
    }

    /// Adds an entry; `changed` if it is not as `below`, which the parent tree has there; `file` if it has more names.
    pub fn add(&mut self, entry: Entry, changed: bool, below: Option<Node<'a>>, file: Option<(u64, u64)>) {
        if let Some(file) = file {
            self.files.entry(file).or_default().push(self.seen.len());
        }
        self.seen.push(Seen { entry, changed, below });
    }

    /// Returns the layer, and the directories that are left out though their time changed, as they were.
    pub fn finish(mut self) -> (Index, Vec<&'a Entry>) {
        self.link();
        self.seen.sort_by(|a, b| crate::compare_paths(&a.entry.path, &b.entry.path));
        // From the end: what is in a directory comes before the directory itself.
        let mut needed: HashSet<Vec<u8>> = HashSet::new();
        let (mut entries, mut as_before) = (Vec::new(), Vec::new());
        for seen in self.seen.into_iter().rev() {
            if !needed.contains(&seen.entry.path) {
                if !seen.changed {
                    continue;
                }
                if let Some(before) = seen.before_only_time_changed() {
                    as_before.push(before);
                    continue;
                }
            }
            if let Some(directory) = parent(&seen.entry.path).filter(|directory| !needed.contains(*directory))
            {
                needed.insert(directory.to_vec());
            }
            entries.push(seen.entry);
        }
        entries.reverse();
        (Index { entries }, as_before)
    }

    /// Makes the first name of each file with several the file, and the others links to it. All of them are in the layer,
    /// or none: some tools cannot link to files of lower layers.
    fn link(&mut self) {
        for numbers in self.files.values().filter(|numbers| numbers.len() > 1) {
            let unchanged =
                numbers.iter().all(|number| !self.seen[*number].changed) && self.was_one_file(numbers);
            let mut numbers = numbers.iter();
            let Some(first) = numbers.next() else { continue };
            self.seen[*first].changed = !unchanged;
            let target = self.seen[*first].entry.path.clone();
            for number in numbers {
                self.seen[*number].entry.kind = Kind::Hardlink { target: target.clone() };
                self.seen[*number].changed = !unchanged;
            }
        }
    }

    fn was_one_file(&self, numbers: &[usize]) -> bool {
        let file = |number: &usize| self.seen[*number].below.map(|node| std::ptr::from_ref(node.content().1));
        let first = numbers.first().and_then(file);
        first.is_some() && numbers.iter().all(|number| file(number) == first)
    }
}

impl<'a> Seen<'a> {
    /// Of a directory of which nothing but its time changed, to one that the image will not show, returns what it was:
    /// something was made in it and removed again, by the command or by the sandbox for its mounts.
    fn before_only_time_changed(&self) -> Option<&'a Entry> {
        let old = self.below.map(|node| node.entry).filter(|entry| entry.is_directory())?;
        let same = self.entry.kind == (Kind::Directory { opaque: false })
            && (self.entry.mode, self.entry.uid, self.entry.gid) == (old.mode, old.uid, old.gid)
            && self.entry.xattrs == old.xattrs;
        (self.entry.fresh && same).then_some(old)
    }
}
