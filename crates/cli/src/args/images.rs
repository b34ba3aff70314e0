//! The commands about images and the store.

use clap::Args;

/// Arguments of `images`.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Only images of this repository, and of this tag if there is one
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub name: Option<String>,
    /// Also show untagged images
    #[arg(short, long)]
    pub all: bool,
    /// Show manifest digests
    #[arg(long)]
    pub digests: bool,
    /// Only some images: "dangling=BOOL", "reference=PATTERN", "label=KEY[=VALUE]", "before=IMAGE", "since=IMAGE"
    #[arg(short, long = "filter", value_name = "FILTER")]
    pub filters: Vec<String>,
    /// "table", "table TEMPLATE", "json" or a Go template
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Show whole IDs
    #[arg(long)]
    pub no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    pub quiet: bool,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Names or IDs
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
    /// "json" or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Kind of the object; images are the only kind there is
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
}

/// Arguments of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Name or ID
    pub image: String,
    /// "table", "table TEMPLATE", "json" or a Go template
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Print sizes and dates for people ("--human=false": in bytes and RFC 3339)
    #[arg(short = 'H', long, value_name = "BOOL", default_value = "true", default_missing_value = "true")]
    #[arg(num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, hide_default_value = true)]
    pub human: bool,
    /// Show whole IDs and commands
    #[arg(long)]
    pub no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    pub quiet: bool,
}

/// Arguments of `tag`.
#[derive(Debug, Args)]
pub struct TagArgs {
    /// Name or ID of the image
    #[arg(value_name = "SOURCE_IMAGE[:TAG]")]
    pub source: String,
    /// Its new name
    #[arg(value_name = "TARGET_IMAGE[:TAG]")]
    pub target: String,
}

/// Arguments of `rmi`.
#[derive(Debug, Args)]
pub struct RmiArgs {
    /// Names or IDs
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
    /// Remove an image by ID though it has several names; do not fail where there is none
    #[arg(short, long)]
    pub force: bool,
    /// Nothing to do: parents are not images here
    #[arg(long, hide = true)]
    pub no_prune: bool,
}

/// Arguments of `save`.
#[derive(Debug, Args)]
pub struct SaveArgs {
    /// Names or IDs
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
    /// Write to a file, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<String>,
}

/// Arguments of `load`.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Read from a file, instead of standard input
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<String>,
    /// Print nothing
    #[arg(short, long)]
    pub quiet: bool,
}

/// Arguments of the `prune` commands.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Remove all that no build is using, named images too
    #[arg(short, long)]
    pub all: bool,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only what was last used before: "until=24h" or "until=2026-01-31T00:00:00Z"
    #[arg(long = "filter", value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Bytes of the cache that may stay, such as "10GB"
    #[arg(long, visible_alias = "max-used-space", value_name = "BYTES")]
    pub keep_storage: Option<String>,
    /// Set by the spelling `image prune`.
    #[arg(skip)]
    pub images_only: bool,
    /// Set by the spelling `builder prune`.
    #[arg(skip)]
    pub cache_only: bool,
}

/// Arguments of `du`.
#[derive(Debug, Args)]
pub struct DuArgs {
    /// Show each record
    #[arg(short, long)]
    pub verbose: bool,
    /// "table", "table TEMPLATE", "json" or a Go template
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// Arguments of `version`.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// "json" or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
}
