//! Reading a tar into an index, with or without unpacking it on the way.

use std::io::{self, Read};

use jettison_image::Digester;

use crate::listing::Lister;
use crate::tar::{Header, Segment, TarReader};
use crate::{Entry, Error, Index, Kind};

/// Entries of one tar. The largest layers seen in the wild have some hundred thousand.
const MAX_ENTRIES: u64 = 2_000_000;

/// Bytes of names and attributes in one tar, which we hold in memory.
const MAX_METADATA: u64 = 512 << 20;

/// What a tar listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Its entries. Directories that it only uses are not among them, unless they are opaque.
    pub index: Index,
    /// The directories that it uses without listing them.
    pub implied: Vec<Vec<u8>>,
}

/// Takes what a tar holds as it is read, in the order of the tar.
///
/// Paths are clean and free of symbolic links of the same tar; the parent of each is an earlier entry, or was implied.
pub trait Sink {
    /// An entry. Of a file, `content` is its content, which need not be read; of all else it is empty. A directory may
    /// come again with other attributes.
    fn entry(&mut self, entry: &Entry, content: &mut FileContent<'_>) -> Result<(), Error>;

    /// A directory that is used before, or without, being listed.
    fn imply(&mut self, path: &[u8]) -> Result<(), Error>;

    /// A directory that came before turned out to be opaque.
    fn make_opaque(&mut self, path: &[u8]) -> Result<(), Error>;

    /// An earlier entry, and all below it, is replaced by one that comes next.
    fn remove(&mut self, path: &[u8]) -> Result<(), Error>;
}

/// Takes nothing: for listing alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

impl Sink for NoSink {
    fn entry(&mut self, _: &Entry, _: &mut FileContent<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn imply(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn make_opaque(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn remove(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}

/// The content of one file as the tar is read.
pub struct FileContent<'a> {
    reader: &'a mut dyn Read,
    digester: Option<Digester>,
    pub(crate) start: u64,
    pub(crate) segments: Vec<Segment>,
}

impl<'a> FileContent<'a> {
    pub(crate) fn empty(reader: &'a mut io::Empty) -> FileContent<'a> {
        FileContent { reader, digester: None, start: 0, segments: Vec::new() }
    }
}

impl Read for FileContent<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if let Some(digester) = &mut self.digester {
            digester.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// How names of a tar are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// An image layer: `.wh.` names are whiteouts.
    Layer,
    /// An archive that ADD unpacks: all names are files, and its own root says nothing about where it is unpacked.
    Archive,
}

/// Reads an uncompressed layer tar to its very end, taking the digests of files as they pass, and hands its entries to
/// `sink`.
///
/// Hostile input is refused with an error: names that lead out, overlayfs attributes, more entries or longer headers
/// than the limits.
pub fn read_layer(reader: &mut dyn Read, sink: &mut dyn Sink) -> Result<Listing, Error> {
    list(&mut TarReader::new(reader), Rules::Layer, true, sink)
}

pub(crate) fn list<R: Read>(
    tar: &mut TarReader<R>,
    rules: Rules,
    digests: bool,
    sink: &mut dyn Sink,
) -> Result<Listing, Error> {
    let mut lister = Lister::new(rules);
    let (mut count, mut metadata) = (0, 0);
    while let Some(header) = tar.next()? {
        count += 1;
        metadata += metadata_size(&header);
        check_limit("entries", count, MAX_ENTRIES)?;
        check_limit("bytes of names and attributes", metadata, MAX_METADATA)?;
        let Some(mut entry) = lister.entry(header, sink)? else { continue };
        if matches!(entry.kind, Kind::File { .. }) {
            let (start, segments) = tar.location();
            let digester = digests.then(Digester::new);
            deliver(&mut entry, FileContent { reader: tar, digester, start, segments }, sink)?;
        } else {
            sink.entry(&entry, &mut FileContent::empty(&mut io::empty()))?;
        }
        lister.insert(entry);
    }
    tar.drain()?;
    Ok(lister.finish())
}

/// Hands a file to `sink`; its digest is known once all of its content has passed.
fn deliver(entry: &mut Entry, mut content: FileContent<'_>, sink: &mut dyn Sink) -> Result<(), Error> {
    sink.entry(entry, &mut content)?;
    if content.digester.is_some() {
        io::copy(&mut content, &mut io::sink()).map_err(Error::Input)?;
    }
    if let (Kind::File { digest, .. }, Some(digester)) = (&mut entry.kind, content.digester) {
        *digest = Some(digester.finish());
    }
    Ok(())
}

fn metadata_size(header: &Header) -> u64 {
    let xattrs: usize = header.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
    (header.name.len() + header.link.len() + xattrs) as u64
}

fn check_limit(what: &'static str, count: u64, limit: u64) -> Result<(), Error> {
    if count > limit { Err(Error::Limit { what, limit }) } else { Ok(()) }
}
