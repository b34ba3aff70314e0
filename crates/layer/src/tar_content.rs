//! Files' content straight from a tar on disk.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use crate::read::{FileContent, Rules, Sink, list};
use crate::tar::{Segment, TarReader};
use crate::{Content, Entry, Error, Kind, Listing};

/// A layer tar on disk, uncompressed, whose headers were read once: each file can then be opened by its offset.
#[derive(Debug)]
pub struct TarContent {
    file: File,
    places: HashMap<Vec<u8>, Place>,
}

/// Where a file's content is.
#[derive(Debug, Clone, Default)]
struct Place {
    start: u64,
    segments: Vec<Segment>,
}

impl TarContent {
    /// Reads the headers of a layer tar. Digests are not taken: content is passed over.
    pub fn new(file: File) -> Result<(TarContent, Listing), Error> {
        TarContent::scan(file, Rules::Layer)
    }

    pub(crate) fn scan(file: File, rules: Rules) -> Result<(TarContent, Listing), Error> {
        let length = file.metadata().map_err(Error::Input)?.len();
        let reader = BufReader::new(file.try_clone().map_err(Error::Input)?);
        let mut places = Places::default();
        let mut tar = TarReader::with_skip(Measured { reader, position: 0, length }, Measured::skip);
        let listing = list(&mut tar, rules, false, &mut places)?;
        Ok((TarContent { file, places: places.0 }, listing))
    }
}

impl Content for TarContent {
    fn open(&self, entry: &Entry) -> io::Result<Box<dyn Read + Send + '_>> {
        let place = self.places.get(&entry.path).ok_or(io::ErrorKind::NotFound)?;
        let segments = place.segments.iter().rev().copied().collect();
        Ok(Box::new(PlaceReader { file: &self.file, position: place.start, segments }))
    }
}

/// A file that knows its length: seeking beyond the end is no error, so a tar that breaks off must be found here.
struct Measured {
    reader: BufReader<File>,
    position: u64,
    length: u64,
}

impl Measured {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        self.position = self.position.saturating_add(count);
        if self.position > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.reader.seek_relative(i64::try_from(count).map_err(io::Error::other)?)
    }
}

impl Read for Measured {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

/// Notes where files are, by all their names.
#[derive(Default)]
struct Places(HashMap<Vec<u8>, Place>);

impl Sink for Places {
    fn entry(&mut self, entry: &Entry, content: &mut FileContent<'_>) -> Result<(), Error> {
        let place = match &entry.kind {
            Kind::File { .. } => {
                Place { start: content.start, segments: std::mem::take(&mut content.segments) }
            }
            Kind::Hardlink { target } => match self.0.get(target) {
                Some(place) => place.clone(),
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        self.0.insert(entry.path.clone(), place);
        Ok(())
    }

    fn imply(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn make_opaque(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    /// Places of what is gone do no harm: nobody asks for them.
    fn remove(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}

struct PlaceReader<'a> {
    file: &'a File,
    position: u64,
    /// What is left, the next one last.
    segments: Vec<Segment>,
}

impl Read for PlaceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(Segment::Data(0) | Segment::Hole(0)) = self.segments.last() {
            self.segments.pop();
        }
        let Some(segment) = self.segments.last_mut() else { return Ok(0) };
        let (Segment::Data(left) | Segment::Hole(left)) = *segment;
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = match segment {
            Segment::Hole(_) => {
                buffer[..wanted].fill(0);
                wanted
            }
            Segment::Data(_) => self.file.read_at(&mut buffer[..wanted], self.position)?,
        };
        if count == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match segment {
            Segment::Hole(left) => *left -= count as u64,
            Segment::Data(left) => {
                *left -= count as u64;
                self.position += count as u64;
            }
        }
        Ok(count)
    }
}
