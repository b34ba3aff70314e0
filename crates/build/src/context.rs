//! The build context: which of its files a build sees, as a layer index.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_dockerfile::ignore::Patterns;
use jettison_fs::{Dir, FileKind, Flow, Visited, walk};
use jettison_image::Digest;
use jettison_layer::{Content, DirContent, Entry, Index, Kind, Timestamp};

use crate::Error;

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
    pub(crate) index: Index,
    /// The directory.
    path: PathBuf,
    content: Arc<DirContent>,
    ignore: Patterns,
}

impl ContextFiles {
    /// Lists a context. `wanted` are paths below which instructions look; an empty one is the whole context.
    pub(crate) fn read(source: &ContextSource, wanted: &[String]) -> Result<ContextFiles, Error> {
        let dir = Dir::open(&source.path)?;
        let wanted = without_links(&source.path, wanted);
        let mut lister =
            Lister { ignore: &source.ignore, wanted: &wanted, entries: Vec::new(), inodes: HashMap::new() };
        walk(&dir, |visited| lister.visit(visited))?;
        let entries = lister.entries;
        Ok(ContextFiles {
            index: drop_empty_parents(entries),
            path: source.path.clone(),
            content: Arc::new(DirContent::new(dir)),
            ignore: source.ignore.clone(),
        })
    }

    /// Returns the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
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

struct Lister<'a> {
    ignore: &'a Patterns,
    wanted: &'a [Vec<u8>],
    entries: Vec<(Entry, bool)>,
    /// The first path of each file that has several.
    inodes: HashMap<(u64, u64), Vec<u8>>,
}

impl Lister<'_> {
    fn visit(&mut self, visited: &Visited<'_>) -> Result<Flow, Error> {
        let path = visited.path;
        let on_the_way = |wanted: &Vec<u8>| is_within(path, wanted) || is_within(wanted, path);
        if !self.wanted.iter().any(on_the_way) {
            return Ok(Flow::Skip);
        }
        let ignored = self.ignore.matches_or_parent_matches(path);
        let directory = visited.metadata.kind == FileKind::Directory;
        // An ignored directory may still hold something that a later `!` pattern brings back.
        if ignored && !(directory && self.ignore.may_include_below(path)) {
            return Ok(Flow::Skip);
        }
        let entry = self.entry(visited)?;
        self.entries.push((entry, ignored));
        Ok(Flow::Descend)
    }

    /// Files of the context belong to root, whoever owns them here, and are as old as the build.
    fn entry(&mut self, visited: &Visited<'_>) -> Result<Entry, Error> {
        let metadata = &visited.metadata;
        let kind = match metadata.kind {
            FileKind::Directory => Kind::Directory { opaque: false },
            FileKind::File => self.file(visited),
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
        let xattrs = match kind {
            Kind::File { .. } | Kind::Directory { .. } => portable_xattrs(visited)?,
            _ => Vec::new(),
        };
        Ok(Entry { path: visited.path.to_vec(), kind, mode, uid: 0, gid: 0, mtime, fresh: true, xattrs })
    }

    fn file(&mut self, visited: &Visited<'_>) -> Kind {
        let metadata = &visited.metadata;
        let file = Kind::File { size: metadata.size, digest: None };
        if metadata.nlink < 2 {
            return file;
        }
        match self.inodes.get(&(metadata.dev, metadata.ino)) {
            Some(first) => Kind::Hardlink { target: first.clone() },
            None => {
                self.inodes.insert((metadata.dev, metadata.ino), visited.path.to_vec());
                file
            }
        }
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
fn drop_empty_parents(entries: Vec<(Entry, bool)>) -> Index {
    let mut needed: HashSet<Vec<u8>> = HashSet::new();
    for (entry, ignored) in &entries {
        if *ignored {
            continue;
        }
        let mut path = entry.path.as_slice();
        while let Some(slash) = path.iter().rposition(|b| *b == b'/') {
            path = &path[..slash];
            if !needed.insert(path.to_vec()) {
                break;
            }
        }
    }
    let kept = entries.into_iter().filter(|(entry, ignored)| !ignored || needed.contains(&entry.path));
    Index::from_entries(kept.map(|(entry, _)| entry).collect())
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
