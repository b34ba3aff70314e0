//! Where the content of a layer's files comes from.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use jettison_fs::Dir;

use crate::{Entry, Node};

/// The content of one layer's files.
pub trait Content: Send + Sync {
    /// Opens the content of `entry`, a file of the layer.
    fn open(&self, entry: &Entry) -> io::Result<Box<dyn Read + Send + '_>>;

    /// Opens the file on disk that is exactly the content of `entry`, where there is one: the kernel can then copy it
    /// without us.
    fn open_file(&self, entry: &Entry) -> io::Result<Option<File>> {
        let _ = entry;
        Ok(None)
    }
}

impl<T: Content + ?Sized> Content for Arc<T> {
    fn open(&self, entry: &Entry) -> io::Result<Box<dyn Read + Send + '_>> {
        (**self).open(entry)
    }

    fn open_file(&self, entry: &Entry) -> io::Result<Option<File>> {
        (**self).open_file(entry)
    }
}

/// A layer without files, or one whose files nobody should ask for.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoContent;

impl Content for NoContent {
    fn open(&self, _: &Entry) -> io::Result<Box<dyn Read + Send + '_>> {
        Err(io::Error::other("the layer's content is not here"))
    }
}

/// A layer that is unpacked: paths are those of the directory.
#[derive(Debug)]
pub struct DirContent(Dir);

impl DirContent {
    /// Serves the files below `dir`.
    pub fn new(dir: Dir) -> DirContent {
        DirContent(dir)
    }
}

impl Content for DirContent {
    fn open(&self, entry: &Entry) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.0.open_file(&entry.path).map_err(io::Error::other)?))
    }

    fn open_file(&self, entry: &Entry) -> io::Result<Option<File>> {
        self.0.open_file(&entry.path).map(Some).map_err(io::Error::other)
    }
}

/// The contents of a [`crate::Tree`]'s layers, in its order.
#[derive(Clone, Default)]
pub struct TreeContent {
    layers: Vec<Arc<dyn Content>>,
}

impl TreeContent {
    /// Serves a tree of these layers, the lowest first.
    pub fn new(layers: Vec<Arc<dyn Content>>) -> TreeContent {
        TreeContent { layers }
    }

    /// Puts one more layer on top.
    pub fn push(&mut self, layer: Arc<dyn Content>) {
        self.layers.push(layer);
    }

    /// Opens the content of `node`, a file or a hard link to one.
    pub fn open(&self, node: &Node<'_>) -> io::Result<Box<dyn Read + Send + '_>> {
        let (layer, entry) = node.content();
        self.layer(layer)?.open(entry)
    }

    /// Like [`Content::open_file`].
    pub fn open_file(&self, node: &Node<'_>) -> io::Result<Option<File>> {
        let (layer, entry) = node.content();
        self.layer(layer)?.open_file(entry)
    }

    fn layer(&self, layer: usize) -> io::Result<&dyn Content> {
        let layer = self.layers.get(layer);
        layer.map(|layer| &**layer).ok_or_else(|| io::Error::other("no content was given for the layer"))
    }
}
