//! The final tree as files: in a tar, or in a directory.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::thread;

use jettison_fs::Dir;
use jettison_layer::Ownership;

use super::Context;
use super::error::{ExportError, Result};
use super::place::{Place, Temporary};
use super::source::LayerTar;
use super::watch::Watch;

/// What progress calls the tree.
const ITEM: &str = "files";

/// Writes the tree as one tar.
pub fn write_tar(tree: &dyn LayerTar, place: Place<'_>, context: Context<'_>) -> Result<()> {
    place.fill(|out| {
        let mut watch = Watch::new(out, context, ITEM.to_owned(), None);
        let canceled = |error| {
            if context.cancel.is_cancelled() { ExportError::Canceled } else { ExportError::Stream(error) }
        };
        tree.write(&mut watch).map_err(canceled)?;
        watch.finish();
        Ok(())
    })
}

/// Writes the tree into `directory`, owned by the user: what is there already stays, unless the tree has the same path.
///
/// BuildKit does the same (`exporter/local`, fsutil's receive with `Merge`).
pub fn write_local(tree: &dyn LayerTar, directory: &Path, context: Context<'_>) -> Result<()> {
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent).map_err(|source| ExportError::file("create", parent, source))?;
    }
    let staging = staging(directory)?;
    unpack(tree, &staging.0, context)?;
    merge(&staging.0, directory)
}

/// Makes a directory from which files can be moved to `directory` by renaming: in it, as it may be a mount point and what
/// is around it not ours, or beside it where it does not exist.
fn staging(directory: &Path) -> Result<Temporary> {
    let staging = match directory.is_dir() {
        true => Temporary::beside(&directory.join("export")),
        false => Temporary::beside(directory),
    };
    fs::create_dir(&staging.0).map_err(|source| ExportError::file("create", &staging.0, source))?;
    Ok(staging)
}

/// Writes the tar on one thread and unpacks it on another.
fn unpack(tree: &dyn LayerTar, target: &Path, context: Context<'_>) -> Result<()> {
    let (mut reader, writer) =
        io::pipe().map_err(|source| ExportError::file("open a pipe for", target, source))?;
    let directory = Dir::open(target)?;
    thread::scope(|scope| {
        let writing = scope.spawn(move || {
            let mut watch =
                Watch::new(io::BufWriter::with_capacity(256 << 10, writer), context, ITEM.to_owned(), None);
            tree.write(&mut watch)?;
            watch.finish().flush()
        });
        let unpacked = jettison_layer::unpack(&mut reader, &directory, Ownership::Squashed);
        drop(reader);
        let written = writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (unpacked, written) {
            _ if context.cancel.is_cancelled() => Err(ExportError::Canceled),
            // When unpacking stops, the writer only sees a closed pipe.
            (Err(error), Err(pipe)) if pipe.kind() == io::ErrorKind::BrokenPipe => Err(error.into()),
            (_, Err(error)) => Err(ExportError::Stream(error)),
            (Err(error), Ok(())) => Err(error.into()),
            (Ok(_), Ok(())) => Ok(()),
        }
    })
}

/// Moves the tree `from` to `to`. Directories that are on both sides are merged.
fn merge(from: &Path, to: &Path) -> Result<()> {
    let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|there| there.is_dir());
    // The destination that the user named may be a link to a directory; inside it, links are replaced.
    if !to.is_dir() {
        return rename(from, to);
    }
    let mut work = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = work.pop() {
        let entries = fs::read_dir(&from).map_err(|source| ExportError::file("list", &from, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| ExportError::file("list", &from, source))?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            match (is_directory(&source), is_directory(&target)) {
                (true, true) => work.push((source, target)),
                (false, true) => {
                    let why = "a directory is where a file should be".to_owned();
                    return Err(ExportError::InTheWay { path: target, why });
                }
                (true, false) => {
                    if fs::symlink_metadata(&target).is_ok() {
                        fs::remove_file(&target)
                            .map_err(|error| ExportError::file("replace", &target, error))?;
                    }
                    rename(&source, &target)?;
                }
                (false, false) => rename(&source, &target)?,
            }
        }
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|source| ExportError::file("write", to, source))
}
