//! Downloads that can be interrupted, resumed, and waited for.
//!
//! The file `partial/<digest>` is locked by whoever downloads. It becomes the blob by a rename, so that a second one
//! that waited for the lock finds the name gone and looks for the blob.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jettison_image::{Digest, Digester};

use crate::Store;
use crate::error::{Context, Error, Result};
use crate::files;
use crate::gate::uninterrupted;
use crate::object::Object;

/// What there is to do for a blob.
#[derive(Debug)]
pub enum Download {
    /// Nothing: it is in the store.
    Present,
    /// The rest of it.
    Needed(Partial),
}

/// A blob of known digest that is being downloaded, by nobody else. Dropped, it stays for the next attempt.
pub struct Partial {
    store: Store,
    digest: Digest,
    path: PathBuf,
    file: File,
    offset: u64,
    digester: Digester,
}

impl std::fmt::Debug for Partial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partial")
            .field("digest", &self.digest)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// How often a wait for another's download looks whether that has ended, or whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(50);

pub(crate) fn begin(store: &Store, digest: &Digest, stopped: &dyn Fn() -> bool) -> Result<Option<Download>> {
    let path = store.inner.layout.partial(digest);
    loop {
        if store.blobs().has(digest)? {
            return Ok(Some(Download::Present));
        }
        let file = File::options().read(true).create(true).append(true).open(&path).context("open", &path)?;
        if !lock(&file, &path, stopped)? {
            return Ok(None);
        }
        // While this waited, the file may have become the blob or have been removed.
        if is_still(&path, &file)? {
            let mut partial = Partial {
                store: store.clone(),
                digest: *digest,
                path,
                file,
                offset: 0,
                digester: Digester::new(),
            };
            partial.hash_what_is_there()?;
            return Ok(Some(Download::Needed(partial)));
        }
    }
}

/// Waits for the lock; false if it is to stop first.
fn lock(file: &File, path: &Path, stopped: &dyn Fn() -> bool) -> Result<bool> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if stopped() => return Ok(false),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PATIENCE),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", path, error)),
        }
    }
}

/// Tells whether `path` still names `file`.
fn is_still(path: &Path, file: &File) -> Result<bool> {
    let mine = file.metadata().context("read", path)?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (mine.dev(), mine.ino())),
        Err(error) if files::is_absent(&error) => Ok(false),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

impl Partial {
    /// Returns the number of bytes that are there, where the download goes on.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the state of the digest over the bytes that are there.
    pub fn digester(&self) -> &Digester {
        &self.digester
    }

    /// Returns the file to which the bytes are added, for readers that follow.
    pub fn file(&self) -> Result<File> {
        self.file.try_clone().context("open", &self.path)
    }

    /// Throws away the bytes that are there: the server starts from the beginning, or they were wrong.
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).context("truncate", &self.path)?;
        self.offset = 0;
        self.digester = Digester::new();
        Ok(())
    }

    /// Verifies the blob, gives it its name, and returns its length in bytes.
    ///
    /// Wrong bytes are thrown away, so that another attempt starts from the beginning.
    pub fn commit(mut self) -> Result<u64> {
        let found = self.digester.clone().finish();
        if found != self.digest {
            self.restart()?;
            return Err(Error::Digest { what: "the download".to_owned(), expected: self.digest, found });
        }
        let path = self.store.inner.layout.blob(&self.digest);
        let object = Object::Blob(self.digest);
        self.store.inner.publish(&object, || fs::rename(&self.path, &path).context("write", &path))?;
        self.store.grow(self.offset);
        Ok(self.offset)
    }

    fn hash_what_is_there(&mut self) -> Result<()> {
        self.file.seek(SeekFrom::Start(0)).context("read", &self.path)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = uninterrupted(|| self.file.read(&mut buffer)).context("read", &self.path)?;
            if read == 0 {
                return Ok(());
            }
            self.digester.update(&buffer[..read]);
            self.offset += read as u64;
        }
    }
}

impl Write for Partial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digester.update(&bytes[..written]);
        self.offset += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // An empty file is no head start. It is locked by us, so nobody else counts on it.
        if self.offset == 0 && is_still(&self.path, &self.file).unwrap_or(false) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
