//! `drop-dead=true`: own layers without what the final tree does not show.

use std::io::BufWriter;
use std::sync::Arc;

use jettison_build::Built;
use jettison_image::{Digest, Digester};
use jettison_layer::{Index, Times, drop_dead as drop_from, write_part};
use jettison_store::{ImageLayer, ImageRecord, LayerFacts, LayerId, Object, Store};

use crate::Error;
use crate::stored::Stored;

/// The kind of records that remember an image's lean layers, and the version of what makes them.
const LEAN: &str = "lean";
const VERSION: &[u8] = b"lean v1";

/// Replaces an image by one whose own layers have no dead bytes: as many layers in the same order, those of the base
/// byte by byte the same, and the same final tree. Layers without dead bytes stay as they are.
pub(super) fn drop_dead(store: &Store, built: &mut Built, times: Times) -> Result<(), Error> {
    let stored = Stored::open(store, built.image.clone())?;
    let mut key = Digester::new();
    key.field(VERSION).field(stored.record.config.as_bytes());
    match times {
        Times::Epoch(epoch) => key.field(&epoch.to_le_bytes()),
        Times::True => key.field(b"true"),
    };
    key.field(&(built.base_layers as u64).to_le_bytes());
    let key = key.finish();
    let records = store.records(LEAN);
    let layers = match records.get::<Vec<ImageLayer>>(&key)? {
        Some(layers) => layers,
        None => {
            let layers = lean_layers(&stored, built.base_layers, times)?;
            let made = layers.iter().skip(built.base_layers);
            let needs: Vec<Object> =
                made.filter_map(|layer| layer.layer.clone()).map(Object::Layer).collect();
            records.put(&key, &layers, &needs)?;
            layers
        }
    };
    let mut config = built.config.clone();
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    let id = store.blobs().write(&config.to_bytes())?;
    let build = store.image(&id)?.and_then(|known| known.build);
    let image = ImageRecord { config: id, layers, build, ..built.image.clone() };
    store.put_image(&image)?;
    (built.image, built.config) = (image, config);
    Ok(())
}

fn lean_layers(stored: &Stored<'_>, base: usize, times: Times) -> Result<Vec<ImageLayer>, Error> {
    let count = stored.layers().len();
    let mut indexes: Vec<Arc<Index>> = Vec::with_capacity(count);
    for number in 0..count {
        // What was never read is read for its index alone.
        let index = match stored.index(number)? {
            Some(index) => index,
            None => stored.content(number)?.0,
        };
        indexes.push(index);
    }
    let mut layers = stored.layers().to_vec();
    for (lean, number) in drop_from(&indexes, base).iter().zip(base..) {
        if lean != &*indexes[number] {
            layers[number] = make(stored, number, lean, times)?;
        }
    }
    Ok(layers)
}

/// Writes what is left of a layer.
fn make(stored: &Stored<'_>, number: usize, lean: &Index, times: Times) -> Result<ImageLayer, Error> {
    let store = stored.store;
    let (whole, content) = stored.content(number)?;
    let mut out = BufWriter::with_capacity(256 << 10, store.blobs().writer()?);
    write_part(lean, &whole, &content, times, &mut out)?;
    let blob = out.into_inner().map_err(|error| Error::io("write", store.root(), error.into_error()))?;
    let (tar, _): (Digest, u64) = blob.commit(None)?;
    let mut facts = LayerFacts {
        created_by: stored
            .layer(number)?
            .map(|layer| layer.meta().facts.created_by.clone())
            .unwrap_or_default(),
        tar: Some(tar),
        ..LayerFacts::default()
    };
    facts.set_diff_id(times, tar);
    let layer = store.add_layer(LayerId::random(), facts, lean)?;
    Ok(ImageLayer { diff_id: tar, layer: Some(layer.id().clone()), blob: None })
}
