//! What is on disk, as entries.

use std::collections::HashSet;

use jettison_fs::{Dir, FileKind, Metadata, Timestamp, Visited};

use crate::disk::OPAQUE_XATTR;
use crate::names::is_overlay_xattr;
use crate::path::MAX_PATH;
use crate::{Entry, Error, Kind, Node, Ownership, Tree};

/// How a comparison of a directory with its parent tree takes what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiffOptions {
    /// When the build began: files that are not older came to be in it. Results of earlier builds need no thought, their
    /// fresh files are known from the tree.
    pub started: Timestamp,
    /// Whether the disk holds the true owners.
    pub ownership: Ownership,
}

/// Turns what is on disk into entries.
pub(crate) struct Observer<'a> {
    parent: &'a Tree,
    since: Timestamp,
    ownership: Ownership,
    /// The times of fresh files below: a copy that keeps such a time is as fresh as its original, which may be older
    /// than the build (a context file, a step of an earlier build).
    fresh_times: HashSet<Timestamp>,
}

impl<'a> Observer<'a> {
    pub fn new(parent: &'a Tree, options: DiffOptions) -> Observer<'a> {
        let fresh = parent.iter().map(|node| node.content().1).filter(|entry| entry.fresh);
        // Tools that copy by way of a tar keep whole seconds.
        let times = fresh.flat_map(|entry| [entry.mtime, Timestamp { nanoseconds: 0, ..entry.mtime }]);
        Observer {
            parent,
            fresh_times: times.collect(),
            since: before(options.started),
            ownership: options.ownership,
        }
    }

    /// Returns the entry of what a walk is at, and what the parent tree has there, or `None` for what no layer can hold
    /// (sockets). With `covered`, the parent tree does not show here.
    pub fn observe(
        &self,
        visited: &Visited<'_>,
        covered: bool,
    ) -> Result<Option<(Entry, Option<Node<'a>>)>, Error> {
        if visited.path.len() > MAX_PATH {
            return Err(Error::entry(
                &visited.path[..80],
                format!("… has a path longer than {MAX_PATH} bytes"),
            ));
        }
        let below = if covered { None } else { self.parent.get(visited.path) };
        let Some(kind) = kind(visited)? else { return Ok(None) };
        if kind == Kind::Whiteout {
            return Ok(Some((Entry::whiteout(visited.path), below)));
        }
        let mut entry = Entry::new(visited.path, kind);
        self.set_attributes(&mut entry, visited.dir, visited.name, &visited.metadata, below.as_ref())?;
        Ok(Some((entry, below)))
    }

    /// Returns the entry of the root itself.
    pub fn observe_root(&self, root: &Dir) -> Result<(Entry, Option<Node<'a>>), Error> {
        let below = self.parent.get(b"");
        let mut entry = Entry::new(b"", Kind::Directory { opaque: false });
        self.set_attributes(&mut entry, root, b".", &root.metadata(b".")?, below.as_ref())?;
        Ok((entry, below))
    }

    fn set_attributes(
        &self,
        entry: &mut Entry,
        dir: &Dir,
        name: &[u8],
        metadata: &Metadata,
        below: Option<&Node<'a>>,
    ) -> Result<(), Error> {
        let same_kind = below.filter(|node| is_same_kind(&node.content().1.kind, &entry.kind));
        entry.mode = metadata.mode;
        (entry.uid, entry.gid) = match self.ownership {
            Ownership::Native => (metadata.uid, metadata.gid),
            Ownership::Squashed => same_kind.map_or((0, 0), |node| (node.entry.uid, node.entry.gid)),
        };
        entry.mtime = metadata.mtime;
        entry.fresh = entry.mtime >= self.since || self.fresh_times.contains(&entry.mtime);
        for attribute in dir.xattr_names(name)? {
            if is_recorded(&attribute)
                && let Some(value) = dir.xattr(name, &attribute)?
            {
                entry.xattrs.push((attribute, value));
            }
        }
        // What a disk may not be able to hold stays as it was.
        let kept = same_kind.map(|node| node.content().1.xattrs.as_slice()).unwrap_or_default();
        entry.xattrs.extend(kept.iter().filter(|(name, _)| !is_recorded(name)).cloned());
        entry.xattrs.sort();
        Ok(())
    }
}

/// File systems take their times from a clock that advances with each tick only, 10 ms at most: a file can be a little
/// older than the build that made it.
fn before(started: Timestamp) -> Timestamp {
    const TICK: u32 = 10_000_000;
    match started.nanoseconds.checked_sub(TICK) {
        Some(nanoseconds) => Timestamp { nanoseconds, ..started },
        None => Timestamp {
            seconds: started.seconds.saturating_sub(1),
            nanoseconds: started.nanoseconds + 1_000_000_000 - TICK,
        },
    }
}

/// Returns whether an attribute is read from disk. Others belong to the host (`security.selinux`), or may be refused to
/// us (`trusted.*`).
fn is_recorded(name: &[u8]) -> bool {
    name == b"security.capability" || (name.starts_with(b"user.") && !is_overlay_xattr(name))
}

fn kind(visited: &Visited<'_>) -> Result<Option<Kind>, Error> {
    let metadata = &visited.metadata;
    let (major, minor) = metadata.rdev;
    Ok(Some(match metadata.kind {
        FileKind::Directory => {
            let mark = visited.dir.xattr(visited.name, OPAQUE_XATTR)?;
            Kind::Directory { opaque: mark.as_deref() == Some(b"y") }
        }
        FileKind::File => Kind::File { size: metadata.size, digest: None },
        FileKind::Symlink => Kind::Symlink { target: visited.dir.read_link(visited.name)? },
        FileKind::CharacterDevice if metadata.is_whiteout() => Kind::Whiteout,
        FileKind::CharacterDevice => Kind::CharacterDevice { major, minor },
        FileKind::BlockDevice => Kind::BlockDevice { major, minor },
        FileKind::Fifo => Kind::Fifo,
        // As docker does: a socket without its process means nothing.
        FileKind::Socket => return Ok(None),
    }))
}

/// Returns whether two kinds are the same but for their details.
pub(crate) fn is_same_kind(a: &Kind, b: &Kind) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}
