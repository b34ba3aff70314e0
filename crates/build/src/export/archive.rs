//! The tar around blobs and documents: layouts and docker archives, always the same bytes for the same image.

use std::collections::HashSet;
use std::io::{self, Read, Write};

use jettison_image::{Descriptor, Digest, RawManifest};

use super::Context;
use super::error::{ExportError, Result};
use super::prepare::Prepared;
use super::watch::Watch;

/// Writes the members of an archive.
pub(super) struct ArchiveWriter<'a> {
    tar: tar::Builder<&'a mut dyn Write>,
    written: HashSet<Digest>,
}

impl<'a> ArchiveWriter<'a> {
    pub fn new(out: &'a mut dyn Write) -> ArchiveWriter<'a> {
        ArchiveWriter { tar: tar::Builder::new(out), written: HashSet::new() }
    }

    /// Writes the folders of the blobs.
    pub fn folders(&mut self) -> Result<()> {
        let folder = |name| header(name, tar::EntryType::Directory, 0o755, 0);
        for name in ["blobs/", "blobs/sha256/"] {
            self.tar.append(&folder(name)?, io::empty()).map_err(ExportError::Stream)?;
        }
        Ok(())
    }

    /// Writes all blobs of an image that no image before had.
    pub fn blobs(&mut self, image: &Prepared<'_>, context: Context<'_>) -> Result<()> {
        for layer in &image.layers {
            let opened = layer.open(context.store);
            let mut content = opened.map_err(|source| cannot_read(&layer.descriptor, source))?;
            self.blob(&layer.descriptor, content.as_mut(), context)?;
        }
        self.blob(&image.config_descriptor, &mut image.config.as_slice(), context)?;
        self.blob(&image.manifest.descriptor(), &mut image.manifest.bytes.as_slice(), context)
    }

    /// Writes a document.
    pub fn document(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let header = header(name, tar::EntryType::Regular, 0o644, bytes.len() as u64)?;
        self.tar.append(&header, bytes).map_err(ExportError::Stream)
    }

    /// Writes a manifest or index among the blobs, unless it is there.
    pub fn document_blob(&mut self, raw: &RawManifest) -> Result<()> {
        let descriptor = raw.descriptor();
        if !self.written.insert(descriptor.digest) {
            return Ok(());
        }
        self.document(&blob_name(&descriptor.digest), &raw.bytes)
    }

    /// Ends the archive.
    pub fn finish(mut self) -> Result<()> {
        self.tar.finish().map_err(ExportError::Stream)
    }

    fn blob(&mut self, descriptor: &Descriptor, content: &mut dyn Read, context: Context<'_>) -> Result<()> {
        if !self.written.insert(descriptor.digest) {
            return Ok(());
        }
        let name = blob_name(&descriptor.digest);
        let header = header(&name, tar::EntryType::Regular, 0o644, descriptor.size)?;
        let out = self.tar.get_mut();
        out.write_all(header.as_bytes()).map_err(ExportError::Stream)?;
        let mut watch = Watch::new(out, context, descriptor.digest.short(), Some(descriptor.size));
        copy(content, &mut watch, descriptor, context)?;
        let padding = descriptor.size.next_multiple_of(BLOCK) - descriptor.size;
        watch.finish().write_all(&[0; BLOCK as usize][..padding as usize]).map_err(ExportError::Stream)
    }
}

/// The unit of a tar, in bytes.
const BLOCK: u64 = 512;

fn header(name: &str, kind: tar::EntryType, mode: u32, size: u64) -> Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).map_err(ExportError::Stream)?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(header)
}

/// Copies exactly a blob's bytes. Its source is ours; its being shorter or longer means that the store is damaged.
pub(super) fn copy(
    content: &mut dyn Read,
    out: &mut dyn Write,
    descriptor: &Descriptor,
    context: Context<'_>,
) -> Result<()> {
    let mut buffer = vec![0; 256 << 10];
    let mut copied = 0;
    loop {
        let read = match content.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result.map_err(|source| cannot_read(descriptor, source))?,
        };
        if read == 0 {
            break;
        }
        copied += read as u64;
        if copied > descriptor.size {
            break;
        }
        let canceled = |error| {
            if context.cancel.is_cancelled() { ExportError::Canceled } else { ExportError::Stream(error) }
        };
        out.write_all(&buffer[..read]).map_err(canceled)?;
    }
    if copied == descriptor.size {
        return Ok(());
    }
    let why = format!("it is not the {} bytes long that its descriptor says", descriptor.size);
    Err(cannot_read(descriptor, io::Error::other(why)))
}

pub(super) fn cannot_read(descriptor: &Descriptor, source: io::Error) -> ExportError {
    ExportError::Blob { digest: descriptor.digest, source }
}

pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
