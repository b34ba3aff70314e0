//! What a step changed: from the upper directory of its overlay, or from the whole tree, to an index.

use std::collections::HashSet;
use std::io::{self, Read};

use jettison_fs::{Dir, Flow, Metadata, Timestamp, walk};
use jettison_image::Digester;

use crate::changes::Changes;
use crate::observe::{DiffOptions, Observer};
use crate::path::{ancestors, is_below, parent};
use crate::pyc::find_sources_below;
use crate::{Entry, Error, Index, Kind, Node, Tree, TreeContent};

/// Bytes compared at once.
const BUFFER: usize = 128 * 1024;

/// Prepares `upper`, an empty directory, to be the upper directory over `parent`: it becomes the root of what a step
/// sees, so it takes the root's mode, owner and time. [`diff`] then sees whether they were changed.
pub fn prepare_upper(upper: &Dir, parent: &Tree, ownership: crate::Ownership) -> Result<(), Error> {
    crate::disk::set_directory(upper, &root_entry(parent), ownership)
}

/// Lists what `upper`, the upper directory of an overlay mounted with `userxattr` over `parent`, changes.
///
/// What is as in `parent` (copied up, but not changed) is left out, and so are directories of
/// which only the time changed, to a fresh one; `upper` then gets the old time back. Directories above changes are
/// listed. Names of one file become hard links to the first of them. Digests are not taken, see [`crate::fill_digests`].
pub fn diff(upper: &Dir, parent: &Tree, content: &TreeContent, options: DiffOptions) -> Result<Index, Error> {
    let observer = Observer::new(parent, options);
    let mut changes = Changes::new();
    add_root(&mut changes, &observer, upper, parent)?;
    // The topmost directory that hides what the parent has in it; all below is new.
    let mut covering: Option<Vec<u8>> = None;
    walk(upper, |visited| {
        let covered = covering.as_ref().is_some_and(|top| is_below(visited.path, top));
        let Some((mut entry, below)) = observer.observe(visited, covered)? else {
            // No layer can hold it, but what was there before is gone.
            if !covered && parent.get(visited.path).is_some() {
                changes.add(Entry::whiteout(visited.path), true, None, None);
            }
            return Ok(Flow::Skip);
        };
        if let Kind::Directory { opaque } = &mut entry.kind {
            let merges = below.is_some_and(|node| node.entry.is_directory());
            if *opaque || !merges {
                covering = covering.take().filter(|_| covered).or_else(|| Some(entry.path.clone()));
            }
            // Opaque over nothing says nothing.
            *opaque &= merges;
        }
        if entry.kind == Kind::Whiteout {
            if below.is_some() {
                changes.add(entry, true, None, None);
            }
            return Ok(Flow::Skip);
        }
        let changed = match &below {
            Some(node) => !is_same(&entry, node) || !has_content(upper, &entry, node, content)?,
            None => true,
        };
        changes.add(entry, changed, below, names(&visited.metadata));
        Ok::<_, Error>(Flow::Descend)
    })?;
    finish(changes, upper, parent)
}

/// Lists what a command changed in `root`, a full copy of `parent` that it ran in. `copied` is a time between the end of
/// the copying and the start of the command by the clock of the file system: what the kernel has not touched since is
/// not read.
pub fn diff_directory(
    root: &Dir,
    parent: &Tree,
    content: &TreeContent,
    options: DiffOptions,
    copied: Timestamp,
) -> Result<Index, Error> {
    let observer = Observer::new(parent, options);
    let mut changes = Changes::new();
    add_root(&mut changes, &observer, root, parent)?;
    let mut present: HashSet<Vec<u8>> = HashSet::new();
    walk(root, |visited| {
        let Some((mut entry, below)) = observer.observe(visited, false)? else { return Ok(Flow::Skip) };
        if let Kind::Directory { opaque } = &mut entry.kind {
            // A mark on a directory of a copied layer, of no effect here.
            *opaque = false;
        }
        // Nobody can make device 0/0 here but to deceive.
        if entry.kind == Kind::Whiteout {
            return Ok(Flow::Skip);
        }
        present.insert(entry.path.clone());
        let changed = match &below {
            Some(node) if !is_same(&entry, node) => true,
            Some(_) if visited.metadata.ctime < copied => false,
            Some(node) => !has_content(root, &entry, node, content)?,
            None => true,
        };
        changes.add(entry, changed, below, names(&visited.metadata));
        Ok::<_, Error>(Flow::Descend)
    })?;
    for entry in deletions(parent, &present) {
        changes.add(entry, true, None, None);
    }
    finish(changes, root, parent)
}

/// Directories that the layer leaves out get the time back that the layers below say: disk and index must agree, or the
/// next step would take the difference for its own.
fn finish(changes: Changes<'_>, directory: &Dir, parent: &Tree) -> Result<Index, Error> {
    let (mut index, as_before) = changes.finish();
    find_sources_below(&mut index, directory, parent)?;
    for entry in as_before {
        directory.open_dir(&entry.path)?.set_mtime(b".", entry.mtime)?;
    }
    Ok(index)
}

/// Returns whiteouts of what is in `parent` but not `present`: the topmost paths only.
fn deletions(parent_tree: &Tree, present: &HashSet<Vec<u8>>) -> Vec<Entry> {
    let mut gone: Vec<Entry> = Vec::new();
    for node in parent_tree.iter().filter(|node| !node.entry.path.is_empty()) {
        let path = &node.entry.path;
        let kind = &node.content().1.kind;
        // Devices are never on disk.
        let device = matches!(kind, Kind::CharacterDevice { .. } | Kind::BlockDevice { .. });
        let covered = gone.last().is_some_and(|above| is_below(path, &above.path));
        if device || covered || present.contains(path) {
            continue;
        }
        // Where a file replaced the directory above, nothing is left to delete.
        let directory = parent(path).unwrap_or_default();
        if directory.is_empty() || ancestors(path).all(|above| present.contains(above)) {
            gone.push(Entry::whiteout(path.as_slice()));
        }
    }
    gone
}

/// The root is listed only where more than its time changed: every step that makes a file in it changes that.
fn add_root(
    changes: &mut Changes<'_>,
    observer: &Observer<'_>,
    root: &Dir,
    parent: &Tree,
) -> Result<(), Error> {
    let (entry, _) = observer.observe_root(root)?;
    let old = root_entry(parent);
    let same = (entry.mode, entry.uid, entry.gid, &entry.xattrs) == (old.mode, old.uid, old.gid, &old.xattrs);
    if !same {
        changes.add(entry, true, None, None);
    }
    Ok(())
}

/// Returns the root's entry, which few layers list.
pub(crate) fn root_entry(parent: &Tree) -> Entry {
    match parent.get(b"") {
        Some(node) => Entry { kind: Kind::Directory { opaque: false }, ..node.entry.clone() },
        None => crate::settle::implied_directory(b""),
    }
}

/// A file with several names, by which to find the others.
fn names(metadata: &Metadata) -> Option<(u64, u64)> {
    let single = metadata.nlink < 2 || metadata.kind == jettison_fs::FileKind::Directory;
    (!single).then_some((metadata.dev, metadata.ino))
}

/// Compares all but the content of files.
fn is_same(entry: &Entry, node: &Node<'_>) -> bool {
    let (old, file) = (node.entry, node.content().1);
    let kinds = match (&entry.kind, &file.kind) {
        (Kind::File { size, .. }, Kind::File { size: old, .. }) => size == old,
        (Kind::Directory { opaque }, Kind::Directory { .. }) => !opaque,
        (new, old) => new == old,
    };
    let attributes =
        (entry.mode, entry.uid, entry.gid, entry.mtime) == (old.mode, old.uid, old.gid, old.mtime);
    kinds && attributes && entry.xattrs == file.xattrs
}

/// Returns whether a file has the content that `node` had; true for all but files.
fn has_content(root: &Dir, entry: &Entry, node: &Node<'_>, content: &TreeContent) -> Result<bool, Error> {
    let Kind::File { digest, size } = &node.content().1.kind else { return Ok(true) };
    if *size == 0 {
        return Ok(true);
    }
    let fail = |source| Error::content(&entry.path, source);
    let mut new = root.open_file(&entry.path)?;
    match digest {
        Some(digest) => {
            let mut digester = Digester::new();
            let mut buffer = vec![0; BUFFER];
            loop {
                match read_full(&mut new, &mut buffer).map_err(fail)? {
                    0 => return Ok(digester.finish() == *digest),
                    count => digester.update(&buffer[..count]),
                }
            }
        }
        None => is_equal(&mut new, &mut content.open(node).map_err(fail)?).map_err(fail),
    }
}

fn is_equal(a: &mut dyn Read, b: &mut dyn Read) -> io::Result<bool> {
    let (mut left, mut right) = (vec![0; BUFFER], vec![0; BUFFER]);
    loop {
        let (count, other) = (read_full(a, &mut left)?, read_full(b, &mut right)?);
        if left[..count] != right[..other] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
    }
}

/// Fills the buffer as far as the reader goes.
fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
