//! Reading members. What is accepted and what wins follows Go's `archive/tar`, because docker and containerd read with
//! it: another reading of the same bytes would be another image.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};

use jettison_fs::Timestamp;

use super::header::{self, Block, is_zero};
use super::sparse::{self, Region, Segment};
use super::{BLOCK, XATTR_PREFIX, pax};
use crate::Error;

/// Bytes of one PAX header or GNU long name. Go: `maxSpecialFileSize`.
const MAX_SPECIAL: u64 = 1 << 20;

/// All of a member but its content.
#[derive(Debug, Default)]
pub(crate) struct Header {
    /// Where its first block is.
    pub offset: u64,
    /// As written.
    pub name: Vec<u8>,
    /// Where a link points, as written.
    pub link: Vec<u8>,
    /// POSIX's or GNU's type flag; sparse files have `0`.
    pub type_flag: u8,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Of the content, holes included.
    pub size: u64,
    pub mtime: Timestamp,
    /// Major and minor number.
    pub device: (u32, u32),
    /// Sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads members one after the other; between two calls of [`TarReader::next`], reads the content of the last one.
pub(crate) struct TarReader<R> {
    inner: R,
    skip: fn(&mut R, u64) -> io::Result<()>,
    /// Bytes read so far.
    position: u64,
    /// What is left of the content.
    segments: VecDeque<Segment>,
    /// Bytes between the end of the content and the next header.
    padding: usize,
    /// Whether the input ended within padding: Go takes that for the end of the archive.
    ended: bool,
}

/// What extension headers said about the member that follows them.
#[derive(Default)]
struct Extensions {
    /// PAX records; of equal keys the last, but for the pairs of sparse form 0.0.
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    sparse_pairs: Vec<u64>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    pub fn new(inner: R) -> TarReader<R> {
        TarReader::with_skip(inner, |inner, count| {
            let skipped = io::copy(&mut inner.by_ref().take(count), &mut io::sink())?;
            if skipped < count { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
        })
    }

    /// Like [`TarReader::new`], with a faster way to pass over content.
    pub fn with_skip(inner: R, skip: fn(&mut R, u64) -> io::Result<()>) -> TarReader<R> {
        TarReader { inner, skip, position: 0, segments: VecDeque::new(), padding: 0, ended: false }
    }

    /// Returns the next member, or `None` at the end of the archive.
    pub fn next(&mut self) -> Result<Option<Header>, Error> {
        self.pass_content()?;
        let offset = self.position;
        let mut extensions = Extensions::default();
        loop {
            let at = self.position;
            let Some(block) = self.header_block()? else { return Ok(None) };
            let size = u64::try_from(header::number(header::field(&block, header::SIZE)).unwrap_or(-1));
            let size = size.map_err(|_| malformed("a size is not a number", at))?;
            match block[header::TYPE] {
                b'x' => extensions.set_records(&self.special(size, at)?, at)?,
                b'L' => extensions.long_name = Some(header::until_nul(&self.special(size, at)?).to_vec()),
                b'K' => extensions.long_link = Some(header::until_nul(&self.special(size, at)?).to_vec()),
                // Go hands global headers to its caller, and docker ignores them.
                b'g' => drop(self.special(size, at)?),
                _ => return self.member(&block, size, extensions, offset).map(Some),
            }
        }
    }

    /// Reads the rest of the input, which digests of the whole need.
    pub fn drain(&mut self) -> Result<(), Error> {
        io::copy(&mut self.inner, &mut io::sink()).map(drop).map_err(Error::Input)
    }

    /// Returns where the content of the last member starts, and its segments. Of use before any of it is read.
    pub fn location(&self) -> (u64, Vec<Segment>) {
        (self.position, self.segments.iter().copied().collect())
    }

    fn pass_content(&mut self) -> Result<(), Error> {
        let stored = self.segments.drain(..).map(|segment| match segment {
            Segment::Data(length) => length,
            Segment::Hole(_) => 0,
        });
        let count = stored.sum();
        (self.skip)(&mut self.inner, count).map_err(Error::Input)?;
        self.position += count;
        let mut padding = [0; BLOCK];
        let wanted = std::mem::take(&mut self.padding);
        self.ended |= self.fill(&mut padding[..wanted])? < wanted;
        Ok(())
    }

    /// Reads a header; `None` where the archive ends, with two zero blocks or, as Go tolerates, with none or one.
    fn header_block(&mut self) -> Result<Option<Block>, Error> {
        let at = self.position;
        let Some(block) = self.block()? else { return Ok(None) };
        if is_zero(&block) {
            return match self.block()? {
                Some(second) if !is_zero(&second) => Err(malformed("one zero block stands alone", at)),
                _ => Ok(None),
            };
        }
        if !header::is_sealed(&block) {
            return Err(malformed("a header has a wrong checksum", at));
        }
        Ok(Some(block))
    }

    /// Reads a block; `None` where the input ends before it.
    fn block(&mut self) -> Result<Option<Block>, Error> {
        let mut block = [0; BLOCK];
        match self.fill(&mut block)? {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ => Err(Error::Input(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Fills a buffer as far as the input goes.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while filled < buffer.len() && !self.ended {
            match self.inner.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Input(error)),
            }
        }
        self.position += filled as u64;
        Ok(filled)
    }

    /// Reads the content of an extension header.
    fn special(&mut self, size: u64, at: u64) -> Result<Vec<u8>, Error> {
        if size > MAX_SPECIAL {
            return Err(malformed("an extended header is longer than 1 MiB", at));
        }
        self.set_content(vec![Segment::Data(size)], size);
        let mut content = Vec::new();
        self.read_to_end(&mut content).map_err(Error::Input)?;
        self.pass_content()?;
        Ok(content)
    }

    fn set_content(&mut self, segments: Vec<Segment>, stored: u64) {
        self.segments = segments.into();
        self.padding = (stored.wrapping_neg() % BLOCK as u64) as usize;
    }

    fn member(
        &mut self,
        block: &Block,
        size: u64,
        extensions: Extensions,
        offset: u64,
    ) -> Result<Header, Error> {
        let mut header = from_block(block, offset, &extensions)?;
        header.size = size;
        merge(&mut header, &extensions)?;
        // These have no content, whatever their size says. Go: `isHeaderOnly`.
        if matches!(header.type_flag, b'1'..=b'6') {
            header.size = 0;
            self.set_content(Vec::new(), 0);
            return Ok(header);
        }
        match self.sparse_map(block, &mut header, &extensions)? {
            Some((regions, real_size)) => self.set_sparse_content(&mut header, &regions, real_size)?,
            None => self.set_content(vec![Segment::Data(header.size)], header.size),
        }
        Ok(header)
    }

    /// Returns the regions and the length of a sparse file. `header.size` becomes what is left of the stored content.
    fn sparse_map(
        &mut self,
        block: &Block,
        header: &mut Header,
        extensions: &Extensions,
    ) -> Result<Option<(Vec<Region>, u64)>, Error> {
        let bad = || malformed("a sparse map is wrong", header.offset);
        if header.type_flag == b'S' {
            let map = sparse::old_gnu(block, || {
                self.block().map_err(io::Error::other)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            });
            return map.map_err(Error::Input)?.map(Some).ok_or_else(bad);
        }
        let Some(real_size) = extensions.sparse_size()? else { return Ok(None) };
        if extensions.record("GNU.sparse.major") == Some(b"1") {
            self.set_content(vec![Segment::Data(header.size)], header.size);
            let (regions, read) = sparse::pax_1_0(self).map_err(Error::Input)?.ok_or_else(bad)?;
            header.size -= read;
            return Ok(Some((regions, real_size)));
        }
        let regions = match extensions.record("GNU.sparse.map") {
            Some(map) => sparse::pax_0_1(map).ok_or_else(bad)?,
            None if extensions.sparse_pairs.is_empty() => return Ok(None),
            None => extensions.sparse_pairs.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect(),
        };
        Ok(Some((regions, real_size)))
    }

    fn set_sparse_content(
        &mut self,
        header: &mut Header,
        regions: &[Region],
        real_size: u64,
    ) -> Result<(), Error> {
        let segments = sparse::segments(regions, real_size, header.size)
            .ok_or_else(|| malformed("a sparse map is wrong", header.offset))?;
        self.set_content(segments, header.size);
        header.size = real_size;
        header.type_flag = b'0';
        Ok(())
    }
}

impl<R: Read> Read for TarReader<R> {
    /// Reads the content of the last member.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (Segment::Data(left) | Segment::Hole(left)) = loop {
            match self.segments.front() {
                None => return Ok(0),
                Some(Segment::Data(0) | Segment::Hole(0)) => drop(self.segments.pop_front()),
                Some(segment) => break *segment,
            }
        };
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..wanted];
        match self.segments.front_mut() {
            Some(Segment::Hole(left)) => {
                buffer.fill(0);
                *left -= wanted as u64;
                Ok(wanted)
            }
            Some(Segment::Data(left)) => {
                let count = self.inner.read(buffer)?;
                if count == 0 && wanted > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *left -= count as u64;
                self.position += count as u64;
                Ok(count)
            }
            None => Ok(0),
        }
    }
}

impl Extensions {
    /// Takes the records of a PAX header, which replace those of one before it.
    fn set_records(&mut self, text: &[u8], at: u64) -> Result<(), Error> {
        self.records.clear();
        self.sparse_pairs.clear();
        let records = pax::records(text).ok_or_else(|| malformed("a PAX record is wrong", at))?;
        for (key, value) in records {
            if key == b"GNU.sparse.offset" || key == b"GNU.sparse.numbytes" {
                let number = pax::decimal(value).ok_or_else(|| malformed("a PAX number is wrong", at))?;
                self.sparse_pairs.push(number);
                continue;
            }
            self.records.insert(key.to_vec(), value.to_vec());
        }
        Ok(())
    }

    /// Returns a record that is not empty: an empty one means "as if it were not there".
    fn record(&self, key: &str) -> Option<&[u8]> {
        self.records.get(key.as_bytes()).map(Vec::as_slice).filter(|value| !value.is_empty())
    }

    fn number(&self, key: &str) -> Result<Option<u64>, Error> {
        let number =
            |value| pax::decimal(value).ok_or_else(|| malformed(&format!("PAX record {key} is wrong"), 0));
        self.record(key).map(number).transpose()
    }

    fn sparse_size(&self) -> Result<Option<u64>, Error> {
        Ok(self.number("GNU.sparse.realsize")?.or(self.number("GNU.sparse.size")?))
    }
}

fn from_block(block: &Block, offset: u64, extensions: &Extensions) -> Result<Header, Error> {
    let number = |field| {
        let value = header::number(header::field(block, field));
        value.ok_or_else(|| malformed("a header has something else where a number should be", offset))
    };
    let small = |field| {
        let value = number(field)?;
        u32::try_from(value).map_err(|_| malformed("a header has a number out of range", offset))
    };
    // Where a record says it better, the field may hold anything.
    let owner = |field, key| if extensions.record(key).is_some() { Ok(0) } else { small(field) };
    let magic = header::field(block, header::MAGIC);
    let posix = magic == header::USTAR;
    let name = header::text(block, header::NAME);
    let prefix = if posix { header::text(block, header::PREFIX) } else { b"" };
    let name = if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() };
    let mut type_flag = block[header::TYPE];
    if type_flag == 0 {
        // Before POSIX, a slash marked directories.
        type_flag = if name.ends_with(b"/") { b'5' } else { b'0' };
    }
    let device = match posix || magic == header::GNU {
        true if matches!(type_flag, b'3' | b'4') => {
            (small(header::DEVICE_MAJOR)?, small(header::DEVICE_MINOR)?)
        }
        _ => (0, 0),
    };
    Ok(Header {
        offset,
        name,
        link: header::text(block, header::LINK).to_vec(),
        type_flag,
        mode: (number(header::MODE)? & 0o7777) as u32,
        uid: owner(header::UID, "uid")?,
        gid: owner(header::GID, "gid")?,
        size: 0,
        mtime: Timestamp { seconds: number(header::MTIME)?, nanoseconds: 0 },
        device,
        xattrs: Vec::new(),
    })
}

/// Lays the extensions over a header. GNU's long names win over PAX, as in Go.
fn merge(header: &mut Header, extensions: &Extensions) -> Result<(), Error> {
    let bad = |what: &str| malformed(&format!("PAX record {what} is wrong"), header.offset);
    let small = |key| match extensions.number(key)?.map(u32::try_from) {
        Some(Err(_)) => Err(bad(key)),
        Some(Ok(number)) => Ok(Some(number)),
        None => Ok(None),
    };
    let (uid, gid) = (small("uid")?, small("gid")?);
    let mtime = match extensions.record("mtime") {
        Some(value) => Some(pax::time(value).ok_or_else(|| bad("mtime"))?),
        None => None,
    };
    header.uid = uid.unwrap_or(header.uid);
    header.gid = gid.unwrap_or(header.gid);
    header.size = extensions.number("size")?.unwrap_or(header.size);
    if let Some((seconds, nanoseconds)) = mtime {
        header.mtime = Timestamp { seconds, nanoseconds };
    }
    let pax_name = extensions.record("GNU.sparse.name").or(extensions.record("path"));
    if let Some(name) = extensions.long_name.as_deref().or(pax_name) {
        header.name = name.to_vec();
    }
    if let Some(link) = extensions.long_link.as_deref().or(extensions.record("linkpath")) {
        header.link = link.to_vec();
    }
    for (key, value) in &extensions.records {
        if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
            header.xattrs.push((name.to_vec(), value.clone()));
        }
    }
    Ok(())
}

fn malformed(reason: &str, offset: u64) -> Error {
    Error::Malformed { reason: reason.to_owned(), offset }
}
