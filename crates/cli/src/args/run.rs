//! `run`: docker's flags as far as a smoke test needs them.

use clap::{Args, ValueEnum};

use super::not_yet::RunNotYet;

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct RunArgs {
    /// Name or ID of the image; then a command with its arguments, instead of the image's
    // One list, so that what follows the image is never taken for a flag.
    #[arg(value_name = "IMAGE [COMMAND] [ARG]", required = true, trailing_var_arg = true)]
    pub line: Vec<String>,
    /// Additional line of /etc/hosts (can be repeated)
    #[arg(long = "add-host", value_name = "HOST:IP")]
    pub add_hosts: Vec<String>,
    /// Command instead of the image's entrypoint
    #[arg(long, value_name = "COMMAND")]
    pub entrypoint: Option<String>,
    /// Environment variable; without "=" it is taken from the environment (can be repeated)
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// File with one environment variable a line (can be repeated)
    #[arg(long = "env-file", value_name = "FILE")]
    pub env_files: Vec<String>,
    /// Host name
    #[arg(short = 'h', long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Attach standard input
    #[arg(short, long)]
    pub interactive: bool,
    /// Network: "host" (default) or "none"
    #[arg(
        long,
        visible_alias = "net",
        value_name = "MODE",
        default_value = "host",
        hide_default_value = true
    )]
    pub network: String,
    /// Platform of the image
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<String>,
    /// When to pull the image
    #[arg(long, value_name = "WHEN", default_value = "missing")]
    pub pull: PullWhen,
    /// Print nothing while pulling
    #[arg(short, long)]
    pub quiet: bool,
    /// Remove the container afterwards (always done)
    #[arg(long)]
    pub rm: bool,
    /// Let the command have the terminal
    #[arg(short, long)]
    pub tty: bool,
    /// User or UID, and group or GID
    #[arg(short, long, value_name = "NAME|UID[:GROUP|GID]")]
    pub user: Option<String>,
    /// Directory or file of the host inside the container (can be repeated)
    #[arg(short, long = "volume", value_name = "SOURCE:TARGET[:ro]")]
    pub volumes: Vec<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIRECTORY")]
    pub workdir: Option<String>,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Nothing to do: no signatures are asked for
    #[arg(long, hide = true)]
    pub disable_content_trust: bool,
    #[command(flatten)]
    pub not_yet: RunNotYet,
}

impl RunArgs {
    /// The image's name, and the command with its arguments.
    pub fn image_and_command(&self) -> (&str, &[String]) {
        self.line.split_first().map_or(("", &[]), |(image, command)| (image, command))
    }
}

/// `--pull` of `run`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PullWhen {
    /// Before each run
    Always,
    /// If the store does not have it
    Missing,
    /// Not at all
    Never,
}
