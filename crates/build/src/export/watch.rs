//! A writer that says how far it is and stops when told to.

use std::io::{self, Write};

use super::Context;

/// How often progress is told, in bytes.
const STEP: u64 = 1 << 20;

/// Passes bytes on, telling their number; fails once the export is canceled.
pub(super) struct Watch<'a, W> {
    inner: W,
    context: Context<'a>,
    item: String,
    total: Option<u64>,
    done: u64,
    told: u64,
}

impl<'a, W: Write> Watch<'a, W> {
    pub fn new(inner: W, context: Context<'a>, item: String, total: Option<u64>) -> Watch<'a, W> {
        Watch { inner, context, item, total, done: 0, told: 0 }
    }

    /// Returns the writer and tells that all is done.
    pub fn finish(self) -> W {
        (self.context.progress)(&self.item, self.done, Some(self.done));
        self.inner
    }
}

impl<W: Write> Write for Watch<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.context.cancel.is_cancelled() {
            return Err(io::Error::other("canceled"));
        }
        let written = self.inner.write(bytes)?;
        self.done += written as u64;
        if self.done - self.told >= STEP {
            self.told = self.done;
            (self.context.progress)(&self.item, self.done, self.total);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
