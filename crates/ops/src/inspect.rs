//! `inspect`, `history` and what else is known of one image.

use jettison_image::{Config, Digest};
use jettison_report::layer_rows;
use jettison_store::Store;
use serde_json::{Map, Value, json};

use crate::Error;
use crate::stored::Stored;

/// One line of `history`, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The image's ID, which only the newest line has.
    pub id: Option<Digest>,
    /// When, RFC 3339.
    pub created: Option<String>,
    /// The instruction.
    pub created_by: String,
    /// The bytes that it added: those of its unpacked layer, or of the layer's blob if it was never read.
    pub size: u64,
    /// What the tool that made it has to say.
    pub comment: String,
}

/// Tells how an image came to be.
pub fn history(store: &Store, image: &str) -> Result<Vec<HistoryRow>, Error> {
    let stored = Stored::open(store, store.resolve(image)?.image)?;
    let mut rows = Vec::new();
    for row in layer_rows(&stored.config) {
        rows.push(HistoryRow {
            id: None,
            created: row.created,
            created_by: row.created_by,
            size: row.layer.map(|(number, _)| stored.size(number)).transpose()?.map_or(0, |(bytes, _)| bytes),
            comment: row.comment,
        });
    }
    rows.reverse();
    if let Some(newest) = rows.first_mut() {
        newest.id = Some(stored.record.config);
    }
    Ok(rows)
}

/// Returns the bytes of an image's unpacked layers; of layers that were never read, those of their blobs.
pub(crate) fn size(stored: &Stored<'_>) -> Result<u64, Error> {
    (0..stored.layers().len()).try_fold(0_u64, |sum, number| Ok(sum.saturating_add(stored.size(number)?.0)))
}

/// Tells all that is known of an image, in docker's form (Engine API, `ImageInspect`).
pub fn inspect(store: &Store, image: &str) -> Result<Value, Error> {
    let stored = Stored::open(store, store.resolve(image)?.image)?;
    let (image, config) = (&stored.record, &stored.config);
    let tags = store.tags()?;
    let mine = || tags.iter().filter(|tag| tag.entry.image == image.config);
    let repo_tags: Vec<String> =
        mine().filter(|tag| tag.reference.tag().is_some()).map(|tag| tag.reference.familiar()).collect();
    let mut repo_digests: Vec<String> = mine()
        .filter_map(|tag| {
            Some(tag.reference.with_digest(tag.reference.digest().or(tag.entry.repo_digest)?).familiar())
        })
        .collect();
    repo_digests.sort();
    repo_digests.dedup();
    let comment = config.history.last().and_then(|entry| entry.comment.clone()).unwrap_or_default();
    let mut value = json!({
        "Id": image.config,
        "RepoTags": repo_tags,
        "RepoDigests": repo_digests,
        "Parent": "",
        "Comment": comment,
        "Created": config.created,
        "DockerVersion": "",
        "Author": config.author.clone().unwrap_or_default(),
        "Config": run_config(config),
        "Architecture": config.architecture,
        "Os": config.os,
        "Size": size(&stored)?,
        "RootFS": { "Type": "layers", "Layers": config.rootfs.diff_ids },
        "Metadata": { "LastTagTime": jettison_image::rfc3339(image.stored) },
    });
    if let (Some(variant), Some(object)) = (&config.variant, value.as_object_mut()) {
        object.insert("Variant".into(), variant.clone().into());
    }
    if let (Some(manifest), Some(object)) = (&image.manifest, value.as_object_mut()) {
        // Plain structs with string keys: making a value of them has nothing that can fail.
        object
            .insert("Descriptor".into(), serde_json::to_value(manifest).expect("descriptors are plain data"));
    }
    Ok(value)
}

/// Docker lists also those fields that are empty, and templates rely on it.
fn run_config(config: &Config) -> Value {
    let run = &config.config;
    let or_null = |value: Value, empty: bool| if empty { Value::Null } else { value };
    let mut object = Map::new();
    object.insert("User".into(), run.user.clone().into());
    object.insert("ExposedPorts".into(), or_null(json!(run.exposed_ports), run.exposed_ports.is_empty()));
    object.insert("Env".into(), json!(run.env));
    object.insert("Cmd".into(), json!(run.cmd));
    object.insert("Volumes".into(), or_null(json!(run.volumes), run.volumes.is_empty()));
    object.insert("WorkingDir".into(), run.working_dir.clone().into());
    object.insert("Entrypoint".into(), json!(run.entrypoint));
    object.insert("OnBuild".into(), or_null(json!(run.on_build), run.on_build.is_empty()));
    object.insert("Labels".into(), or_null(json!(run.labels), run.labels.is_empty()));
    if run.args_escaped {
        object.insert("ArgsEscaped".into(), true.into());
    }
    if let Some(healthcheck) = &run.healthcheck {
        object.insert("Healthcheck".into(), json!(healthcheck));
    }
    if !run.stop_signal.is_empty() {
        object.insert("StopSignal".into(), run.stop_signal.clone().into());
    }
    if let Some(shell) = &run.shell {
        object.insert("Shell".into(), json!(shell));
    }
    Value::Object(object)
}
