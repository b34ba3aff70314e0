//! Removing files and whole trees.

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::descent::Descent;
use crate::{Dir, FileKind, Result};

impl Dir {
    /// Removes `name`, which is no directory.
    pub fn remove_file(&self, name: &[u8]) -> Result<()> {
        self.check_name("remove", name)?;
        rustix::fs::unlinkat(self, name, AtFlags::empty()).map_err(|errno| self.error("remove", name, errno))
    }

    /// Removes `name`, an empty directory.
    pub fn remove_dir(&self, name: &[u8]) -> Result<()> {
        self.check_name("remove directory", name)?;
        rustix::fs::unlinkat(self, name, AtFlags::REMOVEDIR)
            .map_err(|errno| self.error("remove directory", name, errno))
    }

    /// Removes `name` and all that is in it, whatever the modes, however deep; nothing there is fine. Symbolic links
    /// are removed, not followed.
    pub fn remove_tree(&self, name: &[u8]) -> Result<()> {
        match self.remove_file(name) {
            Err(error) if is(&error, Errno::ISDIR) || is(&error, Errno::PERM) => {}
            Err(error) if error.is_not_found() => return Ok(()),
            result => return result,
        }
        self.open_for_removal(name)?.remove_contents()?;
        self.remove_dir(name)
    }

    /// Removes all that is in this directory, but not the directory.
    pub fn remove_contents(&self) -> Result<()> {
        let mut descent = Descent::new(self.try_clone()?)?;
        let mut names: Vec<Vec<u8>> = Vec::new();
        loop {
            let Some((entry, dir, _)) = descent.next() else {
                if !descent.pop()? {
                    return Ok(());
                }
                if let (Some(dir), Some(name)) = (descent.dir(), names.pop()) {
                    dir.remove_dir(&name)?;
                }
                continue;
            };
            if entry.kind != Some(FileKind::Directory) {
                match dir.remove_file(&entry.name) {
                    Err(error) if is(&error, Errno::ISDIR) => {}
                    result => {
                        result?;
                        continue;
                    }
                }
            }
            let child = dir.open_for_removal(&entry.name)?;
            names.push(entry.name);
            descent.push(child, 0)?;
        }
    }

    /// Opens a directory that we own but whose mode may shut us out.
    fn open_for_removal(&self, name: &[u8]) -> Result<Dir> {
        const NEEDED: u32 = 0o700;
        match self.metadata(name) {
            Ok(metadata) if metadata.kind == FileKind::Directory && metadata.mode & NEEDED != NEEDED => {
                // Root needs no bits, and may not own it: opening says whether it mattered.
                let _ = self.set_mode(name, NEEDED);
            }
            _ => {}
        }
        self.open_dir(name)
    }
}

fn is(error: &crate::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}
