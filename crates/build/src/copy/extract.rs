//! ADD of an archive: its entries take the place of what is there. moby's `go-archive`: `Unpack`.

use jettison_layer::{Index, Tree, file_name, join};

use super::parent;
use super::placement::{PlaceError, Placement};

impl Placement<'_> {
    /// Unpacks an archive into `destination`. Directories are merged; whatever else is in the way of an entry goes.
    ///
    /// `listed` is what the archive itself has: `tree` has the directories besides that it uses without listing them,
    /// which leave alone what is there. Owners are kept unless `--chown` says otherwise; `--chmod` and `--exclude` say
    /// nothing about archives. Links on the way are followed as if `destination` were the root.
    pub(crate) fn extract(
        &mut self,
        source: usize,
        tree: &Tree,
        listed: &Index,
        destination: &str,
    ) -> Result<(), PlaceError> {
        self.start_source(tree);
        let chmod = self.chmod.take();
        let root = self.destination(destination)?;
        self.directory(&root)?;
        for node in tree.iter().filter(|node| !node.entry.path.is_empty()) {
            let path = &node.entry.path;
            if node.entry.is_directory() && listed.position(path).is_none() {
                let to = self.resolve(&root, path)?;
                self.directory(&to)?;
                continue;
            }
            let to = join(&self.resolve(&root, parent(path))?, file_name(path));
            if !node.entry.is_directory() {
                self.make_way(&to);
                self.file(source, tree, path, to)?;
                continue;
            }
            if !self.is_directory(&to) {
                self.make_way(&to);
            }
            self.like(node.entry, to)?;
        }
        self.chmod = chmod;
        Ok(())
    }
}
