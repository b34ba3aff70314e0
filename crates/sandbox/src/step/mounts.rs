//! A root file system under construction: finding and making mount points in it, and what the specification mounts.
//!
//! The tree is somebody else's: every path in it is resolved by the kernel with the tree as root (openat2, `IN_ROOT`),
//! and what was resolved is held as a descriptor.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use super::overlay::{Layers, open_directory, with_stubs};
use super::stubs::plain;
use super::wire::{Channel, Notice, Stub};
use crate::error::{Fault, OrFault};
use crate::spec::{Hidden, Mount, MountSource, Root};
use crate::sys::{self, attr};

/// As many symlinks in a row as the kernel follows.
const MAX_LINKS: usize = 40;

/// A mounted root file system, not yet our root.
pub(super) struct Tree<'a> {
    root: OwnedFd,
    /// The path over which the root is mounted, and other trees for a moment.
    staging: PathBuf,
    channel: &'a Channel,
}

impl<'a> Tree<'a> {
    /// The tree around this process, in its mount namespace, which must be its own.
    pub(super) fn host(channel: &'a Channel) -> Result<Self, Fault> {
        let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", flags).or_fault(|| "make all mounts private".to_owned())?;
        let staging = PathBuf::from("/");
        Ok(Tree { root: open_directory(&staging)?, staging, channel })
    }

    /// Mounts the root file system in the namespace of [`Tree::host`].
    pub(super) fn mount(root: &Root, stubs: &[PathBuf], channel: &'a Channel) -> Result<Self, Fault> {
        match root {
            Root::Overlay { lower, upper, work } => {
                let layers = Layers::open(with_stubs(lower, stubs), Some((upper, work)))?;
                let root = layers.mount(upper)?;
                Ok(Tree { root, staging: upper.clone(), channel })
            }
            Root::Directory(path) => {
                let what = || format!("mount {} as root", path.display());
                let tree = clone_tree(open_directory(path)?).or_fault(what)?;
                sys::set_mount_attributes(tree.as_fd(), attr::NODEV).or_fault(what)?;
                rustix::mount::move_mount(&tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
                    .or_fault(what)?;
                Ok(Tree { root: open_directory(path)?, staging: path.clone(), channel })
            }
        }
    }

    /// Makes this tree the root of the process and lets go of the old one.
    pub(super) fn enter(self) -> Result<(), Fault> {
        let what = || "change the root".to_owned();
        rustix::process::fchdir(&self.root).or_fault(what)?;
        // pivot_root(2): with both the same, the old root ends up on top and is taken off.
        rustix::process::pivot_root(".", ".").or_fault(what)?;
        rustix::mount::unmount(".", UnmountFlags::DETACH).or_fault(what)?;
        rustix::process::chdir("/").or_fault(what)
    }

    /// Tells the user something.
    pub(super) fn note(&self, note: &str) {
        let _ = self.channel.send(&Notice::Note(note.to_owned()), &[]);
    }

    /// What is at a path of the tree, if anything is.
    pub(super) fn find(&self, path: impl AsRef<Path>) -> Result<Option<OwnedFd>, Fault> {
        let path = path.as_ref();
        match open_inside(&self.root, path) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(Fault::of(format!("open {} in the root file system", path.display()), error)),
        }
    }

    /// A place to mount something on, made where it is missing.
    pub(super) fn mount_point(&self, target: &str, directory: bool) -> Result<OwnedFd, Fault> {
        let path = plain(target);
        if let Some(found) = self.find(&path)? {
            return Ok(found);
        }
        self.make(&path, directory, 0)?;
        self.find(&path)?
            .ok_or_else(|| Fault::new(format!("find the mount point {target} that was just made")))
    }

    fn make(&self, path: &Path, directory: bool, links: usize) -> Result<(), Fault> {
        let what = || format!("make the mount point /{}", path.display());
        let (Some(name), Some(parent_path)) = (path.file_name(), path.parent()) else {
            return Err(Fault::of(what(), Errno::INVAL));
        };
        let parent = match self.find(parent_path)? {
            Some(parent) => parent,
            None => {
                self.make(parent_path, true, links)?;
                self.find(parent_path)?.ok_or_else(|| Fault::of(what(), Errno::LOOP))?
            }
        };
        let before = rustix::fs::fstat(&parent).or_fault(what)?;
        let made = if directory {
            rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))
        } else {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
        };
        match made {
            // A symlink to nowhere: the mount point is what it points to.
            Err(Errno::EXIST) if links < MAX_LINKS => {
                let link = rustix::fs::readlinkat(&parent, name, Vec::new()).or_fault(what)?;
                let link = Path::new(std::ffi::OsStr::from_bytes(link.as_bytes()));
                let target = plain(&parent_path.join(link).to_string_lossy());
                self.make(&target, directory, links + 1)
            }
            Err(error) => Err(Fault::of(what(), error)),
            Ok(()) => {
                let stub = Stub {
                    name: name.to_string_lossy().into_owned(),
                    directory,
                    parent_times: [
                        (before.st_atime as i64, before.st_atime_nsec as i64),
                        (before.st_mtime as i64, before.st_mtime_nsec as i64),
                    ],
                };
                self.channel.send(&Notice::Stub(stub), &[parent.as_fd()]).or_fault(what)
            }
        }
    }

    /// Mounts a detached mount on a place in the tree.
    pub(super) fn attach(&self, mount: &OwnedFd, place: &OwnedFd) -> rustix::io::Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(mount, "", place, "", flags)
    }

    /// Mounts what the specification asks for.
    pub(super) fn add(&self, mount: &Mount) -> Result<(), Fault> {
        let what = || format!("mount {}", mount.target);
        let tree = match &mount.source {
            MountSource::Bind(path) => {
                let flags = OFlags::PATH | OFlags::CLOEXEC;
                let source = rustix::fs::open(path, flags, Mode::empty())
                    .or_fault(|| format!("open {}", path.display()))?;
                let tree = clone_tree(source).or_fault(what)?;
                sys::set_mount_attributes(tree.as_fd(), attr::NODEV | attr::NOSUID).or_fault(what)?;
                tree
            }
            MountSource::Tmpfs { size } => {
                let size = size.map(|bytes| bytes.to_string());
                let mut options = vec![("mode", "1777")];
                options.extend(size.as_deref().map(|size| ("size", size)));
                filesystem(
                    "tmpfs",
                    &options,
                    MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID,
                )
                .or_fault(what)?
            }
            MountSource::Inside { directory, path } => {
                let what = || format!("open {path} in {}", directory.display());
                let tree = open_inside(&open_directory(directory)?, &plain(path)).and_then(clone_tree);
                let tree = tree.or_fault(what)?;
                sys::set_mount_attributes(tree.as_fd(), attr::NODEV | attr::NOSUID).or_fault(what)?;
                tree
            }
            MountSource::File { content, mode, uid, gid } => {
                self.file(content, *mode, (*uid, *gid)).or_fault(what)?
            }
            MountSource::Overlay { lower, path, upper } => self.subtree(lower, path, upper.as_ref())?,
        };
        if mount.read_only {
            sys::set_mount_attributes(tree.as_fd(), attr::READ_ONLY).or_fault(what)?;
        }
        let directory = rustix::fs::fstat(&tree).or_fault(what)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
        let place = self.mount_point(&mount.target, directory)?;
        self.attach(&tree, &place).or_fault(what)
    }

    /// A file in a file system of its own in memory, detached.
    fn file(&self, content: &Hidden, mode: u32, (uid, gid): (u32, u32)) -> rustix::io::Result<OwnedFd> {
        const NAME: &str = "file";
        let flags = MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let memory = filesystem("tmpfs", &[("mode", "700")], flags)?;
        write_bytes(&memory, NAME, &content.0)?;
        for (owner, group) in [(Some(Uid::from_raw(uid)), None), (None, Some(Gid::from_raw(gid)))] {
            match rustix::fs::chownat(&memory, NAME, owner, group, AtFlags::empty()) {
                Err(Errno::INVAL | Errno::PERM) => {
                    self.note(&format!("a mounted file is root's, for {uid}:{gid} does not exist here"));
                }
                result => result?,
            }
        }
        rustix::fs::chmodat(&memory, NAME, Mode::from_raw_mode(mode), AtFlags::empty())?;
        // Kernels before 6.15 do not clone what is attached nowhere.
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(&memory, "", CWD, &self.staging, flags)?;
        let file = rustix::fs::openat(&memory, NAME, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let file = file.and_then(clone_tree);
        rustix::mount::unmount(&self.staging, UnmountFlags::DETACH)?;
        file
    }

    /// A part of another tree, detached.
    fn subtree(
        &self,
        lower: &[PathBuf],
        path: &str,
        upper: Option<&(PathBuf, PathBuf)>,
    ) -> Result<OwnedFd, Fault> {
        let what = || format!("open {path} in the tree to be mounted");
        let part =
            |root: &OwnedFd| clone_tree(open_inside(root, &plain(path)).or_fault(what)?).or_fault(what);
        let tree = match (lower, upper) {
            // An overlay without upper directory needs two layers.
            ([only], None) => part(&open_directory(only)?)?,
            _ => {
                let writable = upper.map(|(upper, work)| (upper.as_path(), work.as_path()));
                let layers = Layers::open(with_stubs(lower, &[]), writable)?;
                let root = layers.mount(&self.staging)?;
                let part = part(&root);
                rustix::mount::unmount(&self.staging, UnmountFlags::DETACH).or_fault(what)?;
                part?
            }
        };
        sys::set_mount_attributes(tree.as_fd(), attr::NODEV).or_fault(what)?;
        Ok(tree)
    }
}

use std::os::unix::ffi::OsStrExt;

fn open_inside(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// A detached copy of the mounts from a place on.
pub(super) fn clone_tree(place: OwnedFd) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(&place, "", flags | OpenTreeFlags::AT_EMPTY_PATH)
}

/// A new file system, detached.
pub(super) fn filesystem(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&context, "source", kind)?;
    for (name, value) in options {
        rustix::mount::fsconfig_set_string(&context, *name, *value)?;
    }
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Makes a file in a directory that is ours.
pub(super) fn write_file(directory: &OwnedFd, name: &str, text: &str) -> rustix::io::Result<()> {
    write_bytes(directory, name, text.as_bytes())
}

fn write_bytes(directory: &OwnedFd, name: &str, bytes: &[u8]) -> rustix::io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o644))?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// Removes a file of a directory that is ours.
pub(super) fn remove_file(directory: &OwnedFd, name: &str) {
    let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
}
