//! Instructions that change the config alone.

use jettison_dockerfile::{Argument, Command, Healthcheck, Pair, Word};
use jettison_image::Empty;

use super::{Scope, Step};
use crate::error::{Error, invalid};
use crate::planner::State;
use crate::scope::NON_ENV_ARGS;
use crate::{history, ports};

pub(super) fn arg(scope: &Scope<'_>, state: &mut State, arguments: &[Argument]) -> Result<Step, Error> {
    // All words of one instruction see the variables as they were before it.
    let before = state.env.clone();
    let mut text = "ARG".to_owned();
    for argument in arguments {
        let name = &argument.name.text;
        let default = argument.default.as_ref().map(|word| scope.words.expand(word, &before)).transpose()?;
        text += &match &default {
            Some(default) => format!(" {name}={default}"),
            None => format!(" {name}"),
        };
        let value = match (scope.request.build_args.get(name), default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => Some(default),
            (None, None) => scope.globals.get(name).map(str::to_owned),
        };
        if let Some(value) = &value
            && !NON_ENV_ARGS.contains(&name.as_str())
        {
            state.env.set(name, value);
        }
        state.build_args.push((name.clone(), value));
    }
    history::metadata(&mut state.config, text);
    Ok(Step::Config)
}

pub(super) fn env(scope: &Scope<'_>, state: &mut State, pairs: &[Pair]) -> Result<Step, Error> {
    let expanded = expand_pairs(scope, state, pairs)?;
    let mut text = "ENV".to_owned();
    for (name, value) in expanded {
        text += &format!(" {name}={value}");
        state.env.set(&name, &value);
        state.config.config.set_env(&name, &value);
    }
    history::metadata(&mut state.config, text);
    Ok(Step::Config)
}

pub(super) fn label(scope: &Scope<'_>, state: &mut State, pairs: &[Pair]) -> Result<Step, Error> {
    let expanded = expand_pairs(scope, state, pairs)?;
    let mut text = "LABEL".to_owned();
    for (name, value) in expanded {
        text += &format!(" {name}={value}");
        state.config.config.labels.insert(name, value);
    }
    history::metadata(&mut state.config, text);
    Ok(Step::Config)
}

fn expand_pairs(scope: &Scope<'_>, state: &State, pairs: &[Pair]) -> Result<Vec<(String, String)>, Error> {
    let expand = |pair: &Pair| Ok((scope.expand(&pair.name, state)?, scope.expand(&pair.value, state)?));
    pairs.iter().map(expand).collect()
}

pub(super) fn cmd(state: &mut State, command: &Command) -> Result<Step, Error> {
    let (words, shell_form) = in_shell(state, command);
    history::metadata(&mut state.config, format!("CMD {}", history::quoted(&words)));
    state.config.config.cmd = Some(words);
    state.config.config.args_escaped = shell_form || state.config.config.args_escaped;
    state.cmd_set = true;
    Ok(Step::Config)
}

pub(super) fn entrypoint(state: &mut State, command: &Command) -> Result<Step, Error> {
    let (words, _) = in_shell(state, command);
    history::metadata(&mut state.config, format!("ENTRYPOINT {}", history::quoted(&words)));
    state.config.config.entrypoint = (!words.is_empty()).then_some(words);
    // The base image's CMD were arguments of the base image's entrypoint.
    if !state.cmd_set {
        state.config.config.cmd = None;
    }
    Ok(Step::Config)
}

/// Returns a command's words, with the shell in front of a shell form.
pub(super) fn in_shell(state: &State, command: &Command) -> (Vec<String>, bool) {
    match command {
        Command::Exec(words) => (words.clone(), false),
        Command::Shell(text) => {
            let shell = state.config.config.shell.clone();
            let mut words = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
            words.push(text.clone());
            (words, true)
        }
    }
}

pub(super) fn shell(state: &mut State, words: &[String]) -> Result<Step, Error> {
    state.config.config.shell = Some(words.to_vec());
    history::metadata(&mut state.config, format!("SHELL {}", history::plain(words)));
    Ok(Step::Config)
}

pub(super) fn user(scope: &Scope<'_>, state: &mut State, word: &Word) -> Result<Step, Error> {
    let user = scope.expand(word, state)?;
    history::metadata(&mut state.config, format!("USER {user}"));
    state.config.config.user = user;
    Ok(Step::Config)
}

pub(super) fn expose(scope: &Scope<'_>, state: &mut State, words: &[Word]) -> Result<Step, Error> {
    let mut specs = Vec::new();
    for word in words {
        for spec in scope.words.split(word, &state.env)? {
            specs.push((spec, word.span));
        }
    }
    specs.sort();
    let mut shown = Vec::new();
    for (spec, span) in specs {
        let ports = ports::expand(&spec).map_err(|why| invalid("expose", span, why))?;
        for port in ports {
            shown.push(port.clone());
            state.config.config.exposed_ports.insert(port, Empty {});
        }
    }
    history::metadata(&mut state.config, format!("EXPOSE {}", history::plain(&shown)));
    Ok(Step::Config)
}

pub(super) fn volume(scope: &Scope<'_>, state: &mut State, words: &[Word]) -> Result<Step, Error> {
    let mut paths = Vec::new();
    for word in words {
        let path = scope.expand(word, state)?;
        if path.is_empty() {
            return Err(invalid("volume", word.span, "VOLUME specified can not be an empty string"));
        }
        state.config.config.volumes.insert(path.clone(), Empty {});
        paths.push(path);
    }
    history::metadata(&mut state.config, format!("VOLUME {}", history::plain(&paths)));
    Ok(Step::Config)
}

pub(super) fn stop_signal(scope: &Scope<'_>, state: &mut State, word: &Word) -> Result<Step, Error> {
    let signal = scope.expand(word, state)?;
    if !is_signal(&signal) {
        return Err(invalid("stopsignal", word.span, format!("invalid signal: {signal}")));
    }
    history::metadata(&mut state.config, format!("STOPSIGNAL {signal}"));
    state.config.config.stop_signal = signal;
    Ok(Step::Config)
}

/// Tells whether a text names a Linux signal, as moby/sys/signal's `ParseSignal` does.
fn is_signal(text: &str) -> bool {
    const NAMES: &[&str] = &[
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
        "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
        "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
    ];
    if let Ok(number) = text.parse::<i64>() {
        return number != 0;
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |rest: &str, limit: u32| rest.parse::<u32>().is_ok_and(|n| (1..=limit).contains(&n));
    NAMES.contains(&name)
        || name.strip_prefix("RTMIN+").is_some_and(|rest| offset(rest, 15))
        || name.strip_prefix("RTMAX-").is_some_and(|rest| offset(rest, 14))
}

pub(super) fn healthcheck(state: &mut State, check: &Healthcheck) -> Result<Step, Error> {
    let check = match check {
        Healthcheck::None => {
            jettison_image::Healthcheck { test: vec!["NONE".to_owned()], ..Default::default() }
        }
        Healthcheck::Command { command, interval, timeout, start_period, start_interval, retries } => {
            let test = match command {
                Command::Exec(words) => ["CMD".to_owned()].into_iter().chain(words.iter().cloned()).collect(),
                Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
            };
            jettison_image::Healthcheck {
                test,
                interval: *interval,
                timeout: *timeout,
                start_period: *start_period,
                start_interval: *start_interval,
                retries: *retries,
            }
        }
    };
    history::metadata(&mut state.config, history::healthcheck(&check));
    state.config.config.healthcheck = Some(check);
    Ok(Step::Config)
}

pub(super) fn maintainer(state: &mut State, word: &Word) -> Result<Step, Error> {
    state.config.author = Some(word.text.clone());
    history::metadata(&mut state.config, format!("MAINTAINER {}", word.text));
    Ok(Step::Config)
}

pub(super) fn onbuild(state: &mut State, text: &str) -> Result<Step, Error> {
    state.config.config.on_build.push(text.to_owned());
    Ok(Step::Config)
}

#[cfg(test)]
mod tests {
    use super::is_signal;

    #[test]
    fn signals_by_name_and_number() {
        for good in ["9", "KILL", "sigterm", "RTMIN+3", "SIGRTMAX-14"] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "0", "TERMINATE", "RTMIN+16", "SIG"] {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}
