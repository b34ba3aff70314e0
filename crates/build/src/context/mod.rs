//! The build context: which of its files a build sees, as a layer index.

mod listing;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_dockerfile::ignore::Patterns;
use jettison_fs::Dir;
use jettison_image::Digest;
use jettison_layer::{Content, DirContent, Entry, Index, Kind, file_name, parent};

pub(crate) use self::listing::Listing;

use self::listing::{Item, What};
use crate::Error;
use crate::stat_cache::{Stamp, StatCache};

/// The mode of symbolic links, which have none of their own.
const LINK_MODE: u32 = 0o777;

/// Extended attributes by name.
type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// A directory of files that COPY and ADD may read.
#[derive(Debug, Clone)]
pub struct ContextSource {
    /// The directory.
    pub path: PathBuf,
    /// What `.dockerignore` says.
    pub ignore: Patterns,
}

/// The files of a context.
pub(crate) struct ContextFiles {
    /// All that was listed.
    pub(crate) index: Arc<Index>,
    /// By what each entry's file is known, in the order of the index; `None` for what has no content of its own, or
    /// attributes that the stamp cannot promise.
    stamps: Vec<Option<Stamp>>,
    /// The name of the listing.
    listed: Option<Digest>,
    source: ContextSource,
    /// The directory for messages and as a key.
    name: String,
    content: Arc<DirContent>,
}

impl ContextFiles {
    /// Makes the index of what was listed. Files that `known` knows have their digests.
    pub(crate) fn new(listing: Listing, known: &StatCache) -> Result<ContextFiles, Error> {
        let (source, listed) = (listing.source.clone(), listing.name());
        let mut reader = Reader { known, root: listing.dir.try_clone()?, open: None, names: HashMap::new() };
        let (mut entries, mut stamps) =
            (Vec::with_capacity(listing.len()), Vec::with_capacity(listing.len()));
        for (path, item) in listing.into_items() {
            let (entry, stamp) = reader.entry(path, item)?;
            entries.push(entry);
            stamps.push(stamp);
        }
        Ok(ContextFiles {
            index: Arc::new(Index { entries }),
            stamps,
            listed,
            name: source.path.display().to_string(),
            content: Arc::new(DirContent::new(reader.root)),
            source,
        })
    }

    /// Returns the name of the files as they were listed.
    pub(crate) fn listed(&self) -> Option<Digest> {
        self.listed
    }

    /// Returns the files by their stamps, with the digests that they have by now: `taken` knows those that were taken
    /// since the context was listed. Nothing, if it knows none.
    pub(crate) fn digests(&self, taken: &dyn Fn(&[u8]) -> Option<Digest>) -> Vec<(Stamp, Digest)> {
        let mut any = false;
        let mut files = Vec::new();
        for (entry, stamp) in self.index.entries.iter().zip(&self.stamps) {
            let (Some(stamp), Kind::File { digest, .. }) = (stamp, &entry.kind) else { continue };
            let new = if digest.is_none() { taken(&entry.path) } else { None };
            any |= new.is_some();
            files.extend(digest.or(new).map(|digest| (*stamp, digest)));
        }
        if any { files } else { Vec::new() }
    }

    /// Returns the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.source.path
    }

    /// Returns what to call the directory.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the files' content.
    pub(crate) fn content(&self) -> Arc<dyn Content> {
        self.content.clone()
    }

    /// Returns the names in a directory of the context, whether or not an instruction asked for them.
    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.source.path.join(directory)) else { return Vec::new() };
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    }

    /// Tells whether `.dockerignore` hides a path that is there.
    pub(crate) fn hides(&self, path: &str) -> bool {
        let there = std::fs::symlink_metadata(self.source.path.join(path)).is_ok();
        there && self.source.ignore.matches_or_parent_matches(path.as_bytes())
    }
}

/// Makes entries of items.
struct Reader<'a> {
    known: &'a StatCache,
    root: Dir,
    /// The directory that was looked into last.
    open: Option<(Vec<u8>, Dir)>,
    /// The first names of files that have several, by device and inode.
    names: HashMap<(u64, u64), Vec<u8>>,
}

impl Reader<'_> {
    /// Files of the context belong to root, whoever owns them here, and are as old as the build.
    fn entry(&mut self, path: Vec<u8>, item: Item) -> Result<(Entry, Option<Stamp>), Error> {
        let (mtime, mut mode) = (item.stamp.mtime(), item.mode.into());
        let (mut stamp, mut xattrs) = (None, Vec::new());
        let kind = match item.what {
            What::File => {
                let digest = self.known.get(&item.stamp);
                // Only files without attributes are remembered, and giving them one changes their ctime.
                if digest.is_none() {
                    xattrs = self.xattrs(&path)?;
                }
                stamp = xattrs.is_empty().then_some(item.stamp);
                Kind::File { size: item.stamp.size(), digest }
            }
            What::Directory(found) => {
                xattrs = found;
                Kind::Directory { opaque: false }
            }
            What::Symlink(target) => {
                mode = LINK_MODE;
                Kind::Symlink { target }
            }
            // BuildKit's context transfer turns sockets into empty files and leaves devices and pipes as they are.
            What::Socket => Kind::File { size: 0, digest: Some(Digest::of(b"")) },
            What::Fifo => Kind::Fifo,
            What::CharacterDevice(major, minor) => Kind::CharacterDevice { major, minor },
            What::BlockDevice(major, minor) => Kind::BlockDevice { major, minor },
        };
        let mut entry = Entry { mode, mtime, fresh: true, xattrs, ..Entry::new(path, kind) };
        if item.linked {
            match self.names.get(&item.stamp.file()) {
                Some(first) => {
                    entry.kind = Kind::Hardlink { target: first.clone() };
                    stamp = None;
                }
                None => {
                    self.names.insert(item.stamp.file(), entry.path.clone());
                }
            }
        }
        Ok((entry, stamp))
    }

    fn xattrs(&mut self, path: &[u8]) -> jettison_fs::Result<Xattrs> {
        let directory = parent(path).unwrap_or_default();
        let dir = match self.open.take() {
            Some((open, dir)) if open == directory => dir,
            _ => self.root.open_deep_dir(directory)?,
        };
        let (_, dir) = self.open.insert((directory.to_vec(), dir));
        portable_xattrs(dir, file_name(path))
    }
}

/// Returns the extended attributes that mean the same in an image; labels and lists of this machine's do not.
fn portable_xattrs(dir: &Dir, name: &[u8]) -> jettison_fs::Result<Xattrs> {
    let mut xattrs = dir.xattrs(name)?;
    xattrs.retain(|(name, _)| {
        name == b"security.capability" || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.")
    });
    Ok(xattrs)
}
