//! `RUN`

use jettison_dockerfile::{Command, Heredoc, Run as RunSyntax, Span};

use super::{Scope, Step, config};
use crate::error::{Error, invalid, invalid_with_help, unsupported};
use crate::graph::{InlineFile, NetworkMode, Run, Security};
use crate::planner::State;
use crate::request::Entitlement;
use crate::{history, mounts};

/// Where BuildKit mounts a here-document that has its own interpreter.
const SCRIPT_DIRECTORY: &str = "/dev/pipes/";

/// The host name that BuildKit gives.
const HOSTNAME: &str = "buildkitsandbox";

pub(super) fn run(scope: &Scope<'_>, state: &mut State, run: &RunSyntax, span: Span) -> Result<Step, Error> {
    if let Some(device) = run.devices.first() {
        return Err(unsupported(device.span, "RUN --device"));
    }
    let mounts =
        run.mounts.iter().map(|word| mounts::parse(word, scope.words, state)).collect::<Result<_, _>>()?;
    let (args, script) = command(state, run);
    if args.iter().all(String::is_empty) {
        return Err(invalid("run", span, "RUN needs a command"));
    }
    let text = history_text(state, &args);
    history::layer(&mut state.config, text);
    let hostname = scope.request.build_args.get("BUILDKIT_SANDBOX_HOSTNAME");
    let hostname = hostname.or(scope.request.run.hostname.as_ref()).cloned();
    let run = Run {
        args,
        script,
        env: state.env.pairs(),
        proxy_env: undeclared(scope.proxy_env, state),
        cwd: state.config.config.working_dir.clone(),
        user: state.config.config.user.clone(),
        network: network(scope, run)?,
        extra_hosts: scope.request.extra_hosts.clone(),
        mounts: Vec::new(),
        secret_env: Vec::new(),
        security: security(scope, run)?,
        shm_size: scope.request.run.shm_size,
        limits: scope.request.run.limits.clone(),
        cgroup_parent: scope.request.run.cgroup_parent.clone(),
        hostname: hostname.unwrap_or_else(|| HOSTNAME.to_owned()),
    };
    Ok(Step::Run(run, mounts))
}

/// Returns the command's words; a here-document alone is the shell's script, or runs itself by its `#!` line.
fn command(state: &State, run: &RunSyntax) -> (Vec<String>, Option<InlineFile>) {
    let text = match &run.command {
        Command::Exec(words) => return (words.clone(), None),
        Command::Shell(text) => text,
    };
    if let [heredoc] = run.heredocs.as_slice()
        && is_only_word(text)
    {
        if heredoc.body.starts_with("#!") {
            let name = format!("{SCRIPT_DIRECTORY}{}", heredoc.name);
            let script = InlineFile { name: heredoc.name.clone(), content: heredoc.body.clone() };
            return (vec![name], Some(script));
        }
        return (config::in_shell(state, &Command::Shell(heredoc.body.clone())).0, None);
    }
    let mut whole = text.clone();
    for heredoc in &run.heredocs {
        whole += &as_written(heredoc);
    }
    (config::in_shell(state, &Command::Shell(whole)).0, None)
}

/// Tells whether a command line is one here-document word and nothing else.
fn is_only_word(text: &str) -> bool {
    let text = text.trim();
    let operator = text.trim_start_matches(|c: char| c.is_ascii_digit());
    operator.starts_with("<<") && !text.chars().any(char::is_whitespace)
}

/// The shell reads here-documents itself: it gets them as they stand in the file.
fn as_written(heredoc: &Heredoc) -> String {
    format!("\n{}{}", heredoc.raw_body, heredoc.name)
}

fn network(scope: &Scope<'_>, run: &RunSyntax) -> Result<NetworkMode, Error> {
    let Some(word) = &run.network else { return Ok(scope.request.network) };
    match word.text.as_str() {
        "default" => Ok(scope.request.network),
        "none" => Ok(NetworkMode::None),
        "host" => allowed(scope, Entitlement::HostNetwork, word.span).map(|()| NetworkMode::Host),
        other => Err(invalid("network", word.span, format!("invalid network mode: {other}"))),
    }
}

fn security(scope: &Scope<'_>, run: &RunSyntax) -> Result<Security, Error> {
    let Some(word) = &run.security else { return Ok(Security::Sandbox) };
    match word.text.as_str() {
        "sandbox" => Ok(Security::Sandbox),
        "insecure" => allowed(scope, Entitlement::Insecure, word.span).map(|()| Security::Insecure),
        other => Err(invalid("security", word.span, format!("security {other} is not valid"))),
    }
}

/// Refuses what the user did not allow, in BuildKit's words (`solver/llbsolver/vertex.go`).
fn allowed(scope: &Scope<'_>, entitlement: Entitlement, span: Span) -> Result<(), Error> {
    if scope.request.run.allow.contains(&entitlement) {
        return Ok(());
    }
    let name = entitlement.as_str();
    let help = Some(format!("--allow {name} allows it"));
    Err(invalid_with_help("entitlement", span, format!("{name} is not allowed"), help))
}

/// A proxy variable that an ARG or ENV declares is an ordinary variable.
fn undeclared(proxy_env: &[String], state: &State) -> Vec<String> {
    let declared =
        |pair: &&String| pair.split_once('=').is_some_and(|(name, _)| state.env.get(name).is_some());
    proxy_env.iter().filter(|pair| !declared(pair)).cloned().collect()
}

/// `RUN |2 A=1 B=2 /bin/sh -c text # buildkit`: the build arguments come first, each once.
fn history_text(state: &State, args: &[String]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in &state.build_args {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let declared = |name: &str| {
        let last = state.build_args.iter().rev().find(|(own, _)| own == name);
        last.and_then(|(_, value)| value.clone()).unwrap_or_default()
    };
    let pairs = names.iter().map(|name| {
        let value = state.env.get(name).map_or_else(|| declared(name), str::to_owned);
        format!("{name}={value}")
    });
    let mut words: Vec<String> = pairs.collect();
    if !words.is_empty() {
        words.insert(0, format!("|{}", words.len()));
    }
    words.extend(args.iter().cloned());
    format!("RUN {} # buildkit", words.join(" "))
}
