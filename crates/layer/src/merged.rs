//! A tree as if it were one layer: for what cannot stack layers.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use crate::{Content, Entry, Index, Kind, Node, Tree, TreeContent};

/// All that a tree shows below one of its directories, with the files.
pub struct Merged {
    tree: Arc<Tree>,
    content: TreeContent,
    top: Vec<u8>,
}

impl Merged {
    /// Shows `tree`, whose files are in `content`.
    pub fn new(tree: Arc<Tree>, content: TreeContent) -> Merged {
        Merged::below(tree, content, Vec::new())
    }

    /// Shows what is in the directory `top` of `tree`, which becomes the root.
    pub fn below(tree: Arc<Tree>, content: TreeContent, top: Vec<u8>) -> Merged {
        Merged { tree, content, top }
    }

    /// Lists it as one layer. A hard link whose file is outside, or has another content by now, becomes a file of its
    /// own.
    pub fn index(&self) -> Index {
        let entries = self.tree.subtree(&self.top).map(|node| {
            let mut entry = node.entry.clone();
            if let Some(path) = self.inside(&entry.path) {
                entry.path = path.to_vec();
            }
            match &mut entry.kind {
                Kind::Directory { opaque } => *opaque = false,
                Kind::Hardlink { target } => {
                    let (_, file) = node.content();
                    let shown = self.tree.get(target).map(|target| target.content().1);
                    match self.inside(target).map(<[u8]>::to_vec) {
                        Some(inside) if shown.is_some_and(|shown| std::ptr::eq(shown, file)) => {
                            *target = inside;
                        }
                        _ => entry.kind = file.kind.clone(),
                    }
                }
                _ => {}
            }
            entry
        });
        Index { entries: entries.collect() }
    }

    /// Returns the path below the top of a path of the tree.
    fn inside<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let rest = path.strip_prefix(self.top.as_slice())?;
        match (self.top.is_empty(), rest) {
            (true, _) | (false, []) => Some(rest),
            (false, [b'/', rest @ ..]) => Some(rest),
            _ => None,
        }
    }

    fn find(&self, entry: &Entry) -> io::Result<Node<'_>> {
        let mut path = self.top.clone();
        if !path.is_empty() && !entry.path.is_empty() {
            path.push(b'/');
        }
        path.extend(&entry.path);
        self.tree.get(&path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Content for Merged {
    fn open(&self, entry: &Entry) -> io::Result<Box<dyn Read + Send + '_>> {
        self.content.open(&self.find(entry)?)
    }

    fn open_file(&self, entry: &Entry) -> io::Result<Option<File>> {
        self.content.open_file(&self.find(entry)?)
    }
}
