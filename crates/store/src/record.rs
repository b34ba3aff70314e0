//! Cache records: small JSON values by kind and key.

use std::fs::File;

use jettison_image::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Store;
use crate::error::Result;
use crate::files::{self, Durability};
use crate::gate::Taking;
use crate::layer::LayerId;
use crate::object::Object;

/// The cache records of one kind.
#[derive(Debug, Clone)]
pub struct Records {
    store: Store,
    kind: &'static str,
}

/// A record as it is on disk.
#[derive(Serialize, Deserialize)]
pub(crate) struct Stored<T> {
    /// The layers without which the record is void.
    #[serde(default)]
    pub layers: Vec<LayerId>,
    /// The blobs without which the record is void.
    #[serde(default)]
    pub blobs: Vec<Digest>,
    /// What the caller stored.
    pub value: T,
}

impl Records {
    pub(crate) fn new(store: Store, kind: &'static str) -> Records {
        debug_assert!(is_kind(kind), "record kinds are lower-case letters, digits and hyphens: {kind}");
        Records { store, kind }
    }

    /// Returns the value under `key`, and keeps what it needs in the store.
    ///
    /// A record that cannot be read, or whose layers or blobs are gone, is removed and counts as absent.
    pub fn get<T: DeserializeOwned>(&self, key: &Digest) -> Result<Option<T>> {
        let inner = &self.store.inner;
        let path = inner.layout.record(self.kind, key);
        let gate = inner.gate.take()?;
        let Some(bytes) = files::read_if_there(&path, files::MAX_DOCUMENT)? else {
            return Ok(None);
        };
        let stored: Option<Stored<T>> = serde_json::from_slice(&bytes).ok();
        if let Some(stored) = stored
            && self.has_all(&stored, &gate)?
        {
            self.touch(&path);
            return Ok(Some(stored.value));
        }
        files::remove_file(&path)?;
        Ok(None)
    }

    /// Stores `value` under `key`, in the place of what was there. `needs` are the layers and blobs it names.
    pub fn put<T: Serialize>(&self, key: &Digest, value: &T, needs: &[Object]) -> Result<()> {
        let inner = &self.store.inner;
        let mut stored = Stored { layers: Vec::new(), blobs: Vec::new(), value };
        for need in needs {
            match need {
                Object::Layer(id) => stored.layers.push(id.clone()),
                Object::Blob(digest) => stored.blobs.push(*digest),
                // Records and images are found again by key; nothing may depend on them.
                Object::Record(..) | Object::Image(_) => {}
            }
        }
        let path = inner.layout.record(self.kind, key);
        let bytes = serde_json::to_vec(&stored).map_err(|error| crate::Error::Corrupt {
            path: path.clone(),
            why: format!("the value is not JSON: {error}"),
        })?;
        if let Some(folder) = path.parent() {
            files::make_folder(folder)?;
        }
        let temporary = inner.temporary()?;
        inner.publish(&Object::Record(self.kind.to_owned(), *key), || {
            files::replace(&temporary, &path, &bytes, Durability::Later)?;
            self.touch(&path);
            Ok(())
        })
    }

    /// Removes the record under `key`, if there is one.
    pub fn remove(&self, key: &Digest) -> Result<()> {
        files::remove_file(&self.store.inner.layout.record(self.kind, key))
    }

    fn has_all<T>(&self, stored: &Stored<T>, gate: &Taking<'_>) -> Result<bool> {
        let inner = &self.store.inner;
        for id in &stored.layers {
            inner.hold(&Object::Layer(id.clone()), gate)?;
            if !files::is_there(&inner.layout.layer(id))? {
                return Ok(false);
            }
        }
        for digest in &stored.blobs {
            inner.hold(&Object::Blob(*digest), gate)?;
            if !files::is_there(&inner.layout.blob(digest))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Remembers that the record was used now. Only the choice of what a prune removes depends on it, so that a failure
    /// is no error.
    fn touch(&self, path: &std::path::Path) {
        let file = File::options().append(true).open(path);
        let _ = file.and_then(|file| file.set_modified(self.store.inner.now));
    }
}

fn is_kind(kind: &str) -> bool {
    !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
