//! Layers in the making.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use jettison_layer::Index;

use crate::Store;
use crate::error::{Context, Error, Result};
use crate::layer::{self, Layer, LayerFacts, LayerId};
use crate::object::Object;
use crate::session;

/// A directory that is to become a layer. Dropped without a commit, it is removed with all that is in it.
#[derive(Debug)]
pub struct LayerDraft {
    store: Store,
    folder: PathBuf,
    /// Whether the work directory is left to the next process.
    leaves_work: bool,
}

impl LayerDraft {
    pub(crate) fn new(store: &Store) -> Result<LayerDraft> {
        let draft = LayerDraft::without_fs(store)?;
        for folder in [&draft.fs(), &draft.work()] {
            fs::create_dir(folder).context("create", folder)?;
        }
        // An overlay shows the mode of its upper directory as that of its root, whatever our umask.
        let root = draft.fs();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).context("set the mode of", &root)?;
        Ok(draft)
    }

    /// The draft of a layer whose content is elsewhere.
    pub(crate) fn without_fs(store: &Store) -> Result<LayerDraft> {
        let draft = LayerDraft { store: store.clone(), folder: store.inner.temporary()?, leaves_work: false };
        fs::create_dir(&draft.folder).context("create", &draft.folder)?;
        Ok(draft)
    }

    /// Returns the empty directory that takes the content, in overlay form: an overlay's `upperdir`.
    pub fn fs(&self) -> PathBuf {
        self.folder.join("fs")
    }

    /// Returns an empty directory on the same file system, for what is not part of the layer: an overlay's `workdir`.
    pub fn work(&self) -> PathBuf {
        self.folder.with_extension("work")
    }

    /// Leaves the work directory to the next process, when it is an overlay's and thus small: removing it would take as long
    /// as making the layer, and ext4 is slow to make files where some were just removed, as the next step does.
    pub fn leave_work(&mut self) {
        self.leaves_work = true;
    }

    /// Makes it a layer with an ID of its own.
    pub fn commit(self, facts: LayerFacts, index: &Index) -> Result<Layer> {
        self.commit_as(LayerId::random(), facts, index)
    }

    /// Makes it the layer `id`, a pulled one. If another process made that first, the draft only adds what that one lacks.
    pub fn commit_as(self, id: LayerId, facts: LayerFacts, index: &Index) -> Result<Layer> {
        for blob in facts.blobs() {
            if !self.store.blobs().has(&blob)? {
                return Err(Error::NoSuchBlob(blob));
            }
        }
        let meta = layer::describe(&self.folder, facts, index)?;
        self.store.grow(if self.fs().is_dir() { meta.disk_size } else { 0 });
        let target = self.store.inner.layout.layer(&id);
        let mut first = true;
        self.store.inner.publish(&Object::Layer(id.clone()), || match fs::rename(&self.folder, &target) {
            Err(_) if target.is_dir() => {
                first = false;
                Ok(())
            }
            result => result.context("write", &target),
        })?;
        if first {
            return Ok(Layer::new(&self.store, id, meta));
        }
        let layer = self.store.layer(&id)?.ok_or(Error::NoSuchLayer(id))?;
        if layer.fs().is_none() && self.fs().is_dir() {
            layer.add_fs(self)?;
        }
        Ok(layer)
    }
}

impl Drop for LayerDraft {
    fn drop(&mut self) {
        // What cannot be removed now goes with the session's folder, and an error here has nobody to read it.
        if !self.leaves_work {
            let _ = session::remove_tree(&self.work());
        }
        let _ = session::remove_tree(&self.folder);
    }
}
