//! The files of an archive, by path: of a directory, or of a tar that is listed once and read at offsets.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Component, Path, PathBuf};

use jettison_layer::decompress;

use super::error::{ArchiveError, Result};
use crate::{Error, Store};

/// The most members that a tar may have: an image has at most some hundred layers of four files each.
const MAX_MEMBERS: usize = 100_000;
/// The most links that lead from a name to its file.
const MAX_LINKS: usize = 8;

/// The files of an archive.
#[derive(Debug)]
pub(super) enum Files {
    /// A directory.
    Directory(PathBuf),
    /// A tar.
    Tar {
        /// What the user calls it.
        path: PathBuf,
        /// The uncompressed tar.
        file: File,
        /// What is in it.
        members: HashMap<String, Member>,
    },
}

#[derive(Debug)]
pub(super) enum Member {
    File {
        offset: u64,
        size: u64,
    },
    /// A symbolic or hard link to another member; docker before 25 stored equal layers once.
    Link(String),
}

impl Files {
    pub(super) fn open(store: &Store, path: &Path) -> Result<Files> {
        if path.is_dir() {
            return Ok(Files::Directory(path.to_owned()));
        }
        let mut file = File::open(path).map_err(|source| failed(path, source))?;
        // A pipe can be read once only.
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Files::read(store, &mut file, path);
        }
        match is_plain_tar(&file).map_err(|source| failed(path, source))? {
            true => Files::of_tar(path, file),
            false => Files::decompressed(store, &file, path),
        }
    }

    /// Copies a stream to a temporary file that nobody else sees.
    pub(super) fn read(store: &Store, input: &mut dyn Read, path: &Path) -> Result<Files> {
        let spooled = spool(store, input, path)?;
        match is_plain_tar(&spooled).map_err(|source| failed(path, source))? {
            true => Files::of_tar(path, spooled),
            false => Files::decompressed(store, &spooled, path),
        }
    }

    fn decompressed(store: &Store, file: &File, path: &Path) -> Result<Files> {
        let content = Slice { file, offset: 0, left: u64::MAX };
        let mut content = decompress(content).map_err(|source| failed(path, source))?;
        Files::of_tar(path, spool(store, content.as_mut(), path)?)
    }

    fn of_tar(path: &Path, file: File) -> Result<Files> {
        let members = list(&file).map_err(|source| failed(path, source))?;
        Ok(Files::Tar { path: path.to_owned(), file, members })
    }

    /// Returns what the user calls the archive.
    pub(super) fn path(&self) -> &Path {
        match self {
            Files::Directory(path) | Files::Tar { path, .. } => path,
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Files::Directory(path) => path.join(name).is_file(),
            Files::Tar { members, .. } => find(members, name).is_some(),
        }
    }

    /// Opens a file by the name that a document of the archive gives, and returns its length in bytes too.
    pub(super) fn open_file(&self, name: &str) -> Result<(Box<dyn Read + '_>, u64)> {
        let missing = || ArchiveError::Missing { path: self.path().to_owned(), name: name.to_owned() };
        match self {
            Files::Directory(path) => {
                // The name may come from a document: it must not lead out of the directory.
                let name = normal(name).ok_or_else(missing)?;
                let full = path.join(name);
                let file = match File::open(&full) {
                    Err(error) if crate::files::is_absent(&error) => return Err(missing()),
                    result => result.map_err(|source| failed(&full, source))?,
                };
                let size = file.metadata().map_err(|source| failed(&full, source))?.len();
                Ok((Box::new(file), size))
            }
            Files::Tar { file, members, .. } => {
                let (offset, size) = find(members, name).ok_or_else(missing)?;
                Ok((Box::new(Slice { file, offset, left: size }), size))
            }
        }
    }

    /// Reads a small file into memory.
    pub(super) fn read_small(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let (reader, _) = self.open_file(name)?;
        let mut bytes = Vec::new();
        let full = self.path().join(name);
        reader.take(limit + 1).read_to_end(&mut bytes).map_err(|source| failed(&full, source))?;
        if bytes.len() as u64 > limit {
            return Err(Error::TooLarge { path: full, limit }.into());
        }
        Ok(bytes)
    }

    /// Makes the error of a read that failed in the middle of `name`.
    pub(super) fn failed(&self, name: &str, source: io::Error) -> ArchiveError {
        failed(&self.path().join(name), source)
    }
}

/// Copies a stream to a temporary file.
fn spool(store: &Store, input: &mut dyn Read, path: &Path) -> Result<File> {
    let temporary = store.temporary_file()?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read =
            crate::gate::uninterrupted(|| input.read(&mut buffer)).map_err(|source| failed(path, source))?;
        if read == 0 {
            return Ok(temporary);
        }
        (&temporary).write_all(&buffer[..read]).map_err(|source| Error::io("write", store.root(), source))?;
    }
}

/// Lists a tar. Directories and odd members are left out: no document names them.
fn list(file: &File) -> io::Result<HashMap<String, Member>> {
    let mut members = HashMap::new();
    let mut tar = file;
    tar.rewind()?;
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if members.len() == MAX_MEMBERS {
            return Err(io::Error::other(format!("it has more than {MAX_MEMBERS} files")));
        }
        let path = entry.path_bytes();
        let Some(name) = std::str::from_utf8(&path).ok().and_then(normal) else { continue };
        let kind = entry.header().entry_type();
        let member = if kind.is_file() {
            Member::File { offset: entry.raw_file_position(), size: entry.size() }
        } else if kind.is_symlink() || kind.is_hard_link() {
            let target = entry.link_name_bytes().unwrap_or_default();
            let target = std::str::from_utf8(&target).unwrap_or_default();
            let folder = if kind.is_symlink() { parent(&name) } else { "" };
            let Some(target) = normal(&format!("{folder}/{target}")) else { continue };
            Member::Link(target)
        } else {
            continue;
        };
        members.insert(name, member);
    }
    Ok(members)
}

/// Finds offset and size of a file, through links.
fn find(members: &HashMap<String, Member>, name: &str) -> Option<(u64, u64)> {
    let mut name = normal(name)?;
    for _ in 0..=MAX_LINKS {
        match members.get(&name)? {
            Member::File { offset, size } => return Some((*offset, *size)),
            Member::Link(target) => name.clone_from(target),
        }
    }
    None
}

/// Brings a path to the form `a/b`; `None` for one that leads out of the archive.
fn normal(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::RootDir | Component::CurDir => {}
            Component::Prefix(_) => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn failed(path: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::Io { path: path.to_owned(), source }
}

/// Tells whether a file begins as a tar. What does not is compressed, or no archive at all.
fn is_plain_tar(file: &File) -> io::Result<bool> {
    /// POSIX.1-2017, "ustar Interchange Format"; GNU tar writes the same five bytes.
    const MAGIC: &[u8] = b"ustar";
    const OFFSET: u64 = 257;

    let mut magic = Vec::new();
    Slice { file, offset: OFFSET, left: MAGIC.len() as u64 }.read_to_end(&mut magic).or_else(|error| {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Ok(0),
            _ => Err(error),
        }
    })?;
    Ok(magic == MAGIC)
}

/// A part of a file, read without moving the file's own position.
struct Slice<'a> {
    file: &'a File,
    offset: u64,
    /// `u64::MAX` for all there is.
    left: u64,
}

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;

        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        if self.left == u64::MAX {
            self.offset += read as u64;
            return Ok(read);
        }
        if read == 0 && wanted > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive ends in the middle of a file",
            ));
        }
        self.offset += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for (path, inside) in [
            ("a/b", Some("a/b")),
            ("./a//b/", Some("a/b")),
            ("/a", Some("a")),
            ("a/../b", Some("b")),
            ("../a", None),
            ("a/../../b", None),
            (".", None),
            ("", None),
        ] {
            assert_eq!(normal(path).as_deref(), inside, "{path}");
        }
    }

    #[test]
    fn links_that_go_round_lead_nowhere() {
        let link = |to: &str| Member::Link(to.to_owned());
        let members = HashMap::from([
            ("a".to_owned(), link("b")),
            ("b".to_owned(), link("a")),
            ("c".to_owned(), link("d")),
            ("d".to_owned(), Member::File { offset: 1, size: 2 }),
        ]);
        assert_eq!(find(&members, "a"), None);
        assert_eq!(find(&members, "c"), Some((1, 2)));
    }
}
