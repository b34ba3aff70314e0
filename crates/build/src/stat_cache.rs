//! What earlier builds learned of a context's files: a file that nobody touched is not read again.
//!
//! A file is known by its stamp, as in git's index: device, inode, size and both times. The stored form is a magic
//! number, a checksum of the rest, and records of one length sorted by stamp, so that a look-up needs no decoding.

use std::cmp::Ordering;

use jettison_fs::Metadata;
use jettison_image::Digest;
use jettison_layer::Timestamp;

const MAGIC: &[u8; 8] = b"jetstat1";

/// Bytes of a record: the stamp's five fields of two words at most, then the digest.
const RECORD: usize = STAMP + 32;
const STAMP: usize = 7 * 8;
const HEADER: usize = 16;

/// How much older than the build a file must be to be remembered, in seconds: a change within the grain of a file
/// system's clock leaves the times as they are (git calls such entries racily clean). FAT has two seconds.
const GRAIN: i64 = 2;

/// How many files are remembered in any case that a build did not look at.
const OTHERS: usize = 1 << 16;

/// By what a file is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp([u64; 7]);

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Stamp {
        let Metadata { dev, ino, size, mtime, ctime, .. } = metadata;
        // Any one-to-one mapping does.
        let (mtime, ctime) = (
            [mtime.seconds as u64, mtime.nanoseconds.into()],
            [ctime.seconds as u64, ctime.nanoseconds.into()],
        );
        Stamp([*dev, *ino, *size, mtime[0], mtime[1], ctime[0], ctime[1]])
    }

    /// Returns the bytes that stand for the stamp.
    pub(crate) fn to_bytes(self) -> [u8; STAMP] {
        let mut bytes = [0; STAMP];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Returns the device and the inode.
    pub(crate) fn file(&self) -> (u64, u64) {
        (self.0[0], self.0[1])
    }

    /// Returns the size of the file.
    pub(crate) fn size(&self) -> u64 {
        self.0[2]
    }

    /// Returns the time of the last change of the content.
    pub(crate) fn mtime(&self) -> Timestamp {
        Timestamp { seconds: self.0[3] as i64, nanoseconds: self.0[4] as u32 }
    }

    /// Tells whether a change after `started` must show in the stamp.
    pub(crate) fn is_settled(&self, started: Timestamp) -> bool {
        let limit = started.seconds - GRAIN;
        (self.0[3] as i64) < limit && (self.0[5] as i64) < limit
    }
}

/// Digests of files by their stamps.
#[derive(Default)]
pub(crate) struct StatCache {
    bytes: Vec<u8>,
}

impl StatCache {
    /// Reads the stored form; what is damaged is empty.
    pub(crate) fn read(bytes: Vec<u8>) -> StatCache {
        let whole = bytes.len() >= HEADER
            && bytes.starts_with(MAGIC)
            && (bytes.len() - HEADER).is_multiple_of(RECORD)
            && bytes[8..HEADER] == checksum(&bytes[HEADER..]).to_le_bytes();
        if whole { StatCache { bytes } } else { StatCache::default() }
    }

    /// Returns the digest of the content of the file with this stamp.
    pub(crate) fn get(&self, stamp: &Stamp) -> Option<Digest> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            let (found, digest) = self.record(middle);
            match found.cmp(stamp) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Some(digest),
            }
        }
        None
    }

    /// Returns the stored form with `files` in it, as they were found by a build that started at `started`.
    ///
    /// What is known of other files is kept, for another Dockerfile of the context may look at them; but not without
    /// limit, as some of it is of files that are gone.
    pub(crate) fn with(&self, mut files: Vec<(Stamp, Digest)>, started: Timestamp) -> Vec<u8> {
        files.retain(|(stamp, _)| stamp.is_settled(started));
        files.sort_unstable_by_key(|(stamp, _)| *stamp);
        let is_new = |stamp: &Stamp| {
            let at = files.partition_point(|(file, _)| file.file() < stamp.file());
            files.get(at).is_some_and(|(file, _)| file.file() == stamp.file())
        };
        let others = (0..self.len()).map(|at| self.record(at)).filter(|(stamp, _)| !is_new(stamp));
        let mut others: Vec<_> = others.collect();
        others.truncate(files.len().max(OTHERS));
        files.extend(others);
        files.sort_unstable_by_key(|(stamp, _)| *stamp);
        files.dedup_by_key(|(stamp, _)| *stamp);
        let mut bytes = vec![0; HEADER];
        bytes.reserve(files.len() * RECORD);
        for (stamp, digest) in files {
            bytes.extend(stamp.to_bytes());
            bytes.extend(digest.as_bytes());
        }
        bytes[..8].copy_from_slice(MAGIC);
        let sum = checksum(&bytes[HEADER..]).to_le_bytes();
        bytes[8..HEADER].copy_from_slice(&sum);
        bytes
    }

    fn len(&self) -> usize {
        self.bytes.len().saturating_sub(HEADER) / RECORD
    }

    fn record(&self, at: usize) -> (Stamp, Digest) {
        let record = &self.bytes[HEADER + at * RECORD..][..RECORD];
        let mut stamp = [0; 7];
        for (word, bytes) in stamp.iter_mut().zip(record.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("chunks are of eight bytes"));
        }
        let digest = record[STAMP..].try_into().expect("a record ends with the 32 bytes of a digest");
        (Stamp(stamp), Digest::from_bytes(digest))
    }
}

/// A sum that a torn file does not have by chance. Nobody is kept from forging it: who can write here owns the store.
fn checksum(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
    words.fold(PRIME, |sum, word| (sum ^ word).wrapping_mul(PRIME).rotate_left(29))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(ino: u64, ctime: u64) -> Stamp {
        Stamp([1, ino, 10, 5, 0, ctime, 0])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    #[test]
    fn what_was_put_is_found_under_its_stamp_alone() {
        let files: Vec<_> = (0..100).map(|ino| (stamp(ino, 7), Digest::of(&[ino as u8]))).collect();
        let cache = StatCache::read(StatCache::default().with(files, at(100)));
        for ino in 0..100 {
            assert_eq!(cache.get(&stamp(ino, 7)), Some(Digest::of(&[ino as u8])));
            assert_eq!(cache.get(&stamp(ino, 8)), None, "it was changed");
        }
        assert_eq!(cache.get(&stamp(100, 7)), None);
    }

    #[test]
    fn files_that_may_still_change_unseen_are_not_remembered() {
        let files = vec![(stamp(1, 97), Digest::of(b"old")), (stamp(2, 98), Digest::of(b"young"))];
        let cache = StatCache::read(StatCache::default().with(files, at(100)));
        assert_eq!(cache.get(&stamp(1, 97)), Some(Digest::of(b"old")));
        assert_eq!(cache.get(&stamp(2, 98)), None);
    }

    #[test]
    fn a_changed_file_replaces_what_was_known_and_others_stay_for_a_while() {
        let first = vec![(stamp(1, 7), Digest::of(b"1")), (stamp(2, 7), Digest::of(b"2"))];
        let cache = StatCache::read(StatCache::default().with(first, at(100)));
        let cache = StatCache::read(cache.with(vec![(stamp(1, 8), Digest::of(b"changed"))], at(100)));
        assert_eq!(cache.get(&stamp(1, 7)), None);
        assert_eq!(cache.get(&stamp(1, 8)), Some(Digest::of(b"changed")));
        assert_eq!(cache.get(&stamp(2, 7)), Some(Digest::of(b"2")));
    }

    #[test]
    fn what_is_torn_is_empty() {
        let files: Vec<_> = (0..10).map(|ino| (stamp(ino, 7), Digest::of(b"x"))).collect();
        let whole = StatCache::default().with(files, at(100));
        for cut in 0..whole.len() {
            assert_eq!(StatCache::read(whole[..cut].to_vec()).len(), 0, "cut at {cut}");
        }
        let mut flipped = whole;
        flipped[HEADER + 3] ^= 1;
        assert_eq!(StatCache::read(flipped).len(), 0);
    }
}
