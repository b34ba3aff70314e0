//! Making things in a directory, and changing their attributes; never through a symbolic link.

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::error::join;
use crate::{Dir, FileKind, NewFile, Result, Timestamp};

impl Dir {
    /// Makes the file `name` for writing; an error where it exists. `mode` is subject to the umask.
    pub fn create_file(&self, name: &[u8], mode: u32) -> Result<NewFile> {
        self.check_name("create", name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self, name, flags, Mode::from_raw_mode(mode))
            .map_err(|errno| self.error("create", name, errno))?;
        Ok(NewFile::new(fd.into(), join(self.path(), name)))
    }

    /// Makes the directory `name`. `mode` is subject to the umask.
    pub fn make_dir(&self, name: &[u8], mode: u32) -> Result<()> {
        self.check_name("make directory", name)?;
        rustix::fs::mkdirat(self, name, Mode::from_raw_mode(mode))
            .map_err(|errno| self.error("make directory", name, errno))
    }

    /// Makes the symbolic link `name` to `target`.
    pub fn symlink(&self, target: &[u8], name: &[u8]) -> Result<()> {
        self.check_name("make symbolic link", name)?;
        rustix::fs::symlinkat(target, self, name)
            .map_err(|errno| self.error("make symbolic link", name, errno))
    }

    /// Makes `name` another name of `old_name` in `old_dir`; a symbolic link is linked itself.
    pub fn hard_link(&self, old_dir: &Dir, old_name: &[u8], name: &[u8]) -> Result<()> {
        self.check_name("make hard link", name)?;
        old_dir.check_name("link to", old_name)?;
        rustix::fs::linkat(old_dir, old_name, self, name, AtFlags::empty())
            .map_err(|errno| self.error("make hard link", name, errno))
    }

    /// Makes the named pipe or device `name`; device 0/0 is overlayfs's whiteout. `mode` is subject to the umask.
    pub fn make_node(&self, name: &[u8], kind: FileKind, mode: u32, rdev: (u32, u32)) -> Result<()> {
        self.check_name("make node", name)?;
        let file_type = match kind {
            FileKind::CharacterDevice => FileType::CharacterDevice,
            FileKind::BlockDevice => FileType::BlockDevice,
            FileKind::Fifo => FileType::Fifo,
            _ => return Err(self.error("make node", name, Errno::INVAL)),
        };
        let device = rustix::fs::makedev(rdev.0, rdev.1);
        rustix::fs::mknodat(self, name, file_type, Mode::from_raw_mode(mode), device)
            .map_err(|errno| self.error("make node", name, errno))
    }

    /// Moves `name` to `new_name` in `new_dir`, replacing what is there if the kernel allows.
    pub fn rename(&self, name: &[u8], new_dir: &Dir, new_name: &[u8]) -> Result<()> {
        self.check_name("move", name)?;
        new_dir.check_name("move to", new_name)?;
        rustix::fs::renameat(self, name, new_dir, new_name).map_err(|errno| self.error("move", name, errno))
    }

    /// Sets owner and group of `name`. The kernel clears set-id bits and file capabilities: set those afterwards.
    pub fn set_owner(&self, name: &[u8], uid: u32, gid: u32) -> Result<()> {
        self.check_name("change the owner of", name)?;
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::chownat(self, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.error("change the owner of", name, errno))
    }

    /// Sets the permission bits of `name`, which is no symbolic link (`EOPNOTSUPP`).
    pub fn set_mode(&self, name: &[u8], mode: u32) -> Result<()> {
        self.check_name("change the mode of", name)?;
        let fail = |errno| self.error("change the mode of", name, errno);
        // fchmodat has no "do not follow" before Linux 6.6; the link in /proc leads to what was opened, and nowhere else.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self, name, flags, Mode::empty()).map_err(fail)?;
        rustix::fs::chmod(crate::xattr::proc_path(&fd, b""), Mode::from_raw_mode(mode)).map_err(fail)
    }

    /// Sets the modification time of `name`, and its access time to the same.
    pub fn set_mtime(&self, name: &[u8], mtime: Timestamp) -> Result<()> {
        self.check_name("change the time of", name)?;
        rustix::fs::utimensat(self, name, &both(mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.error("change the time of", name, errno))
    }
}

/// Access and modification time at once.
pub(crate) fn both(time: Timestamp) -> Timestamps {
    let stamp = Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    Timestamps { last_access: stamp, last_modification: stamp }
}
