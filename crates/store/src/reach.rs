//! What can be reached from images, cache records and the leases of running processes.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use jettison_image::{Descriptor, Digest};
use serde::de::IgnoredAny;

use crate::error::{Context, Result};
use crate::files;
use crate::image::ImageRecord;
use crate::layer::LayerId;
use crate::object::Object;
use crate::record::Stored;
use crate::store::Inner;

/// Layers and blobs that something needs.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    pub layers: HashSet<LayerId>,
    pub blobs: HashSet<Digest>,
    /// The diff IDs of those layers, by which the memory of compressed blobs is kept.
    diff_ids: HashSet<Digest>,
}

/// A cache record as a prune sees it.
#[derive(Debug)]
pub(crate) struct RecordEntry {
    pub kind: String,
    pub key: Digest,
    pub path: PathBuf,
    pub layers: Vec<LayerId>,
    pub blobs: Vec<Digest>,
    pub used: SystemTime,
}

impl Reach {
    pub(crate) fn add_image(&mut self, inner: &Inner, image: &ImageRecord) -> Result<()> {
        self.blobs.extend(image.blobs());
        self.diff_ids.extend(image.layers.iter().map(|layer| layer.diff_id));
        image.layer_ids().try_for_each(|id| self.add_layer(inner, id))
    }

    pub(crate) fn add_record(&mut self, inner: &Inner, record: &RecordEntry) -> Result<()> {
        self.blobs.extend(&record.blobs);
        record.layers.iter().try_for_each(|id| self.add_layer(inner, id))
    }

    /// Adds what a lease names. Records and images in it were only read: they may go, and what they led to is named too.
    pub(crate) fn add_object(&mut self, inner: &Inner, object: &Object) -> Result<()> {
        match object {
            Object::Blob(digest) => {
                self.blobs.insert(*digest);
                Ok(())
            }
            Object::Layer(id) => self.add_layer(inner, id),
            Object::Record(..) | Object::Image(_) => Ok(()),
        }
    }

    fn add_layer(&mut self, inner: &Inner, id: &LayerId) -> Result<()> {
        if !self.layers.insert(id.clone()) {
            return Ok(());
        }
        if let Some(meta) = inner.layer_meta(id)? {
            self.blobs.extend(meta.facts.blobs());
            self.diff_ids.extend(meta.facts.all_diff_ids());
        }
        Ok(())
    }

    /// Adds the compressed forms of the layers that were reached. Comes last.
    pub(crate) fn add_memos(&mut self, inner: &Inner) -> Result<()> {
        for diff_id in &self.diff_ids {
            let folder = inner.layout.memo(diff_id);
            for variant in files::names(&folder)? {
                let bytes =
                    files::read_if_there(&folder.join(variant), files::MAX_DOCUMENT)?.unwrap_or_default();
                let descriptor = serde_json::from_slice::<Descriptor>(&bytes);
                self.blobs.extend(descriptor.map(|descriptor| descriptor.digest));
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Lists all cache records. One that cannot be read needs nothing, and is older than all others.
    pub(crate) fn record_entries(&self) -> Result<Vec<RecordEntry>> {
        let root = self.layout.records();
        let mut entries = Vec::new();
        for kind in files::names(&root)? {
            for shard in files::names(&root.join(&kind))? {
                let folder = root.join(&kind).join(shard);
                for name in files::names(&folder)? {
                    let Ok(key) = Digest::from_hex(&name) else { continue };
                    entries.extend(record_entry(&kind, key, folder.join(name))?);
                }
            }
        }
        Ok(entries)
    }
}

fn record_entry(kind: &str, key: Digest, path: PathBuf) -> Result<Option<RecordEntry>> {
    let Some(bytes) = files::read_if_there(&path, files::MAX_DOCUMENT)? else {
        return Ok(None);
    };
    let kind = kind.to_owned();
    Ok(Some(match serde_json::from_slice::<Stored<IgnoredAny>>(&bytes) {
        Ok(Stored { layers, blobs, .. }) => {
            let used = fs::metadata(&path).and_then(|metadata| metadata.modified()).context("read", &path)?;
            RecordEntry { kind, key, path, layers, blobs, used }
        }
        Err(_) => RecordEntry {
            kind,
            key,
            path,
            layers: Vec::new(),
            blobs: Vec::new(),
            used: SystemTime::UNIX_EPOCH,
        },
    }))
}
