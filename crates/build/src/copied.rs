//! The content of a COPY's layer while it is written.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use jettison_image::{Digest, Digester};
use jettison_layer::{Content, Entry as LayerEntry, Kind};

use crate::Error;
use crate::copy::Placed;
use crate::engine::Engine;
use crate::sources::Source;

/// The bytes of copied files, wherever they are.
pub(crate) struct CopiedContent {
    /// By number of the source tree (archives count on behind the COPY's own) and of its layer.
    contents: HashMap<(usize, usize), Arc<dyn Content>>,
    origins: HashMap<Vec<u8>, Placed>,
    /// Which source trees hold files that are somebody's to change while we copy.
    volatile: Vec<bool>,
}

impl Engine<'_> {
    /// Finds the bytes of what a placement placed; `archives` are the source trees behind `sources`.
    pub(crate) fn copied_content(
        &self,
        sources: &[Source],
        archives: &[Arc<dyn Content>],
        origins: HashMap<Vec<u8>, Placed>,
    ) -> Result<CopiedContent, Error> {
        let mut contents: HashMap<(usize, usize), Arc<dyn Content>> = HashMap::new();
        for placed in origins.values() {
            let Placed::File { source: number, layer, .. } = placed else { continue };
            if let Entry::Vacant(vacant) = contents.entry((*number, *layer)) {
                vacant.insert(match sources.get(*number) {
                    Some(source) => self.sources.content(source, *layer)?,
                    None => archives[number - sources.len()].clone(),
                });
            }
        }
        let volatile = sources.iter().map(Source::is_context).collect();
        Ok(CopiedContent { contents, origins, volatile })
    }
}

impl CopiedContent {
    fn original(&self, entry: &LayerEntry) -> io::Result<(usize, &dyn Content, LayerEntry)> {
        let Some(Placed::File { source, layer, path }) = self.origins.get(&entry.path) else {
            return Err(io::Error::other("the entry is no copied file"));
        };
        let content = self.contents.get(&(*source, *layer));
        let content = content.ok_or_else(|| io::Error::other("nothing holds this file"))?;
        Ok((*source, &**content, LayerEntry { path: path.clone(), ..entry.clone() }))
    }

    fn is_volatile(&self, source: usize) -> bool {
        self.volatile.get(source) == Some(&true)
    }
}

impl Content for CopiedContent {
    fn open(&self, entry: &LayerEntry) -> io::Result<Box<dyn Read + Send + '_>> {
        if let Some(Placed::Inline(bytes)) = self.origins.get(&entry.path) {
            return Ok(Box::new(Cursor::new(bytes.as_slice())));
        }
        // Sockets of a context are empty files that cannot be opened.
        if entry.size() == 0 {
            return Ok(Box::new(io::empty()));
        }
        let (source, content, original) = self.original(entry)?;
        let bytes = content.open(&original)?;
        // What the key promised is what must be copied, though somebody may be writing to the context.
        match entry.kind {
            Kind::File { digest: Some(expected), .. } if self.is_volatile(source) => {
                Ok(Box::new(Verified { bytes, digester: Digester::new(), expected }))
            }
            _ => Ok(bytes),
        }
    }

    fn open_file(&self, entry: &LayerEntry) -> io::Result<Option<File>> {
        if entry.size() == 0 || matches!(self.origins.get(&entry.path), Some(Placed::Inline(_))) {
            return Ok(None);
        }
        match self.original(entry)? {
            (source, ..) if self.is_volatile(source) => Ok(None),
            (_, content, original) => content.open_file(&original),
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
