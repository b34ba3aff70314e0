//! What the accounts need of each layer: its index with digests, and the lengths of its tar and of its blob.

use std::io::{self, Seek};
use std::sync::Arc;
use std::thread;

use jettison_build::export::CompressionOptions;
use jettison_image::DEFAULT_EPOCH;
use jettison_layer::{Index, NoSink, Times, fill_digests, tar_size};
use jettison_report::{Layer, wanted_digests};
use jettison_store::{LayerFacts, PulledBlob};

use crate::Error;
use crate::stored::Stored;

/// The kind of records that remember how long tars are that were not written here.
const TARS: &str = "tar-sizes";

/// Bytes that are read from a tar at once.
const BUFFER: usize = 256 << 10;

/// Describes the layers of an image, the lowest `base` of which are its base's.
pub(super) fn layers(stored: &Stored<'_>, base: usize) -> Result<Vec<Layer>, Error> {
    let count = stored.layers().len();
    let mut read = Vec::with_capacity(count);
    for number in 0..count {
        read.push(read_layer(stored, number)?);
    }
    let mut indexes: Vec<Arc<Index>> = read.iter().map(|(index, _)| index.clone()).collect();
    complete_digests(stored, &mut indexes)?;
    let layer = |(number, index): (usize, Arc<Index>)| {
        Ok(Layer {
            index,
            diff_id: stored.layers()[number].diff_id,
            base: number < base,
            tar: read[number].1,
            compressed: compressed(stored, number)?,
        })
    };
    indexes.into_iter().enumerate().map(layer).collect()
}

/// Returns a layer's index and the length of its tar, reading its blob if that was never done.
fn read_layer(stored: &Stored<'_>, number: usize) -> Result<(Arc<Index>, u64), Error> {
    let ours = &stored.layers()[number];
    let index = stored.index(number)?;
    let Some(blob) = &ours.blob else {
        let index =
            index.ok_or_else(|| Error::request(format!("layer {} is gone from the store", ours.diff_id)))?;
        let facts = stored.layer(number)?.map(|layer| layer.meta().facts.clone()).unwrap_or_default();
        let times = facts.times_of(ours.diff_id).unwrap_or(Times::Epoch(DEFAULT_EPOCH));
        let size = tar_size(&index, times)?;
        return Ok((index, size));
    };
    let records = stored.store.records(TARS);
    if let (Some(index), Some(size)) = (&index, records.get::<u64>(&ours.diff_id)?) {
        return Ok((index.clone(), size));
    }
    let mut file = stored.tar_file(number)?;
    let failed = |source| Error::io("read", stored.store.root(), source);
    let size = file.seek(io::SeekFrom::End(0)).map_err(failed)?;
    records.put(&ours.diff_id, &size, &[])?;
    let index = match index {
        Some(index) => index,
        None => {
            file.rewind().map_err(failed)?;
            let mut reader = io::BufReader::with_capacity(BUFFER, &file);
            let index = jettison_layer::read_layer(&mut reader, &mut NoSink)?.index;
            let pulled = PulledBlob { descriptor: blob.clone(), diff_id: ours.diff_id };
            let facts = LayerFacts { pulled: Some(pulled), ..LayerFacts::default() };
            if let Some(id) = stored.layer_id(number) {
                stored.store.add_layer(id.clone(), facts, &index)?;
            }
            Arc::new(index)
        }
    };
    Ok((index, size))
}

/// Takes the digests that tell copies from files that are only equally long, and keeps them.
fn complete_digests(stored: &Stored<'_>, indexes: &mut [Arc<Index>]) -> Result<(), Error> {
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get());
    for (number, wanted) in wanted_digests(indexes).into_iter().enumerate() {
        if wanted.is_empty() {
            continue;
        }
        let index = Arc::make_mut(&mut indexes[number]);
        let mut entries: Vec<_> = wanted.iter().map(|position| index.entries[*position].clone()).collect();
        let (_, content) = stored.content(number)?;
        fill_digests(&mut entries, &content, threads)?;
        for (position, entry) in wanted.into_iter().zip(entries) {
            index.entries[position] = entry;
        }
        if let Some(layer) = stored.layer(number)? {
            layer.update_index(index)?;
        }
    }
    Ok(())
}

/// Returns the length of a layer's blob: as pulled, or as it was compressed here for some export.
fn compressed(stored: &Stored<'_>, number: usize) -> Result<Option<u64>, Error> {
    let ours = &stored.layers()[number];
    if let Some(blob) = &ours.blob {
        return Ok(Some(blob.size));
    }
    let variant = CompressionOptions::default().compression.to_string();
    Ok(stored.store.memo().get(&ours.diff_id, &variant)?.map(|blob| blob.size))
}
