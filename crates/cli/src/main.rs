//! The `jettison` binary: arguments to settings to verb.

mod args;
mod environment;
mod failure;
mod format;
mod progress;
mod settings;

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
