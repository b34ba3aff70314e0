//! The `jettison` binary: arguments to settings to verb.

mod args;
mod diagnostic;
mod environment;
mod failure;
mod format;
mod interrupt;
mod output;
mod progress;
mod settings;
mod verbs;

use std::process::ExitCode;

use crate::failure::Failure;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    // A step's helper is this binary, started once more.
    jettison_sandbox::intercept();
    let line: Vec<_> = std::env::args_os().collect();
    let cli = match args::parse(&line) {
        Ok(cli) => cli,
        Err(error) => {
            let failed = error.use_stderr();
            // Nobody is left to tell if the terminal is gone.
            let _ = error.print();
            return if failed { ExitCode::from(failure::code::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let environment = match environment::Environment::read() {
        Ok(environment) => environment,
        Err(failure) => return end(&failure, false),
    };
    match verbs::execute(cli.verb(), &environment) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => end(&failure, environment.no_color),
    }
}

fn end(failure: &Failure, no_color: bool) -> ExitCode {
    output::note(&failure.render(output::colors(no_color)));
    ExitCode::from(failure.code)
}
