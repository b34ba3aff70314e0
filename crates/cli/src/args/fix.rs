//! `fix`.

use clap::Args;

use super::BuildArgs;

/// Arguments of `fix`.
#[derive(Debug, Args)]
pub struct FixArgs {
    #[command(flatten)]
    pub build: BuildArgs,
    /// Command of the image that must succeed, before and after, for rewrites that change the tree; '' runs the image's
    /// own command
    #[arg(long, value_name = "COMMAND")]
    pub smoke: Option<String>,
    /// Write the files, instead of showing what would change
    #[arg(long)]
    pub write: bool,
}
