//! Reading a directory.

use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode, OFlags, RawDir};

use crate::{Dir, FileKind, Result};

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name.
    pub name: Vec<u8>,
    /// What it is, if the file system says so for free.
    pub kind: Option<FileKind>,
}

/// Bytes of directory entries read in one call.
const BUFFER: usize = 32 * 1024;

impl Dir {
    /// Returns what is in this directory, without `.` and `..`, sorted by name bytewise.
    pub fn entries(&self) -> Result<Vec<DirEntry>> {
        // A descriptor of its own has a read position of its own.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self, c".", flags, Mode::empty())
            .map_err(|errno| self.error("list directory", b"", errno))?;
        self.read_entries(fd)
    }

    /// Like [`Dir::entries`], of a directory that was just opened: a second time there would be nothing.
    pub(crate) fn first_entries(&self) -> Result<Vec<DirEntry>> {
        self.read_entries(self)
    }

    fn read_entries(&self, fd: impl AsFd) -> Result<Vec<DirEntry>> {
        let fail = |errno| self.error("list directory", b"", errno);
        let mut buffer: Vec<u8> = Vec::with_capacity(BUFFER);
        let mut reader = RawDir::new(fd, buffer.spare_capacity_mut());
        let mut entries = Vec::new();
        while let Some(entry) = reader.next() {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                entries.push(DirEntry { name: name.to_owned(), kind: kind(entry.file_type()) });
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

fn kind(file_type: FileType) -> Option<FileKind> {
    match file_type {
        FileType::Directory => Some(FileKind::Directory),
        FileType::RegularFile => Some(FileKind::File),
        FileType::Symlink => Some(FileKind::Symlink),
        FileType::CharacterDevice => Some(FileKind::CharacterDevice),
        FileType::BlockDevice => Some(FileKind::BlockDevice),
        FileType::Fifo => Some(FileKind::Fifo),
        FileType::Socket => Some(FileKind::Socket),
        FileType::Unknown => None,
    }
}
