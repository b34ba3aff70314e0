//! The gate between those who take things and the one who throws things away.
//!
//! Taking an object means: name it in the lease, then see whether it is there. Throwing away means: read all leases,
//! then unlink what none names. Each is one critical section, of microseconds for the many (shared) and of the unlink
//! calls for the one (exclusive); nobody holds the gate while working. So a prune runs beside builds.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::error::{Context, Result};

/// The lock file of a store.
#[derive(Debug)]
pub(crate) struct Gate {
    path: PathBuf,
}

/// Proof that nothing is thrown away while this lives.
pub(crate) struct Taking {
    _file: File,
}

/// Proof that nothing is taken or published while this lives.
pub(crate) struct Discarding {
    _file: File,
}

impl Gate {
    pub(crate) fn new(path: PathBuf) -> Gate {
        Gate { path }
    }

    pub(crate) fn take(&self) -> Result<Taking> {
        let file = self.open()?;
        uninterrupted(|| file.lock_shared()).context("lock", &self.path)?;
        Ok(Taking { _file: file })
    }

    pub(crate) fn discard(&self) -> Result<Discarding> {
        let file = self.open()?;
        uninterrupted(|| file.lock()).context("lock", &self.path)?;
        Ok(Discarding { _file: file })
    }

    /// A lock belongs to an open file, so that each holder opens its own: threads then exclude each other as processes
    /// do.
    fn open(&self) -> Result<File> {
        File::options().create(true).truncate(false).write(true).open(&self.path).context("open", &self.path)
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
