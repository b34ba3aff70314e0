//! Digests of what entries are, for cache keys; and the digests of files that this needs.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jettison_image::{Digest, Digester};

use crate::path::show;
use crate::{Content, Entry, Error, Kind, Node};

/// Bytes of content read at once.
const BUFFER: usize = 256 * 1024;

/// The digest of a selection of entries: path, kind, mode, owner, attributes, link target, device, content. Times do not
/// count, nor whether two names are one file.
pub struct Fingerprint(Digester);

impl Default for Fingerprint {
    fn default() -> Fingerprint {
        Fingerprint::new()
    }
}

impl Fingerprint {
    /// Starts with no entry.
    pub fn new() -> Fingerprint {
        let mut digester = Digester::new();
        digester.field(b"jettison-fingerprint-1");
        Fingerprint(digester)
    }

    /// Adds what is at `node`, under the path that it has for the consumer. The order counts. A file's digest must be
    /// known.
    pub fn add_node(&mut self, path: &[u8], node: &Node<'_>) -> Result<(), Error> {
        self.add_parts(path, node.entry, &node.content().1.kind)
    }

    /// Like [`Fingerprint::add_node`], of an entry that stands for itself.
    pub fn add(&mut self, path: &[u8], entry: &Entry) -> Result<(), Error> {
        self.add_parts(path, entry, &entry.kind)
    }

    /// Returns the digest of all that was added.
    pub fn finish(self) -> Digest {
        self.0.finish()
    }

    fn add_parts(&mut self, path: &[u8], entry: &Entry, kind: &Kind) -> Result<(), Error> {
        let numbers = |major: u32, minor: u32| [major.to_le_bytes(), minor.to_le_bytes()].concat();
        let (tag, detail) = match kind {
            Kind::Directory { opaque } => (b'd', vec![u8::from(*opaque)]),
            Kind::File { digest: Some(digest), .. } => (b'f', digest.as_bytes().to_vec()),
            Kind::File { digest: None, .. } => return Err(Error::NoDigest { path: show(&entry.path) }),
            Kind::Hardlink { target } => (b'h', target.clone()),
            Kind::Symlink { target } => (b'l', target.clone()),
            Kind::CharacterDevice { major, minor } => (b'c', numbers(*major, *minor)),
            Kind::BlockDevice { major, minor } => (b'b', numbers(*major, *minor)),
            Kind::Fifo => (b'p', Vec::new()),
            Kind::Whiteout => (b'w', Vec::new()),
        };
        let numbers =
            [entry.mode, entry.uid, entry.gid, entry.xattrs.len() as u32].map(u32::to_le_bytes).concat();
        self.0.field(path).field(&[tag]).field(&detail).field(&numbers);
        for (name, value) in &entry.xattrs {
            self.0.field(name).field(value);
        }
        Ok(())
    }
}

/// Takes the digests of those files among `entries` that have none, on up to `threads` threads.
pub fn fill_digests(entries: &mut [Entry], content: &dyn Content, threads: usize) -> Result<(), Error> {
    let missing = |entry: &Entry| matches!(entry.kind, Kind::File { digest: None, .. });
    let wanted: Vec<usize> = (0..entries.len()).filter(|number| missing(&entries[*number])).collect();
    let found = take_digests(entries, &wanted, content, threads.clamp(1, wanted.len().max(1)))?;
    for (number, found) in found {
        if let Some(Entry { kind: Kind::File { digest, .. }, .. }) = entries.get_mut(number) {
            *digest = Some(found);
        }
    }
    Ok(())
}

fn take_digests(
    entries: &[Entry],
    wanted: &[usize],
    content: &dyn Content,
    threads: usize,
) -> Result<Vec<(usize, Digest)>, Error> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut found = Vec::new();
        let mut buffer = vec![0; BUFFER];
        while !failed.load(Ordering::Relaxed) {
            let Some(number) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            match take_digest(&entries[*number], content, &mut buffer) {
                Ok(digest) => found.push((*number, digest)),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(found)
    };
    if threads == 1 {
        return work();
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::with_capacity(wanted.len());
        for worker in workers {
            all.extend(worker.join().expect("taking a digest does not panic")?);
        }
        Ok(all)
    })
}

fn take_digest(entry: &Entry, content: &dyn Content, buffer: &mut [u8]) -> Result<Digest, Error> {
    let fail = |source| Error::content(&entry.path, source);
    let mut reader = content.open(entry).map_err(fail)?;
    let (mut digester, mut found) = (Digester::new(), 0);
    loop {
        match reader.read(buffer) {
            Ok(0) => break,
            Ok(count) => {
                digester.update(&buffer[..count]);
                found += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(fail(source)),
        }
    }
    if found != entry.size() {
        return Err(Error::SizeChanged { path: show(&entry.path), expected: entry.size(), found });
    }
    Ok(digester.finish())
}
