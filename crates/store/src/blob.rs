//! Blobs: files named by the digest of their bytes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use jettison_image::{Digest, HashingWriter};

use crate::Store;
use crate::error::{Context, Error, Result};
use crate::files;
use crate::object::Object;
use crate::partial::{self, Download};

/// The blobs of a store.
#[derive(Debug, Clone)]
pub struct Blobs {
    store: Store,
}

impl Blobs {
    pub(crate) fn new(store: Store) -> Blobs {
        Blobs { store }
    }

    /// Tells whether the blob is there, and keeps it there.
    pub fn has(&self, digest: &Digest) -> Result<bool> {
        Ok(self.size(digest)?.is_some())
    }

    /// Returns the blob's length in bytes and keeps it there, or `None` where there is no such blob.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        let gate = self.store.inner.gate.take()?;
        self.store.inner.hold(&Object::Blob(*digest), &gate)?;
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if files::is_absent(&error) => Ok(None),
            Err(error) => Err(Error::io("read", &path, error)),
        }
    }

    /// Opens the blob and keeps it there.
    pub fn open(&self, digest: &Digest) -> Result<File> {
        if !self.has(digest)? {
            return Err(Error::NoSuchBlob(*digest));
        }
        let path = self.path(digest);
        File::open(&path).context("open", &path)
    }

    /// Returns where the blob is, if it is there: ask [`Blobs::has`] first, which also keeps it there.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.store.inner.layout.blob(digest)
    }

    /// Reads a blob of at most `limit` bytes into memory and verifies it.
    pub fn read_small(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let path = self.path(digest);
        self.open(digest)?.take(limit + 1).read_to_end(&mut bytes).context("read", &path)?;
        if bytes.len() as u64 > limit {
            return Err(Error::TooLarge { path, limit });
        }
        match Digest::of(&bytes) {
            found if found == *digest => Ok(bytes),
            found => Err(Error::Digest { what: path.display().to_string(), expected: *digest, found }),
        }
    }

    /// Starts a new blob whose digest need not be known yet.
    pub fn writer(&self) -> Result<BlobWriter> {
        let path = self.store.inner.temporary()?;
        let file = File::create_new(&path).context("create", &path)?;
        Ok(BlobWriter {
            writer: Some(HashingWriter::new(file)),
            temporary: Temporary(path),
            store: self.store.clone(),
        })
    }

    /// Stores `bytes`, unless they are there, and returns their digest.
    pub fn write(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.has(&digest)? {
            return Ok(digest);
        }
        let mut writer = self.writer()?;
        writer.write_all(bytes).context("write", &writer.temporary.0)?;
        Ok(writer.commit(None)?.0)
    }

    /// Starts or resumes the download of a blob.
    ///
    /// Where another process or thread is downloading the same blob, this waits until it ends.
    pub fn partial(&self, digest: &Digest) -> Result<Download> {
        loop {
            if let Some(download) = self.partial_unless(digest, &|| false)? {
                return Ok(download);
            }
        }
    }

    /// Starts or resumes the download of a blob as [`Blobs::partial`] does, but stops waiting for others, with `None`, once
    /// `stopped` says so.
    pub fn partial_unless(&self, digest: &Digest, stopped: &dyn Fn() -> bool) -> Result<Option<Download>> {
        partial::begin(&self.store, digest, stopped)
    }
}

/// A blob being written. Dropped without [`BlobWriter::commit`], it leaves nothing behind.
pub struct BlobWriter {
    /// There until `commit`.
    writer: Option<HashingWriter<File>>,
    temporary: Temporary,
    store: Store,
}

impl BlobWriter {
    /// Gives the blob its name and returns its digest and length in bytes. With `expected`, another digest is an error.
    pub fn commit(mut self, expected: Option<Digest>) -> Result<(Digest, u64)> {
        let writer = self.writer.take().expect("only commit takes the writer, and it takes self");
        let (_file, digest, size) = writer.finish();
        if let Some(expected) = expected
            && expected != digest
        {
            return Err(Error::Digest { what: "the blob".to_owned(), expected, found: digest });
        }
        let (temporary, path) = (&self.temporary.0, self.store.inner.layout.blob(&digest));
        self.store
            .inner
            .publish(&Object::Blob(digest), || fs::rename(temporary, &path).context("write", &path))?;
        self.store.grow(size);
        Ok((digest, size))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.as_mut().expect("only commit takes the writer, and it takes self").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that goes with its owner; that it was renamed meanwhile does no harm.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
