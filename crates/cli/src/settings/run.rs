//! `run`: arguments to settings.

use std::path::{Path, PathBuf};

use jettison_ops::{Network, PullPolicy, RunSettings, Volume};

use super::hosts::extra_host;
use super::{network, platform};
use crate::args::{PullWhen, RunArgs};
use crate::failure::Failure;

/// What concerns the terminal only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunView {
    /// Whether a pull shows nothing.
    pub quiet: bool,
}

/// Turns arguments into settings. `variable` looks a name up in the user's environment, for `-e NAME`.
pub fn run(
    args: &RunArgs,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(RunSettings, RunView), Failure> {
    let mut env = Vec::new();
    for file in &args.env_files {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("--env-file {file}: {error}")))?;
        for line in
            text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            env.extend(env_pair("--env-file", line, variable)?);
        }
    }
    for text in &args.env {
        env.extend(env_pair("--env", text, variable)?);
    }
    let network = match network("--network", &args.network)? {
        // A smoke test asks for a port of the container: without a bridge that is the host's.
        Network::Default => Network::Host,
        other => other,
    };
    let (image, command) = args.image_and_command();
    let settings = RunSettings {
        image: image.to_owned(),
        command: command.to_vec(),
        entrypoint: args.entrypoint.clone(),
        env,
        volumes: args.volumes.iter().map(|text| volume(text)).collect::<Result<_, _>>()?,
        user: args.user.clone(),
        workdir: workdir(args.workdir.as_deref())?,
        hostname: args.hostname.clone(),
        extra_hosts: args.add_hosts.iter().map(|text| extra_host(text)).collect::<Result<_, _>>()?,
        network,
        interactive: args.interactive || args.tty,
        tty: args.tty,
        pull: match args.pull {
            PullWhen::Always => PullPolicy::Always,
            PullWhen::Missing => PullPolicy::Missing,
            PullWhen::Never => PullPolicy::Never,
        },
        platform: platform(args.platform.as_slice())?,
    };
    Ok((settings, RunView { quiet: args.quiet }))
}

/// `NAME=VALUE`, or `NAME` for the value of the environment, if it has one.
fn env_pair(
    flag: &str,
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<String>, Failure> {
    let name = text.split('=').next().unwrap_or_default();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(Failure::usage(format!("{flag} \"{text}\": expected NAME=VALUE")));
    }
    if text.contains('=') {
        return Ok(Some(text.to_owned()));
    }
    Ok(variable(name).map(|value| format!("{name}={value}")))
}

fn workdir(path: Option<&str>) -> Result<Option<String>, Failure> {
    match path {
        Some(path) if !path.starts_with('/') => {
            Err(Failure::usage(format!("--workdir \"{path}\": expected an absolute path")))
        }
        path => Ok(path.map(str::to_owned)),
    }
}

/// `SOURCE:TARGET[:OPTIONS]`. Named and anonymous volumes need a daemon that keeps them.
fn volume(text: &str) -> Result<Volume, Failure> {
    let bad = |why: &str| Failure::usage(format!("--volume \"{text}\": {why}"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err(bad("expected SOURCE:TARGET[:ro]; anonymous volumes are not supported")),
    };
    if !source.starts_with(['/', '.']) {
        return Err(bad("named volumes are not supported: SOURCE must be a path, such as ./data"));
    }
    if !target.starts_with('/') || Path::new(target) == Path::new("/") {
        return Err(bad("TARGET must be an absolute path, and not the root"));
    }
    let mut read_only = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" | "readonly" => read_only = true,
            // SELinux labels and consistency hints of other systems change nothing here.
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
            other => return Err(bad(&format!("option \"{other}\" is not supported"))),
        }
    }
    let source = std::path::absolute(PathBuf::from(source)).map_err(|error| bad(&error.to_string()))?;
    Ok(Volume { source, target: target.to_owned(), read_only })
}
