//! The verbs: settings in, what the user sees out.

mod advise;
mod archive;
mod build;
mod call;
mod check;
mod check_store;
mod completion;
mod doctor;
mod du;
mod fix;
mod images;
mod inspect;
mod names;
mod prune;
mod registry;
mod report;
mod run;
mod version;
mod workplace;

use crate::args::{CacheCommand, Command};
use crate::environment::Environment;
use crate::failure::Failure;

/// Carries out a verb; returns the exit code.
pub fn execute(command: Command, environment: &Environment) -> Result<u8, Failure> {
    match command {
        Command::Build(args) => build::build(&args, environment),
        Command::Check(args) => check::check(&args, environment),
        Command::Advise(args) => advise::advise(&args, environment),
        Command::Images(args) => images::images(&args, environment),
        Command::Inspect(args) => inspect::inspect(&args, environment),
        Command::History(args) => images::history(&args, environment),
        Command::Tag(args) => names::tag(&args, environment),
        Command::Rmi(args) => names::rmi(&args, environment),
        Command::Push(args) => registry::push(&args, environment),
        Command::Pull(args) => registry::pull(&args, environment),
        Command::Save(args) => archive::save(&args, environment),
        Command::Load(args) => archive::load(&args, environment),
        Command::Prune(args) => prune::prune(&args, environment),
        Command::Du(args) => du::du(&args, environment),
        Command::Cache(CacheCommand::Check) => check_store::check_store(environment),
        Command::Login(args) => registry::login(&args, environment),
        Command::Logout(args) => registry::logout(&args, environment),
        Command::Run(args) => run::run(&args, environment),
        Command::Report(args) => report::report(&args, environment),
        Command::Diff(args) => report::diff(&args, environment),
        Command::Fix(args) => fix::fix(&args, environment),
        Command::Version(args) => version::version(&args),
        Command::Doctor => doctor::doctor(environment),
        Command::Completion { shell } => completion::completion(shell),
        // `Cli::verb` has turned docker's groups into the verbs above.
        Command::Image(_)
        | Command::Cache(_)
        | Command::Builder(_)
        | Command::Buildx(_)
        | Command::System(_)
        | Command::Container(_) => Err(Failure::usage("no command was given")),
    }
}
