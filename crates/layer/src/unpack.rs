//! Unpacking a layer into a bare directory, without looking at the layers below: so layers unpack in parallel.

use std::io::Read;

use jettison_fs::Dir;

use crate::disk::{DiskSink, Ownership, set_directory};
use crate::read::{Listing, read_layer};
use crate::settle::implied_directory;
use crate::{Content, Entry, Error, Index, Kind};

/// A layer in a directory of its own, in overlayfs's form. [`crate::fix_up`] fits it onto the layers below.
#[derive(Debug, Clone, Default)]
pub struct Unpacked {
    /// What the layer lists.
    pub index: Index,
    /// Directories that were made because something is in them, without being listed.
    pub implied: Vec<Vec<u8>>,
    /// Hard links, and their targets, to files that are not in the layer; they are not on disk yet.
    pub foreign_links: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Unpacks an uncompressed layer tar into `target`, an empty directory, reading to the very end.
///
/// Nothing is written outside `target`, whatever the tar says. Devices are not made: they are in the index alone.
/// Extended attributes that the kernel refuses are in the index alone, too. On an error `target` is left half filled.
pub fn unpack(reader: &mut dyn Read, target: &Dir, ownership: Ownership) -> Result<Unpacked, Error> {
    let mut sink = DiskSink::new(target, ownership);
    let Listing { index, implied } = read_layer(reader, &mut sink)?;
    finish(&mut sink, target, &index, ownership)?;
    Ok(Unpacked { index, implied, foreign_links: sink.foreign_links })
}

/// Writes a layer that is known by its index and content into `target`, an empty directory, with true times. Content
/// that is on disk is shared or copied by the kernel. Symbolic links must not lie in the way of other paths. Where the
/// index does not list all parents, [`crate::fix_up`] must follow, as after [`unpack`].
pub fn materialize(
    index: &Index,
    content: &dyn Content,
    target: &Dir,
    ownership: Ownership,
) -> Result<Unpacked, Error> {
    let mut sink = DiskSink::new(target, ownership);
    let mut implied = Vec::new();
    for entry in &index.entries {
        imply_parents(&mut sink, index, &entry.path, &mut implied)?;
        match entry.kind {
            Kind::File { .. } => write_file(&mut sink, entry, content)?,
            _ => sink.make(entry)?,
        }
    }
    finish(&mut sink, target, index, ownership)?;
    Ok(Unpacked { index: index.clone(), implied, foreign_links: sink.foreign_links })
}

/// Few layers list their root; the kernel shows that of the topmost layer, so it must look like one.
fn finish(sink: &mut DiskSink<'_>, target: &Dir, index: &Index, ownership: Ownership) -> Result<(), Error> {
    sink.finish(index.entries.iter())?;
    match index.get(b"") {
        Some(_) => Ok(()),
        None => set_directory(target, &implied_directory(b""), ownership),
    }
}

fn write_file(sink: &mut DiskSink<'_>, entry: &Entry, content: &dyn Content) -> Result<(), Error> {
    let fail = |source| Error::content(&entry.path, source);
    match content.open_file(entry).map_err(fail)? {
        Some(file) => sink.copy_file(entry, &file),
        None => sink.write_file(entry, &mut content.open(entry).map_err(fail)?),
    }
}

/// Makes the directories above `path` that the index does not list.
fn imply_parents(
    sink: &mut DiskSink<'_>,
    index: &Index,
    path: &[u8],
    implied: &mut Vec<Vec<u8>>,
) -> Result<(), Error> {
    let last = |implied: &Vec<Vec<u8>>| implied.last().cloned().unwrap_or_default();
    for directory in crate::path::ancestors(path) {
        // Entries come in order, so a directory that was implied is above, or the last one's neighbour.
        if crate::path::is_below(&last(implied), directory) && !implied.is_empty()
            || index.get(directory).is_some()
        {
            continue;
        }
        crate::read::Sink::imply(sink, directory)?;
        implied.push(directory.to_vec());
    }
    Ok(())
}
