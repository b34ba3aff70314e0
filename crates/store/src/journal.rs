//! The journal of what may not be on disk yet.
//!
//! Objects are written without waiting for the disk. After a power cut their names could be there and their content
//! not. So before an object gets its name, an empty file with the object's name is made under this boot's ID; file
//! systems keep the order of such changes. One `syncfs` later the empty files go. Who finds some of another boot
//! removes the objects they name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};
use crate::files;
use crate::gate::{Gate, Taking};
use crate::object::Object;

/// The journal of the running boot.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
}

impl Journal {
    pub(crate) fn new(unsynced: &Path, boot: &str) -> Journal {
        Journal { folder: unsynced.join(boot) }
    }

    /// Notes that `object` is about to get its name. The gate is held until it has it, so that no sync in between takes
    /// the note away.
    pub(crate) fn note(&self, object: &Object, _gate: &Taking) -> Result<()> {
        let path = self.folder.join(object.to_string());
        match File::create(&path) {
            Ok(_) => Ok(()),
            Err(error) if files::is_absent(&error) => {
                files::make_folder(&self.folder)?;
                File::create(&path).map(drop).context("create", &path)
            }
            Err(error) => Err(Error::io("create", &path, error)),
        }
    }

    /// Waits until all that was noted, by any process, is on disk.
    pub(crate) fn sync(&self, gate: &Gate) -> Result<()> {
        let noted = {
            let _all_named = gate.discard()?;
            files::names(&self.folder)?
        };
        if noted.is_empty() {
            return Ok(());
        }
        let folder = File::open(&self.folder).context("open", &self.folder)?;
        rustix::fs::syncfs(&folder).context("sync the file system of", &self.folder)?;
        noted.iter().try_for_each(|name| files::remove_file(&self.folder.join(name)))
    }
}

/// Returns the objects noted in boots other than `boot`, with the folder of each such boot.
pub(crate) fn lost(unsynced: &Path, boots: &[String]) -> Result<Vec<(PathBuf, Vec<Object>)>> {
    let mut lost = Vec::new();
    for name in files::names(unsynced)? {
        if boots.contains(&name) {
            continue;
        }
        let folder = unsynced.join(&name);
        let objects = files::names(&folder)?.iter().filter_map(|name| name.parse().ok()).collect();
        lost.push((folder, objects));
    }
    Ok(lost)
}

/// Returns the kernel's ID of this boot. Where /proc is hidden all boots are one, and a power cut goes unnoticed.
pub(crate) fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let id: String = text.trim().chars().filter(|c| c.is_ascii_hexdigit() || *c == '-').collect();
    if id.is_empty() { "unknown".to_owned() } else { id }
}
