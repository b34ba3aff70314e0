//! The command line as clap sees it: docker's commands, flags and spellings. Nothing beyond this folder sees clap.

mod build;
mod check;
mod fix;
mod images;
mod lenient;
mod not_yet;
mod registry;
mod report;
mod run;

use clap::{Parser, Subcommand};

pub use build::{BuildArgs, ProgressMode, Timestamps};
pub use check::{AdviseArgs, CheckArgs, CheckFormat, Threshold};
pub use fix::FixArgs;
pub use images::{
    DuArgs, HistoryArgs, ImagesArgs, InspectArgs, LoadArgs, PruneArgs, RmiArgs, SaveArgs, TagArgs,
    VersionArgs,
};
pub use lenient::{command, parse};
pub use registry::{LoginArgs, LogoutArgs, PullArgs, PushArgs};
pub use report::{DiffArgs, ReportArgs, ReportFormat};
pub use run::{PullWhen, RunArgs};

/// Builds small container images from Dockerfiles: no daemon, no root
#[derive(Debug, Parser)]
#[command(name = "jettison", version, disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One verb with its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an image from a Dockerfile
    Build(Box<BuildArgs>),
    /// Run docker's build checks and hadolint's rules on a Dockerfile, offline
    Check(CheckArgs),
    /// Say what to write instead, by what it costs: of an image measured, of a Dockerfile from its text
    Advise(AdviseArgs),
    /// List images
    Images(ImagesArgs),
    /// Show all that is known of images, as JSON
    Inspect(InspectArgs),
    /// Show how an image came to be
    History(HistoryArgs),
    /// Give an image another name
    Tag(TagArgs),
    /// Remove images
    Rmi(RmiArgs),
    /// Upload an image to a registry
    Push(PushArgs),
    /// Download an image from a registry
    Pull(PullArgs),
    /// Write images to a tar archive
    Save(SaveArgs),
    /// Read images from a tar archive
    Load(LoadArgs),
    /// Remove what is not in use: unnamed images and unused cache
    Prune(PruneArgs),
    /// Show what takes disk space
    #[command(visible_alias = "df")]
    Du(DuArgs),
    /// Show, check or prune the build cache
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Authenticate to a registry
    Login(LoginArgs),
    /// Log out from a registry
    Logout(LogoutArgs),
    /// Start a built image, for a smoke test
    Run(Box<RunArgs>),
    /// Show the version
    Version(VersionArgs),
    /// Say where an image's bytes are: by instruction, package and file, live or dead
    Report(ReportArgs),
    /// Compare two images: bytes, packages, settings, files, and what each costs to deploy
    Diff(DiffArgs),
    /// Rewrite a Dockerfile to a smaller image, with proof that it is the same
    Fix(Box<FixArgs>),
    /// Tell what this machine allows, and what to do about the rest
    Doctor,
    /// Write a script that completes commands in a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// docker's spelling: commands about images
    #[command(subcommand, hide = true)]
    Image(ImageCommand),
    /// docker's spelling: commands about builds
    #[command(subcommand, hide = true)]
    Builder(BuilderCommand),
    /// docker's spelling: commands about builds
    #[command(subcommand, hide = true)]
    Buildx(BuilderCommand),
    /// docker's spelling: commands about the store
    #[command(subcommand, hide = true)]
    System(SystemCommand),
    /// docker's spelling: commands about containers
    #[command(subcommand, hide = true)]
    Container(ContainerCommand),
}

/// `image …`
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Build an image from a Dockerfile
    Build(Box<BuildArgs>),
    /// List images
    #[command(visible_alias = "list")]
    Ls(ImagesArgs),
    /// Show all that is known of images, as JSON
    Inspect(InspectArgs),
    /// Show how an image came to be
    History(HistoryArgs),
    /// Give an image another name
    Tag(TagArgs),
    /// Remove images
    #[command(visible_alias = "remove")]
    Rm(RmiArgs),
    /// Upload an image to a registry
    Push(PushArgs),
    /// Download an image from a registry
    Pull(PullArgs),
    /// Write images to a tar archive
    Save(SaveArgs),
    /// Read images from a tar archive
    Load(LoadArgs),
    /// Remove unnamed images
    Prune(PruneArgs),
}

/// `cache …`
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Show each layer and cache mount: what made it, its size and its last use
    Show,
    /// Compare everything in the store with its digests
    Check,
    /// Remove unused cache
    Prune(PruneArgs),
}

/// `builder …` and `buildx …`
#[derive(Debug, Subcommand)]
pub enum BuilderCommand {
    /// Build an image from a Dockerfile
    #[command(visible_alias = "b")]
    Build(Box<BuildArgs>),
    /// Remove unused cache
    Prune(PruneArgs),
    /// Show what takes disk space
    Du(DuArgs),
    /// Show the version
    Version(VersionArgs),
}

/// `system …`
#[derive(Debug, Subcommand)]
pub enum SystemCommand {
    /// Show what takes disk space
    Df(DuArgs),
    /// Remove what is not in use: unnamed images and unused cache
    Prune(PruneArgs),
}

/// `container …`
#[derive(Debug, Subcommand)]
pub enum ContainerCommand {
    /// Start a built image, for a smoke test
    Run(Box<RunArgs>),
}

impl Cli {
    /// Returns the verb, with docker's other spellings brought to one; `prune` keeps what it was about.
    pub fn verb(self) -> Command {
        match self.command {
            Command::Image(command) => command.verb(),
            Command::Cache(command) => command.verb(),
            Command::Builder(command) | Command::Buildx(command) => command.verb(),
            Command::System(SystemCommand::Df(args)) => Command::Du(args),
            Command::System(SystemCommand::Prune(args)) => Command::Prune(args),
            Command::Container(ContainerCommand::Run(args)) => Command::Run(args),
            command => command,
        }
    }
}

impl ImageCommand {
    fn verb(self) -> Command {
        match self {
            ImageCommand::Build(args) => Command::Build(args),
            ImageCommand::Ls(args) => Command::Images(args),
            ImageCommand::Inspect(args) => Command::Inspect(args),
            ImageCommand::History(args) => Command::History(args),
            ImageCommand::Tag(args) => Command::Tag(args),
            ImageCommand::Rm(args) => Command::Rmi(args),
            ImageCommand::Push(args) => Command::Push(args),
            ImageCommand::Pull(args) => Command::Pull(args),
            ImageCommand::Save(args) => Command::Save(args),
            ImageCommand::Load(args) => Command::Load(args),
            ImageCommand::Prune(args) => Command::Prune(PruneArgs { images_only: true, ..args }),
        }
    }
}

impl CacheCommand {
    fn verb(self) -> Command {
        match self {
            CacheCommand::Show => Command::Du(DuArgs { verbose: true, format: None }),
            CacheCommand::Check => Command::Cache(CacheCommand::Check),
            CacheCommand::Prune(args) => Command::Prune(PruneArgs { cache_only: true, ..args }),
        }
    }
}

impl BuilderCommand {
    fn verb(self) -> Command {
        match self {
            BuilderCommand::Build(args) => Command::Build(args),
            BuilderCommand::Prune(args) => Command::Prune(PruneArgs { cache_only: true, ..args }),
            BuilderCommand::Du(args) => Command::Du(args),
            BuilderCommand::Version(args) => Command::Version(args),
        }
    }
}

#[cfg(test)]
mod tests;
