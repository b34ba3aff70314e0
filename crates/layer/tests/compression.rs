//! Compressed output depends on the input alone, and everyone can read it.
//!
//! Needs `gzip`, `zstd`, `bzip2` and `xz` (`apt-get install gzip zstd bzip2 xz-utils`).
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use jettison_image::Digest;
use jettison_layer::{Compression, decompress};

/// Neither random nor dull: words from a small generator.
fn text(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        text.extend_from_slice(format!("{:x} {} ", next() % 4096, next() % 97).as_bytes());
    }
    text.truncate(length);
    text
}

fn compress(compression: Compression, input: &[u8], threads: usize, piece: usize) -> Vec<u8> {
    let mut out = compression.compress(Vec::new(), threads).unwrap();
    for piece in input.chunks(piece.max(1)) {
        out.write_all(piece).unwrap();
        out.flush().unwrap();
    }
    out.finish().unwrap()
}

fn through(program: &str, input: &[u8], flags: &[&str]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success(), "{program}");
    output.stdout
}

/// Around the size of a block.
const SIZES: [usize; 6] = [0, 1, 512 * 1024 - 1, 512 * 1024, 512 * 1024 + 1, 1_700_000];

/// What no compressor makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn gzip_does_not_depend_on_threads_or_pieces() {
    for level in [1, 6, 9] {
        for (size, make) in SIZES.into_iter().flat_map(|size| [(size, text as fn(usize) -> _), (size, noise)])
        {
            let input = make(size);
            let alone = compress(Compression::Gzip { level }, &input, 1, 1 << 20);
            for (threads, piece) in [(1, 7919), (2, 1 << 16), (3, 4_000_000)] {
                let other = compress(Compression::Gzip { level }, &input, threads, piece);
                assert!(other == alone, "level {level}, {size} bytes, {threads} threads, pieces of {piece}");
            }
            assert!(through("gzip", &alone, &["-dc"]) == input, "level {level}, {size} bytes");
        }
    }
}

/// The bytes are a contract for one version of the compressor. Should this fail after an update of `flate2` or
/// `zlib-rs`, raise `GZIP_VERSION` in `compress.rs` with the digests here.
#[test]
fn gzip_bytes_of_this_version() {
    let digest =
        |level| Digest::of(&compress(Compression::Gzip { level }, &text(1_700_000), 2, 1 << 20)).to_string();
    assert_eq!(digest(6), "sha256:c3128b7626ff3b6ed419a093dc864790bc84c8e989d66ccc82f72d177c999875");
    assert_eq!(digest(1), "sha256:0716750ec4259d943ce8221931370022ff08183199919f26e7e3409860a8784a");
    assert_eq!(Compression::Gzip { level: 6 }.to_string(), "gzip-6-v2");
    let header = compress(Compression::Gzip { level: 6 }, b"", 1, 1);
    assert_eq!(header[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
}

#[test]
fn blocks_refer_to_the_ones_before() {
    let input = text(1_700_000);
    let ours = compress(Compression::Gzip { level: 6 }, &input, 2, 1 << 20).len();
    let whole = through("gzip", &input, &["-6nc"]).len();
    assert!(ours < whole * 103 / 100, "{ours} against {whole}");
}

#[test]
fn zstd_is_stable_and_readable() {
    let input = text(1_700_000);
    let first = compress(Compression::Zstd { level: 3 }, &input, 1, 1 << 20);
    assert!(first == compress(Compression::Zstd { level: 3 }, &input, 4, 999));
    assert!(through("zstd", &first, &["-dc"]) == input);
    assert!(Compression::Zstd { level: 3 }.to_string().starts_with("zstd-3-1."));
}

#[test]
fn what_others_compressed_is_read() {
    let input = text(300_000);
    let read = |bytes: &[u8]| {
        let mut output = Vec::new();
        decompress(bytes).unwrap().read_to_end(&mut output).map(|_| output)
    };
    for (program, flags) in [("gzip", ["-9nc"]), ("bzip2", ["-c"]), ("xz", ["-c"]), ("zstd", ["-c"])] {
        let compressed = through(program, &input, &flags);
        assert!(read(&compressed).unwrap() == input, "{program}");
        // Two of them, one after the other, are the two contents.
        let twice = [compressed.as_slice(), &compressed].concat();
        assert_eq!(read(&twice).unwrap().len(), 2 * input.len(), "{program}");
        assert!(read(&compressed[..compressed.len() / 2]).is_err(), "{program}");
    }
    for plain in [&b""[..], b"x", b"\x1f\x8b", b"plain text"] {
        assert_eq!(read(plain).unwrap(), plain);
    }
    // A skippable frame before a frame of zstd.
    let skippable = [&b"\x50\x2a\x4d\x18\x02\0\0\0ab"[..], &through("zstd", b"content", &["-c"])].concat();
    assert_eq!(read(&skippable).unwrap(), b"content");
}

/// A writer that fails ends the compressing threads with an error, not with a hang.
#[test]
fn a_full_disk_is_an_error() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut out = Compression::Gzip { level: 1 }.compress(Full(100_000), 2).unwrap();
    let result = out.write_all(&text(4_000_000)).and_then(|()| out.finish().map(drop));
    assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
}
