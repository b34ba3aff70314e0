//! Mount points that a root file system lacks: made for a command, gone after it, and never part of a layer.
//!
//! An overlay gets one more layer below all others that holds them, so that its upper directory stays untouched. What
//! the layers above hide from view (a whiteout, a symlink) and what a plain directory lacks is made in place (see
//! `mounts`), and removed again by the helper through the [`wire::Stub`](super::wire::Stub) records.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{AtFlags, FileType, Timespec, Timestamps};

use super::wire::Stub;
use crate::error::{Fault, OrFault};
use crate::spec::{MountSource, Root, Spec};

/// What every root file system needs: directories, then files.
const DIRECTORIES: [&str; 3] = ["proc", "sys", "dev"];
const FILES: [&str; 2] = ["etc/hosts", "etc/resolv.conf"];

/// The layer of fixed mount points that all steps of this process share.
static SHARED: OnceLock<PathBuf> = OnceLock::new();

/// Makes `directory`, on the file system of the overlays to come, the layer that holds the mount points every root file
/// system needs; it stays as it is for the next build. Without this each step makes and removes what its root lacks,
/// which on a busy ext4 takes longer than all the rest. To be called after [`crate::enter`]; a second call does nothing,
/// whatever its directory: steps may be using the first one.
///
/// # Errors
///
/// The directory cannot be made.
pub fn share_mount_points(directory: &Path) -> io::Result<()> {
    if SHARED.get().is_some() {
        return Ok(());
    }
    for name in DIRECTORIES {
        fs::create_dir_all(directory.join(name))?;
    }
    for name in FILES {
        let path = directory.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        OpenOptions::new().create(true).append(true).open(path)?;
    }
    // Another thread may have been faster.
    let _ = SHARED.set(directory.to_owned());
    Ok(())
}

/// The shared layer, if it can be one of this root: layers on several file systems would show several device numbers.
pub(super) fn shared_for(root: &Root) -> Option<PathBuf> {
    let Root::Overlay { work, .. } = root else { return None };
    let shared = SHARED.get()?;
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    (device(shared)? == device(work)?).then(|| shared.clone())
}

/// The lowest layer of a step's overlay. Removed when dropped.
pub(super) struct StubLayer(PathBuf);

impl StubLayer {
    /// Makes the layer beside the overlay's work directory; none for a plain directory, or where nothing is missing.
    pub(super) fn make(spec: &Spec, shared: Option<&Path>) -> Result<Option<Self>, Fault> {
        let Root::Overlay { work, lower, .. } = &spec.root else { return Ok(None) };
        let layers: Vec<&Path> = shared.into_iter().chain(lower.iter().map(PathBuf::as_path)).collect();
        let missing = missing(spec, &layers);
        // An overlay needs one layer below the upper directory.
        if missing.is_empty() && !layers.is_empty() {
            return Ok(None);
        }
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
        layer.fill(&missing).or_fault(what)?;
        Ok(Some(layer))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn fill(&self, missing: &[(PathBuf, bool)]) -> io::Result<()> {
        for (path, directory) in missing {
            let path = self.0.join(path);
            if *directory {
                fs::create_dir_all(&path)?;
                continue;
            }
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, "")?;
        }
        Ok(())
    }
}

/// The mount points, and whether each is a directory, that no layer has. That a layer has one does not mean that it
/// can be seen; then it is made in place.
fn missing(spec: &Spec, layers: &[&Path]) -> Vec<(PathBuf, bool)> {
    let fixed = DIRECTORIES.map(|path| (path, true)).into_iter().chain(FILES.map(|path| (path, false)));
    let fixed = fixed.map(|(path, directory)| (PathBuf::from(path), directory));
    let asked = spec.mounts.iter().map(|mount| (plain(&mount.target), is_directory(&mount.source)));
    let absent =
        |(path, _): &(PathBuf, bool)| !layers.iter().any(|layer| layer.join(path).symlink_metadata().is_ok());
    fixed.chain(asked).filter(absent).collect()
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
        MountSource::Inside { directory, path } => {
            !directory.join(plain(path)).symlink_metadata().is_ok_and(|metadata| metadata.is_file())
        }
        MountSource::File { .. } => false,
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
