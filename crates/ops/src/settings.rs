//! What each verb is asked to do, as plain data: arguments already parsed, the environment already read.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use jettison_build::SecretSource;
use jettison_image::{DEFAULT_EPOCH, Platform, Reference};
use jettison_layer::Times;
use jettison_plan::{Remote, RunOptions};
use jettison_report::Budgets;

/// What `build` is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSettings {
    /// Where the sources of COPY and ADD come from.
    pub context: Context,
    /// Where the Dockerfile comes from.
    pub dockerfile: DockerfileSource,
    /// The names of the result, each with a tag and without a digest.
    pub tags: Vec<Reference>,
    /// The stage to build, by name or number; the last one if absent.
    pub target: Option<String>,
    /// Values of ARGs by name, in the order given.
    pub build_args: Vec<(String, String)>,
    /// Named contexts, in the order given; a later one of the same name wins.
    pub named_contexts: Vec<(String, NamedContext)>,
    /// Labels of the result.
    pub labels: BTreeMap<String, String>,
    /// What the result runs on: an image for each, the host's platform if empty. No two are equal.
    pub platforms: Vec<Platform>,
    /// Whether results of earlier builds are left unused.
    pub no_cache: bool,
    /// Stages whose results of earlier builds are left unused.
    pub no_cache_filter: Vec<String>,
    /// Secrets by ID, in the order given; a later one of the same ID wins.
    pub secrets: Vec<(String, SecretSource)>,
    /// Sockets of SSH agents by ID, likewise.
    pub agents: Vec<(String, PathBuf)>,
    /// What else there is to say of RUN.
    pub run: RunOptions,
    /// Whether registries are asked for tags that the store already has.
    pub pull: bool,
    /// What RUN can reach where the instruction itself says nothing.
    pub network: Network,
    /// Lines for `/etc/hosts` of RUN: (name, address).
    pub extra_hosts: Vec<(String, String)>,
    /// Whether it is told why steps are executed.
    pub explain: bool,
    /// Bytes that the cache may take; a tenth of the disk if absent.
    pub cache_limit: Option<u64>,
    /// How many steps run at once.
    pub jobs: NonZeroUsize,
    /// Receives the image ID.
    pub iid_file: Option<PathBuf>,
    /// Receives buildx' metadata as JSON.
    pub metadata_file: Option<PathBuf>,
    /// Where the result goes besides the store.
    pub outputs: Vec<Output>,
    /// Whether own layers lose what the final tree does not show.
    pub drop_dead: bool,
    /// What the image may not exceed.
    pub budgets: Budgets,
    /// What `budgets.growth` compares with: an image, or the file of a JSON report. The image that the first name has
    /// now if absent.
    pub baseline: Option<String>,
    /// `--annotation`.
    pub annotations: Vec<Annotation>,
    /// `--timestamp`: the date of the result, where the command line names one.
    pub date: Option<Date>,
    /// `SOURCE_DATE_EPOCH`: seconds since 1970 for `created` and for files made during the build.
    pub epoch: Option<i64>,
    /// `--timestamps=keep`: files show their true times, and the image when its layers were made, unless `epoch` says else.
    pub keep_times: bool,
    /// `DOCKER_HOST`, for an image that is handed to a daemon.
    pub docker_host: Option<String>,
}

impl BuildSettings {
    /// The times that layers made by the build show.
    pub(crate) fn times(&self) -> Times {
        if self.keep_times { Times::True } else { Times::Epoch(self.epoch.unwrap_or(DEFAULT_EPOCH)) }
    }

    /// `created` of the image, in seconds since 1970; `None` for when its layers were made.
    pub(crate) fn created(&self) -> Option<i64> {
        if self.keep_times { self.epoch } else { self.epoch.or(Some(DEFAULT_EPOCH)) }
    }
}

/// Free text beside an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Where it stands.
    pub place: AnnotationPlace,
    /// Of which image; of all if absent.
    pub platform: Option<Platform>,
    /// Its key.
    pub key: String,
    /// The text.
    pub value: String,
}

/// Where an annotation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnotationPlace {
    /// In the manifest.
    Manifest,
    /// In the descriptor of the manifest.
    ManifestDescriptor,
    /// In the index.
    Index,
    /// In the descriptor of the index.
    IndexDescriptor,
}

/// The date of an image, and of what its build made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Date {
    /// That of the start of the build.
    Now,
    /// That of the last commit of the git repository in which the context lies.
    Git,
    /// Seconds since 1970.
    Seconds(i64),
}

/// Where the sources of COPY and ADD come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Context {
    /// A directory.
    Directory(PathBuf),
    /// Standard input: a tar archive, or a Dockerfile that has no context.
    Stdin,
    /// A git repository; or a file of a web server, which is a tar archive or a Dockerfile.
    Remote(Remote),
}

/// Where the Dockerfile comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileSource {
    /// `Dockerfile` of the context.
    Default,
    /// A file; relative to the working directory, or to the context's root where that is an archive.
    Path(PathBuf),
    /// Standard input.
    Stdin,
}

/// What `advise` is about.
#[derive(Debug, Clone)]
pub struct AdviseSettings {
    /// A directory with a Dockerfile, a Dockerfile, or an image.
    pub subject: String,
    /// The Dockerfile, where it is not the one that is found.
    pub dockerfile: Option<PathBuf>,
    /// The stage that ships; the last one, or the one that was built, if absent.
    pub target: Option<String>,
    /// Values of ARGs by name, which name bases.
    pub build_args: Vec<(String, String)>,
    /// Named contexts, which take the place of bases; a later one of the same name wins.
    pub named_contexts: Vec<(String, NamedContext)>,
    /// The platform of the images that are read; the host's if absent.
    pub platform: Option<Platform>,
    /// Whether registries are asked for smaller bases.
    pub bases: bool,
}

impl AdviseSettings {
    /// Returns the platform that was asked for, or the host's.
    pub fn platform(&self) -> Platform {
        self.platform.clone().unwrap_or_else(Platform::host)
    }
}

/// What a named context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// A directory.
    Directory(PathBuf),
    /// A git repository, or a file of a web server.
    Remote(Remote),
    /// An image of the store or a registry: `docker-image://REF`.
    Image(Reference),
    /// The empty image: `docker-image://scratch`.
    Scratch,
    /// An image of an OCI layout: `oci-layout://DIR[:TAG|@DIGEST]`.
    Layout {
        /// The layout's directory.
        directory: PathBuf,
        /// A tag, or a digest with its `sha256:`; the only image, or `latest`, if absent.
        selector: Option<String>,
    },
}

/// What a command can reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// A private network where that is possible, else the host's.
    #[default]
    Default,
    /// The host's.
    Host,
    /// Loopback alone.
    None,
}

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// What is written.
    pub kind: OutputKind,
    /// Where to; absent for kinds that need no place.
    pub destination: Option<Destination>,
    /// The other `key=value` of the flag, keys in lower case.
    pub attributes: BTreeMap<String, String>,
    /// Annotations of this output alone; of one key those of `--annotation` go before.
    pub annotations: Vec<Annotation>,
}

impl Output {
    /// An output of which nothing but its kind is said.
    pub fn of(kind: OutputKind) -> Output {
        Output { kind, destination: None, attributes: BTreeMap::new(), annotations: Vec::new() }
    }
}

/// What an output writes. The names are buildx' exporter types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// The image stays in the store; with `push=true` it also goes to its registry.
    Image,
    /// The image goes to the registries of its tags.
    Registry,
    /// An OCI layout, as a tar or (`tar=false`) a directory.
    Oci,
    /// An archive as `docker save` writes it; without a destination it goes to the daemon of `DOCKER_HOST`.
    Docker,
    /// The files of the final tree as a tar.
    Tar,
    /// The files of the final tree as a directory.
    Local,
    /// Nothing: the build only fills the cache.
    CacheOnly,
}

/// Where an output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A file or directory.
    Path(PathBuf),
    /// Standard output.
    Stdout,
}

/// What `fix` is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixSettings {
    /// How the image is built; it gets no name and goes nowhere.
    pub build: BuildSettings,
    /// A command that must succeed in a container of the image, before and after; the image's own if empty.
    pub smoke: Option<String>,
    /// Whether the files are written.
    pub write: bool,
}

/// What `run` is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSettings {
    /// The image: a reference or an image ID, whole or its beginning.
    pub image: String,
    /// Replaces the image's command, if not empty.
    pub command: Vec<String>,
    /// Replaces the image's entrypoint; an empty text removes it.
    pub entrypoint: Option<String>,
    /// `NAME=value`, laid over the image's environment.
    pub env: Vec<String>,
    /// Directories and files of the host inside the container.
    pub volumes: Vec<Volume>,
    /// Replaces the image's user: `user[:group]`.
    pub user: Option<String>,
    /// Replaces the image's working directory.
    pub workdir: Option<String>,
    /// The host name; the container's short ID if absent.
    pub hostname: Option<String>,
    /// Lines for `/etc/hosts`: (name, address).
    pub extra_hosts: Vec<(String, String)>,
    /// What the container can reach.
    pub network: Network,
    /// Whether standard input is attached.
    pub interactive: bool,
    /// Whether the command is told that it has a terminal.
    pub tty: bool,
    /// When the image is pulled.
    pub pull: PullPolicy,
    /// What it shall run on; the host's platform if absent.
    pub platform: Option<Platform>,
}

/// One `-v SOURCE:TARGET[:ro]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// A path of the host, absolute.
    pub source: PathBuf,
    /// A path inside the container, absolute.
    pub target: String,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// When `run` pulls its image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// Before each run.
    Always,
    /// If the store does not have it.
    #[default]
    Missing,
    /// Not at all.
    Never,
}

/// What `prune` may remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneSettings {
    /// Images without a tag; with `all` also tagged ones.
    pub images: bool,
    /// Results of build steps that no image uses.
    pub cache: bool,
    /// Whether more than the unnamed goes: every image, every record.
    pub all: bool,
    /// Only what was last used longer ago than this.
    pub until: Option<Duration>,
    /// How many bytes of the cache may stay.
    pub keep_storage: Option<u64>,
}
