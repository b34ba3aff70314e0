//! Looking into a tree: paths as a process sees them, and the contents of files where they are at hand.

use std::io::{self, Read};

use jettison_layer::{Entry, Kind, Tree};

use crate::elf::Content;

/// Opens a file of the tree by its path in the form of [`Entry::path`], free of links. `None` where the content is not
/// at hand, as in a base that was never unpacked.
pub type Open<'a> = dyn Fn(&[u8]) -> io::Result<Option<Box<dyn Content>>> + 'a;

/// The largest configuration file that is read, in bytes.
const MAX_TEXT: u64 = 1 << 20;

/// A tree with its files.
pub(crate) struct Files<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) open: &'a Open<'a>,
}

impl Files<'_> {
    /// Returns the path that `path` comes to with all links followed, and what is there.
    pub(crate) fn find(&self, path: &[u8]) -> Option<(Vec<u8>, &Entry)> {
        let path = self.tree.resolve(path, true).ok()?;
        let (_, entry) = self.tree.get(&path)?.content();
        Some((path, entry))
    }

    /// Tells whether there is a regular file, links followed.
    pub(crate) fn is_file(&self, path: &[u8]) -> bool {
        self.find(path).is_some_and(|(_, entry)| matches!(entry.kind, Kind::File { .. }))
    }

    /// Opens a file by its path free of links.
    pub(crate) fn content(&self, path: &[u8]) -> io::Result<Option<Box<dyn Content>>> {
        (self.open)(path)
    }

    /// Reads a file by its path free of links; `None` where its content is not at hand, or longer than `limit`.
    pub(crate) fn bytes(&self, path: &[u8], limit: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.content(path).ok()??.take(limit + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() as u64 <= limit).then_some(bytes)
    }

    /// Reads a text file. Outer `None`: its content is not at hand; inner `None`: there is no such file.
    pub(crate) fn text(&self, path: &[u8]) -> Option<Option<String>> {
        let Some((path, entry)) = self.find(path) else { return Some(None) };
        if !matches!(entry.kind, Kind::File { .. }) {
            return Some(None);
        }
        let content = self.content(&path).ok()??;
        let mut bytes = Vec::new();
        content.take(MAX_TEXT).read_to_end(&mut bytes).ok()?;
        Some(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// Shows a path in a message.
pub(crate) fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
