//! The compressions of layers and archives.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};

use crate::gzip::GzipWriter;

/// Counts the changes of our gzip output: of the block size and, where they change it, of the library's versions. Layer
/// digests depend on it, so it is part of cache keys. The golden test fails when it must be raised.
pub(crate) const GZIP_VERSION: u32 = 2;

/// The level of `docker build`'s gzip. Go: `gzip.DefaultCompression`.
pub const DEFAULT_GZIP_LEVEL: u32 = 6;

/// The level of BuildKit's zstd.
pub const DEFAULT_ZSTD_LEVEL: i32 = 3;

/// Windows of zstd frames may be this large, as a power of two, in bytes.
const MAX_ZSTD_WINDOW: u32 = 27;

/// Memory for decompressing xz, in KiB. `xz -9` needs 65 MiB.
const MAX_XZ_MEMORY: u32 = 256 * 1024;

/// How a layer is compressed on its way out. Output depends on the input and this alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip: what every registry and runtime takes.
    Gzip {
        /// 1, fast, to 9, small.
        level: u32,
    },
    /// zstd: OCI media types only.
    Zstd {
        /// 1, fast, to 22, small.
        level: i32,
    },
}

/// Names the compression, its level and the version of what implements it, for cache keys.
impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compression::None => f.write_str("none"),
            Compression::Gzip { level } => write!(f, "gzip-{level}-v{GZIP_VERSION}"),
            Compression::Zstd { level } => write!(f, "zstd-{level}-{}", zstd::zstd_safe::version_string()),
        }
    }
}

impl Compression {
    /// Wraps `out` in a compressor that uses up to `threads` threads.
    pub fn compress<W: Write>(self, out: W, threads: usize) -> io::Result<Compressor<W>> {
        Ok(Compressor(match self {
            Compression::None => Inner::None(out),
            Compression::Gzip { level } => {
                Inner::Gzip(Box::new(GzipWriter::new(out, level.clamp(1, 9), threads)))
            }
            Compression::Zstd { level } => {
                let mut encoder = zstd::Encoder::new(out, level)?;
                encoder.include_checksum(true)?;
                Inner::Zstd(Box::new(encoder))
            }
        }))
    }
}

/// Compresses what is written to it.
pub struct Compressor<W: Write>(Inner<W>);

enum Inner<W: Write> {
    None(W),
    Gzip(Box<GzipWriter<W>>),
    Zstd(Box<zstd::Encoder<'static, W>>),
}

impl<W: Write> Compressor<W> {
    /// Writes the end of the compressed data, without which it is not complete, and returns the writer.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Inner::None(out) => Ok(out),
            Inner::Gzip(gzip) => gzip.finish(),
            Inner::Zstd(zstd) => zstd.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::None(out) => out.write(bytes),
            Inner::Gzip(gzip) => gzip.write(bytes),
            Inner::Zstd(zstd) => zstd.write(bytes),
        }
    }

    /// Flushes only what is not compressed: a flush inside a compressed stream would change its bytes.
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Inner::None(out) => out.flush(),
            _ => Ok(()),
        }
    }
}

/// What compressed data starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Magic {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
    None,
}

/// Wraps `reader` in the decompressor that its first bytes ask for: gzip, zstd, bzip2, xz, or none.
pub fn decompress<'a>(reader: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut reader = BufReader::with_capacity(128 * 1024, reader);
    let mut start = Vec::new();
    // One call of `fill_buf` may see less than the magic takes.
    reader.by_ref().take(6).read_to_end(&mut start)?;
    let magic = magic(&start);
    let reader = BufReader::with_capacity(128 * 1024, io::Cursor::new(start).chain(reader));
    decompress_as(magic, reader)
}

fn decompress_as<'a>(
    magic: Magic,
    reader: impl BufRead + Send + 'a,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match magic {
        Magic::None => Box::new(reader),
        Magic::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
        Magic::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(reader)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW)?;
            Box::new(decoder)
        }
        Magic::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(reader)),
        Magic::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(reader, true, MAX_XZ_MEMORY)),
    })
}

fn magic(start: &[u8]) -> Magic {
    match start {
        [0x1f, 0x8b, 8, ..] => Magic::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Magic::Zstd,
        // A skippable frame; zstd:chunked and pzstd start with one.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Magic::Zstd,
        [b'B', b'Z', b'h', ..] => Magic::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Magic::Xz,
        _ => Magic::None,
    }
}
