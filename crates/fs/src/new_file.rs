//! A file that is being made.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, Uid, XattrFlags};

use crate::make::both;
use crate::{Error, Result, Timestamp};

/// A file just made by [`crate::Dir::create_file`], open for writing, with the path for error messages.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    path: PathBuf,
}

impl NewFile {
    pub(crate) fn new(file: File, path: PathBuf) -> NewFile {
        NewFile { file, path }
    }

    /// Returns the open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns the path for error messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Goes on `length` bytes further, in place of as many zeros: a hole, where the file system knows them.
    pub fn leave_hole(&mut self, length: u64) -> io::Result<()> {
        let end = self.file.stream_position()?.saturating_add(length);
        self.file.set_len(end)?;
        self.file.seek(SeekFrom::Start(end)).map(drop)
    }

    /// Sets owner and group. The kernel clears set-id bits and file capabilities: set those afterwards.
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<()> {
        rustix::fs::fchown(&self.file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|errno| Error::new("change the owner of", &self.path, errno))
    }

    /// Sets the permission bits. Writing afterwards clears set-id bits: set them last.
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode))
            .map_err(|errno| Error::new("change the mode of", &self.path, errno))
    }

    /// Sets the modification time, and the access time to the same.
    pub fn set_mtime(&self, mtime: Timestamp) -> Result<()> {
        rustix::fs::futimens(&self.file, &both(mtime))
            .map_err(|errno| Error::new("change the time of", &self.path, errno))
    }

    /// Sets the extended attribute `attribute`.
    pub fn set_xattr(&self, attribute: &[u8], value: &[u8]) -> Result<()> {
        rustix::fs::fsetxattr(&self.file, attribute, value, XattrFlags::empty())
            .map_err(|errno| Error::new("set an extended attribute of", &self.path, errno))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
