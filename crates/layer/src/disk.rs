//! Making entries on disk, in overlayfs's form: whiteouts are devices 0/0, opaque directories carry an attribute.

use std::fs::File;
use std::io::{Read, Write};

use jettison_fs::{Dir, FileKind, NewFile, copy_data};

use crate::path::{file_name, parent, show};
use crate::read::{FileContent, Sink};
use crate::settle::IMPLIED_MODE;
use crate::{Entry, Error, Kind};

/// Marks an opaque directory in overlays that are mounted with `userxattr`.
pub(crate) const OPAQUE_XATTR: &[u8] = b"user.overlay.opaque";

/// What directories and files have while they are being filled.
const PRIVATE_DIR: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// Bytes moved at once.
const BUFFER: usize = 256 * 1024;

/// What file systems allocate at least: a shorter hole saves nothing.
const BLOCK: usize = 4096;

/// Who owns what is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// The owners of the entries: ids are mapped.
    Native,
    /// The one id that there is, whatever the entries say: true owners live in the index alone. What is compared with a
    /// parent tree keeps the owner that it has there, and is root's if it is new.
    Squashed,
}

/// Tells whether bytes of a file need no blocks on disk: tars hold the zeros of sparse files.
fn is_hole(bytes: &[u8]) -> bool {
    bytes.len() >= BLOCK && bytes.iter().all(|byte| *byte == 0)
}

/// Makes entries below a directory as they come. Directories get their attributes at the end, with
/// [`DiskSink::finish`].
pub(crate) struct DiskSink<'a> {
    target: &'a Dir,
    ownership: Ownership,
    /// The directory used last, which its neighbours need again.
    parent: Option<(Vec<u8>, Dir)>,
    buffer: Vec<u8>,
    /// Hard links, and their targets, whose file is not here: it is in a layer below.
    pub foreign_links: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> DiskSink<'a> {
    pub fn new(target: &'a Dir, ownership: Ownership) -> DiskSink<'a> {
        DiskSink { target, ownership, parent: None, buffer: Vec::new(), foreign_links: Vec::new() }
    }

    /// Gives directories their attributes, those deepest down first: making something in one changes its time, and its
    /// mode may shut us out.
    pub fn finish<'b>(&mut self, entries: impl DoubleEndedIterator<Item = &'b Entry>) -> Result<(), Error> {
        self.parent = None;
        for entry in entries.rev().filter(|entry| entry.is_directory()) {
            set_directory(&self.target.open_dir(&entry.path)?, entry, self.ownership)?;
        }
        Ok(())
    }

    /// Makes a file from one that is open; shares blocks where the file system can.
    pub fn copy_file(&mut self, entry: &Entry, source: &File) -> Result<(), Error> {
        let ownership = self.ownership;
        let length = source.metadata().map_err(|source| Error::content(&entry.path, source))?.len();
        check_size(entry, length)?;
        let file = self.parent(&entry.path)?.create_file(file_name(&entry.path), PRIVATE_FILE)?;
        let copied = copy_data(source, file.file(), entry.size());
        let copied =
            copied.map_err(|source| Error::Write { path: file.path().display().to_string(), source })?;
        check_size(entry, copied)?;
        set_file(&file, entry, ownership)
    }

    /// Makes a file from a stream.
    pub fn write_file(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Error> {
        let mut file = self.parent(&entry.path)?.create_file(file_name(&entry.path), PRIVATE_FILE)?;
        self.buffer.resize(BUFFER, 0);
        let mut written = 0;
        loop {
            let count = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(Error::content(&entry.path, source)),
            };
            let bytes = &self.buffer[..count];
            let result = match is_hole(bytes) {
                true => file.leave_hole(count as u64),
                false => file.write_all(bytes),
            };
            result.map_err(|source| Error::Write { path: file.path().display().to_string(), source })?;
            written += count as u64;
        }
        check_size(entry, written)?;
        set_file(&file, entry, self.ownership)
    }

    /// Makes anything but a file.
    pub fn make(&mut self, entry: &Entry) -> Result<(), Error> {
        let (path, ownership) = (&entry.path, self.ownership);
        let name = file_name(path);
        match &entry.kind {
            Kind::Directory { .. } => self.make_directory(path),
            Kind::Hardlink { target } => self.make_link(entry, target),
            Kind::Symlink { target } => {
                let dir = self.parent(path)?;
                dir.symlink(target, name)?;
                set_other(dir, entry, ownership)
            }
            Kind::Fifo => {
                let dir = self.parent(path)?;
                dir.make_node(name, FileKind::Fifo, PRIVATE_FILE, (0, 0))?;
                set_other(dir, entry, ownership)
            }
            Kind::Whiteout => Ok(self.parent(path)?.make_node(name, FileKind::CharacterDevice, 0, (0, 0))?),
            // A user namespace cannot make devices, and what we do must not depend on who we are: the index has them.
            Kind::CharacterDevice { .. } | Kind::BlockDevice { .. } => Ok(()),
            Kind::File { .. } => self.write_file(entry, &mut std::io::empty()),
        }
    }

    fn make_directory(&mut self, path: &[u8]) -> Result<(), Error> {
        if path.is_empty() {
            return Ok(());
        }
        let dir = self.parent(path)?;
        match dir.make_dir(file_name(path), PRIVATE_DIR) {
            // Implied before, or listed twice.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            result => Ok(result?),
        }
    }

    fn make_link(&mut self, entry: &Entry, target: &[u8]) -> Result<(), Error> {
        let directory = match self.target.open_dir(parent(target).unwrap_or_default()) {
            Ok(directory) => directory,
            Err(error) if error.is_not_found() => return self.make_foreign_link(entry, target),
            Err(error) => return Err(error.into()),
        };
        let Some(found) = directory.find(file_name(target))? else {
            return self.make_foreign_link(entry, target);
        };
        let ownership = self.ownership;
        let dir = self.parent(&entry.path)?;
        dir.hard_link(&directory, file_name(target), file_name(&entry.path))?;
        // The last header of an inode wins.
        set_attributes(dir, entry, ownership, found.kind != FileKind::Symlink)
    }

    fn make_foreign_link(&mut self, entry: &Entry, target: &[u8]) -> Result<(), Error> {
        self.foreign_links.push((entry.path.clone(), target.to_vec()));
        Ok(())
    }

    fn parent(&mut self, path: &[u8]) -> Result<&Dir, Error> {
        let directory = parent(path).unwrap_or_default();
        let known = matches!(&self.parent, Some((known, _)) if known == directory);
        if !known {
            self.parent = None;
        }
        match &mut self.parent {
            Some((_, dir)) => Ok(dir),
            none => Ok(&none.insert((directory.to_vec(), self.target.open_dir(directory)?)).1),
        }
    }
}

impl Sink for DiskSink<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut FileContent<'_>) -> Result<(), Error> {
        match entry.kind {
            Kind::File { .. } => self.write_file(entry, content),
            _ => self.make(entry),
        }
    }

    fn imply(&mut self, path: &[u8]) -> Result<(), Error> {
        let dir = self.parent(path)?;
        dir.make_dir(file_name(path), PRIVATE_DIR)?;
        Ok(dir.set_mode(file_name(path), IMPLIED_MODE)?)
    }

    fn make_opaque(&mut self, path: &[u8]) -> Result<(), Error> {
        Ok(self.parent(path)?.set_xattr(file_name(path), OPAQUE_XATTR, b"y")?)
    }

    fn remove(&mut self, path: &[u8]) -> Result<(), Error> {
        self.parent = None;
        self.foreign_links.retain(|(link, _)| !crate::path::is_below(link, path));
        let directory = self.target.open_dir(parent(path).unwrap_or_default())?;
        Ok(directory.remove_tree(file_name(path))?)
    }
}

/// Gives a directory the attributes of its entry.
pub(crate) fn set_directory(dir: &Dir, entry: &Entry, ownership: Ownership) -> Result<(), Error> {
    if ownership == Ownership::Native {
        dir.set_owner(b".", entry.uid, entry.gid)?;
    }
    for (name, value) in &entry.xattrs {
        tolerate(dir.set_xattr(b".", name, value))?;
    }
    if entry.kind == (Kind::Directory { opaque: true }) {
        dir.set_xattr(b".", OPAQUE_XATTR, b"y")?;
    }
    // The mode comes last: it may shut us out.
    dir.set_mtime(b".", entry.mtime)?;
    Ok(dir.set_mode(b".", entry.mode)?)
}

/// The order matters: changing the owner clears file capabilities and set-id bits.
fn set_file(file: &NewFile, entry: &Entry, ownership: Ownership) -> Result<(), Error> {
    if ownership == Ownership::Native {
        file.set_owner(entry.uid, entry.gid)?;
    }
    for (name, value) in &entry.xattrs {
        tolerate(file.set_xattr(name, value))?;
    }
    file.set_mode(entry.mode)?;
    Ok(file.set_mtime(entry.mtime)?)
}

fn set_other(dir: &Dir, entry: &Entry, ownership: Ownership) -> Result<(), Error> {
    set_attributes(dir, entry, ownership, !matches!(entry.kind, Kind::Symlink { .. }))
}

/// Like [`set_file`], by name. A symbolic link has no mode.
fn set_attributes(dir: &Dir, entry: &Entry, ownership: Ownership, has_mode: bool) -> Result<(), Error> {
    let name = file_name(&entry.path);
    if ownership == Ownership::Native {
        dir.set_owner(name, entry.uid, entry.gid)?;
    }
    for (attribute, value) in &entry.xattrs {
        tolerate(dir.set_xattr(name, attribute, value))?;
    }
    if has_mode {
        dir.set_mode(name, entry.mode)?;
    }
    Ok(dir.set_mtime(name, entry.mtime)?)
}

/// Lets attributes pass that a user namespace or the file system refuses: the index has them.
fn tolerate(result: jettison_fs::Result<()>) -> Result<(), Error> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => Ok(()),
        result => Ok(result?),
    }
}

fn check_size(entry: &Entry, found: u64) -> Result<(), Error> {
    if found == entry.size() {
        return Ok(());
    }
    Err(Error::SizeChanged { path: show(&entry.path), expected: entry.size(), found })
}
