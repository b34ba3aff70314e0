//! gzip on several threads, whose output depends on the input alone.
//!
//! The input is cut into blocks of a fixed size. Each is deflated on its own, with the end of the one before as
//! dictionary, and ends on a byte boundary (a sync flush), so the pieces join to one gzip member. pigz does the same.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use flate2::{Compress, Compression, Crc, FlushCompress};

/// Bytes of input in a block. Changing it changes digests: see [`super::compress::GZIP_VERSION`].
const BLOCK: usize = 512 * 1024;

/// Bytes of a buffer: more than any block comes to. zlib's `deflateBound` is an eighth and a 64th more than the input at
/// most. Where room runs out at a flush, deflate writes the flush twice, and output would depend on the buffer.
const BUFFER: usize = BLOCK + BLOCK / 4;

/// How far back deflate can refer.
const WINDOW: usize = 32 * 1024;

/// RFC 1952: magic, deflate, no flags, no time, no extra flags, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// A block to be compressed.
struct Block {
    /// The end of the block before.
    dictionary: Vec<u8>,
    input: Vec<u8>,
    last: bool,
}

/// A block that is compressed.
struct Piece {
    output: Vec<u8>,
    crc: Crc,
}

type Job = (Block, Sender<io::Result<Piece>>);

/// Buffers that go round, for allocators give such pieces back late or not at all.
#[derive(Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    fn take(&self) -> Vec<u8> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| Vec::with_capacity(BUFFER))
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// Compresses what is written to it. [`GzipWriter::finish`] must be called for the end to be written.
pub(crate) struct GzipWriter<W: Write> {
    inner: W,
    level: u32,
    /// What is not yet a block; made with the first byte.
    input: Option<Vec<u8>>,
    dictionary: Vec<u8>,
    buffers: Arc<Buffers>,
    crc: Crc,
    started: bool,
    workers: Option<Workers>,
}

struct Workers {
    /// Dropped at the end, which ends the threads.
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
    /// Blocks under way, in order.
    results: VecDeque<Receiver<io::Result<Piece>>>,
}

impl<W: Write> GzipWriter<W> {
    /// Compresses with `level` 1 to 9, on the caller's thread alone or with up to `threads` others.
    pub fn new(inner: W, level: u32, threads: usize) -> GzipWriter<W> {
        let buffers = Arc::new(Buffers::default());
        GzipWriter {
            inner,
            level,
            input: None,
            dictionary: Vec::new(),
            crc: Crc::new(),
            started: false,
            workers: (threads > 1).then(|| Workers::start(level, threads, &buffers)),
            buffers,
        }
    }

    /// Writes what is left and the trailer, and returns the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.submit(true)?;
        while self.workers.as_ref().is_some_and(|workers| !workers.results.is_empty()) {
            self.take_piece()?;
        }
        self.inner.write_all(&self.crc.sum().to_le_bytes())?;
        self.inner.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(self.inner)
    }

    fn submit(&mut self, last: bool) -> io::Result<()> {
        let input = self.input.take().unwrap_or_else(|| self.buffers.take());
        let tail = input[input.len().saturating_sub(WINDOW)..].to_vec();
        let block = Block { dictionary: std::mem::replace(&mut self.dictionary, tail), input, last };
        let Some(workers) = &mut self.workers else {
            let piece = compress(block, self.level, &self.buffers)?;
            return self.write_piece(piece);
        };
        workers.submit(block)?;
        // One block for each thread, and one for the thread that is done first.
        while self.workers.as_ref().is_some_and(|workers| workers.results.len() > workers.threads.len() + 1) {
            self.take_piece()?;
        }
        Ok(())
    }

    /// Waits for the oldest block under way and writes it.
    fn take_piece(&mut self) -> io::Result<()> {
        let Some(result) = self.workers.as_mut().and_then(|workers| workers.results.pop_front()) else {
            return Ok(());
        };
        let piece = result.recv().map_err(|_| io::Error::other("a compressing thread ended early"))??;
        self.write_piece(piece)
    }

    fn write_piece(&mut self, piece: Piece) -> io::Result<()> {
        if !self.started {
            self.inner.write_all(&HEADER)?;
            self.started = true;
        }
        self.crc.combine(&piece.crc);
        self.inner.write_all(&piece.output)?;
        self.buffers.give_back(piece.output);
        Ok(())
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let input = self.input.get_or_insert_with(|| self.buffers.take());
        let taken = bytes.len().min(BLOCK - input.len());
        input.extend_from_slice(&bytes[..taken]);
        if input.len() == BLOCK {
            self.submit(false)?;
        }
        Ok(taken)
    }

    /// Does nothing: where blocks end depends on the input alone.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Workers {
    fn start(level: u32, threads: usize, buffers: &Arc<Buffers>) -> Workers {
        let (sender, receiver) = sync_channel::<Job>(threads);
        let receiver = Arc::new(Mutex::new(receiver));
        let threads = (0..threads).map(|_| {
            let (receiver, buffers) = (Arc::clone(&receiver), Arc::clone(buffers));
            std::thread::spawn(move || work(&receiver, level, &buffers))
        });
        Workers { jobs: Some(sender), threads: threads.collect(), results: VecDeque::new() }
    }

    fn submit(&mut self, block: Block) -> io::Result<()> {
        let (sender, receiver) = channel();
        self.results.push_back(receiver);
        let sent = self.jobs.as_ref().map(|jobs| jobs.send((block, sender)));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(io::Error::other("the compressing threads ended early")),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has shown itself already, as a result that never came.
            let _ = thread.join();
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, level: u32, buffers: &Buffers) {
    loop {
        let job = match jobs.lock() {
            Ok(jobs) => jobs.recv(),
            Err(_) => return,
        };
        let Ok((block, result)) = job else { return };
        // Nobody waits for the result where the writer was dropped.
        let _ = result.send(compress(block, level, buffers));
    }
}

fn compress(block: Block, level: u32, buffers: &Buffers) -> io::Result<Piece> {
    let mut deflate = Compress::new(Compression::new(level), false);
    if !block.dictionary.is_empty() {
        deflate.set_dictionary(&block.dictionary).map_err(io::Error::other)?;
    }
    let flush = if block.last { FlushCompress::Finish } else { FlushCompress::Sync };
    let mut output = buffers.take();
    deflate.compress_vec(&block.input, &mut output, flush).map_err(io::Error::other)?;
    // With room left in the output, the flush is complete.
    if output.len() == output.capacity() {
        return Err(io::Error::other("a block came to more than deflate's bound"));
    }
    let mut crc = Crc::new();
    crc.update(&block.input);
    buffers.give_back(block.input);
    Ok(Piece { output, crc })
}
