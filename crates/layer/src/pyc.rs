//! Compiled Python files, which record when their source was changed (PEP 552).
//!
//! Python ignores a compiled file whose record differs from the source's time. Where the source leaves with another
//! time than it has, the record must follow, or each start of a program would compile anew, and two builds would
//! differ in their records. A source of the same layer is found when the layer is written; one of a layer below, as
//! after `COPY . .` and a RUN that compiles, when the step's changes are listed.

use std::io::{self, Cursor, Read};

use jettison_fs::Dir;

use crate::path::{file_name, join, parent};
use crate::{Entry, Error, Index, Kind, Times, Tree};

/// A magic number, flags, the source's time in seconds and its length, each of four bytes, little-endian.
const HEADER: usize = 16;
const FLAGS: std::ops::Range<usize> = 4..8;
const TIME: std::ops::Range<usize> = 8..12;
const LENGTH: std::ops::Range<usize> = 12..16;

/// Returns the content of `entry` as it leaves: of a compiled Python file whose source is in `index`, or was seen below,
/// and shows another time than it has, with that time in its record.
pub(crate) fn follow_source<'r>(
    mut content: Box<dyn Read + Send + 'r>,
    entry: &Entry,
    index: &Index,
    times: Times,
) -> io::Result<Box<dyn Read + Send + 'r>> {
    let beside = source_of(&entry.path).and_then(|path| index.get(&path));
    let beside = beside.filter(|source| times.of(source) != source.mtime.seconds);
    let below = if entry.follows { times.of_fresh() } else { None };
    if beside.is_none() && below.is_none() || entry.size() < HEADER as u64 {
        return Ok(content);
    }
    let mut header = [0; HEADER];
    content.read_exact(&mut header)?;
    let beside = beside.filter(|source| records(&header, source)).map(|source| times.of(source));
    if let Some(time) = beside.or(below) {
        header[TIME].copy_from_slice(&low_bits(time));
    }
    Ok(Box::new(Cursor::new(header).chain(content)))
}

/// Marks the compiled files of `index`, whose files are in `root`, that record the time of a fresh source in `parent`.
pub(crate) fn find_sources_below(index: &mut Index, root: &Dir, parent: &Tree) -> Result<(), Error> {
    let candidates: Vec<(usize, Entry)> = (0..)
        .zip(&index.entries)
        .filter(|(_, entry)| entry.size() >= HEADER as u64)
        .filter_map(|(number, entry)| {
            let path = source_of(&entry.path).filter(|path| index.get(path).is_none())?;
            let source = parent.get(&path)?.content().1;
            source.fresh.then(|| (number, source.clone()))
        })
        .collect();
    for (number, source) in candidates {
        let entry = &mut index.entries[number];
        let mut header = [0; HEADER];
        let read = root.open_file(&entry.path)?.read_exact(&mut header);
        read.map_err(|source| Error::content(&entry.path, source))?;
        entry.follows = records(&header, &source);
    }
    Ok(())
}

/// Tells whether `index` has a compiled Python file that may leave with another record than it has.
pub fn has_followers(index: &Index) -> bool {
    let follows = |entry: &Entry| {
        let source = || source_of(&entry.path).and_then(|path| index.get(&path));
        entry.follows || source().is_some_and(|source| source.fresh)
    };
    index.entries.iter().any(follows)
}

/// Tells whether a header is that of a file compiled from `source` as it is now, and known by its time.
fn records(header: &[u8; HEADER], source: &Entry) -> bool {
    let Kind::File { size, .. } = source.kind else { return false };
    // A flag says that the source is known by its hash instead.
    header[FLAGS] == [0; 4]
        && header[TIME] == low_bits(source.mtime.seconds)
        && header[LENGTH] == (size as u32).to_le_bytes()
}

/// What Python records of a number: its lowest 32 bits.
fn low_bits(seconds: i64) -> [u8; 4] {
    (seconds as u32).to_le_bytes()
}

/// Returns the path of the source that `path` would be compiled from: `a/b.py` for `a/__pycache__/b.cpython-311.pyc`
/// (PEP 3147) and for `a/b.pyc`.
fn source_of(path: &[u8]) -> Option<Vec<u8>> {
    let stem = file_name(path).strip_suffix(b".pyc")?;
    let directory = parent(path).unwrap_or_default();
    if file_name(directory) != b"__pycache__" {
        return Some(join(directory, &[stem, b".py"].concat()));
    }
    // A module's name has no dot; an optimised file has one more part, as in `b.cpython-311.opt-1.pyc`.
    let module = stem.split(|byte| *byte == b'.').next()?;
    Some(join(parent(directory).unwrap_or_default(), &[module, b".py"].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn file(path: &str, seconds: i64, size: u64) -> Entry {
        Entry {
            path: path.into(),
            kind: Kind::File { size, digest: None },
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: Timestamp { seconds, nanoseconds: 7 },
            fresh: true,
            follows: false,
            xattrs: Vec::new(),
        }
    }

    fn compiled(flags: u32, seconds: u32, size: u32) -> Vec<u8> {
        [
            b"\xa7\x0d\x0d\x0a".as_slice(),
            &flags.to_le_bytes(),
            &seconds.to_le_bytes(),
            &size.to_le_bytes(),
            b"code",
        ]
        .concat()
    }

    fn leaves(content: &[u8], source: Entry) -> Vec<u8> {
        let entry = file("lib/__pycache__/m.cpython-311.pyc", 1, content.len() as u64);
        let index = Index::from_entries(vec![source, entry.clone()]);
        let mut out = Vec::new();
        let content: Box<dyn Read + Send> = Box::new(Cursor::new(content.to_vec()));
        follow_source(content, &entry, &index, Times::Epoch(42)).unwrap().read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn the_record_follows_a_source_that_takes_the_epoch() {
        let source = file("lib/m.py", 1_700_000_000, 30);
        assert_eq!(leaves(&compiled(0, 1_700_000_000, 30), source.clone()), compiled(0, 42, 30));
        for (what, content) in [
            ("an older source", compiled(0, 1_600_000_000, 30)),
            ("another source", compiled(0, 1_700_000_000, 31)),
            ("known by hash", compiled(1, 1_700_000_000, 30)),
            ("no header", b"short".to_vec()),
        ] {
            assert_eq!(leaves(&content, source.clone()), content, "{what}");
        }
        let packaged = Entry { fresh: false, ..source };
        let content = compiled(0, 1_700_000_000, 30);
        assert_eq!(leaves(&content, packaged), content, "a source that keeps its time");
        assert_eq!(leaves(&content, file("lib/other.py", 1_700_000_000, 30)), content, "no source");
    }

    #[test]
    fn the_record_follows_a_source_of_a_layer_below() {
        let content = compiled(0, 1_700_000_000, 30);
        let entry = Entry { follows: true, ..file("m.pyc", 1, content.len() as u64) };
        let index = Index::from_entries(vec![entry.clone()]);
        assert!(has_followers(&index));
        for (times, expected) in [(Times::Epoch(42), compiled(0, 42, 30)), (Times::True, content.clone())] {
            let mut out = Vec::new();
            let reader: Box<dyn Read + Send> = Box::new(Cursor::new(content.clone()));
            follow_source(reader, &entry, &index, times).unwrap().read_to_end(&mut out).unwrap();
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_compiled_file_follows_a_fresh_source() {
        let has = |source: Entry| {
            has_followers(&Index::from_entries(vec![
                source,
                file("lib/__pycache__/m.cpython-311.pyc", 1, 30),
            ]))
        };
        assert!(has(file("lib/m.py", 1, 30)));
        assert!(!has(Entry { fresh: false, ..file("lib/m.py", 1, 30) }));
        assert!(!has(file("lib/other.py", 1, 30)));
    }

    #[test]
    fn sources_are_found_as_python_finds_them() {
        for (path, source) in [
            ("a/__pycache__/b.cpython-311.pyc", Some("a/b.py")),
            ("a/__pycache__/b.cpython-311.opt-1.pyc", Some("a/b.py")),
            ("__pycache__/b.cpython-311.pyc", Some("b.py")),
            ("a/b.pyc", Some("a/b.py")),
            ("b.pyc", Some("b.py")),
            ("a/b.py", None),
        ] {
            assert_eq!(source_of(path.as_bytes()), source.map(|path| path.as_bytes().to_vec()), "{path}");
        }
    }
}
