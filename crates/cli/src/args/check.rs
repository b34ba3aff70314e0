//! `check` and `advise`.

use clap::{Args, ValueEnum};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Directory with a Dockerfile, or the Dockerfile itself
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: String,
    /// Dockerfile to check (default: "PATH/Dockerfile")
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// How to write what was found
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: CheckFormat,
    /// Fail where a finding is of this level or above (default: what the configuration file says, or info)
    #[arg(long, value_name = "LEVEL")]
    pub failure_threshold: Option<Threshold>,
    /// hadolint's configuration file (default: ".hadolint.yaml" in the working directory, else the user's)
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<String>,
}

/// `--failure-threshold`, as hadolint has it
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Threshold {
    /// The image will not be what was meant
    Error,
    /// A likely mistake
    Warning,
    /// A possible improvement
    Info,
    /// A matter of taste
    Style,
    /// Only what a build would fail with
    None,
}

/// Arguments of `advise`.
#[derive(Debug, Args)]
pub struct AdviseArgs {
    /// Directory with a Dockerfile, a Dockerfile, or an image as `report` takes it
    #[arg(value_name = "IMAGE|CONTEXT", default_value = ".")]
    pub subject: String,
    /// Dockerfile of the image (default: the one that its build remembers)
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// Ask registries for smaller bases of the final stage, and say what each lacks
    #[arg(long)]
    pub bases: bool,
    /// How to write the advice
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: CheckFormat,
    /// Stage that ships (default: the last one, or the one that was built)
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Value of an ARG that names a base, for --bases (can be repeated)
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub build_args: Vec<String>,
    /// What takes the place of a base, for --bases: docker-image://REF or oci-layout://DIR (can be repeated)
    #[arg(long = "build-context", value_name = "NAME=SOURCE")]
    pub build_contexts: Vec<String>,
    /// Platform, where the name stands for several images
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<String>,
}

/// `--format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people
    Text,
    /// One object a finding
    Json,
    /// SARIF 2.1.0, as code hosts read it
    Sarif,
    /// Workflow commands of GitHub Actions
    Github,
}
