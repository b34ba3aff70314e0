//! What statx tells of a path.

use rustix::fs::Statx;

/// A point in time as file systems store it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Since 1970.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// The attributes of a path, links not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits with set-id and sticky, `0o7777` at most.
    pub mode: u32,
    /// The owner as this process's user namespace sees it.
    pub uid: u32,
    /// The group as this process's user namespace sees it.
    pub gid: u32,
    /// In bytes; of a symbolic link, the length of its target.
    pub size: u64,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of content or attributes, by the kernel's clock alone.
    pub ctime: Timestamp,
    /// The file system.
    pub dev: u64,
    /// The file in its file system.
    pub ino: u64,
    /// The number of its names.
    pub nlink: u32,
    /// Major and minor number, of a device.
    pub rdev: (u32, u32),
}

impl Metadata {
    /// Returns whether this is overlayfs's mark for "gone": character device 0/0.
    pub fn is_whiteout(&self) -> bool {
        self.kind == FileKind::CharacterDevice && self.rdev == (0, 0)
    }
}

impl FileKind {
    /// Reads the format bits of `st_mode`; the seven kinds are all that Linux has.
    pub(crate) fn from_mode(mode: u16) -> FileKind {
        match u32::from(mode) & libc::S_IFMT {
            libc::S_IFDIR => FileKind::Directory,
            libc::S_IFLNK => FileKind::Symlink,
            libc::S_IFCHR => FileKind::CharacterDevice,
            libc::S_IFBLK => FileKind::BlockDevice,
            libc::S_IFIFO => FileKind::Fifo,
            libc::S_IFSOCK => FileKind::Socket,
            _ => FileKind::File,
        }
    }
}

impl From<Statx> for Metadata {
    fn from(stat: Statx) -> Metadata {
        let time = |stamp: rustix::fs::StatxTimestamp| Timestamp {
            seconds: stamp.tv_sec,
            nanoseconds: stamp.tv_nsec,
        };
        Metadata {
            kind: FileKind::from_mode(stat.stx_mode),
            mode: u32::from(stat.stx_mode) & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: stat.stx_size,
            mtime: time(stat.stx_mtime),
            ctime: time(stat.stx_ctime),
            dev: u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor),
            ino: stat.stx_ino,
            nlink: stat.stx_nlink,
            rdev: (stat.stx_rdev_major, stat.stx_rdev_minor),
        }
    }
}
