//! Mount points that a root file system lacks: made for a command, gone after it, and never part of a layer.
//!
//! An overlay gets one more layer below all others that holds them, so that its upper directory stays untouched. What
//! the layers above hide from view (a whiteout, a symlink) and what a plain directory lacks is made in place (see
//! `mounts`), and removed again by the helper through the [`wire::Stub`](super::wire::Stub) records.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Timespec, Timestamps};

use super::wire::Stub;
use crate::error::{Fault, OrFault};
use crate::spec::{Mount, MountSource, Root, Spec};

/// What every root file system needs: directories, then files.
const DIRECTORIES: [&str; 4] = ["proc", "sys", "dev", "etc"];
const FILES: [&str; 2] = ["etc/hosts", "etc/resolv.conf"];

/// The lowest layer of a step's overlay. Removed when dropped.
pub(super) struct StubLayer(PathBuf);

impl StubLayer {
    /// Makes the layer beside the overlay's work directory; none for a plain directory.
    pub(super) fn make(spec: &Spec) -> Result<Option<Self>, Fault> {
        let Root::Overlay { work, .. } = &spec.root else { return Ok(None) };
        // Beside, not inside: overlayfs refuses layers within its work directory.
        let mut name = work.file_name().unwrap_or_default().to_owned();
        name.push(".mount-points");
        let layer = StubLayer(work.with_file_name(name));
        let what = || format!("make the mount points in {}", layer.0.display());
        // One that a killed helper left is of no use to anybody.
        let made = match fs::create_dir(&layer.0) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir_all(&layer.0).and_then(|()| fs::create_dir(&layer.0))
            }
            result => result,
        };
        made.or_fault(what)?;
        layer.fill(&spec.mounts).or_fault(what)?;
        Ok(Some(layer))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn fill(&self, mounts: &[Mount]) -> io::Result<()> {
        for directory in DIRECTORIES {
            fs::create_dir(self.0.join(directory))?;
        }
        for file in FILES {
            fs::write(self.0.join(file), "")?;
        }
        for mount in mounts {
            let path = self.0.join(plain(&mount.target));
            match path.parent() {
                _ if is_directory(&mount.source) => fs::create_dir_all(&path)?,
                Some(parent) => {
                    fs::create_dir_all(parent)?;
                    fs::write(&path, "")?;
                }
                None => {}
            }
        }
        Ok(())
    }
}

impl Drop for StubLayer {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A path without its root and without `.` and `..`.
pub(super) fn plain(path: &str) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// Whether a mount needs a directory to be mounted on. What cannot be told yet is taken for one.
fn is_directory(source: &MountSource) -> bool {
    match source {
        MountSource::Bind(path) => path.is_dir(),
        MountSource::Tmpfs { .. } => true,
        MountSource::Overlay { lower, path, upper } => {
            let layers = upper.iter().map(|(upper, _)| upper).chain(lower.iter().rev());
            let found =
                layers.map(|layer| layer.join(plain(path))).find_map(|path| path.symlink_metadata().ok());
            found.is_none_or(|metadata| !metadata.is_file())
        }
    }
}

/// Removes a mount point that was made in `parent`, if the command left nothing in it, and hides that it was there.
pub(super) fn remove(stub: &Stub, parent: &OwnedFd) {
    let Ok(name) = CString::new(stub.name.as_bytes()) else { return };
    let removed = if stub.directory {
        rustix::fs::unlinkat(parent, &name, AtFlags::REMOVEDIR)
    } else {
        match rustix::fs::statat(parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if stat.st_size == 0 && FileType::from_raw_mode(stat.st_mode).is_file() => {
                rustix::fs::unlinkat(parent, &name, AtFlags::empty())
            }
            _ => return,
        }
    };
    if removed.is_err() {
        return;
    }
    let [access, modification] = stub.parent_times.map(|(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec });
    let times = Timestamps { last_access: access, last_modification: modification };
    let _ = rustix::fs::utimensat(rustix::fs::CWD, crate::sys::path_of(parent), &times, AtFlags::empty());
}
