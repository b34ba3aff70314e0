//! Parsing with docker's habits: `--flag=false` for switches, and the last of several values wins.

use std::ffi::OsString;

use clap::error::{Error, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};

use super::Cli;

/// Parses a command line, program name first.
pub fn parse(line: &[OsString]) -> Result<Cli, Error> {
    let mut lenient = like_docker(command());
    let parsed = lenient.try_get_matches_from_mut(line).and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        // Help is rendered from the definition as written: there a switch is `--push`, not `--push[=<PUSH>]`.
        Err(error) if asks_for_help(&error) => match command().try_get_matches_from(line) {
            Err(plain) if asks_for_help(&plain) => Err(plain),
            _ => Err(error),
        },
        parsed => parsed,
    }
}

/// Returns the definition of all commands, for help and completions.
pub fn command() -> Command {
    Cli::command()
}

fn asks_for_help(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand)
}

fn like_docker(command: Command) -> Command {
    command.args_override_self(true).mut_args(switch_with_value).mut_subcommands(like_docker)
}

fn switch_with_value(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_value("false")
        .default_missing_value("true")
        .value_parser(parse_bool)
}

/// Go's `strconv.ParseBool`, which docker's flags go through.
fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected \"true\" or \"false\"".to_owned()),
    }
}
