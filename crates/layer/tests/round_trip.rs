//! Random trees through everything: tar, index, directory and back.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::io::{Seek, Write};
use std::sync::Arc;

use common::*;
use jettison_layer::{
    Content, DiffOptions, DirContent, Entry, Fingerprint, Index, Kind, NoSink, Ownership, TarContent, Times,
    Timestamp, Tree, TreeContent, diff, fill_digests, materialize, read_layer, unpack, write_layer,
};
use proptest::prelude::*;

/// Names that are awkward in one way or another.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[a-c]{1,2}".prop_map(String::into_bytes),
        1 => Just(b"with space".to_vec()),
        1 => Just("ümlaut".as_bytes().to_vec()),
        1 => Just(b"\xff\xfe".to_vec()),
        1 => Just(b"new\nline=".to_vec()),
        1 => Just(vec![b'l'; 120]),
        1 => Just(b"-".to_vec()),
    ]
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(name(), 1..5).prop_map(|names| names.join(&b'/'))
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        2 => Just(Kind::Directory { opaque: false }),
        4 => (0u64..3000).prop_map(|size| Kind::File { size, digest: None }),
        1 => name().prop_map(|target| Kind::Symlink { target }),
        1 => Just(Kind::Hardlink { target: Vec::new() }),
        1 => Just(Kind::Fifo),
    ];
    let xattrs =
        prop::collection::btree_map("user\\.[a-z]{1,3}", prop::collection::vec(any::<u8>(), 0..20), 0..2);
    let mode = prop_oneof![Just(0o644), Just(0o4755), Just(0o1777), Just(0o700), Just(0)];
    (path(), kind, mode, 0..3u32, 0i64..4_000_000_000, xattrs).prop_map(
        |(path, kind, mode, id, seconds, xattrs)| {
            let id = some_id(id * 1000);
            let plain = matches!(kind, Kind::Directory { .. } | Kind::File { .. });
            let xattrs = xattrs
                .into_iter()
                .filter(|_| plain)
                .map(|(name, value)| (name.into_bytes(), value))
                .collect();
            // Without root's rights what is to be read back must be readable.
            let mode = if is_root() { mode } else { mode | 0o700 };
            let mode = if matches!(kind, Kind::Symlink { .. }) { 0o777 } else { mode };
            let mtime = Timestamp { seconds, nanoseconds: 0 };
            Entry { mode, uid: id, gid: id, mtime, xattrs, ..Entry::new(path, kind) }
        },
    )
}

/// Makes a layer of random entries: what cannot be goes away, parents are added, hard links get a file before them.
fn layer(entries: Vec<Entry>) -> Index {
    let mut kept: Vec<Entry> = Vec::new();
    let mut files: Vec<Entry> = Vec::new();
    for mut entry in Index::from_entries(entries).entries {
        let blocked = kept.iter().any(|above| {
            !above.is_directory()
                && entry.path != above.path
                && jettison_layer::is_below(&entry.path, &above.path)
        });
        if blocked {
            continue;
        }
        if let Kind::Hardlink { .. } = entry.kind {
            let Some(file) = files.last() else { continue };
            let kind = Kind::Hardlink { target: file.path.clone() };
            entry = Entry { path: entry.path, kind, ..file.clone() };
        }
        let mut above = jettison_layer::parent(&entry.path).unwrap_or_default();
        while !above.is_empty() && !kept.iter().any(|entry| entry.path == above) {
            kept.push(dir(std::str::from_utf8(above).unwrap_or("odd")));
            kept.last_mut().unwrap().path = above.to_vec();
            above = jettison_layer::parent(above).unwrap_or_default();
        }
        if matches!(entry.kind, Kind::File { .. }) {
            files.push(entry.clone());
        }
        kept.push(entry);
    }
    Index::from_entries(kept)
}

/// Content that differs from file to file.
struct Generated;

impl Content for Generated {
    fn open(&self, entry: &Entry) -> std::io::Result<Box<dyn std::io::Read + Send + '_>> {
        let bytes = entry.path.iter().copied().cycle().take(entry.size() as usize).collect::<Vec<u8>>();
        Ok(Box::new(std::io::Cursor::new(bytes)))
    }
}

fn to_tar(index: &Index, content: &dyn Content) -> Vec<u8> {
    let mut tar = Vec::new();
    write_layer(index, content, Times::Epoch(0), &mut tar).unwrap();
    assert_eq!(jettison_layer::tar_size(index, Times::Epoch(0)).unwrap(), tar.len() as u64);
    tar
}

fn with_digests(index: &Index) -> Index {
    let mut index = index.clone();
    fill_digests(&mut index.entries, &Generated, 2).unwrap();
    // A hard link has no digest, the file has.
    index
}

fn changed(directory: &std::path::Path) -> Index {
    let options = DiffOptions { started: NEVER, ownership: ownership() };
    diff(&open(directory), &Tree::default(), &TreeContent::default(), options).unwrap()
}

fn fingerprint(index: &Index) -> jettison_image::Digest {
    let mut fingerprint = Fingerprint::new();
    index.entries.iter().for_each(|entry| fingerprint.add(&entry.path, entry).unwrap());
    fingerprint.finish()
}

fn prepared() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    jettison_layer::prepare_upper(&open(directory.path()), &Tree::default(), ownership()).unwrap();
    directory
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tar_index_directory_and_back(entries in prop::collection::vec(entry(), 0..40)) {
        let index = layer(entries);
        let tar = to_tar(&index, &Generated);
        let full = with_digests(&index);

        // Read without unpacking.
        let listing = read_layer(&mut tar.as_slice(), &mut NoSink).unwrap();
        prop_assert_eq!(&listing.index, &full);
        prop_assert!(listing.implied.is_empty());

        // Unpacked, and compared with nothing.
        let directory = prepared();
        let unpacked = unpack(&mut tar.as_slice(), &open(directory.path()), ownership()).unwrap();
        prop_assert_eq!(&unpacked.index, &full);
        prop_assert_eq!(&changed(directory.path()), &index);

        // Made from the index, and from the directory's content.
        let copy = prepared();
        let content = DirContent::new(open(directory.path()));
        materialize(&index, &content, &open(copy.path()), ownership()).unwrap();
        prop_assert_eq!(&changed(copy.path()), &index);
        prop_assert_eq!(&to_tar(&index, &DirContent::new(open(copy.path()))), &tar);

        // Served from the tar.
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&tar).unwrap();
        file.rewind().unwrap();
        let (content, listing) = TarContent::new(file).unwrap();
        prop_assert_eq!(&to_tar(&listing.index, &content), &tar);
        let mut again = listing.index;
        fill_digests(&mut again.entries, &content, 1).unwrap();
        prop_assert_eq!(fingerprint(&again), fingerprint(&full));

        // Upon itself it changes nothing.
        let tree = Tree::new([Arc::new(full.clone())]);
        prop_assert_eq!(tree.len(), full.entries.len());
        let contents = TreeContent::new(vec![Arc::new(DirContent::new(open(copy.path())))]);
        let options = DiffOptions { started: NEVER, ownership: ownership() };
        let nothing = diff(&open(directory.path()), &tree, &contents, options).unwrap();
        prop_assert_eq!(lines(&nothing), Vec::<String>::new());
    }

    #[test]
    fn stored_form_round_trips(entries in prop::collection::vec(entry(), 0..40), fresh in any::<bool>()) {
        let mut index = with_digests(&layer(entries));
        for entry in &mut index.entries {
            entry.fresh = fresh;
            entry.follows = !fresh && matches!(entry.kind, Kind::File { .. });
        }
        index.entries.push(Entry::new("zz/dev", Kind::BlockDevice { major: 8, minor: 1 << 19 }));
        index.entries.push(whiteout("zz/gone"));
        index.entries.push(Entry { mtime: Timestamp { seconds: -5, nanoseconds: 999_999_999 }, ..opaque("zz/o") });
        let index = Index::from_entries(index.entries);
        let stored = index.encode();
        prop_assert_eq!(&Index::decode(&stored), &Ok(index));
    }

    #[test]
    fn damaged_stored_forms_do_no_harm(
        entries in prop::collection::vec(entry(), 1..10),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let stored = layer(entries).encode();
        let mut bad = stored.clone();
        for (place, byte) in &damage {
            bad[place.index(stored.len())] = *byte;
        }
        // One form for each index: what still reads is another index, written like that.
        if let Ok(index) = Index::decode(&bad) {
            prop_assert_eq!(index.encode(), bad);
        }
        prop_assert!(Index::decode(&stored[..cut.index(stored.len())]).is_err());
    }

    #[test]
    fn damaged_tars_do_no_harm(
        entries in prop::collection::vec(entry(), 1..6),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut tar = to_tar(&layer(entries), &Generated);
        for (place, byte) in &damage {
            let place = place.index(tar.len());
            tar[place] = *byte;
            reseal(&mut tar, place);
        }
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("in");
        std::fs::create_dir(&target).unwrap();
        let _ = unpack(&mut tar.as_slice(), &open(&target), Ownership::Squashed);
        let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
        prop_assert_eq!(left.len(), 1);
    }
}

/// Makes the checksum of a damaged block right again, if it is a header: else all damage ends there.
fn reseal(tar: &mut [u8], place: usize) {
    let start = place / 512 * 512;
    let block = &mut tar[start..start + 512];
    if &block[257..262] == b"ustar" {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
}

#[test]
fn a_newer_form_is_refused_by_name() {
    let mut stored = Index::default().encode();
    let version = stored.len() - 2;
    stored[version] = 9;
    let error = Index::decode(&stored).unwrap_err();
    assert!(error.to_string().contains("format 9, which is newer"), "{error}");
    assert!(Index::decode(b"").is_err());
}

#[test]
fn digests_are_of_the_content_and_errors_name_the_file() {
    let directory = tempfile::tempdir().unwrap();
    File::create(directory.path().join("f")).unwrap().write_all(b"abc").unwrap();
    let content = DirContent::new(open(directory.path()));
    let mut entries = [file("f", 3), file("gone", 1)];
    fill_digests(&mut entries[..1], &content, 4).unwrap();
    assert_eq!(entries[0].kind, Kind::File { size: 3, digest: Some(jettison_image::Digest::of(b"abc")) });
    let error = fill_digests(&mut entries, &content, 4).unwrap_err();
    assert!(error.to_string().contains("/gone"), "{error}");
    let mut short = [file("f", 2)];
    assert!(fill_digests(&mut short, &content, 1).unwrap_err().to_string().contains("changed meanwhile"));
}

#[test]
fn fingerprints_tell_what_matters() {
    let fingerprint = |entry: Entry| {
        let mut index = index([entry]);
        fill_digests(&mut index.entries, &Generated, 1).unwrap();
        fingerprint(&index)
    };
    let plain = fingerprint(file("a", 1));
    assert_eq!(plain, fingerprint(Entry { mtime: NEVER, fresh: true, ..file("a", 1) }));
    let others = [
        file("b", 1),
        file("a", 2),
        Entry { mode: 0o600, ..file("a", 1) },
        Entry { uid: 7, ..file("a", 1) },
        Entry { gid: 7, ..file("a", 1) },
        Entry { xattrs: vec![(b"user.x".to_vec(), b"".to_vec())], ..file("a", 1) },
        symlink("a", "x"),
        dir("a"),
    ];
    for other in others {
        assert_ne!(plain, fingerprint(other.clone()), "{other:?}");
    }
    assert!(Fingerprint::new().add(b"a", &file("a", 1)).is_err());
}
