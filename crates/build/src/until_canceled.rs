//! A writer for long work: it fails once the build is canceled.

use std::io::{self, Write};

use crate::engine::Engine;

/// Passes bytes on until the build is canceled or one of its steps has failed.
pub(crate) struct UntilCanceled<'a, W> {
    engine: &'a Engine<'a>,
    out: W,
}

impl<'a, W> UntilCanceled<'a, W> {
    pub(crate) fn new(engine: &'a Engine<'a>, out: W) -> UntilCanceled<'a, W> {
        UntilCanceled { engine, out }
    }

    /// Returns the writer.
    pub(crate) fn finish(self) -> W {
        self.out
    }
}

impl<W: Write> Write for UntilCanceled<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.engine.is_canceled() {
            return Err(io::Error::other("canceled"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
