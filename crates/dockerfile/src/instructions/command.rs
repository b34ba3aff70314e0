//! The instructions that hold a command: RUN, CMD, ENTRYPOINT, SHELL and HEALTHCHECK.

use std::num::IntErrorKind;

use super::{Error, at_least_one, duration::parse_duration, error, flags::Flags, flags::Takes};
use crate::{Command, Diagnostic, Healthcheck, Kind, Run, Word, csv_fields, keyword::Keyword, nodes::Node};

/// The shortest duration of a health check in nanoseconds (Docker's `container.MinimumDuration`, 1 ms).
const MIN_DURATION: i64 = 1_000_000;

/// RUN.
pub(super) fn run(node: &Node) -> Result<Kind, Error> {
    let flags = Flags::read(
        &node.flags,
        &[
            ("device", Takes::Texts),
            ("mount", Takes::Texts),
            ("network", Takes::Text),
            ("security", Takes::Text),
        ],
    )?;
    let run = Run {
        mounts: flags.texts("mount"),
        network: flags.given("network"),
        security: flags.given("security"),
        devices: flags.texts("device"),
        command: command(node, &node.arguments),
        heredocs: node.heredocs.clone(),
    };
    run.mounts.iter().try_for_each(check_mount)?;
    check_choice(run.network.as_ref(), &["default", "none", "host"], |value| {
        format!("invalid network mode {value:?}")
    })?;
    check_choice(run.security.as_ref(), &["sandbox", "insecure"], |value| {
        format!("security {value:?} is not valid")
    })?;
    Ok(Kind::Run(run))
}

/// Checks what can be known of a mount before its variables are.
fn check_mount(mount: &Word) -> Result<(), Error> {
    let fields = csv_fields(&mount.text)
        .map_err(|cause| error("mount", format!("failed to parse csv mounts: {cause}"), mount.span))?;
    for field in fields {
        let Some((key, value)) = field.split_once('=') else { continue };
        let has_variable = value.find('$').is_some_and(|at| at + 1 < value.len());
        if key.eq_ignore_ascii_case("from") && has_variable {
            let message = "'from' doesn't support variable expansion, define alias stage instead";
            return Err(error("mount", message, mount.span));
        }
    }
    Ok(())
}

fn check_choice(
    value: Option<&Word>,
    choices: &[&str],
    message: impl Fn(&str) -> String,
) -> Result<(), Error> {
    match value {
        Some(word) if !choices.contains(&word.text.as_str()) => {
            Err(error("invalid-flag-value", message(&word.text), word.span))
        }
        _ => Ok(()),
    }
}

/// CMD.
pub(super) fn cmd(node: &Node) -> Result<Kind, Error> {
    Flags::read(&node.flags, &[])?;
    Ok(Kind::Cmd(command(node, &node.arguments)))
}

/// ENTRYPOINT.
pub(super) fn entrypoint(node: &Node) -> Result<Kind, Error> {
    Flags::read(&node.flags, &[])?;
    Ok(Kind::Entrypoint(command(node, &node.arguments)))
}

/// SHELL.
pub(super) fn shell(node: &Node) -> Result<Kind, Error> {
    Flags::read(&node.flags, &[])?;
    match command(node, &node.arguments) {
        _ if node.arguments.is_empty() => Err(at_least_one(Keyword::Shell, node)),
        Command::Exec(words) => Ok(Kind::Shell(words)),
        Command::Shell(_) => {
            let message = "SHELL requires the arguments to be in JSON form";
            Err(error("shell-form", message, super::arguments_span(node)))
        }
    }
}

fn command(node: &Node, arguments: &[Word]) -> Command {
    let words = arguments.iter().map(|word| word.text.clone());
    match node.json {
        true => Command::Exec(words.collect()),
        false => Command::Shell(words.collect::<Vec<_>>().join(" ")),
    }
}

/// HEALTHCHECK.
pub(super) fn healthcheck(node: &Node, warnings: &mut Vec<Diagnostic>) -> Result<Kind, Error> {
    let Some((kind, arguments)) = node.arguments.split_first() else {
        return Err(at_least_one(Keyword::Healthcheck, node));
    };
    let name = kind.text.to_uppercase();
    if name == "NONE" {
        if let Some(argument) = arguments.first() {
            return Err(error("healthcheck", "HEALTHCHECK NONE takes no arguments", argument.span));
        }
        super::warn_ignored_flags(node, warnings);
        return Ok(Kind::Healthcheck(Healthcheck::None));
    }
    let flags = Flags::read(
        &node.flags,
        &[
            ("interval", Takes::Text),
            ("retries", Takes::Text),
            ("start-interval", Takes::Text),
            ("start-period", Takes::Text),
            ("timeout", Takes::Text),
        ],
    )?;
    if name != "CMD" {
        let message = format!("Unknown type {name:?} in HEALTHCHECK (try CMD)");
        return Err(error("healthcheck", message, kind.span));
    }
    if arguments.is_empty() {
        return Err(error("healthcheck", "Missing command after HEALTHCHECK CMD", kind.span));
    }
    Ok(Kind::Healthcheck(Healthcheck::Command {
        command: command(node, arguments),
        interval: interval(&flags, "interval")?,
        timeout: interval(&flags, "timeout")?,
        start_period: interval(&flags, "start-period")?,
        start_interval: interval(&flags, "start-interval")?,
        retries: retries(&flags)?,
    }))
}

/// Reads a duration: none, zero, or at least a millisecond.
fn interval(flags: &Flags, name: &str) -> Result<i64, Error> {
    let Some(word) = flags.text(name) else { return Ok(0) };
    match parse_duration(&word.text) {
        Err(cause) => Err(error("duration", cause.to_string(), word.span)),
        Ok(duration) if duration != 0 && duration < MIN_DURATION => {
            Err(error("duration", format!("Interval {name:?} cannot be less than 1ms"), word.span))
        }
        Ok(duration) => Ok(duration),
    }
}

fn retries(flags: &Flags) -> Result<i64, Error> {
    let Some(word) = flags.text("retries") else { return Ok(0) };
    let message = match word.text.parse::<i32>() {
        Ok(retries) if retries >= 0 => return Ok(i64::from(retries)),
        Ok(retries) => format!("--retries cannot be negative ({retries})"),
        Err(cause) => {
            let out_of_range = matches!(cause.kind(), IntErrorKind::PosOverflow | IntErrorKind::NegOverflow);
            let reason = if out_of_range { "value out of range" } else { "invalid syntax" };
            format!("strconv.ParseInt: parsing {:?}: {reason}", word.text)
        }
    };
    Err(error("invalid-flag-value", message, word.span))
}
