//! The open directories on the way from a root to where a walk is.

use std::collections::VecDeque;

use crate::{Dir, DirEntry, Result};

/// How many directories a walk keeps open; those further up are reopened through `..` on the way back, because a tree
/// can be deeper than a process may have files.
const MAX_OPEN: usize = 128;

/// One directory of the way.
pub(crate) struct Level {
    /// Names still to visit, in order.
    pub pending: VecDeque<DirEntry>,
    /// The length of the path of this directory.
    pub path_length: usize,
    dir: Option<Dir>,
    id: (u64, u64),
}

/// The way from the root down; the last level is where the walk is.
pub(crate) struct Descent {
    levels: Vec<Level>,
    shown: std::path::PathBuf,
}

impl Descent {
    /// Starts in `root`.
    pub fn new(root: Dir) -> Result<Descent> {
        let shown = root.path().to_owned();
        let mut descent = Descent { levels: Vec::new(), shown };
        descent.push(root, 0)?;
        Ok(descent)
    }

    /// Goes into `dir`, a child of the last level.
    pub fn push(&mut self, dir: Dir, path_length: usize) -> Result<()> {
        let metadata = dir.metadata(b".")?;
        let pending = dir.entries()?.into();
        if let Some(far) = self.levels.len().checked_sub(MAX_OPEN) {
            self.levels[far].dir = None;
        }
        self.levels.push(Level { pending, path_length, dir: Some(dir), id: (metadata.dev, metadata.ino) });
        Ok(())
    }

    /// Leaves the last level; false where that was the root.
    pub fn pop(&mut self) -> Result<bool> {
        let Some(child) = self.levels.pop() else { return Ok(false) };
        let Some(parent) = self.levels.last_mut() else { return Ok(false) };
        if parent.dir.is_none()
            && let Some(dir) = child.dir
        {
            let above = dir.path().parent().unwrap_or(&self.shown).to_owned();
            parent.dir = Some(dir.open_parent(above, parent.id)?);
        }
        Ok(true)
    }

    /// Returns the last level's next name, and its directory.
    pub fn next(&mut self) -> Option<(DirEntry, &Dir, usize)> {
        let level = self.levels.last_mut()?;
        let entry = level.pending.pop_front()?;
        // The last level is always open: push opens it, pop reopens it.
        Some((entry, level.dir.as_ref()?, level.path_length))
    }

    /// Returns the last level's directory.
    pub fn dir(&self) -> Option<&Dir> {
        self.levels.last()?.dir.as_ref()
    }
}
