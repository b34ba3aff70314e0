//! What a build says of its images at the end: whether they start, their layers, their size; the files that name them.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::sync::Arc;

use jettison_build::Built;
use jettison_image::{Digest, Digester, Reference};
use jettison_layer::{Content as LayerContents, Kind};
use jettison_report::{LayerContent, Problem, Size, Stage, StageLayer};
use jettison_store::Store;
use serde::{Deserialize, Serialize};

use super::BuildReport;
use crate::Error;
use crate::settings::BuildSettings;
use crate::stored::Stored;

/// The kind of records that keep summaries.
const SUMMARIES: &str = "summaries";

/// What a build says of its image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Summary {
    /// How large it is and what was left behind.
    pub(super) size: String,
    /// Its layers: the instruction and the bytes of files.
    pub(super) layers: Vec<(String, u64)>,
    /// Why a container of it would not start.
    pub(super) problems: Vec<Problem>,
}

/// Sums up an image, or recalls what was said of it: a build that had nothing to do looks into no layer.
pub(super) fn summary(
    store: &Store,
    built: &Built,
    stored: &Stored<'_>,
    names: &[Reference],
) -> Result<Summary, Error> {
    let name = names.first().map_or_else(|| built.image.config.short(), Reference::familiar);
    let key = key(store, built, &name)?;
    let records = store.records(SUMMARIES);
    if let Some(known) = records.get(&key)? {
        return Ok(known);
    }
    let summary = Summary {
        size: size_line(store, built, &name)?,
        layers: layers(stored)?,
        problems: problems(stored)?,
    };
    records.put(&key, &summary, &[])?;
    Ok(summary)
}

/// The digest of all that a summary depends on. What it can say of a layer depends on whether the store has that.
fn key(store: &Store, built: &Built, name: &str) -> Result<Digest, Error> {
    let mut key = Digester::new();
    key.field(b"summary v1").field(name.as_bytes()).field(built.image.config.as_bytes());
    for stage in &built.stages {
        key.field(stage.name.as_bytes()).field(stage.tree.as_bytes());
        for layer in &stage.layers {
            key.field(if store.layer(&layer.id)?.is_some() { b"y" } else { b"n" });
        }
    }
    Ok(key.finish())
}

/// Why a container of the image would not start. What was never unpacked cannot be looked into.
fn problems(stored: &Stored<'_>) -> Result<Vec<Problem>, Error> {
    let Some(tree) = stored.tree()? else { return Ok(Vec::new()) };
    let contents: Vec<Option<Arc<dyn LayerContents>>> =
        (0..stored.layers().len()).map(|number| stored.content_at_hand(number)).collect::<Result<_, _>>()?;
    let open = |path: &[u8]| -> io::Result<Option<Box<dyn jettison_report::Content>>> {
        let Some(node) = tree.get(path) else { return Ok(None) };
        let (layer, entry) = node.content();
        let Some(content) = contents.get(layer).and_then(Option::as_ref) else { return Ok(None) };
        if !matches!(entry.kind, Kind::File { .. }) {
            return Ok(None);
        }
        if let Some(file) = content.open_file(entry)? {
            return Ok(Some(Box::new(file)));
        }
        let mut bytes = Vec::new();
        content.open(entry)?.read_to_end(&mut bytes)?;
        Ok(Some(Box::new(io::Cursor::new(bytes))))
    };
    Ok(jettison_report::startable(&tree, &open, &stored.config))
}

/// The layers of the image by instruction, with the bytes of their files.
fn layers(stored: &Stored<'_>) -> Result<Vec<(String, u64)>, Error> {
    let mut layers = Vec::new();
    for row in jettison_report::layer_rows(&stored.config) {
        if let Some((number, _)) = row.layer {
            layers.push((row.created_by, stored.size(number)?.0));
        }
    }
    Ok(layers)
}

fn size_line(store: &Store, built: &Built, name: &str) -> Result<String, Error> {
    let (target, discarded) = trees(store, built)?;
    let names: Vec<String> = discarded.iter().map(|stage| stage.name.clone()).collect();
    let left: Size = jettison_report::measure(&discarded);
    Ok(jettison_report::summary(name, jettison_report::measure(&[target]), &names, left))
}

/// Returns what is known of the image's own stage and of those that were left behind.
pub(super) fn trees(store: &Store, built: &Built) -> Result<(Stage, Vec<Stage>), Error> {
    let mut known: HashMap<String, LayerContent> = HashMap::new();
    let mut stages = Vec::new();
    for stage in &built.stages {
        let mut layers = Vec::new();
        for layer in &stage.layers {
            let id = layer.id.to_string();
            if !known.contains_key(&id) {
                let content = match store.layer(&layer.id)? {
                    Some(stored) => LayerContent::Index(Arc::new(stored.index()?)),
                    None => LayerContent::Compressed(layer.compressed.unwrap_or(0)),
                };
                known.insert(id.clone(), content);
            }
            let content = known[&id].clone();
            layers.push(StageLayer { id, content });
        }
        stages.push(Stage { name: stage.name.clone(), layers });
    }
    let target = stages.remove(built.target);
    // A stage that the image itself starts from is not left behind.
    let within = |stage: &Stage| {
        stage.layers.len() <= target.layers.len()
            && stage.layers.iter().zip(&target.layers).all(|(ours, theirs)| ours.id == theirs.id)
    };
    stages.retain(|stage| !within(stage));
    Ok((target, stages))
}

/// Writes what `--iidfile` and `--metadata-file` ask for.
pub(super) fn write_files(settings: &BuildSettings, report: &BuildReport) -> Result<(), Error> {
    if let Some(path) = &settings.iid_file {
        fs::write(path, report.id.to_string()).map_err(|source| Error::io("write", path, source))?;
    }
    if let Some(path) = &settings.metadata_file {
        let bytes = serde_json::to_vec_pretty(&metadata(report)).unwrap_or_default();
        fs::write(path, bytes).map_err(|source| Error::io("write", path, source))?;
    }
    Ok(())
}

/// What buildx writes with `--metadata-file`: a config's digest only where there is one image.
fn metadata(report: &BuildReport) -> serde_json::Value {
    let mut metadata = serde_json::Map::new();
    if let [image] = report.images.as_slice() {
        metadata.insert("containerimage.config.digest".to_owned(), image.id.to_string().into());
    }
    if let Some(manifest) = &report.manifest {
        metadata.insert("containerimage.digest".to_owned(), manifest.digest.to_string().into());
        metadata.insert("containerimage.descriptor".to_owned(), serde_json::json!(manifest));
    }
    if !report.tags.is_empty() {
        let names: Vec<String> = report.tags.iter().map(ToString::to_string).collect();
        metadata.insert("image.name".to_owned(), names.join(",").into());
    }
    metadata.into()
}
