//! What the planner is asked, and what it asks in turn.

use std::collections::{BTreeMap, BTreeSet};

use jettison_image::{Config, Digest, Platform};

use crate::graph::{ImageSource, Limit, NetworkMode};
use crate::remote::Remote;

/// What to plan a Dockerfile for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The stage to build; the last one if absent.
    pub target: Option<String>,
    /// `--build-arg`, by name.
    pub build_args: BTreeMap<String, String>,
    /// `--label`, in the order given.
    pub labels: Vec<(String, String)>,
    /// `--platform`, if it was given.
    pub platform: Option<Platform>,
    /// The platform of this machine.
    pub build_platform: Platform,
    /// `--build-context`: what kind each is, by [`crate::context_key`] of its name.
    pub contexts: BTreeMap<String, ContextKind>,
    /// `--network`: what RUN steps reach unless they say otherwise.
    pub network: NetworkMode,
    /// `--add-host`: name and address.
    pub extra_hosts: Vec<(String, String)>,
    /// What else the command line says of RUN.
    pub run: RunOptions,
}

/// What the command line says of all RUN steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// The host name in RUN, unless `BUILDKIT_SANDBOX_HOSTNAME` sets another.
    pub hostname: Option<String>,
    /// `--shm-size`: bytes of `/dev/shm` in RUN.
    pub shm_size: Option<u64>,
    /// `--ulimit`: limits of RUN.
    pub limits: Vec<Limit>,
    /// `--cgroup-parent`: the cgroup beneath which each RUN gets one of its own, an absolute path without dots.
    pub cgroup_parent: Option<String>,
    /// `--allow`: what RUN may ask for.
    pub allow: BTreeSet<Entitlement>,
}

/// What an instruction may only ask for if the user allows it. BuildKit: `util/entitlements`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entitlement {
    /// `RUN --network=host`
    HostNetwork,
    /// `RUN --security=insecure`
    Insecure,
}

impl Entitlement {
    /// Returns the name that `--allow` takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Entitlement::HostNetwork => "network.host",
            Entitlement::Insecure => "security.insecure",
        }
    }
}

/// What a named context holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextKind {
    /// Files.
    Directory,
    /// Files from the network, which are fetched if something uses them.
    Remote(Remote),
    /// An image.
    Image,
    /// Nothing: the empty image.
    Scratch,
}

/// A base image as the planner sees it.
#[derive(Debug, Clone)]
pub struct Base {
    /// The digest of its config: the image ID.
    pub id: Digest,
    /// Its config.
    pub config: Config,
}

/// Looks a base image up. It is asked only for images that the target needs.
pub type BaseResolver<'a> =
    dyn FnMut(&ImageSource, &Platform) -> Result<Base, Box<dyn std::error::Error + Send + Sync>> + 'a;
