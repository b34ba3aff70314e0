//! Reading a blob while it is downloaded.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::layers::lock;

/// How far a download is, for whoever reads behind it.
#[derive(Default)]
pub(crate) struct Growth {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Bytes that are there.
    length: u64,
    /// Whether no more will come.
    ended: bool,
    /// Whether bytes were thrown away that a reader may have seen.
    restarted: bool,
}

impl Growth {
    /// Says how many bytes are there.
    pub(crate) fn reach(&self, length: u64) {
        self.change(|state| state.length = length);
    }

    /// Says that the bytes were wrong: readers fail.
    pub(crate) fn restart(&self) {
        self.change(|state| state.restarted = true);
    }

    /// Says that no more bytes come: readers are at the end, or fail if there was a restart.
    pub(crate) fn end(&self) {
        self.change(|state| state.ended = true);
    }

    /// Tells whether readers failed because the download began again.
    pub(crate) fn was_restarted(&self) -> bool {
        lock(&self.state).restarted
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    /// Waits until there are more bytes than `at`, or there is an end.
    fn wait_beyond(&self, at: u64) -> MutexGuard<'_, State> {
        let waiting = |state: &mut State| state.length <= at && !state.ended && !state.restarted;
        self.changed.wait_while(lock(&self.state), waiting).unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Reads from the start of a file that grows; waits at its end until that is said to be the last.
pub(crate) struct GrowingFile {
    file: File,
    at: u64,
    growth: Arc<Growth>,
}

impl GrowingFile {
    pub(crate) fn new(file: File, growth: Arc<Growth>) -> GrowingFile {
        GrowingFile { file, at: 0, growth }
    }
}

impl Read for GrowingFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = {
            let state = self.growth.wait_beyond(self.at);
            if state.restarted {
                return Err(io::Error::other("the download began again"));
            }
            state.length - self.at
        };
        let wanted = usize::try_from(there).unwrap_or(buffer.len()).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;

    use super::*;

    /// A file without a name, its growth, and a reader of it.
    fn growing() -> (File, Arc<Growth>, GrowingFile) {
        let file = tempfile::tempfile().unwrap();
        let growth = Arc::new(Growth::default());
        let reader = GrowingFile::new(file.try_clone().unwrap(), growth.clone());
        (file, growth, reader)
    }

    #[test]
    fn a_reader_follows_to_the_end() {
        let (mut file, growth, mut reader) = growing();
        let reading = thread::spawn(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| bytes)
        });
        for part in [b"one ".as_slice(), b"two ", b"three"] {
            file.write_all(part).unwrap();
            growth.reach(file.metadata().unwrap().len());
        }
        growth.end();
        assert_eq!(reading.join().unwrap().unwrap(), b"one two three");
    }

    #[test]
    fn a_reader_fails_when_the_bytes_were_wrong() {
        let (mut file, growth, mut reader) = growing();
        file.write_all(b"wrong").unwrap();
        growth.reach(5);
        let mut buffer = [0; 5];
        reader.read_exact(&mut buffer).unwrap();
        let waiting = thread::spawn(move || reader.read(&mut buffer));
        growth.restart();
        assert!(waiting.join().unwrap().is_err());
        assert!(growth.was_restarted());
    }
}
