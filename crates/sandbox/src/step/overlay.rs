//! Mounting overlays: with the new mount API, which has no limit on the length of a list of layers, or with mount(2).

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags};

use crate::error::{Fault, OrFault};
use crate::sys::path_of;

/// Options that make the upper directory a plain record of changes, whatever the kernel's defaults; `userxattr` is what
/// works without privilege, and is used by root as well, so that a store has one form. The first set that the kernel
/// takes is used: `userxattr` excludes some of the others on some kernels, which then have them off anyway.
/// (Documentation/filesystems/overlayfs.rst)
const OPTIONS: [&[(&str, Option<&str>)]; 3] = [
    &[
        ("userxattr", None),
        ("volatile", None),
        ("redirect_dir", Some("nofollow")),
        ("metacopy", Some("off")),
        ("index", Some("off")),
        ("xino", Some("off")),
    ],
    &[("userxattr", None), ("volatile", None), ("index", Some("off"))],
    &[("userxattr", None), ("index", Some("off"))],
];

/// The layers of an overlay, opened: their descriptors stand for them, so that no path is too long or holds a colon.
pub(crate) struct Layers {
    /// Highest first.
    lower: Vec<OwnedFd>,
    /// Upper and work.
    writable: Option<(OwnedFd, OwnedFd)>,
}

impl Layers {
    /// Opens directories; `lower` is lowest first.
    pub(crate) fn open<'a>(
        lower: impl DoubleEndedIterator<Item = &'a Path>,
        writable: Option<(&Path, &Path)>,
    ) -> Result<Self, Fault> {
        let lower = lower.rev().map(open_directory).collect::<Result<Vec<_>, _>>()?;
        let writable = match writable {
            Some((upper, work)) => Some((open_directory(upper)?, open_directory(work)?)),
            None => None,
        };
        Ok(Layers { lower, writable })
    }

    /// Mounts them over the directory `at`; gives the root of the merged tree.
    pub(crate) fn mount(&self, at: &Path) -> Result<OwnedFd, Fault> {
        let mut result = Ok(());
        for options in OPTIONS {
            // `volatile` is about writing; without an upper directory it is refused.
            let options: Vec<_> = options
                .iter()
                .filter(|(name, _)| self.writable.is_some() || *name != "volatile")
                .copied()
                .collect();
            result = self.mount_by_layer(at, &options);
            if matches!(&result, Err(error) if *error == rustix::io::Errno::INVAL || *error == rustix::io::Errno::NOSYS)
            {
                result = self.mount_by_line(at, &options);
            }
            match result {
                Err(rustix::io::Errno::INVAL) => {}
                _ => break,
            }
        }
        result
            .or_fault(|| format!("mount an overlay of {} layers over {}", self.lower.len(), at.display()))?;
        open_directory(at)
    }

    /// Linux 6.7 and later take one `lowerdir+` a layer.
    fn mount_by_layer(&self, at: &Path, options: &[(&str, Option<&str>)]) -> rustix::io::Result<()> {
        use rustix::mount::{fsconfig_create, fsconfig_set_flag, fsconfig_set_string};
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&context, "source", "overlay")?;
        for layer in &self.lower {
            fsconfig_set_string(&context, "lowerdir+", path_of(layer))?;
        }
        if let Some((upper, work)) = &self.writable {
            fsconfig_set_string(&context, "upperdir", path_of(upper))?;
            fsconfig_set_string(&context, "workdir", path_of(work))?;
        }
        for (name, value) in options {
            match value {
                Some(value) => fsconfig_set_string(&context, *name, *value)?,
                None => fsconfig_set_flag(&context, *name)?,
            }
        }
        fsconfig_create(&context)?;
        let mount = rustix::mount::fsmount(
            &context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::MOUNT_ATTR_NODEV,
        )?;
        rustix::mount::move_mount(&mount, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
    }

    /// Earlier ones take one line of at most a page: several hundred descriptors fit.
    fn mount_by_line(&self, at: &Path, options: &[(&str, Option<&str>)]) -> rustix::io::Result<()> {
        let mut line = options.iter().map(|(name, value)| option(name, *value)).collect::<Vec<_>>();
        // Relative to /proc/self/fd, a layer is three or four characters.
        let here = rustix::fs::open(".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let number = |fd: &OwnedFd| std::os::fd::AsRawFd::as_raw_fd(fd).to_string();
        let lower: Vec<String> = self.lower.iter().map(number).collect();
        line.push(option("lowerdir", Some(&lower.join(":"))));
        if let Some((upper, work)) = &self.writable {
            line.push(option("upperdir", Some(&number(upper))));
            line.push(option("workdir", Some(&number(work))));
        }
        let line = CString::new(line.join(",")).map_err(|_| rustix::io::Errno::INVAL)?;
        let at = std::path::absolute(at).map_err(|_| rustix::io::Errno::INVAL)?;
        rustix::process::chdir("/proc/self/fd")?;
        let result = rustix::mount::mount("overlay", &at, "overlay", MountFlags::NODEV, line.as_c_str());
        rustix::process::fchdir(&here)?;
        result
    }
}

fn option(name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{name}={value}"),
        None => name.to_owned(),
    }
}

/// Opens a directory as a place, following what is mounted on it.
pub(super) fn open_directory(path: &Path) -> Result<OwnedFd, Fault> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).or_fault(|| format!("open {}", path.display()))
}

/// The list of lower directories of a root, with the layers of mount points below them.
pub(super) fn with_stubs<'a>(
    lower: &'a [PathBuf],
    stubs: &'a [PathBuf],
) -> impl DoubleEndedIterator<Item = &'a Path> {
    stubs.iter().chain(lower).map(PathBuf::as_path)
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
