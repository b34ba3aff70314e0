//! Where copied files go, and what they become there.

use std::collections::HashMap;

use jettison_dockerfile::ignore::Patterns;
use jettison_layer::{Entry, Index, Kind, Timestamp, Tree, join};
use jettison_plan::Chmod;

use super::chmod;
use super::select::Item;

/// The mode of directories that nobody asked for by name.
const DIRECTORY_MODE: u32 = 0o755;

/// How many links a destination may lead through. Linux: `MAXSYMLINKS`.
const MAX_LINKS: usize = 40;

/// Where the bytes of a placed file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placed {
    /// In entry `path` of layer `layer` of the `source`th source tree.
    File {
        /// Which source tree.
        source: usize,
        /// Which of its layers.
        layer: usize,
        /// Which path in that layer.
        path: Vec<u8>,
    },
    /// In the Dockerfile.
    Inline(Vec<u8>),
    /// Nowhere: the entry is no file.
    Nothing,
}

/// A destination that cannot take what it is given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    /// A directory would replace something else.
    #[error("cannot copy to non-directory: /{0}")]
    NotADirectory(String),
    /// A file would replace a directory.
    #[error("cannot replace the directory /{0} with a file")]
    IsADirectory(String),
    /// Symbolic links that lead in a circle, or too far.
    #[error("/{0}: too many levels of symbolic links")]
    Links(String),
}

/// A layer in the making: entries on top of a tree.
pub(crate) struct Placement<'a> {
    below: &'a Tree,
    new: HashMap<Vec<u8>, (Entry, Placed)>,
    /// Files already placed by the copy that goes on, by source tree, layer and path: a second name links to the first.
    inodes: HashMap<(usize, usize, Vec<u8>), Vec<u8>>,
    /// `--chown`
    owner: Option<(u32, u32)>,
    /// `--chmod`
    chmod: Option<&'a Chmod>,
    /// `--exclude`
    exclude: Option<&'a Patterns>,
    /// The time of what is made here.
    now: Timestamp,
}

impl<'a> Placement<'a> {
    pub(crate) fn new(
        below: &'a Tree,
        owner: Option<(u32, u32)>,
        chmod: Option<&'a Chmod>,
        exclude: Option<&'a Patterns>,
        now: Timestamp,
    ) -> Placement<'a> {
        Placement { below, new: HashMap::new(), inodes: HashMap::new(), owner, chmod, exclude, now }
    }

    /// Copies `item` of source tree number `source` to `destination`, an absolute path whose trailing slash counts.
    pub(crate) fn copy(
        &mut self,
        source: usize,
        tree: &Tree,
        item: &Item,
        destination: &str,
    ) -> Result<(), PlaceError> {
        self.inodes.clear();
        let target = self.destination(destination)?;
        let target = self.keep_parents(tree, item, target)?;
        let directory =
            item.path.is_empty() || tree.get(&item.path).is_some_and(|node| node.entry.is_directory());
        if directory && item.parents.is_empty() {
            return self.copy_contents(source, tree, &item.path, &target);
        }
        let inside = !item.parents.is_empty() || destination.ends_with('/') || self.is_directory(&target);
        let target = if inside { join(&target, &item.name) } else { target };
        if directory {
            return self.merge(source, tree, &item.path, &item.path, &target);
        }
        if self.excluded(&item.name) {
            return Ok(());
        }
        self.directory(parent(&target))?;
        self.file(source, tree, &item.path, target)
    }

    /// Puts a file whose content is at hand.
    pub(crate) fn inline(&mut self, name: &str, content: &str, destination: &str) -> Result<(), PlaceError> {
        let mut target = self.destination(destination)?;
        if destination.ends_with('/') || self.is_directory(&target) {
            target = join(&target, name.as_bytes());
        }
        self.directory(parent(&target))?;
        let kind = Kind::File {
            size: content.len() as u64,
            digest: Some(jettison_image::Digest::of(content.as_bytes())),
        };
        let entry = self.entry(target, kind, 0o644);
        self.put(entry, Placed::Inline(content.as_bytes().to_vec()))
    }

    /// Merges a whole tree (an extracted archive) into `destination`; owners are kept unless `--chown` says otherwise.
    pub(crate) fn extract(
        &mut self,
        source: usize,
        tree: &Tree,
        destination: &str,
    ) -> Result<(), PlaceError> {
        self.inodes.clear();
        let target = self.destination(destination)?;
        self.directory(&target)?;
        for node in tree.children(b"") {
            let path = node.entry.path.clone();
            let to = join(&target, &path);
            self.merge(source, tree, b"", &path, &to)?;
        }
        Ok(())
    }

    /// Makes a directory and what is missing above it.
    pub(crate) fn make_directory(&mut self, path: &str) -> Result<(), PlaceError> {
        let target = self.destination(path)?;
        self.directory(&target)
    }

    /// Returns the layer: what was placed, and the directories above as they are.
    pub(crate) fn finish(mut self) -> (Index, HashMap<Vec<u8>, Placed>) {
        let mut above: HashMap<Vec<u8>, Entry> = HashMap::new();
        for path in self.new.keys() {
            let mut directory = parent(path);
            while !directory.is_empty() && !self.new.contains_key(directory) && !above.contains_key(directory)
            {
                if let Some(node) = self.below.get(directory) {
                    above.insert(directory.to_vec(), node.entry.clone());
                }
                directory = parent(directory);
            }
        }
        for (path, mut entry) in above {
            entry.kind = Kind::Directory { opaque: false };
            self.new.insert(path, (entry, Placed::Nothing));
        }
        let mut entries = Vec::with_capacity(self.new.len());
        let mut origins = HashMap::with_capacity(self.new.len());
        for (path, (entry, placed)) in self.new {
            entries.push(entry);
            if placed != Placed::Nothing {
                origins.insert(path, placed);
            }
        }
        (Index::from_entries(entries), origins)
    }

    /// Resolves a destination through the symbolic links of the tree, the last component included.
    fn destination(&mut self, destination: &str) -> Result<Vec<u8>, PlaceError> {
        let target = self.resolve(destination.as_bytes())?;
        if destination.ends_with('/') {
            self.directory(&target)?;
        }
        Ok(target)
    }

    fn keep_parents(&mut self, tree: &Tree, item: &Item, target: Vec<u8>) -> Result<Vec<u8>, PlaceError> {
        let mut at = target;
        let mut from: Vec<u8> = parent_prefix(&item.path, &item.parents, &item.name);
        for component in item.parents.split(|b| *b == b'/').filter(|part| !part.is_empty()) {
            from = join(&from, component);
            at = join(&at, component);
            let model = tree.get(&from).map(|node| node.entry.clone());
            match model {
                Some(model) if model.is_directory() => self.like(&model, at.clone())?,
                _ => self.directory(&at)?,
            }
        }
        Ok(at)
    }

    /// Copies what is in a directory; the directory itself gives only its time.
    fn copy_contents(
        &mut self,
        source: usize,
        tree: &Tree,
        from: &[u8],
        target: &[u8],
    ) -> Result<(), PlaceError> {
        self.directory(target)?;
        if let Some(model) = tree.get(from) {
            let (mtime, fresh) = (model.entry.mtime, model.entry.fresh);
            if let Some((entry, _)) = self.touch(target) {
                entry.mtime = mtime;
                entry.fresh = fresh;
            }
        }
        let children: Vec<Vec<u8>> = tree.children(from).map(|node| node.entry.path.clone()).collect();
        for path in children {
            let to = join(target, relative(&path, from));
            self.merge(source, tree, from, &path, &to)?;
        }
        Ok(())
    }

    /// Copies an entry and all below it. `top` is what `--exclude` patterns are relative to.
    fn merge(
        &mut self,
        source: usize,
        tree: &Tree,
        top: &[u8],
        from: &[u8],
        to: &[u8],
    ) -> Result<(), PlaceError> {
        let Some(node) = tree.get(from) else { return Ok(()) };
        let excluded = self.excluded(relative(from, top));
        if !node.entry.is_directory() {
            return if excluded { Ok(()) } else { self.file(source, tree, from, to.to_vec()) };
        }
        if !excluded {
            self.like(&node.entry.clone(), to.to_vec())?;
        }
        let children: Vec<Vec<u8>> = tree.children(from).map(|node| node.entry.path.clone()).collect();
        for path in children {
            let to = join(to, relative(&path, from));
            // Below an excluded directory only a negated pattern brings something back, and then needs the directory.
            if excluded && !self.excluded(relative(&path, top)) {
                self.directory(parent(&to))?;
            }
            self.merge(source, tree, top, &path, &to)?;
        }
        Ok(())
    }

    fn file(&mut self, source: usize, tree: &Tree, from: &[u8], target: Vec<u8>) -> Result<(), PlaceError> {
        let Some(node) = tree.get(from) else { return Ok(()) };
        let (layer, file) = node.content();
        let mut entry = Entry { path: target, ..node.entry.clone() };
        if !matches!(file.kind, Kind::File { .. }) {
            self.dress(&mut entry);
            return self.put(entry, Placed::Nothing);
        }
        // The first of several names becomes the file; the others link to it.
        entry = Entry { path: entry.path, ..file.clone() };
        self.dress(&mut entry);
        let inode = (source, layer, file.path.clone());
        match self.inodes.get(&inode) {
            Some(first) if *first != entry.path => {
                entry.kind = Kind::Hardlink { target: first.clone() };
                self.put(entry, Placed::Nothing)
            }
            _ => {
                self.inodes.insert(inode, entry.path.clone());
                self.put(entry, Placed::File { source, layer, path: file.path.clone() })
            }
        }
    }

    fn like(&mut self, model: &Entry, target: Vec<u8>) -> Result<(), PlaceError> {
        if self.lookup(&target).is_some_and(|entry| !entry.is_directory()) {
            return Err(PlaceError::NotADirectory(shown(&target)));
        }
        let mut entry = Entry { path: target, kind: Kind::Directory { opaque: false }, ..model.clone() };
        self.dress(&mut entry);
        self.new.insert(entry.path.clone(), (entry, Placed::Nothing));
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

    fn put(&mut self, entry: Entry, placed: Placed) -> Result<(), PlaceError> {
        if self.is_directory(&entry.path) {
            return Err(PlaceError::IsADirectory(shown(&entry.path)));
        }
        if let Some(replaced) = self.new.remove(&entry.path) {
            self.pass_on(&entry.path, replaced);
        }
        self.new.insert(entry.path.clone(), (entry, placed));
        Ok(())
    }

    /// A file that is replaced lives on under its other names: the first of them becomes the file.
    fn pass_on(&mut self, path: &[u8], (file, placed): (Entry, Placed)) {
        let links_here = |entry: &Entry| matches!(&entry.kind, Kind::Hardlink { target } if target == path);
        let mut names: Vec<Vec<u8>> = self
            .new
            .values()
            .filter(|(entry, _)| links_here(entry))
            .map(|(entry, _)| entry.path.clone())
            .collect();
        names.sort_by(|a, b| jettison_layer::compare_paths(a, b));
        let mut names = names.into_iter();
        let Some(heir) = names.next() else { return };
        for name in names {
            if let Some((entry, _)) = self.new.get_mut(&name) {
                entry.kind = Kind::Hardlink { target: heir.clone() };
            }
        }
        self.new.insert(heir.clone(), (Entry { path: heir, ..file }, placed));
    }

    /// Makes a directory and its missing parents, leaving alone what is there.
    fn directory(&mut self, path: &[u8]) -> Result<(), PlaceError> {
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
        let entry = self.entry(path.to_vec(), Kind::Directory { opaque: false }, mode);
        self.new.insert(path.to_vec(), (entry, Placed::Nothing));
        Ok(())
    }

    fn entry(&self, path: Vec<u8>, kind: Kind, mode: u32) -> Entry {
        let (uid, gid) = self.owner.unwrap_or_default();
        let mut entry =
            Entry { path, kind, mode, uid, gid, mtime: self.now, fresh: true, xattrs: Vec::new() };
        if !entry.is_directory() {
            self.dress(&mut entry);
        }
        entry
    }

    /// Brings an existing directory into the layer so that it can be changed. The root stays out of layers.
    fn touch(&mut self, path: &[u8]) -> Option<&mut (Entry, Placed)> {
        if path.is_empty() {
            return None;
        }
        if !self.new.contains_key(path) {
            let mut entry = self.below.get(path)?.entry.clone();
            entry.kind = Kind::Directory { opaque: false };
            self.new.insert(path.to_vec(), (entry, Placed::Nothing));
        }
        self.new.get_mut(path)
    }

    fn lookup(&self, path: &[u8]) -> Option<&Entry> {
        match self.new.get(path) {
            Some((entry, _)) => Some(entry),
            None => self.below.get(path).map(|node| node.entry),
        }
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        path.is_empty() || self.lookup(path).is_some_and(|entry| entry.is_directory())
    }

    fn excluded(&self, path: &[u8]) -> bool {
        self.exclude.is_some_and(|patterns| patterns.matches_or_parent_matches(path))
    }

    /// Follows symbolic links from the root; what is not there yet is taken as it is. containerd/continuity: `RootPath`.
    fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, PlaceError> {
        let mut left: Vec<Vec<u8>> = components(path).rev().map(<[u8]>::to_vec).collect();
        let mut at: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(component) = left.pop() {
            match component.as_slice() {
                b"." => continue,
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
                at.clear();
            }
            left.extend(components(target).rev().map(<[u8]>::to_vec));
        }
        Ok(at)
    }
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty())
}

/// Returns `path` without the directory `top` in front.
fn relative<'p>(path: &'p [u8], top: &[u8]) -> &'p [u8] {
    let rest = path.strip_prefix(top).unwrap_or(path);
    rest.strip_prefix(b"/").unwrap_or(rest)
}

/// Returns what stands before the kept parents in the source's path.
fn parent_prefix(path: &[u8], parents: &[u8], name: &[u8]) -> Vec<u8> {
    let tail = join(parents, name);
    let prefix = path.strip_suffix(tail.as_slice()).unwrap_or_default();
    prefix.strip_suffix(b"/").unwrap_or(prefix).to_vec()
}

/// Returns the directory of a path of the tree; the root's is the root.
fn parent(path: &[u8]) -> &[u8] {
    jettison_layer::parent(path).unwrap_or_default()
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
