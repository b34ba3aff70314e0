//! What a build tells while it goes on: one stream for the terminal, plain text, JSON and traces.

use std::time::Duration;

use jettison_image::Digest;

/// The number of a step in its build, in the order of the Dockerfile.
pub type StepId = usize;

/// Something that happened in a build.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The steps that this build may execute, before anything runs.
    Planned {
        /// One a step.
        steps: Vec<StepInfo>,
    },
    /// A step's execution (or look-up) began.
    Started {
        /// Which.
        step: StepId,
    },
    /// Output of a step's command, as it came; not necessarily whole lines.
    Output {
        /// Which.
        step: StepId,
        /// Standard output or standard error.
        stream: Stream,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Part of a step's work that can be measured, such as the download of one layer.
    Progress {
        /// Which.
        step: StepId,
        /// What is moved, such as a short digest.
        item: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, if known.
        total: Option<u64>,
    },
    /// Why a step's result was not in the cache, if that was asked for. It comes before the step's end.
    Explained {
        /// Which.
        step: StepId,
        /// Lower-case fragments; none if the result was there.
        reasons: Vec<String>,
    },
    /// A step ended.
    Finished {
        /// Which.
        step: StepId,
        /// How.
        outcome: Outcome,
        /// From start to end.
        elapsed: Duration,
    },
    /// Something the user should know, not tied to a step's success.
    Warning {
        /// The step it is about.
        step: Option<StepId>,
        /// A lower-case fragment.
        message: String,
    },
}

/// A step as the user knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepInfo {
    /// Its number.
    pub id: StepId,
    /// What to call it, such as `[builder 2/5] RUN go build`.
    pub name: String,
    /// A stable digest of what it is, for tools that match steps.
    pub digest: Digest,
    /// The steps it waits for.
    pub inputs: Vec<StepId>,
}

/// One of a command's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its result was in the cache.
    Cached,
    /// It was executed.
    Done,
    /// It failed; what the user should read.
    Failed(String),
    /// Another step failed or the user interrupted.
    Canceled,
}
