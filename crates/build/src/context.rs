//! The build context: which of its files a build sees, as a layer index.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use jettison_dockerfile::ignore::Patterns;
use jettison_fs::{Dir, FileKind, Flow, Visited, walk_on_threads};
use jettison_image::Digest;
use jettison_layer::{Content, DirContent, Entry, Index, Kind, Timestamp, compare_paths};

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
    /// All that is not ignored and that some instruction may want.
    pub(crate) index: Arc<Index>,
    /// By what each entry's file is known, in the order of the index.
    stamps: Vec<Option<Stamp>>,
    /// The directory.
    path: PathBuf,
    /// The same for messages and as a key.
    name: String,
    content: Arc<DirContent>,
    ignore: Patterns,
}

impl ContextFiles {
    /// Lists a context. `wanted` are paths below which instructions look; an empty one is the whole context. Files that
    /// `known` knows have their digests.
    pub(crate) fn read(
        source: &ContextSource,
        wanted: &[String],
        known: &StatCache,
    ) -> Result<ContextFiles, Error> {
        let dir = Dir::open(&source.path)?;
        let wanted = without_links(&source.path, wanted);
        let lister = Lister { ignore: &source.ignore, wanted: &wanted, known };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let mut listed = walk_on_threads(&dir, threads, &|visited| lister.visit(visited))?;
        listed.sort_unstable_by(|a, b| compare_paths(&a.entry.path, &b.entry.path));
        drop_empty_parents(&mut listed);
        link_names(&mut listed);
        let stamps = listed.iter().map(|listed| listed.stamp).collect();
        Ok(ContextFiles {
            index: Arc::new(Index { entries: listed.into_iter().map(|listed| listed.entry).collect() }),
            stamps,
            path: source.path.clone(),
            name: source.path.display().to_string(),
            content: Arc::new(DirContent::new(dir)),
            ignore: source.ignore.clone(),
        })
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
        &self.path
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
        let Ok(entries) = std::fs::read_dir(self.path.join(directory)) else { return Vec::new() };
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    }

    /// Tells whether `.dockerignore` hides a path that is there.
    pub(crate) fn hides(&self, path: &str) -> bool {
        let there = std::fs::symlink_metadata(self.path.join(path)).is_ok();
        there && self.ignore.matches_or_parent_matches(path.as_bytes())
    }
}

/// What a walk found.
struct Listed {
    entry: Entry,
    ignored: bool,
    /// By what the file is known; `None` for what has no content of its own, or attributes that the stamp cannot promise.
    stamp: Option<Stamp>,
    /// Which file it is, where that has several names.
    inode: Option<(u64, u64)>,
}

struct Lister<'a> {
    ignore: &'a Patterns,
    wanted: &'a [Vec<u8>],
    known: &'a StatCache,
}

impl Lister<'_> {
    fn visit(&self, visited: &Visited<'_>) -> Result<(Flow, Option<Listed>), Error> {
        let path = visited.path;
        let on_the_way = |wanted: &Vec<u8>| is_within(path, wanted) || is_within(wanted, path);
        if !self.wanted.iter().any(on_the_way) {
            return Ok((Flow::Skip, None));
        }
        let ignored = self.ignore.matches_or_parent_matches(path);
        let directory = visited.metadata.kind == FileKind::Directory;
        // An ignored directory may still hold something that a later `!` pattern brings back.
        if ignored && !(directory && self.ignore.may_include_below(path)) {
            return Ok((Flow::Skip, None));
        }
        Ok((Flow::Descend, Some(self.list(visited, ignored)?)))
    }

    /// Files of the context belong to root, whoever owns them here, and are as old as the build.
    fn list(&self, visited: &Visited<'_>, ignored: bool) -> Result<Listed, Error> {
        let metadata = &visited.metadata;
        let mut stamp = None;
        let kind = match metadata.kind {
            FileKind::Directory => Kind::Directory { opaque: false },
            FileKind::File => {
                let of_file = Stamp::of(metadata);
                stamp = Some(of_file);
                Kind::File { size: metadata.size, digest: self.known.get(&of_file) }
            }
            FileKind::Symlink => Kind::Symlink { target: visited.dir.read_link(visited.name)? },
            // BuildKit's context transfer turns sockets into empty files and leaves devices and pipes as they are.
            FileKind::Socket => Kind::File { size: 0, digest: Some(Digest::of(b"")) },
            FileKind::Fifo => Kind::Fifo,
            FileKind::CharacterDevice => {
                Kind::CharacterDevice { major: metadata.rdev.0, minor: metadata.rdev.1 }
            }
            FileKind::BlockDevice => Kind::BlockDevice { major: metadata.rdev.0, minor: metadata.rdev.1 },
        };
        let mode = if metadata.kind == FileKind::Symlink { LINK_MODE } else { metadata.mode };
        let mtime = Timestamp { seconds: metadata.mtime.seconds, nanoseconds: metadata.mtime.nanoseconds };
        let xattrs = match (&kind, stamp) {
            // Only files without attributes are remembered, and giving them one changes their ctime.
            (Kind::File { digest: Some(_), .. }, Some(_)) => Vec::new(),
            (Kind::File { .. } | Kind::Directory { .. }, _) => portable_xattrs(visited)?,
            _ => Vec::new(),
        };
        if !xattrs.is_empty() {
            stamp = None;
        }
        let inode =
            (metadata.kind == FileKind::File && metadata.nlink > 1).then_some((metadata.dev, metadata.ino));
        let path = visited.path.to_vec();
        let entry = Entry { mode, mtime, fresh: true, xattrs, ..Entry::new(path, kind) };
        Ok(Listed { entry, ignored, stamp, inode })
    }
}

/// Returns the extended attributes that mean the same in an image; labels and lists of this machine's do not.
fn portable_xattrs(visited: &Visited<'_>) -> Result<Xattrs, Error> {
    let mut xattrs = visited.dir.xattrs(visited.name)?;
    xattrs.retain(|(name, _)| {
        name == b"security.capability" || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.")
    });
    Ok(xattrs)
}

/// An ignored directory counts only as the parent of something that is not ignored.
fn drop_empty_parents(listed: &mut Vec<Listed>) {
    if !listed.iter().any(|listed| listed.ignored) {
        return;
    }
    let mut needed: HashSet<Vec<u8>> = HashSet::new();
    for Listed { entry, .. } in listed.iter().filter(|listed| !listed.ignored) {
        let mut path = entry.path.as_slice();
        while let Some(slash) = path.iter().rposition(|b| *b == b'/') {
            path = &path[..slash];
            if !needed.insert(path.to_vec()) {
                break;
            }
        }
    }
    listed.retain(|listed| !listed.ignored || needed.contains(&listed.entry.path));
}

/// Turns all but the first name of a file into hard links to that.
fn link_names(listed: &mut [Listed]) {
    let mut first: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    for Listed { entry, stamp, inode, .. } in listed {
        let Some(inode) = inode else { continue };
        match first.get(inode) {
            Some(first) => {
                entry.kind = Kind::Hardlink { target: first.clone() };
                *stamp = None;
            }
            None => {
                first.insert(*inode, entry.path.clone());
            }
        }
    }
}

/// Widens the wanted paths to the whole context where one leads through a symbolic link.
fn without_links(root: &Path, wanted: &[String]) -> Vec<Vec<u8>> {
    let linked = |path: &&String| {
        Path::new(path.as_str())
            .ancestors()
            .filter(|part| !part.as_os_str().is_empty())
            .any(|part| root.join(part).is_symlink())
    };
    if wanted.iter().any(|path| linked(&path)) {
        return vec![Vec::new()];
    }
    wanted.iter().map(|path| path.as_bytes().to_vec()).collect()
}

/// Tells whether `path` is `directory` or lies in it.
fn is_within(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty()
        || path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
