//! A tree as if it were one layer: for what cannot stack layers.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use crate::{Content, Entry, Index, Kind, Tree, TreeContent};

/// All that a tree shows, with its files.
pub struct Merged {
    tree: Arc<Tree>,
    content: TreeContent,
}

impl Merged {
    /// Shows `tree`, whose files are in `content`.
    pub fn new(tree: Arc<Tree>, content: TreeContent) -> Merged {
        Merged { tree, content }
    }

    /// Lists the tree as one layer. A hard link whose file has another content by now becomes a file of its own.
    pub fn index(&self) -> Index {
        let entries = self.tree.iter().map(|node| {
            let mut entry = node.entry.clone();
            match &mut entry.kind {
                Kind::Directory { opaque } => *opaque = false,
                Kind::Hardlink { target } => {
                    let (_, file) = node.content();
                    let shown = self.tree.get(target).map(|target| target.content().1);
                    if !shown.is_some_and(|shown| std::ptr::eq(shown, file)) {
                        entry.kind = file.kind.clone();
                    }
                }
                _ => {}
            }
            entry
        });
        Index { entries: entries.collect() }
    }
}

impl Content for Merged {
    fn open(&self, entry: &Entry) -> io::Result<Box<dyn Read + Send + '_>> {
        let node = self.tree.get(&entry.path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        self.content.open(&node)
    }

    fn open_file(&self, entry: &Entry) -> io::Result<Option<File>> {
        let node = self.tree.get(&entry.path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        self.content.open_file(&node)
    }
}
