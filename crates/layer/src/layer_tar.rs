//! The tar in a layer's blob.

use std::io::{self, Read};

use jettison_image::{Digest, Digester};

use crate::decompress;

/// The tar of a layer as it comes out of its blob, hashed on the way.
pub struct LayerTar<'a> {
    reader: Box<dyn Read + Send + 'a>,
    digester: Digester,
}

impl<'a> LayerTar<'a> {
    /// Reads the tar in `blob`, whatever it is compressed with.
    pub fn new(blob: impl Read + Send + 'a) -> io::Result<LayerTar<'a>> {
        Ok(LayerTar { reader: decompress(blob)?, digester: Digester::new() })
    }

    /// Reads what is behind the tar's end and returns the diff ID, to be compared with what the image's config promises.
    pub fn diff_id(mut self) -> io::Result<Digest> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.digester.finish())
    }
}

impl Read for LayerTar<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.digester.update(&buffer[..read]);
        Ok(read)
    }
}
