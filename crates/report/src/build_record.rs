//! What a build leaves behind for reports: its stages and steps, with times and sizes.

use serde::{Deserialize, Serialize};

/// What is remembered of a build, beside the image it made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// When it began, in seconds since 1970.
    pub started: i64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How many of the image's layers, from the lowest, are those of its base.
    pub base_layers: usize,
    /// The stages that were built, in the order of the Dockerfile.
    pub stages: Vec<StageRecord>,
    /// The bytes of files in the trees of the stages that were left behind; what several of them share counts once.
    pub left_behind: u64,
    /// The steps, in the order of the Dockerfile.
    pub steps: Vec<StepRecord>,
}

/// A stage of a build.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Its name, or `stage-N`.
    pub name: String,
    /// Whether its tree is the image.
    pub target: bool,
    /// Whether its tree is no part of the image.
    pub left_behind: bool,
    /// The bytes of files that its final tree shows; `None` where a base image was never read.
    pub bytes: Option<u64>,
}

/// A step of a build.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Such as `[builder 2/5] RUN go build`.
    pub name: String,
    /// The number of its stage in the record; `None` for a base image that several stages use.
    pub stage: Option<usize>,
    /// The steps that it waited for.
    pub inputs: Vec<usize>,
    /// Whether its result was in the cache.
    pub cached: bool,
    /// When it began, in seconds after the start of the build.
    pub start: f64,
    /// How long it took in this build, in seconds.
    pub seconds: f64,
    /// How long it took when it was executed, if that is known.
    pub executed_seconds: Option<f64>,
    /// The bytes of files in the layer it made.
    pub bytes: Option<u64>,
}

/// The key of a [`DockerfileRecord`] beside a record's own fields.
const DOCKERFILE: &str = "dockerfile";

/// The Dockerfile of a build, kept beside its record: advice tells the lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerfileRecord {
    /// Where it was.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// Whether the context had an ignore file; `None` where there was no context.
    pub has_ignore_file: Option<bool>,
}

impl DockerfileRecord {
    /// Reads what [`keep`](DockerfileRecord::keep) has written.
    pub fn of(record: &serde_json::Value) -> Option<DockerfileRecord> {
        serde_json::from_value(record.get(DOCKERFILE)?.clone()).ok()
    }

    /// Puts it beside the fields of a record; tells whether that changes the record.
    pub fn keep(&self, record: &mut serde_json::Value) -> bool {
        let Some(fields) = record.as_object_mut() else { return false };
        let ours = serde_json::json!(self);
        fields.insert(DOCKERFILE.to_owned(), ours.clone()) != Some(ours)
    }
}
