//! What is known of an image besides its bytes: which layers are the base's, and its packages.

use std::io::{self, Read};
use std::sync::Arc;

use jettison_image::{Digest, Digester};
use jettison_layer::{Content, Kind, Tree};
use jettison_report::{BuildRecord, Inventory};
use jettison_store::Object;

use crate::Error;
use crate::stored::Stored;

/// The kind of records that remember packages, and the version of what finds them.
const PACKAGES: &str = "packages";
const VERSION: &[u8] = b"packages v1";
/// The largest list of packages that is read back, in bytes.
const MAX_PACKAGES: u64 = 1 << 30;

/// Returns how many layers are the base's and how that is known: the build remembers it, or else another image of the
/// store has just the lowest layers.
pub(super) fn base(
    stored: &Stored<'_>,
    build: Option<&BuildRecord>,
) -> Result<Option<(usize, String)>, Error> {
    if let Some(build) = build {
        return Ok(Some((build.base_layers, "build".to_owned())));
    }
    let ours: Vec<Digest> = stored.layers().iter().map(|layer| layer.diff_id).collect();
    let mut best: Option<(usize, String)> = None;
    for image in stored.store.images()? {
        let theirs: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
        let longer = best.as_ref().is_none_or(|(layers, _)| theirs.len() > *layers);
        if theirs.is_empty() || theirs.len() >= ours.len() || !longer || !ours.starts_with(&theirs) {
            continue;
        }
        let tags = stored.store.tags()?;
        let tag = tags.iter().find(|tag| tag.entry.image == image.config);
        best = Some((theirs.len(), tag.map_or_else(|| image.config.short(), |tag| tag.reference.familiar())));
    }
    Ok(best)
}

/// Returns the packages of an image, from memory if they were looked for before.
pub(super) fn packages(stored: &Stored<'_>, tree: &Tree) -> Result<Inventory, Error> {
    let mut key = Digester::new();
    key.field(VERSION);
    for layer in stored.layers() {
        key.field(layer.diff_id.as_bytes());
    }
    let (key, store) = (key.finish(), stored.store);
    let records = store.records(PACKAGES);
    if let Some(blob) = records.get::<Digest>(&key)?
        && let Ok(known) = serde_json::from_slice(&store.blobs().read_small(&blob, MAX_PACKAGES)?)
    {
        return Ok(known);
    }
    let inventory = look(stored, tree)?;
    let bytes = serde_json::to_vec(&inventory).map_err(|error| Error::request(error.to_string()))?;
    let blob = store.blobs().write(&bytes)?;
    records.put(&key, &blob, &[Object::Blob(blob)])?;
    Ok(inventory)
}

fn look(stored: &Stored<'_>, tree: &Tree) -> Result<Inventory, Error> {
    let contents = contents(stored)?;
    Ok(jettison_report::inventory(tree, &opener(tree, &contents)))
}

/// Returns the contents of all layers, lowest first.
pub(crate) fn contents(stored: &Stored<'_>) -> Result<Vec<Arc<dyn Content>>, Error> {
    (0..stored.layers().len()).map(|number| Ok(stored.content(number)?.1)).collect()
}

/// Opens the files of a tree.
pub(crate) fn opener<'a>(
    tree: &'a Tree,
    contents: &'a [Arc<dyn Content>],
) -> impl Fn(&[u8]) -> io::Result<Option<Box<dyn jettison_report::Content>>> + 'a {
    move |path| {
        let Some(node) = tree.get(path) else { return Ok(None) };
        let (layer, entry) = node.content();
        if !matches!(entry.kind, Kind::File { .. }) {
            return Ok(None);
        }
        if let Some(file) = contents[layer].open_file(entry)? {
            return Ok(Some(Box::new(file)));
        }
        let mut bytes = Vec::new();
        contents[layer].open(entry)?.read_to_end(&mut bytes)?;
        Ok(Some(Box::new(io::Cursor::new(bytes))))
    }
}
