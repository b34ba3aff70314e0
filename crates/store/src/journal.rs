//! The journal of what may not be on disk yet.
//!
//! Objects are written without waiting for the disk. After a power cut their names could be there and their content
//! not. So before an object gets its name, an empty file with the object's name is made under this boot's ID; file
//! systems keep the order of such changes. One `syncfs` later the empty files go. Who finds some of another boot
//! removes the objects they name.
//!
//! All are links to one file: a new one for each object would be the dearest part of making a small layer on ext4.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};
use crate::files;
use crate::gate::{Gate, Taking};
use crate::object::Object;

/// The file that notes are links to. No object has such a name.
const ANCHOR: &str = "note";

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
    pub(crate) fn note(&self, object: &Object, _gate: &Taking<'_>) -> Result<()> {
        let path = self.folder.join(object.to_string());
        match fs::hard_link(self.folder.join(ANCHOR), &path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // The first of this boot, or as many links as a file can have.
            Err(_) => {
                files::make_folder(&self.folder)?;
                File::create(self.folder.join(ANCHOR)).context("create", &self.folder)?;
                File::create(&path).map(drop).context("create", &path)
            }
        }
    }

    /// Waits until all that was noted, by any process, is on disk.
    pub(crate) fn sync(&self, gate: &Gate) -> Result<()> {
        let noted = {
            let _all_named = gate.discard()?;
            let mut noted = files::names(&self.folder)?;
            noted.retain(|name| name != ANCHOR);
            noted
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
