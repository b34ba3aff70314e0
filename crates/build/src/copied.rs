//! The content of a COPY's layer while it is written.

use std::collections::HashMap;
use std::collections::hash_map;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use jettison_image::{Digest, Digester};
use jettison_layer::{Content, Entry, Index, Kind, Tree};

use crate::Error;
use crate::archive::Opened;
use crate::copy::Placed;
use crate::engine::Engine;
use crate::sources::Source;

/// The bytes of copied files, wherever they are.
pub(crate) struct CopiedContent<'a> {
    /// What the layer will hold.
    index: &'a Index,
    /// Where the bytes of each entry are.
    origins: Vec<Placed>,
    /// The source trees; archives count on behind the COPY's own.
    trees: Vec<&'a Tree>,
    /// By number of the source tree and of its layer.
    contents: HashMap<(usize, usize), Arc<dyn Content>>,
    /// Which source trees hold files that are somebody's to change while we copy.
    volatile: Vec<bool>,
}

impl Engine<'_> {
    /// Finds the bytes of what a placement placed; `archives` are the source trees behind `sources`.
    pub(crate) fn copied_content<'a>(
        &self,
        index: &'a Index,
        origins: Vec<Placed>,
        sources: &'a [Source],
        archives: &[&'a Opened],
    ) -> Result<CopiedContent<'a>, Error> {
        let mut contents: HashMap<(usize, usize), Arc<dyn Content>> = HashMap::new();
        for placed in &origins {
            let Placed::File { source: number, place: (layer, _) } = placed else { continue };
            if let hash_map::Entry::Vacant(vacant) = contents.entry((*number, *layer)) {
                vacant.insert(match sources.get(*number) {
                    Some(source) => self.sources.content(source, *layer)?,
                    None => archives[number - sources.len()].content.clone(),
                });
            }
        }
        let trees = sources.iter().map(|source| &*source.tree);
        let trees = trees.chain(archives.iter().map(|archive| &*archive.tree)).collect();
        let volatile = sources.iter().map(Source::is_context).collect();
        Ok(CopiedContent { index, origins, trees, contents, volatile })
    }
}

impl CopiedContent<'_> {
    /// Returns where the bytes of an entry are.
    fn origin(&self, entry: &Entry) -> Option<&Placed> {
        self.origins.get(self.index.position(&entry.path)?)
    }

    fn original(&self, entry: &Entry) -> io::Result<(usize, &dyn Content, &Entry)> {
        let Some(Placed::File { source, place }) = self.origin(entry) else {
            return Err(io::Error::other("the entry is no copied file"));
        };
        let original = self.trees.get(*source).and_then(|tree| tree.at(*place));
        let content = self.contents.get(&(*source, place.0));
        let (content, original) =
            content.zip(original).ok_or_else(|| io::Error::other("nothing holds this file"))?;
        Ok((*source, &**content, original))
    }

    fn is_volatile(&self, source: usize) -> bool {
        self.volatile.get(source) == Some(&true)
    }
}

impl Content for CopiedContent<'_> {
    fn open(&self, entry: &Entry) -> io::Result<Box<dyn Read + Send + '_>> {
        if let Some(Placed::Inline(bytes)) = self.origin(entry) {
            return Ok(Box::new(Cursor::new(bytes.as_slice())));
        }
        // Sockets of a context are empty files that cannot be opened.
        if entry.size() == 0 {
            return Ok(Box::new(io::empty()));
        }
        let (source, content, original) = self.original(entry)?;
        let bytes = content.open(original)?;
        // What the key promised is what must be copied, though somebody may be writing to the context.
        match entry.kind {
            Kind::File { digest: Some(expected), .. } if self.is_volatile(source) => {
                Ok(Box::new(Verified { bytes, digester: Digester::new(), expected }))
            }
            _ => Ok(bytes),
        }
    }

    fn open_file(&self, entry: &Entry) -> io::Result<Option<File>> {
        if entry.size() == 0 || matches!(self.origin(entry), Some(Placed::Inline(_))) {
            return Ok(None);
        }
        match self.original(entry)? {
            (source, ..) if self.is_volatile(source) => Ok(None),
            (_, content, original) => content.open_file(original),
        }
    }
}

/// A file that must not have changed since its digest was taken.
struct Verified<'a> {
    bytes: Box<dyn Read + Send + 'a>,
    digester: Digester,
    expected: Digest,
}

impl Read for Verified<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.digester.update(&buffer[..read]);
        if read == 0 && !buffer.is_empty() && self.digester.clone().finish() != self.expected {
            return Err(io::Error::other("the file changed during the build"));
        }
        Ok(read)
    }
}
