//! What to run: one command in one root file system, as plain data.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One command and all that surrounds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// The root file system.
    pub root: Root,
    /// The words of the command. The first is looked up in `PATH` of `env` inside the root, if it has no slash.
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// The working directory inside the root; made (0755, owned by `user`) where it is missing.
    pub cwd: String,
    /// Numeric identity, already resolved against the root's `/etc/passwd` and `/etc/group`.
    pub user: User,
    /// The host name.
    pub hostname: String,
    /// Lines for `/etc/hosts` besides those of localhost: (name, address).
    pub extra_hosts: Vec<(String, String)>,
    /// What the command can reach.
    pub network: Network,
    /// More mounts, in this order.
    pub mounts: Vec<Mount>,
    /// Bytes of /dev/shm; docker's 64 MiB if absent.
    pub shm_size: Option<u64>,
    /// Resource limits. One above what this process may set is lowered to that, with a note.
    pub limits: Vec<Limit>,
    /// The cgroup beneath which the command gets its own, in each hierarchy: an absolute path without dots. Without it
    /// the command stays in that of the builder.
    pub cgroup_parent: Option<String>,
    /// Whether the command gets all capabilities there are, and neither a seccomp filter nor hidden parts of /proc
    /// and /sys.
    pub insecure: bool,
    /// `None` gives /dev/null as standard input.
    pub interactive: bool,
}

/// The root file system.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Root {
    /// An overlay, mounted by the sandbox in its own mount namespace.
    Overlay {
        /// Read-only directories, lowest first; at most 500.
        lower: Vec<PathBuf>,
        /// Takes the changes; on the same file system as `work`.
        upper: PathBuf,
        /// An empty directory, fresh for each step. While the command runs there may be a second one beside it, named
        /// like it with `.mount-points` at the end.
        work: PathBuf,
    },
    /// A directory that is changed in place; the only possibility in chroot mode.
    Directory(PathBuf),
}

/// Numeric identity of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// What a command can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// A private network through pasta where it is installed, else the host's.
    Default,
    /// The host's.
    Host,
    /// Loopback alone.
    None,
}

/// A resource limit, as setrlimit(2) has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// One of [`LIMITS`].
    pub name: String,
    /// What the command starts with; `u64::MAX` for none.
    pub soft: u64,
    /// As far as the command may raise it.
    pub hard: u64,
}

/// The limits there are, by docker's names (docker/go-units, `ulimit.go`).
pub const LIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Bytes that are shown to nobody but the command.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden(pub Vec<u8>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// One more mount.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    /// Where, inside the root. A missing mount point is made, and removed again after the command.
    pub target: String,
    /// What.
    pub source: MountSource,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum MountSource {
    /// A file or directory of the host.
    Bind(PathBuf),
    /// What is at a path inside a directory of the host; symbolic links cannot lead out of that.
    Inside {
        /// The directory.
        directory: PathBuf,
        /// The path in it.
        path: String,
    },
    /// A file in memory, which never reaches a disk.
    File {
        /// What is in it.
        content: Hidden,
        /// Its permission bits.
        mode: u32,
        /// Its owner; root where that user does not exist here.
        uid: u32,
        /// Its group; root's where that group does not exist here.
        gid: u32,
    },
    /// An overlay, such as a stage's tree; writes to it are thrown away with `upper`.
    Overlay {
        /// Read-only directories, lowest first.
        lower: Vec<PathBuf>,
        /// The path inside the merged tree that is mounted.
        path: String,
        /// Takes the changes, if it is to be writable.
        upper: Option<(PathBuf, PathBuf)>,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// In bytes; the kernel's default if absent.
        size: Option<u64>,
    },
}
