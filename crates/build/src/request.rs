//! What a build is asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jettison_dockerfile::Parsed;
use jettison_image::{Digest, Platform, Reference};
use jettison_layer::Times;
use jettison_sandbox::Hidden;

use crate::ContextSource;
use crate::export::CompressionOptions;

/// Everything a build needs to know.
pub struct Request {
    /// The Dockerfile, parsed without errors.
    pub dockerfile: Parsed,
    /// Arguments, target and the kinds of the named contexts. Its platform is set from `platforms`.
    pub plan: jettison_plan::Request,
    /// `--platform`: one image is made for each, and one for this machine where there is none. No two are equal.
    pub platforms: Vec<Platform>,
    /// The build context; `None` where only a Dockerfile was given.
    pub context: Option<ContextSource>,
    /// Named contexts, by [`jettison_plan::context_key`].
    pub contexts: BTreeMap<String, NamedContext>,
    /// `--no-cache`: RUN, COPY and ADD are executed again.
    pub no_cache: bool,
    /// `--no-cache-filter`: names of stages whose RUN, COPY and ADD are executed again.
    pub no_cache_filter: Vec<String>,
    /// `--secret`: where each secret is.
    pub secrets: BTreeMap<String, SecretSource>,
    /// `--ssh`: the socket of each agent.
    pub agents: BTreeMap<String, PathBuf>,
    /// `--pull`: tags are looked up even where the store has them.
    pub pull: bool,
    /// By what the store knows this build's last run, with whose steps those of this one are compared.
    pub identity: Digest,
    /// `--explain`: whether it is told why steps are executed.
    pub explain: bool,
    /// How many steps run at once.
    pub jobs: usize,
    /// In which compression the layers of the image leave, if they do: each gets it as soon as its step has ended, those
    /// that are written as tars on the way.
    pub compression: Option<CompressionOptions>,
    /// The times that layers made here show.
    pub times: Times,
    /// `created` of the image, in seconds since 1970; `None` for when its layers were made.
    pub created: Option<i64>,
    /// When the build started: what is younger came to be during the build.
    pub started: jettison_layer::Timestamp,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file, which is read when a command needs it.
    File(PathBuf),
    /// Here.
    Value(Hidden),
}

/// What a named context is.
#[derive(Debug, Clone)]
pub enum NamedContext {
    /// Files.
    Directory(ContextSource),
    /// Files from the network; the plan knows which.
    Remote,
    /// An image of a registry or of the store.
    Image(Reference),
    /// An image of an OCI layout on disk.
    Layout {
        /// The layout's directory or tar.
        path: PathBuf,
        /// Which of its images.
        tag: Option<String>,
        /// Which of its images, by digest.
        digest: Option<Digest>,
    },
    /// The empty image.
    Scratch,
}
