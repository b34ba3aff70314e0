//! Stands in for the encoding of jettison-layer until that is there.

use jettison_image::Digest;
use jettison_layer::{Entry, Index, Kind, Timestamp};

type Row = (
    Vec<u8>,
    u8,
    u64,
    u64,
    Vec<u8>,
    Option<Digest>,
    (u32, u32, u32, i64, u32, bool),
    Vec<(Vec<u8>, Vec<u8>)>,
);

pub(crate) fn encode(index: &Index) -> Vec<u8> {
    let rows: Vec<Row> = index.entries.iter().map(row).collect();
    serde_json::to_vec(&rows).expect("rows are plain data")
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Index, serde_json::Error> {
    let rows: Vec<Row> = serde_json::from_slice(bytes)?;
    Ok(Index { entries: rows.into_iter().map(entry).collect() })
}

fn row(entry: &Entry) -> Row {
    let Entry { mode, uid, gid, mtime, fresh, .. } = *entry;
    let (kind, a, b, target, digest) = match &entry.kind {
        Kind::Directory { opaque } => (0, u64::from(*opaque), 0, vec![], None),
        Kind::File { size, digest } => (1, *size, 0, vec![], *digest),
        Kind::Hardlink { target } => (2, 0, 0, target.clone(), None),
        Kind::Symlink { target } => (3, 0, 0, target.clone(), None),
        Kind::CharacterDevice { major, minor } => (4, u64::from(*major), u64::from(*minor), vec![], None),
        Kind::BlockDevice { major, minor } => (5, u64::from(*major), u64::from(*minor), vec![], None),
        Kind::Fifo => (6, 0, 0, vec![], None),
        Kind::Whiteout => (7, 0, 0, vec![], None),
    };
    let facts = (mode, uid, gid, mtime.seconds, mtime.nanoseconds, fresh);
    (entry.path.clone(), kind, a, b, target, digest, facts, entry.xattrs.clone())
}

fn entry(row: Row) -> Entry {
    let (path, kind, a, b, target, digest, (mode, uid, gid, seconds, nanoseconds, fresh), xattrs) = row;
    let kind = match kind {
        0 => Kind::Directory { opaque: a != 0 },
        1 => Kind::File { size: a, digest },
        2 => Kind::Hardlink { target },
        3 => Kind::Symlink { target },
        4 => Kind::CharacterDevice { major: a as u32, minor: b as u32 },
        5 => Kind::BlockDevice { major: a as u32, minor: b as u32 },
        6 => Kind::Fifo,
        _ => Kind::Whiteout,
    };
    Entry { path, kind, mode, uid, gid, mtime: Timestamp { seconds, nanoseconds }, fresh, xattrs }
}
