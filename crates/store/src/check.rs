//! Looking for damage: what is in the store, beside what its names promise.

use std::fs::{self, File};
use std::io;

use jettison_image::HashingWriter;

use crate::Store;
use crate::error::{Context, Result};
use crate::object::Object;

/// What [`Store::check`] found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What, by its name in the store.
    pub object: String,
    /// A lower-case fragment.
    pub why: String,
}

impl Store {
    /// Reads everything in the store and compares it with its names: blobs with their digests, layers with their indexes
    /// and blobs, images with their layers. Cache records of things that are gone are void by design, and no damage.
    pub fn check(&self) -> Result<Vec<Damage>> {
        let mut damage = Vec::new();
        let mut found =
            |object: &Object, why: String| damage.push(Damage { object: object.to_string(), why });
        for digest in self.blob_digests()? {
            let path = self.inner.layout.blob(&digest);
            let mut file = File::open(&path).context("open", &path)?;
            let mut digester = HashingWriter::new(io::sink());
            io::copy(&mut file, &mut digester).context("read", &path)?;
            let (_, is, _) = digester.finish();
            if is != digest {
                found(&Object::Blob(digest), format!("its content is {is}"));
            }
        }
        for id in self.layer_ids()? {
            let object = Object::Layer(id.clone());
            let Some(layer) = self.layer(&id)? else {
                found(&object, "its description cannot be read".to_owned());
                continue;
            };
            if let Err(error) = layer.index() {
                found(&object, error.to_string());
            }
            for blob in layer.meta().facts.blobs() {
                if !self.blobs().has(&blob)? {
                    found(&object, format!("its blob {blob} is gone"));
                }
            }
            if layer.fs().is_none() && layer.meta().facts.blobs().next().is_none() {
                found(&object, "its content is gone".to_owned());
            }
        }
        for image in self.images()? {
            for id in image.layer_ids() {
                if fs::symlink_metadata(self.inner.layout.layer(id)).is_err() {
                    found(&Object::Image(image.config), format!("its layer {id} is gone"));
                }
            }
            for blob in image.blobs() {
                if !self.blobs().has(&blob)? {
                    found(&Object::Image(image.config), format!("its blob {blob} is gone"));
                }
            }
        }
        Ok(damage)
    }
}
