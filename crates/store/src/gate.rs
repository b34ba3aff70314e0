//! The gate between those who take things and the one who throws things away.
//!
//! Taking an object means: name it in the lease, then see whether it is there. Throwing away means: read all leases,
//! then unlink what none names. Each is one critical section, of microseconds for the many (shared) and of the unlink
//! calls for the one (exclusive); nobody holds the gate while working. So a prune runs beside builds.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Context, Result};

/// The lock file of a store.
#[derive(Debug)]
pub(crate) struct Gate {
    path: PathBuf,
    takers: Mutex<Takers>,
}

/// The threads of this process that take something. They share one lock: a build takes some thousand things.
#[derive(Debug, Default)]
struct Takers {
    count: usize,
    /// Open from the first time on, locked while somebody takes something.
    file: Option<File>,
}

/// Proof that nothing is thrown away while this lives.
pub(crate) struct Taking<'a> {
    gate: &'a Gate,
}

/// Proof that nothing is taken or published while this lives.
pub(crate) struct Discarding {
    _file: File,
}

impl Gate {
    pub(crate) fn new(path: PathBuf) -> Gate {
        Gate { path, takers: Mutex::default() }
    }

    pub(crate) fn take(&self) -> Result<Taking<'_>> {
        let mut takers = self.takers();
        if takers.count == 0 {
            let file = match takers.file.take() {
                Some(file) => file,
                None => self.open()?,
            };
            uninterrupted(|| file.lock_shared()).context("lock", &self.path)?;
            takers.file = Some(file);
        }
        takers.count += 1;
        Ok(Taking { gate: self })
    }

    /// A lock belongs to an open file, so that who discards opens its own: it waits for the takers of this process too.
    pub(crate) fn discard(&self) -> Result<Discarding> {
        let file = self.open()?;
        uninterrupted(|| file.lock()).context("lock", &self.path)?;
        Ok(Discarding { _file: file })
    }

    fn open(&self) -> Result<File> {
        File::options().create(true).truncate(false).write(true).open(&self.path).context("open", &self.path)
    }

    fn takers(&self) -> MutexGuard<'_, Takers> {
        self.takers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        let mut takers = self.gate.takers();
        takers.count -= 1;
        if takers.count == 0 && takers.file.as_ref().is_some_and(|file| file.unlock().is_err()) {
            // Closed, it is free in any case.
            takers.file = None;
        }
    }
}

/// Repeats a system call that a signal interrupted.
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_discarded_before_the_last_taker_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let gate = Gate::new(folder.path().join("lock"));
        let other = Gate::new(folder.path().join("lock")).open().unwrap();
        for _ in 0..2 {
            let (first, second) = (gate.take().unwrap(), gate.take().unwrap());
            drop(first);
            assert!(other.try_lock().is_err());
            drop(second);
            other.try_lock().unwrap();
            other.unlock().unwrap();
        }
    }
}
