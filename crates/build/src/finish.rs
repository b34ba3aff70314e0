//! The end of a build: diff IDs, the config, and the image's record in the store.

use std::io;
use std::sync::Arc;

use jettison_image::{Config, Digest, Reference, rfc3339};
use jettison_plan::ImagePlan;
use jettison_store::{ImageLayer, ImageRecord, Layer, LayerId};

use crate::Error;
use crate::engine::Engine;
use crate::layers::{Cell, Snapshot};
use crate::steps::{BuiltStep, base_layers, built_steps};

/// An image that was built and is in the store, under no name yet.
pub struct Built {
    /// The image.
    pub image: ImageRecord,
    /// Its config.
    pub config: Config,
    /// Where each layer came from, lowest first; `None` for one that was made here.
    pub origins: Vec<Option<Reference>>,
    /// The trees of the stages that were built, in the order of the Dockerfile.
    pub stages: Vec<BuiltStage>,
    /// The number of the image's own stage in `stages`.
    pub target: usize,
    /// The steps that the stages needed, in the order of the Dockerfile.
    pub steps: Vec<BuiltStep>,
    /// How many of the image's layers, from the lowest, are those of its base.
    pub base_layers: usize,
}

/// A stage that was built.
pub struct BuiltStage {
    /// Its name.
    pub name: String,
    /// The name of its tree: equal trees have equal names.
    pub tree: Digest,
    /// Its layers with those of its base, lowest first.
    pub layers: Vec<BuiltLayer>,
}

/// A layer of a stage.
pub struct BuiltLayer {
    /// Equal for equal layers; the store has those that were made here or looked at.
    pub id: LayerId,
    /// The length in bytes of the blob that a base image has it in.
    pub compressed: Option<u64>,
}

/// Puts the images together. `snapshots` are the trees of the graph's nodes.
pub(crate) fn finish(engine: &Engine<'_>, snapshots: &[Snapshot]) -> Result<Vec<Built>, Error> {
    engine.graph.images.iter().map(|plan| image(engine, plan, snapshots)).collect()
}

fn image(engine: &Engine<'_>, plan: &ImagePlan, snapshots: &[Snapshot]) -> Result<Built, Error> {
    let target = &plan.stages[plan.target];
    let snapshot = &snapshots[target.node];
    engine.take_diff_ids(snapshot)?;
    let layers = (0..snapshot.layers().len()).map(|at| engine.image_layer(snapshot, at));
    let layers = layers.collect::<Result<Vec<_>, _>>()?;
    let mut config = target.config.clone();
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    match engine.request.created {
        Some(seconds) => date_all(&mut config, seconds),
        None => date_by_layers(&mut config, &engine.made(snapshot)?, engine.request.started.seconds),
    }
    let bytes = config.to_bytes();
    let id = engine.store.blobs().write(&bytes)?;
    let image = ImageRecord {
        config: id,
        layers,
        manifest: None,
        platform: config.platform(),
        stored: engine.request.started.seconds,
        build: engine.store.image(&id)?.and_then(|known| known.build),
    };
    engine.store.put_image(&image)?;
    let stages = plan.stages.iter().map(|stage| built_stage(&stage.name, &snapshots[stage.node])).collect();
    let from = |cell: &Arc<Cell>| cell.base.as_ref().and_then(|base| base.from.clone());
    let origins = snapshot.layers().iter().map(from).collect();
    let steps = built_steps(engine.graph, plan, snapshots);
    let base_layers = base_layers(engine.graph, plan, snapshots);
    Ok(Built { image, config, origins, stages, target: plan.target, steps, base_layers })
}

/// Gives the image, and each line of its history that has no date, one date.
fn date_all(config: &mut Config, seconds: i64) {
    let created = rfc3339(seconds);
    for entry in &mut config.history {
        entry.created.get_or_insert_with(|| created.clone());
    }
    config.created = Some(created);
}

/// Dates an image as docker does: a line of history by when its layer was `made`, one without a layer like the line before
/// it, or like the first new layer, and the image by its last line. A build that finds all in the cache changes nothing.
fn date_by_layers(config: &mut Config, made: &[Option<i64>], started: i64) {
    let mut made = made.iter();
    for entry in config.history.iter_mut().filter(|entry| !entry.empty_layer) {
        let made = made.next().copied().flatten();
        entry.created = entry.created.take().or_else(|| made.map(rfc3339));
    }
    let history = &config.history;
    let new = history.iter().position(|entry| entry.created.is_none()).unwrap_or(history.len());
    let (old, new) = history.split_at(new);
    let dated = new.iter().chain(old.iter().rev()).find_map(|entry| entry.created.clone());
    let mut last = dated.unwrap_or_else(|| rfc3339(started));
    for entry in &mut config.history {
        last = entry.created.get_or_insert(last).clone();
    }
    config.created = Some(last);
}

impl Engine<'_> {
    /// Describes a layer of the image; a base image's blob comes into the store with it.
    fn image_layer(&self, snapshot: &Snapshot, at: usize) -> Result<ImageLayer, Error> {
        let cell = &snapshot.layers()[at];
        if let Some(base) = &cell.base {
            self.layers.fetch(base)?;
            self.tell_base(base);
            let stored = self.store.layer(&cell.id)?.map(|layer| layer.id().clone());
            return Ok(ImageLayer {
                diff_id: base.diff_id,
                layer: stored,
                blob: Some(base.descriptor.clone()),
            });
        }
        let diff_id = self.diff_id(snapshot, at)?;
        Ok(ImageLayer { diff_id, layer: Some(cell.id.clone()), blob: None })
    }

    /// Returns when each layer of a tree was made; `None` for those of its base.
    fn made(&self, snapshot: &Snapshot) -> Result<Vec<Option<i64>>, Error> {
        let made = |cell: &Arc<Cell>| match cell.base {
            Some(_) => Ok(None),
            None => Ok(self.store.layer(&cell.id)?.map(|layer| layer.meta().facts.made)),
        };
        snapshot.layers().iter().map(made).collect()
    }

    /// Takes the digests of all tars that nobody has written before, at once.
    fn take_diff_ids(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let mut new = Vec::new();
        for (at, cell) in snapshot.layers().iter().enumerate().filter(|(_, cell)| cell.base.is_none()) {
            let known = self.store.layer(&cell.id)?.is_some_and(|layer| {
                let facts = &layer.meta().facts;
                facts.pulled.is_some() || facts.diff_id(self.request.times).is_some()
            });
            if !known {
                new.push(at);
            }
        }
        self.layers.each(new, &|at| self.diff_id(snapshot, at).map(drop))
    }

    /// Returns the digest of a layer's tar. If nobody has written it before, it is written: to the blob that leaves, if it
    /// does, else to nowhere.
    fn diff_id(&self, snapshot: &Snapshot, at: usize) -> Result<Digest, Error> {
        let mut layer = self.made_here(&snapshot.layers()[at])?;
        let facts = &layer.meta().facts;
        if let Some(known) = facts.pulled.as_ref().map(|pulled| pulled.diff_id) {
            return Ok(known);
        }
        match (facts.diff_id(self.request.times), self.request.compression) {
            (Some(diff_id), _) => Ok(diff_id),
            (None, Some(options)) => Ok(self.compress(snapshot, at, &mut layer, options)?.0),
            (None, None) => Ok(self.write_layer_tar(snapshot, at, &mut layer, io::sink())?.1),
        }
    }

    /// Looks up a layer that is of no base image's blob.
    pub(crate) fn made_here(&self, cell: &Cell) -> Result<Layer, Error> {
        self.store.layer(&cell.id)?.ok_or_else(|| Error::Image {
            image: cell.id.to_string(),
            why: "the layer is gone from the store".to_owned(),
        })
    }
}

fn built_stage(name: &str, snapshot: &Snapshot) -> BuiltStage {
    let layer = |cell: &Arc<Cell>| BuiltLayer {
        id: cell.id.clone(),
        compressed: cell.base.as_ref().map(|base| base.descriptor.size),
    };
    let layers = snapshot.layers().iter().map(layer).collect();
    BuiltStage { name: name.to_owned(), tree: snapshot.id, layers }
}
