//! Layers that leave get the form in which they do while later steps still run; whoever sends them on is told of each.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use jettison_image::{Descriptor, Digest, HashingWriter, Reference};
use jettison_store::Layer;

use crate::Error;
use crate::engine::Engine;
use crate::event::{Event, StepId};
use crate::export::CompressionOptions;
use crate::layers::{BaseBlob, Cell, Snapshot};
use crate::until_canceled::UntilCanceled;

/// How often it is looked whether the blobs of a base have come.
const LOOK: Duration = Duration::from_millis(100);

/// A layer as the blob that leaves, in the store. The rest of its image is not made yet, and may never be.
pub struct ReadyLayer {
    /// The step whose layer it is, while other steps run.
    pub step: Option<StepId>,
    /// The blob.
    pub blob: Descriptor,
    /// The name by which it was pulled, if it was.
    pub origin: Option<Reference>,
}

impl Engine<'_> {
    /// Compresses the layers of the trees that steps have `made`, one after the other, as a compressor takes all processors
    /// by itself.
    ///
    /// What fails here is no error: the end of the build or the export comes upon it again, and reports it.
    pub(crate) fn compress_ahead(&self, options: CompressionOptions, made: &Receiver<(StepId, Snapshot)>) {
        let mut seen = HashSet::new();
        let mut coming: Vec<(StepId, Arc<Cell>)> = Vec::new();
        loop {
            let next = made.recv_timeout(LOOK);
            if self.is_canceled() || matches!(next, Err(RecvTimeoutError::Disconnected)) {
                // The end fetches the blobs of a base that no step has needed.
                return;
            }
            if let Ok((step, snapshot)) = next {
                for (at, cell) in snapshot.layers().iter().enumerate() {
                    match cell.base {
                        _ if !seen.insert(cell.id.clone()) => {}
                        Some(_) => coming.push((step, cell.clone())),
                        None => drop(self.leave(Some(step), &snapshot, at, options)),
                    }
                }
            }
            coming.retain(|(step, cell)| match &cell.base {
                Some(base) if self.store.blobs().has(&base.descriptor.digest).unwrap_or(false) => {
                    self.base_leaves(Some(*step), base);
                    false
                }
                _ => true,
            });
        }
    }

    /// Tells that a base image's blob is in the store, unless it must be compressed anew.
    pub(crate) fn base_leaves(&self, step: Option<StepId>, base: &BaseBlob) {
        if self.request.compression.is_some_and(|options| options.keeps(&base.descriptor.media_type)) {
            let (blob, origin) = (base.descriptor.clone(), base.from.clone());
            (self.ready)(ReadyLayer { step, blob, origin });
        }
    }

    /// Makes the blob as which a layer that was made here leaves, tells of it, and returns its diff ID.
    pub(crate) fn leave(
        &self,
        step: Option<StepId>,
        snapshot: &Snapshot,
        at: usize,
        options: CompressionOptions,
    ) -> Result<Digest, Error> {
        let mut layer = self.made_here(&snapshot.layers()[at])?;
        let facts = &layer.meta().facts;
        if let Some(pulled) = &facts.pulled {
            return Ok(pulled.diff_id);
        }
        let known = match facts.diff_id(self.request.times) {
            Some(diff_id) => options.known(self.store, &diff_id)?.map(|blob| (diff_id, blob)),
            None => None,
        };
        let (diff_id, blob) = match known {
            Some(known) => known,
            None => self.compress(step, snapshot, at, &mut layer, options)?,
        };
        (self.ready)(ReadyLayer { step, blob, origin: None });
        Ok(diff_id)
    }

    fn compress(
        &self,
        step: Option<StepId>,
        snapshot: &Snapshot,
        at: usize,
        layer: &mut Layer,
        options: CompressionOptions,
    ) -> Result<(Digest, Descriptor), Error> {
        let failed = |source| Error::Io { action: "write", path: self.store.root().to_owned(), source };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let told = |done, total| {
            if let Some(step) = step {
                (self.events)(Event::Progress { step, item: "compressing".to_owned(), done, total });
            }
        };
        told(0, None);
        let blob = options.compression.compress(self.store.blobs().writer()?, threads).map_err(failed)?;
        let (blob, diff_id) = self.write_layer_tar(snapshot, at, layer, blob)?;
        let (digest, size) = blob.finish().map_err(failed)?.commit(None)?;
        told(size, Some(size));
        Ok((diff_id, options.remember(self.store, &diff_id, digest, size)?))
    }

    /// Writes a layer's tar to `out`, and remembers its digest.
    pub(crate) fn write_layer_tar<W: Write>(
        &self,
        snapshot: &Snapshot,
        at: usize,
        layer: &mut Layer,
        out: W,
    ) -> Result<(W, Digest), Error> {
        let times = self.request.times;
        let content = self.layers.content(snapshot, at)?;
        let index = self.layers.index(&snapshot.layers()[at])?;
        let mut out = HashingWriter::new(UntilCanceled::new(self, out));
        let written = jettison_layer::write_layer(&index, &content, times, &mut out);
        self.check_canceled()?;
        written?;
        let (out, diff_id, _) = out.finish();
        match layer.meta().facts.diff_id(times) {
            None => layer.remember_diff_id(times, diff_id)?,
            Some(known) if known == diff_id => {}
            Some(known) => {
                let why = format!("its tar is {diff_id}, but was {known}");
                return Err(Error::Image { image: layer.id().to_string(), why });
            }
        }
        Ok((out.finish(), diff_id))
    }
}
