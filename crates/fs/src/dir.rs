//! An open directory: the start of every call.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};

use crate::error::join;
use crate::{Error, FileKind, Metadata, Result};

/// An open directory, and the path under which error messages show it.
///
/// A `name` argument is one component, or `.` for the directory itself; anything else is refused, so a call acts in
/// this directory or fails. A `path` argument may have several components and says how links in it are treated.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Beneath the start, with no symbolic link on the way.
const STRICT: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

impl Dir {
    /// Opens `path`, links followed.
    pub fn open(path: &Path) -> Result<Dir> {
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty())
            .map_err(|errno| Error::new("open directory", path, errno))?;
        Ok(Dir { fd, path: path.to_owned() })
    }

    /// Wraps a descriptor of a directory that is already open; `path` is for error messages.
    pub fn from_fd(fd: OwnedFd, path: PathBuf) -> Dir {
        Dir { fd, path }
    }

    /// Returns the path under which error messages show this directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the same directory once more.
    pub fn try_clone(&self) -> Result<Dir> {
        let fd = self.fd.try_clone().map_err(|source| Error::new("duplicate", &self.path, source))?;
        Ok(Dir { fd, path: self.path.clone() })
    }

    /// Opens the directory `path` beneath this one; a symbolic link anywhere in it is an error (`ELOOP`), as is a path
    /// that leads out. Empty is this directory.
    pub fn open_dir(&self, path: &[u8]) -> Result<Dir> {
        let fd = self
            .open_at(path, DIRECTORY, STRICT)
            .map_err(|errno| self.error("open directory", path, errno))?;
        Ok(Dir { fd, path: join(&self.path, path) })
    }

    /// Like [`Dir::open_dir`], of a path that may be longer than the kernel takes at once.
    pub fn open_deep_dir(&self, path: &[u8]) -> Result<Dir> {
        /// Below PATH_MAX, which is 4096 with the terminating zero.
        const LENGTH: usize = 4000;
        if path.len() <= LENGTH {
            return self.open_dir(path);
        }
        let mut dir = self.try_clone()?;
        let mut rest = path;
        while rest.len() > LENGTH {
            let Some(slash) = rest[..LENGTH].iter().rposition(|byte| *byte == b'/') else { break };
            dir = dir.open_dir(&rest[..slash])?;
            rest = &rest[slash + 1..];
        }
        dir.open_dir(rest)
    }

    /// Opens the directory `path` as a process whose root is this directory would: links are followed, `/` and `..`
    /// stop here.
    pub fn open_dir_in_root(&self, path: &[u8]) -> Result<Dir> {
        let fd = self
            .open_at(path, DIRECTORY, ResolveFlags::IN_ROOT)
            .map_err(|errno| self.error("open directory", path, errno))?;
        Ok(Dir { fd, path: join(&self.path, path) })
    }

    /// Opens the regular file `path` beneath this directory for reading, with no symbolic link anywhere in it.
    pub fn open_file(&self, path: &[u8]) -> Result<File> {
        self.open_regular(path, STRICT)
    }

    /// Opens the regular file `path` for reading as a process whose root is this directory would.
    pub fn open_file_in_root(&self, path: &[u8]) -> Result<File> {
        self.open_regular(path, ResolveFlags::IN_ROOT)
    }

    /// Returns the attributes of `name`, links not followed.
    pub fn metadata(&self, name: &[u8]) -> Result<Metadata> {
        self.check_name("read the attributes of", name)?;
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        rustix::fs::statx(&self.fd, name, flags, StatxFlags::BASIC_STATS)
            .map(Metadata::from)
            .map_err(|errno| self.error("read the attributes of", name, errno))
    }

    /// Returns the attributes of `name`, or `None` where there is nothing.
    pub fn find(&self, name: &[u8]) -> Result<Option<Metadata>> {
        match self.metadata(name) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns where the symbolic link `name` points, as stored.
    pub fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.check_name("read link", name)?;
        rustix::fs::readlinkat(&self.fd, name, Vec::new())
            .map(|target| target.into_bytes())
            .map_err(|errno| self.error("read link", name, errno))
    }

    /// Writes all changes of the file system that holds this directory to its disk.
    pub fn sync_file_system(&self) -> Result<()> {
        rustix::fs::syncfs(&self.fd).map_err(|errno| self.error("sync the file system of", b"", errno))
    }

    /// Opens the directory above, which must be the one with these numbers: a concurrent move must not lead us out.
    pub(crate) fn open_parent(&self, path: PathBuf, id: (u64, u64)) -> Result<Dir> {
        let fd = rustix::fs::openat(&self.fd, c"..", DIRECTORY, Mode::empty())
            .map_err(|errno| Error::new("open directory", &path, errno))?;
        let dir = Dir { fd, path };
        let metadata = dir.metadata(b".")?;
        if (metadata.dev, metadata.ino) != id {
            return Err(Error::new("return to", dir.path, io::Error::other("it was moved meanwhile")));
        }
        Ok(dir)
    }

    /// Refuses anything but one component or `.`.
    pub(crate) fn check_name(&self, action: &'static str, name: &[u8]) -> Result<()> {
        if name.is_empty() || name == b".." || name.contains(&b'/') {
            return Err(self.error(action, name, io::Error::from(io::ErrorKind::InvalidInput)));
        }
        Ok(())
    }

    pub(crate) fn error(&self, action: &'static str, name: &[u8], source: impl Into<io::Error>) -> Error {
        Error::new(action, join(&self.path, name), source)
    }

    fn open_regular(&self, path: &[u8], resolve: ResolveFlags) -> Result<File> {
        // Without NONBLOCK, opening a named pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = self.open_at(path, flags, resolve).map_err(|errno| self.error("open", path, errno))?;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| self.error("open", path, errno))?;
        // The format bits lie in the low 16 bits on every Linux.
        if FileKind::from_mode((stat.st_mode & 0xffff) as u16) != FileKind::File {
            return Err(self.error("open", path, io::Error::other("not a regular file")));
        }
        Ok(File::from(fd))
    }

    fn open_at(&self, path: &[u8], flags: OFlags, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
        let path: &[u8] = if path.is_empty() { b"." } else { path };
        loop {
            match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve) {
                // The kernel asks to try again where a concurrent rename made `..` unsafe.
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                result => return result,
            }
        }
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
