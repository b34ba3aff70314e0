//! A session: what one running process holds and has begun.
//!
//! Its folder has a lease file, locked for as long as the process lives, that names every object the process uses, and
//! the process's temporary files and drafts. When the lock is free, the process is gone and the whole folder is
//! garbage: nothing a `kill -9` leaves behind needs any other care.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Context, Error, Result};
use crate::files;
use crate::gate::{Discarding, Taking};
use crate::object::Object;

/// The largest lease that is read, in bytes: some hundred thousand objects.
const MAX_LEASE: u64 = 64 << 20;

/// This process's session.
#[derive(Debug)]
pub(crate) struct Session {
    folder: PathBuf,
    lease: Mutex<Lease>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Lease {
    file: File,
    held: HashSet<Object>,
}

impl Session {
    /// Starts a session. The gate keeps others from taking a folder without a locked lease for garbage.
    pub(crate) fn start(sessions: &Path, boot: &str, _gate: &Taking<'_>) -> Result<Session> {
        let folder = sessions.join(unique_name());
        fs::create_dir(&folder).context("create", &folder)?;
        let path = lease_path(&folder);
        let mut file = File::options().create_new(true).append(true).open(&path).context("create", &path)?;
        file.try_lock().map_err(std::io::Error::from).context("lock", &path)?;
        writeln!(file, "boot.{boot}").context("write", &path)?;
        Ok(Session {
            folder,
            lease: Mutex::new(Lease { file, held: HashSet::new() }),
            next: AtomicU64::new(0),
        })
    }

    /// Names `object` in the lease: it will not be thrown away while this process lives.
    pub(crate) fn hold(&self, object: &Object, _gate: &Taking<'_>) -> Result<()> {
        let mut lease = self.lease.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if lease.held.contains(object) {
            return Ok(());
        }
        let line = format!("{object}\n");
        lease.file.write_all(line.as_bytes()).context("write", &lease_path(&self.folder))?;
        lease.held.insert(object.clone());
        Ok(())
    }

    /// Returns a path in this session's folder that nobody has used.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.folder.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What stays, because a step left it or because of an error, goes when the next process finds the lock free.
        let _ = fs::remove_file(lease_path(&self.folder)).and_then(|()| fs::remove_dir(&self.folder));
    }
}

/// A session as another process sees it.
pub(crate) enum Seen {
    /// Its process lives.
    Live {
        /// The boot in which it runs.
        boot: String,
        /// What it holds.
        objects: Vec<Object>,
    },
    /// Its process is gone; the folder may go too.
    Stale(PathBuf),
}

/// Looks at all sessions, while the gate keeps them from changing.
pub(crate) fn survey(sessions: &Path, _gate: &Discarding) -> Result<Vec<Seen>> {
    let folders = files::names(sessions)?.into_iter().map(|name| sessions.join(name));
    folders.map(look).collect()
}

fn look(folder: PathBuf) -> Result<Seen> {
    let path = lease_path(&folder);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if files::is_absent(&error) => return Ok(Seen::Stale(folder)),
        Err(error) => return Err(Error::io("open", &path, error)),
    };
    match file.try_lock_shared() {
        Ok(()) => return Ok(Seen::Stale(folder)),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path, error)),
    }
    let bytes = files::read_if_there(&path, MAX_LEASE)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let boot = text.lines().find_map(|line| line.strip_prefix("boot.")).unwrap_or_default().to_owned();
    let objects = text.lines().filter_map(|line| line.parse().ok()).collect();
    Ok(Seen::Live { boot, objects })
}

fn lease_path(folder: &Path) -> PathBuf {
    folder.join("lease")
}

/// Returns 32 random hex digits.
pub(crate) fn unique_name() -> String {
    crate::LayerId::random().as_str().to_owned()
}

/// Removes a tree whatever its owners, modes and depth; that it is gone already is no error.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    let removed = jettison_fs::Dir::open(parent).and_then(|parent| parent.remove_tree(name.as_bytes()));
    match removed {
        // Two processes may be removing the same garbage.
        Err(error) if error.is_not_found() => Ok(()),
        result => result.map_err(Error::from),
    }
}
