//! `check`.

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
