//! `diff`: two images, wherever they are, side by side.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use jettison_build::export::{self, CompressionOptions};
use jettison_fs::Dir;
use jettison_image::{Descriptor, Platform};
use jettison_layer::{Index, Kind, LayerTar, Node, Ownership, Place, Tree, differences, fill_digests};
use jettison_report::{Costs, Diff};
use jettison_store::Store;

use crate::Error;
use crate::report::{find, of_stored};
use crate::stored::Stored;
use crate::transfer::{Transfer, export_context};

/// Bytes that are read from a blob at once.
const BUFFER: usize = 256 << 10;

/// Compares two images, each named as for [`crate::report`].
///
/// Layers that were never compressed are, once, and every layer is unpacked to nowhere: what it costs to deploy an image
/// is measured.
pub fn diff(
    store: &Store,
    images: [&str; 2],
    platform: &Platform,
    transfer: Transfer<'_>,
) -> Result<Diff, Error> {
    let open = |image: &str| Stored::open(store, find(store, image, platform, transfer)?);
    let (before, after) = (open(images[0])?, open(images[1])?);
    let (before_blobs, after_blobs) = (blobs(&before, transfer)?, blobs(&after, transfer)?);
    let before_costs = costs(store, &before_blobs, &after_blobs)?;
    let after_costs = costs(store, &after_blobs, &before_blobs)?;
    let before_report = of_stored(&before, images[0])?;
    let after_report = of_stored(&after, images[1])?;
    let [one, two] = trees(&before, &after)?;
    let sides = [(&before_report, before_costs), (&after_report, after_costs)];
    Ok(jettison_report::diff(sides, &differences(&one, &two)))
}

/// Returns the compressed layers of an image; all are in the store then.
fn blobs(stored: &Stored<'_>, transfer: Transfer<'_>) -> Result<Vec<Descriptor>, Error> {
    let source = stored.source(Vec::new())?;
    let context = export_context(stored.store, transfer);
    let prepared = export::prepare(source, &CompressionOptions::default(), context)?;
    Ok(prepared.layers.into_iter().map(|layer| layer.descriptor).collect())
}

fn costs(store: &Store, ours: &[Descriptor], theirs: &[Descriptor]) -> Result<Costs, Error> {
    let length = |blobs: &mut dyn Iterator<Item = &Descriptor>| blobs.map(|blob| blob.size).sum();
    let new = |blob: &&Descriptor| theirs.iter().all(|other| other.digest != blob.digest);
    let begun = Instant::now();
    ours.iter().try_for_each(|blob| unpack(store, blob))?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Costs::new(length(&mut ours.iter()), length(&mut ours.iter().filter(new)), seconds))
}

/// Unpacks a layer into a directory that goes away again.
fn unpack(store: &Store, blob: &Descriptor) -> Result<(), Error> {
    let draft = store.draft_layer()?;
    let compressed = io::BufReader::with_capacity(BUFFER, store.blobs().open(&blob.digest)?);
    let read = |source| Error::io("decompress", store.blobs().path(&blob.digest), source);
    let mut tar = LayerTar::new(compressed).map_err(read)?;
    jettison_layer::unpack(&mut tar, &Dir::open(&draft.fs())?, Ownership::Squashed)?;
    Ok(())
}

/// Returns the trees of both images, with all digests that comparing them needs. Layers that both begin with are the same
/// in memory, so that files of theirs are not read to be compared with themselves.
fn trees(before: &Stored<'_>, after: &Stored<'_>) -> Result<[Tree; 2], Error> {
    let pairs = before.layers().iter().zip(after.layers());
    let shared = pairs.take_while(|(ours, theirs)| ours.diff_id == theirs.diff_id).count();
    let ours = indexes(before, 0..before.layers().len())?;
    let mut theirs = ours[..shared].to_vec();
    theirs.extend(indexes(after, shared..after.layers().len())?);
    let [one, two] = stacks(&ours, &theirs, shared);
    let (mut our_places, mut their_places) = (BTreeSet::new(), BTreeSet::new());
    for (ours, theirs) in unread(&one, &two) {
        our_places.insert(ours);
        let places = if theirs.0 < shared { &mut our_places } else { &mut their_places };
        places.insert(theirs);
    }
    let (mut ours, mut theirs) = (one.layers().to_vec(), two.layers().to_vec());
    complete(before, &mut ours, &our_places)?;
    complete(after, &mut theirs, &their_places)?;
    theirs[..shared].clone_from_slice(&ours[..shared]);
    Ok(stacks(&ours, &theirs, shared))
}

fn indexes(stored: &Stored<'_>, layers: Range<usize>) -> Result<Vec<Arc<Index>>, Error> {
    let index = |number| {
        let gone = || Error::request(format!("layer {number} of {} is gone", stored.record.config.short()));
        stored.index(number)?.ok_or_else(gone)
    };
    layers.map(index).collect()
}

/// Stacks the layers of both images, the `shared` ones once.
fn stacks(ours: &[Arc<Index>], theirs: &[Arc<Index>], shared: usize) -> [Tree; 2] {
    let below = Tree::new(ours[..shared].iter().cloned());
    [ours, theirs].map(|layers| {
        let mut tree = below.clone();
        layers[shared..].iter().for_each(|index| tree.push(index.clone()));
        tree
    })
}

/// Returns the places of files that are equally long at the same path and whose digests are not both known.
fn unread(one: &Tree, two: &Tree) -> Vec<(Place, Place)> {
    let place = |tree: &Tree, node: &Node<'_>| {
        let (layer, entry) = node.content();
        Some((layer, tree.layers().get(layer)?.position(&entry.path)?))
    };
    let mut found = Vec::new();
    for ours in one.iter() {
        let Some(theirs) = two.get(&ours.entry.path) else { continue };
        let (a, b) = (ours.content().1, theirs.content().1);
        let (Kind::File { size: 1.., digest }, Kind::File { digest: other, .. }) = (&a.kind, &b.kind) else {
            continue;
        };
        if a.size() != b.size() || std::ptr::eq(a, b) || (digest.is_some() && other.is_some()) {
            continue;
        }
        found.extend(place(one, &ours).zip(place(two, &theirs)));
    }
    found
}

/// Takes the digests of the files at `places` that have none.
fn complete(stored: &Stored<'_>, indexes: &mut [Arc<Index>], places: &BTreeSet<Place>) -> Result<(), Error> {
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get());
    for (number, index) in indexes.iter_mut().enumerate() {
        let positions: Vec<usize> = places.range((number, 0)..(number + 1, 0)).map(|(_, at)| *at).collect();
        if positions.is_empty() {
            continue;
        }
        let index = Arc::make_mut(index);
        let mut entries: Vec<_> = positions.iter().map(|at| index.entries[*at].clone()).collect();
        fill_digests(&mut entries, &stored.content(number)?.1, threads)?;
        for (at, entry) in positions.into_iter().zip(entries) {
            index.entries[at] = entry;
        }
    }
    Ok(())
}
