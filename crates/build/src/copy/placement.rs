//! A layer in the making: what is copied becomes entries on top of a tree.

use std::collections::{HashMap, HashSet};

use jettison_layer::{Entry, Index, Kind, Place, Timestamp, Tree, is_below, join};
use jettison_plan::Chmod;

use super::made::Made;
use super::{chmod, parent};

/// The mode of directories that nobody asked for by name.
const DIRECTORY_MODE: u32 = 0o755;

/// How many links a destination may lead through. Linux: `MAXSYMLINKS`.
const MAX_LINKS: usize = 40;

/// Where the bytes of a placed file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placed {
    /// In an entry of a source tree.
    File {
        /// Which source tree.
        source: usize,
        /// Which entry of it.
        place: Place,
    },
    /// In the Dockerfile.
    Inline(Vec<u8>),
    /// Nowhere: the entry is no file.
    Nothing,
}

/// A destination that cannot take what it is given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    /// A directory would replace something else. The words are docker's.
    #[error("cannot copy to non-directory: /{0}")]
    NotADirectory(String),
    /// A file would replace a directory.
    #[error("cannot replace to directory /{0} with file")]
    IsADirectory(String),
    /// Symbolic links that lead in a circle, or too far.
    #[error("/{0}: too many levels of symbolic links")]
    Links(String),
}

/// A layer in the making: entries on top of a tree.
pub(crate) struct Placement<'a> {
    below: &'a Tree,
    new: Made,
    /// Paths whose files below were removed by an archive: what is there now is ours alone.
    removed: HashSet<Vec<u8>>,
    /// Whether files of the source may have several names.
    linked: bool,
    /// If so, the files that the copy that goes on has placed: a second name links to the first.
    inodes: HashMap<(usize, Place), Vec<u8>>,
    /// `--chown`
    owner: Option<(u32, u32)>,
    /// `--chmod`
    pub(super) chmod: Option<&'a Chmod>,
    /// The time of what is made here.
    now: Timestamp,
}

impl<'a> Placement<'a> {
    pub(crate) fn new(
        below: &'a Tree,
        owner: Option<(u32, u32)>,
        chmod: Option<&'a Chmod>,
        now: Timestamp,
    ) -> Placement<'a> {
        Placement {
            below,
            new: Made::default(),
            removed: HashSet::new(),
            linked: false,
            inodes: HashMap::new(),
            owner,
            chmod,
            now,
        }
    }

    /// Hard links are kept among the files of one source.
    pub(super) fn start_source(&mut self, tree: &Tree) {
        self.inodes.clear();
        self.linked = tree.iter().any(|node| node.file.is_some());
    }

    /// Makes room for so many entries.
    pub(super) fn reserve(&mut self, more: usize) {
        self.new.reserve(more);
    }

    /// Returns the layer, what was placed and the directories above as they are; and where the bytes of each entry are, in
    /// its order.
    pub(crate) fn finish(mut self) -> (Index, Vec<Placed>) {
        let mut above: HashMap<Vec<u8>, Entry> = HashMap::new();
        for entry in self.new.iter() {
            let mut directory = parent(&entry.path);
            while !directory.is_empty() && !self.new.contains(directory) && !above.contains_key(directory) {
                if let Some(node) = self.below.get(directory) {
                    above.insert(directory.to_vec(), node.entry.clone());
                }
                directory = parent(directory);
            }
        }
        for mut entry in above.into_values() {
            entry.kind = Kind::Directory { opaque: false };
            self.new.insert(entry, Placed::Nothing);
        }
        self.new.finish()
    }

    pub(super) fn file(
        &mut self,
        source: usize,
        tree: &Tree,
        from: &[u8],
        target: Vec<u8>,
    ) -> Result<(), PlaceError> {
        let (Some(node), Some(place)) = (tree.get(from), tree.content_place(from)) else { return Ok(()) };
        let (_, file) = node.content();
        let mut entry = Entry { path: target, ..node.entry.clone() };
        if !matches!(file.kind, Kind::File { .. }) {
            self.dress(&mut entry);
            return self.put(entry, Placed::Nothing);
        }
        // The first of several names becomes the file; the others link to it.
        entry = Entry { path: entry.path, ..file.clone() };
        self.dress(&mut entry);
        match self.inodes.get(&(source, place)) {
            Some(first) if *first != entry.path => {
                entry.kind = Kind::Hardlink { target: first.clone() };
                self.put(entry, Placed::Nothing)
            }
            _ => {
                if self.linked {
                    self.inodes.insert((source, place), entry.path.clone());
                }
                self.put(entry, Placed::File { source, place })
            }
        }
    }

    /// Makes a directory with the mode, owner, time and attributes of another, or gives them to the one that is there.
    pub(super) fn like(&mut self, model: &Entry, target: Vec<u8>) -> Result<(), PlaceError> {
        if self.lookup(&target).is_some_and(|entry| !entry.is_directory()) {
            return Err(PlaceError::NotADirectory(shown(&target)));
        }
        let kind = Kind::Directory { opaque: self.hides_directory(&target) };
        let mut entry = Entry { path: target, kind, ..model.clone() };
        self.dress(&mut entry);
        self.new.insert(entry, Placed::Nothing);
        Ok(())
    }

    /// Makes a directory on the way to what is copied. One that is there takes the model's mode, and nothing else.
    pub(super) fn on_the_way(&mut self, model: &Entry, target: Vec<u8>) -> Result<(), PlaceError> {
        if !self.is_directory(&target) {
            return self.like(model, target);
        }
        if let Some(entry) = self.touch(&target) {
            entry.mode = model.mode;
        }
        Ok(())
    }

    fn dress(&self, entry: &mut Entry) {
        if let Some((uid, gid)) = self.owner {
            (entry.uid, entry.gid) = (uid, gid);
        }
        if let Some(chmod) = self.chmod
            && !matches!(entry.kind, Kind::Symlink { .. })
        {
            entry.mode = chmod::apply(chmod, entry.mode, entry.is_directory());
        }
    }

    pub(super) fn put(&mut self, entry: Entry, placed: Placed) -> Result<(), PlaceError> {
        if self.is_directory(&entry.path) {
            return Err(PlaceError::IsADirectory(shown(&entry.path)));
        }
        if let Some(replaced) = self.new.remove(&entry.path) {
            self.pass_on(&entry.path, replaced);
        }
        self.new.insert(entry, placed);
        Ok(())
    }

    /// A file that is replaced lives on under its other names: the first of them becomes the file.
    fn pass_on(&mut self, path: &[u8], (file, placed): (Entry, Placed)) {
        let links_here = |entry: &Entry| matches!(&entry.kind, Kind::Hardlink { target } if target == path);
        let links = self.new.iter().filter(|entry| links_here(entry));
        let mut names: Vec<Vec<u8>> = links.map(|entry| entry.path.clone()).collect();
        names.sort_by(|a, b| jettison_layer::compare_paths(a, b));
        let mut names = names.into_iter();
        let Some(heir) = names.next() else { return };
        for name in names {
            if let Some(entry) = self.new.get_mut(&name) {
                entry.kind = Kind::Hardlink { target: heir.clone() };
            }
        }
        self.new.insert(Entry { path: heir, ..file }, placed);
    }

    /// Makes a directory and its missing parents, leaving alone what is there.
    pub(super) fn directory(&mut self, path: &[u8]) -> Result<(), PlaceError> {
        if path.is_empty() {
            return Ok(());
        }
        match self.lookup(path).map(|entry| entry.is_directory()) {
            Some(true) => return Ok(()),
            Some(false) => return Err(PlaceError::NotADirectory(shown(path))),
            None => self.directory(parent(path))?,
        }
        let mode = match self.chmod {
            Some(Chmod::Octal(mode)) => *mode,
            _ => DIRECTORY_MODE,
        };
        let kind = Kind::Directory { opaque: self.hides_directory(path) };
        let entry = self.entry(path.to_vec(), kind, mode);
        self.new.insert(entry, Placed::Nothing);
        Ok(())
    }

    pub(super) fn entry(&self, path: Vec<u8>, kind: Kind, mode: u32) -> Entry {
        let (uid, gid) = self.owner.unwrap_or_default();
        let mut entry = Entry { mode, uid, gid, mtime: self.now, fresh: true, ..Entry::new(path, kind) };
        if !entry.is_directory() {
            self.dress(&mut entry);
        }
        entry
    }

    /// Brings an existing directory into the layer so that it can be changed. The root stays out of layers.
    pub(super) fn touch(&mut self, path: &[u8]) -> Option<&mut Entry> {
        if path.is_empty() {
            return None;
        }
        if !self.new.contains(path) {
            let mut entry = self.lookup(path)?.clone();
            entry.kind = Kind::Directory { opaque: false };
            self.new.insert(entry, Placed::Nothing);
        }
        self.new.get_mut(path)
    }

    /// Removes what is at and below a path.
    pub(super) fn make_way(&mut self, path: &[u8]) {
        let gone: Vec<Vec<u8>> = match self.is_directory(path) {
            true => {
                let below = self.new.iter().filter(|entry| is_below(&entry.path, path));
                below.map(|entry| entry.path.clone()).collect()
            }
            false => vec![path.to_vec()],
        };
        for name in gone {
            if let Some(removed) = self.new.remove(&name) {
                self.pass_on(&name, removed);
            }
        }
        if self.below.get(path).is_some() {
            self.removed.insert(path.to_vec());
        }
    }

    /// Tells whether a directory made here must hide what one below it holds.
    fn hides_directory(&self, path: &[u8]) -> bool {
        self.removed.contains(path) && self.below.get(path).is_some_and(|node| node.entry.is_directory())
    }

    fn lookup(&self, path: &[u8]) -> Option<&Entry> {
        if let Some(entry) = self.new.get(path) {
            return Some(entry);
        }
        let gone = !self.removed.is_empty() && self.removed.iter().any(|removed| is_below(path, removed));
        if gone { None } else { self.below.get(path).map(|node| node.entry) }
    }

    pub(super) fn is_directory(&self, path: &[u8]) -> bool {
        path.is_empty() || self.lookup(path).is_some_and(|entry| entry.is_directory())
    }

    /// Follows symbolic links from `root`, which they cannot leave; what is not there yet is taken as it is.
    /// containerd/continuity: `RootPath`.
    pub(super) fn resolve(&self, root: &[u8], path: &[u8]) -> Result<Vec<u8>, PlaceError> {
        let mut left: Vec<Vec<u8>> = components(path).rev().map(<[u8]>::to_vec).collect();
        let mut at = root.to_vec();
        let mut links = 0;
        while let Some(component) = left.pop() {
            match component.as_slice() {
                b"." => continue,
                b".." if at == root => continue,
                b".." => {
                    at = parent(&at).to_vec();
                    continue;
                }
                _ => {}
            }
            let next = join(&at, &component);
            let Some(Kind::Symlink { target }) = self.lookup(&next).map(|entry| &entry.kind) else {
                at = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(PlaceError::Links(shown(path)));
            }
            if target.starts_with(b"/") {
                at = root.to_vec();
            }
            left.extend(components(target).rev().map(<[u8]>::to_vec));
        }
        Ok(at)
    }
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty())
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
