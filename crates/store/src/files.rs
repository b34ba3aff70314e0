//! Small file operations with errors that name the path.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::error::{Context, Error, Result};

/// The largest JSON document of the store that is read, in bytes. A build record of a large Dockerfile stays below.
pub(crate) const MAX_DOCUMENT: u64 = 32 << 20;

/// Whether a new file must survive a power cut at once or with the next sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    Now,
    Later,
}

/// Writes `bytes` to `temporary` and renames that to `path`, which takes the place of what was there.
pub(crate) fn replace(temporary: &Path, path: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
    if let Err(error) = write_new(temporary, bytes, durability) {
        let _ = fs::remove_file(temporary);
        return Err(error);
    }
    fs::rename(temporary, path).context("write", path)
}

/// Writes `bytes` to a file that must not exist.
pub(crate) fn write_new(path: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
    let mut file = File::create_new(path).context("create", path)?;
    file.write_all(bytes).context("write", path)?;
    match durability {
        Durability::Now => file.sync_data().context("write", path),
        Durability::Later => Ok(()),
    }
}

/// Reads a file of at most `limit` bytes; `None` where there is none.
pub(crate) fn read_if_there(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(Error::io("open", path, error)),
    };
    // Most are small, and reading without room for all asks for 32 bytes at a time.
    let mut bytes = Vec::with_capacity(1 << 10);
    file.take(limit + 1).read_to_end(&mut bytes).context("read", path)?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge { path: path.to_owned(), limit });
    }
    Ok(Some(bytes))
}

/// Removes a file; that it is gone already is no error.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if !is_absent(&error) => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// Returns the names in a directory that are valid text, sorted; nothing where there is no directory.
pub(crate) fn names(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", path, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.context("list", path)?;
        // The store writes no other names; what else lies here is not ours to judge.
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Makes a directory and its parents.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).context("create", path)
}

/// Tells whether an error says that something, or the folder it would be in, does not exist.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Tells whether something has this name.
pub(crate) fn is_there(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(Error::io("read", path, error)),
    }
}
