//! Layers that leave get the form in which they do while later steps still run; whoever sends them on is told of each.

use std::collections::HashSet;
use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use jettison_image::{Descriptor, Digest, HashingWriter, Reference};
use jettison_store::Layer;

use crate::Error;
use crate::engine::Engine;
use crate::event::{Event, StepId};
use crate::export::CompressionOptions;
use crate::layers::{BaseBlob, Snapshot};
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
        let mut coming: Vec<ReadyLayer> = Vec::new();
        loop {
            let next = made.recv_timeout(LOOK);
            if self.is_canceled() || matches!(next, Err(RecvTimeoutError::Disconnected)) {
                return;
            }
            if let Ok((step, snapshot)) = next {
                for (at, cell) in snapshot.layers().iter().enumerate() {
                    coming.extend(match &cell.base {
                        _ if !seen.insert(cell.id.clone()) => None,
                        Some(base) => self.base_layer(Some(step), base),
                        None => self.leaving(step, &snapshot, at, options).unwrap_or_default(),
                    });
                }
            }
            coming = coming.into_iter().filter_map(|layer| self.tell(layer)).collect();
        }
    }

    /// Tells of a layer, or returns it while its blob is not there yet. A build that finds all in the cache ends before it
    /// could gain anything.
    fn tell(&self, layer: ReadyLayer) -> Option<ReadyLayer> {
        if self.running.is_busy() && self.store.blobs().has(&layer.blob.digest).unwrap_or(false) {
            (self.ready)(layer);
            return None;
        }
        Some(layer)
    }

    /// Tells that the blob of a base image's layer has come, at the end of the build.
    pub(crate) fn tell_base(&self, base: &BaseBlob) {
        self.base_layer(None, base).map(|layer| self.tell(layer));
    }

    /// Returns a base image's layer, unless it must be compressed anew or does not leave.
    fn base_layer(&self, step: Option<StepId>, base: &BaseBlob) -> Option<ReadyLayer> {
        let options = self.request.compression?;
        let (blob, origin) = (base.descriptor.clone(), base.from.clone());
        options.keeps(&blob.media_type).then_some(ReadyLayer { step, blob, origin })
    }

    /// Returns a layer that was made here, as the blob that leaves.
    fn leaving(
        &self,
        step: StepId,
        snapshot: &Snapshot,
        at: usize,
        options: CompressionOptions,
    ) -> Result<Option<ReadyLayer>, Error> {
        let mut layer = self.made_here(&snapshot.layers()[at])?;
        let facts = &layer.meta().facts;
        if facts.pulled.is_some() {
            return Ok(None);
        }
        let known = match facts.diff_id(self.request.times) {
            Some(diff_id) => options.known(self.store, &diff_id)?,
            None => None,
        };
        let blob = match known {
            Some(known) => known,
            None => {
                let told = |done| {
                    let item = "compressing".to_owned();
                    (self.events)(Event::Progress { step, item, done, total: None });
                };
                told(0);
                let (_, blob) = self.compress(snapshot, at, &mut layer, options)?;
                told(blob.size);
                blob
            }
        };
        Ok(Some(ReadyLayer { step: Some(step), blob, origin: None }))
    }

    /// Writes the blob as which a layer that was made here leaves, and returns the digest of the tar in it.
    pub(crate) fn compress(
        &self,
        snapshot: &Snapshot,
        at: usize,
        layer: &mut Layer,
        options: CompressionOptions,
    ) -> Result<(Digest, Descriptor), Error> {
        let failed = |source| Error::Io { action: "write", path: self.store.root().to_owned(), source };
        self.running.set_busy();
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let blob = options.compression.compress(self.store.blobs().writer()?, threads).map_err(failed)?;
        let (blob, diff_id) = self.write_layer_tar(snapshot, at, layer, blob)?;
        let (digest, size) = blob.finish().map_err(failed)?.commit(None)?;
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
