//! The commands that speak to registries.

use clap::Args;

/// Arguments of `push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Name of the image in its registry
    #[arg(value_name = "NAME[:TAG]")]
    pub name: String,
    /// Push all tags of the repository
    #[arg(short, long)]
    pub all_tags: bool,
    /// Print nothing but the name
    #[arg(short, long)]
    pub quiet: bool,
    /// Nothing to do: nothing is signed
    #[arg(long, hide = true)]
    pub disable_content_trust: bool,
}

/// Arguments of `pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Name of the image
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    pub name: String,
    /// Platform to pull
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<String>,
    /// Print nothing but the name
    #[arg(short, long)]
    pub quiet: bool,
    /// Nothing to do: no signatures are asked for
    #[arg(long, hide = true)]
    pub disable_content_trust: bool,
}

/// Arguments of `login`.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Registry; Docker Hub if absent
    pub server: Option<String>,
    /// User name
    #[arg(short, long, value_name = "NAME")]
    pub username: Option<String>,
    /// Password or access token; prefer --password-stdin, others can see this one
    #[arg(short, long, value_name = "PASSWORD", conflicts_with = "password_stdin")]
    pub password: Option<String>,
    /// Take the password or access token from standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// Arguments of `logout`.
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Registry; Docker Hub if absent
    pub server: Option<String>,
}
