//! Where a COPY's files go.

use jettison_layer::{Kind, Tree, join};

use super::placement::{PlaceError, Placed, Placement};
use super::{Item, parent};

impl Placement<'_> {
    /// Copies `item` of source tree number `source` to `destination`, an absolute path whose trailing slash counts.
    pub(crate) fn copy(
        &mut self,
        source: usize,
        tree: &Tree,
        item: &Item,
        destination: &str,
    ) -> Result<(), PlaceError> {
        self.start_source(tree);
        let target = self.destination(destination)?;
        let directory =
            item.path.is_empty() || tree.get(&item.path).is_some_and(|node| node.entry.is_directory());
        if directory {
            return self.copy_contents(source, tree, item, &target);
        }
        let target = if self.is_directory(&target) { join(&target, &item.name) } else { target };
        self.directory(parent(&target))?;
        self.file(source, tree, &item.path, target)
    }

    /// Puts a file whose content is at hand.
    pub(crate) fn inline(&mut self, name: &str, content: &str, destination: &str) -> Result<(), PlaceError> {
        let mut target = self.destination(destination)?;
        if self.is_directory(&target) {
            target = join(&target, name.as_bytes());
        }
        self.directory(parent(&target))?;
        let kind = Kind::File {
            size: content.len() as u64,
            digest: Some(jettison_image::Digest::of(content.as_bytes())),
        };
        let entry = self.entry(target, kind, 0o644);
        self.put(entry, Placed::Inline(content.as_bytes().to_vec()))
    }

    /// Makes a directory and what is missing above it.
    pub(crate) fn make_directory(&mut self, path: &str) -> Result<(), PlaceError> {
        let target = self.destination(path)?;
        self.directory(&target)
    }

    /// Resolves a destination through the symbolic links of the tree, the last component included.
    pub(super) fn destination(&mut self, destination: &str) -> Result<Vec<u8>, PlaceError> {
        let target = self.resolve(b"", destination.as_bytes())?;
        if destination.ends_with('/') {
            self.directory(&target)?;
        }
        Ok(target)
    }

    /// Copies what is in a directory; the directory itself gives only its time.
    fn copy_contents(
        &mut self,
        source: usize,
        tree: &Tree,
        item: &Item,
        target: &[u8],
    ) -> Result<(), PlaceError> {
        self.directory(target)?;
        if let Some(model) = tree.get(&item.path) {
            let (mtime, fresh) = (model.entry.mtime, model.entry.fresh);
            if let Some(entry) = self.touch(target) {
                entry.mtime = mtime;
                entry.fresh = fresh;
            }
        }
        let taken = item.filter.taken(tree, &item.path);
        self.reserve(taken.len());
        for taken in taken {
            let to = join(target, taken.relative);
            if !taken.node.entry.is_directory() {
                self.file(source, tree, &taken.node.entry.path, to)?;
            } else if taken.on_the_way {
                self.on_the_way(taken.node.entry, to)?;
            } else {
                self.like(taken.node.entry, to)?;
            }
        }
        Ok(())
    }
}
