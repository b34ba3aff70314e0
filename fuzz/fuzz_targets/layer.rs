//! Any bytes are a layer, compressed or not. One that can be read has an index that survives being stored, unpacks to
//! what was listed and into nothing else, and is the same layer when it is written again.
#![no_main]

use std::io::Read;
use std::sync::Arc;

use jettison_fs::Dir;
use jettison_layer::{
    DirContent, Entry, Error, FileContent, Index, NoSink, Ownership, Sink, Times, Tree, decompress,
    read_layer, unpack, write_layer,
};

/// Bytes of tar, and of files, that are looked at: a bomb is a slow input, not a wrong one.
const LIMIT: u64 = 1 << 20;

/// Stops before files become large. Holes are not stored, so the length of the tar bounds nothing.
struct Bounded(u64);

impl Sink for Bounded {
    fn entry(&mut self, entry: &Entry, _: &mut FileContent<'_>) -> Result<(), Error> {
        self.0 = self.0.saturating_add(entry.size());
        if self.0 > LIMIT { Err(Error::Limit { what: "bytes of files", limit: LIMIT }) } else { Ok(()) }
    }

    fn imply(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn make_opaque(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn remove(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = Index::decode(input);
    let mut tar = Vec::new();
    let Ok(reader) = decompress(input) else { return };
    // Of what is cut off or damaged, the start is a tar too.
    let _ = reader.take(LIMIT).read_to_end(&mut tar);
    let Ok(listing) = read_layer(&mut tar.as_slice(), &mut Bounded(0)) else { return };

    assert_eq!(Index::decode(&listing.index.encode()).as_ref(), Ok(&listing.index));
    stack(&listing.index);
    write_again(&tar, listing.index);
});

/// A layer over itself shows what it shows alone.
fn stack(index: &Index) {
    let index = Arc::new(index.clone());
    let [once, twice] = [1, 2].map(|count| Tree::new(std::iter::repeat_n(Arc::clone(&index), count)));
    assert!(once.iter().map(|node| &node.entry.path).eq(twice.iter().map(|node| &node.entry.path)));
}

fn write_again(tar: &[u8], mut index: Index) {
    let outside = tempfile::tempdir().expect("a temporary directory");
    let target = outside.path().join("target");
    std::fs::create_dir(&target).expect("a directory");
    let target = Dir::open(&target).expect("a directory");
    // The kernel refuses some names that a tar can hold.
    let unpacked = unpack(&mut &*tar, &target, Ownership::Squashed);
    assert_eq!(std::fs::read_dir(outside.path()).expect("a directory").count(), 1);
    let Ok(unpacked) = unpacked else { return };
    assert_eq!(unpacked.index, index);

    let mut again = Vec::new();
    if write_layer(&index, &DirContent::new(target), Times::Epoch(0), &mut again).is_err() {
        return;
    }
    // Times leave in whole seconds.
    index.entries.iter_mut().for_each(|entry| entry.mtime.nanoseconds = 0);
    assert_eq!(read_layer(&mut again.as_slice(), &mut NoSink).expect("a layer").index, index);
}
