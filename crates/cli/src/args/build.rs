//! `build`: docker's flags.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::not_yet::BuildNotYet;

/// Arguments of `build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Directory of the sources, URL of a git repository or a tar archive, or "-" for standard input
    #[arg(value_name = "PATH | URL | -")]
    pub context: String,
    /// Dockerfile to build ("-" for standard input; default: "PATH/Dockerfile")
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// Name of the image, and optionally a tag ("name:tag"; can be repeated)
    #[arg(short, long = "tag", value_name = "NAME[:TAG]")]
    pub tags: Vec<String>,
    /// Stage to build
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Value of an ARG; without "=" it is taken from the environment (can be repeated)
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub build_args: Vec<String>,
    /// Additional build context: a directory, a URL, docker-image://REF or oci-layout://DIR (can be repeated)
    #[arg(long = "build-context", value_name = "NAME=SOURCE")]
    pub build_contexts: Vec<String>,
    /// Label of the image (can be repeated)
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// Annotation of the image, or with "index:" and the like of what holds it (can be repeated)
    #[arg(long = "annotation", value_name = "[PLACE:]KEY=VALUE")]
    pub annotations: Vec<String>,
    /// Platforms to build for; several (separated by commas) make one image index
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Vec<String>,
    /// Execute every step, whatever the cache has
    #[arg(long)]
    pub no_cache: bool,
    /// Execute every step of these stages, whatever the cache has (can be repeated)
    #[arg(long, value_name = "STAGE[,STAGE]")]
    pub no_cache_filter: Vec<String>,
    /// Secret for RUN --mount=type=secret: "id=ID,src=FILE" or "id=ID,env=NAME" (can be repeated)
    #[arg(long = "secret", value_name = "SPEC")]
    pub secrets: Vec<String>,
    /// SSH agent for RUN --mount=type=ssh; without a socket that of SSH_AUTH_SOCK (can be repeated)
    #[arg(long, value_name = "ID[=SOCKET]")]
    pub ssh: Vec<String>,
    /// Allow RUN to ask for more: "network.host" or "security.insecure" (can be repeated)
    #[arg(long, value_name = "WHAT")]
    pub allow: Vec<String>,
    /// Host name in RUN (default: "buildkitsandbox")
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Size of /dev/shm in RUN, such as "128m"
    #[arg(long, value_name = "BYTES")]
    pub shm_size: Option<String>,
    /// Resource limit of RUN, such as "nofile=1024:2048" (can be repeated)
    #[arg(long = "ulimit", value_name = "NAME=SOFT[:HARD]")]
    pub ulimits: Vec<String>,
    /// Run each RUN in a cgroup of its own beneath this one: a path, or a slice of systemd such as "a-b.slice"
    #[arg(long, value_name = "CGROUP")]
    pub cgroup_parent: Option<String>,
    /// Date of the image and of what the build made: "now", "git" (the context's last commit) or seconds since 1970
    #[arg(long, value_name = "now|git|SECONDS")]
    pub timestamp: Option<String>,
    /// Times of files in the image
    #[arg(long, value_name = "MODE", default_value = "normalize")]
    pub timestamps: Timestamps,
    /// Ask the registry for a newer base image
    #[arg(long)]
    pub pull: bool,
    /// Network of RUN: "default", "host" or "none"
    #[arg(long, visible_alias = "net", value_name = "MODE", default_value = "default")]
    pub network: String,
    /// Additional line of /etc/hosts in RUN (can be repeated)
    #[arg(long = "add-host", value_name = "HOST:IP")]
    pub add_hosts: Vec<String>,
    /// File to write the image ID to
    #[arg(long = "iidfile", value_name = "FILE")]
    pub iid_file: Option<String>,
    /// File to write the result's metadata to, as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<String>,
    /// Answer a question about the Dockerfile instead of building: "check", "outline" or "targets"
    #[arg(long, value_name = "METHOD[,format=json]", default_value = "build")]
    pub call: String,
    /// Short for "--call=check": run docker's build checks
    #[arg(long)]
    pub check: bool,
    /// Print nothing but the image ID
    #[arg(short, long)]
    pub quiet: bool,
    /// How to show progress
    #[arg(long, value_name = "MODE", default_value = "auto")]
    pub progress: ProgressMode,
    /// Say of each step whether its result was in the cache, and if not, what changed
    #[arg(long)]
    pub explain: bool,
    /// How many steps run at once
    #[arg(long, value_name = "COUNT", default_value_t = jobs())]
    pub jobs: NonZeroUsize,
    /// File to write when each step ran to, in Chrome's trace event format
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Where the result goes: "type=image|oci|docker|tar|local|registry,dest=PATH"; with ",drop-dead=true" without what
    /// the final tree does not show (can be repeated)
    #[arg(short, long = "output", value_name = "SPEC")]
    pub outputs: Vec<String>,
    /// Fail, before anything is tagged or sent, if the files of the image have more bytes, such as "50MB"
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<String>,
    /// Likewise if they have so much more than those of the baseline, such as "5%"
    #[arg(long, value_name = "PERCENT")]
    pub max_growth: Option<String>,
    /// What --max-growth compares with: an image, or a file of "report --format json" (default: what the tag names now)
    #[arg(long, value_name = "IMAGE|FILE")]
    pub baseline: Option<String>,
    /// Likewise if so much of all stored bytes is dead, such as "1%"
    #[arg(long, value_name = "PERCENT")]
    pub max_dead: Option<String>,
    /// Short for "--output type=registry"
    #[arg(long)]
    pub push: bool,
    /// Hand the image to the daemon of DOCKER_HOST: short for "--output type=docker"
    #[arg(long)]
    pub load: bool,
    /// Nothing to do: there are no intermediate containers
    #[arg(long, hide = true)]
    pub rm: bool,
    /// Nothing to do: there are no intermediate containers
    #[arg(long, hide = true)]
    pub force_rm: bool,
    /// Nothing to do: the context is not sent anywhere
    #[arg(long, hide = true)]
    pub compress: bool,
    /// Nothing to do: no signatures are asked for
    #[arg(long, hide = true)]
    pub disable_content_trust: bool,
    #[command(flatten)]
    pub not_yet: BuildNotYet,
}

/// `--progress`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// "tty" where standard error is a terminal, else "plain"
    Auto,
    /// A live view
    Tty,
    /// Lines, as they come
    Plain,
    /// Nothing but the image ID
    Quiet,
    /// BuildKit's status messages, one JSON object a line
    Rawjson,
}

/// `--timestamps`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Timestamps {
    /// What the build made, and what came from the context, takes the date of the image
    Normalize,
    /// True times, as docker has them
    Keep,
}

/// Most steps wait for something: processes of their own, the network.
fn jobs() -> NonZeroUsize {
    NonZeroUsize::new(16).unwrap_or(NonZeroUsize::MIN)
}
