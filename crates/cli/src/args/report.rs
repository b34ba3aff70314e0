//! The commands that say where bytes are.

use clap::{Args, ValueEnum};

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Name or ID of an image, path of an OCI layout (with ":TAG" or "@DIGEST", if it has several images) or an archive
    pub image: String,
    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: ReportFormat,
    /// Write to a file, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<String>,
    /// Platform, where the name stands for several images
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<String>,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The first image, named as for "report"
    pub before: String,
    /// The second image
    pub after: String,
    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: ReportFormat,
    /// Write to a file, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<String>,
    /// Platform, where a name stands for several images
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<String>,
}

/// `--format` of reports
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For the terminal
    #[value(alias = "table")]
    Text,
    /// For programs
    Json,
    /// One self-contained page for the browser
    Html,
}
