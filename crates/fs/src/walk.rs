//! Walking a tree, in the order of sorted paths, with open directories only.

use crate::descent::Descent;
use crate::{Dir, Error, FileKind, Metadata};

/// What a walk is at.
#[derive(Debug)]
pub struct Visited<'a> {
    /// The path below the root, without leading slash.
    pub path: &'a [u8],
    /// The directory it is in.
    pub dir: &'a Dir,
    /// Its name there.
    pub name: &'a [u8],
    /// Its attributes.
    pub metadata: Metadata,
}

/// Whether a walk goes into the directory that it visited. Of no meaning for anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go into it.
    Descend,
    /// Leave out what is in it.
    Skip,
}

/// Calls `visit` for all that is in `root`, but not for `root` itself: a directory before what is in it, names sorted
/// bytewise. Symbolic links are visited, not followed; other file systems mounted below are walked as well.
///
/// What vanishes during the walk is an error: the trees we walk are ours.
pub fn walk<E: From<Error>>(
    root: &Dir,
    mut visit: impl FnMut(&Visited<'_>) -> Result<Flow, E>,
) -> Result<(), E> {
    let mut descent = Descent::new(root.try_clone()?)?;
    let mut path: Vec<u8> = Vec::new();
    loop {
        let Some((entry, dir, length)) = descent.next() else {
            if !descent.pop()? {
                return Ok(());
            }
            continue;
        };
        path.truncate(length);
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&entry.name);
        let metadata = dir.metadata(&entry.name)?;
        let kind = metadata.kind;
        let flow = visit(&Visited { path: &path, dir, name: &entry.name, metadata })?;
        if kind == FileKind::Directory && flow == Flow::Descend {
            let child = dir.open_dir(&entry.name)?;
            descent.push(child, path.len())?;
        }
    }
}
