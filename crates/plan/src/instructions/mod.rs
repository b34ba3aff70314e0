//! What each instruction does to a stage's config, and which step it asks for.
//!
//! The behaviour is that of BuildKit's `dockerfile2llb/convert*.go`.

mod config;
mod run;
mod transfer;

use jettison_dockerfile::{Instruction, Kind, Severity, Span, Word, parse_instruction};

use crate::error::{Error, invalid};
use crate::graph::{Copy, Run, Workdir};
use crate::history;
use crate::mounts::MountSpec;
use crate::planner::State;
use crate::remote::Remote;
use crate::request::Request;
use crate::scope::{Env, Words};

/// What an instruction can see besides the stage's state.
pub(crate) struct Scope<'a> {
    pub(crate) words: Words,
    pub(crate) globals: &'a Env,
    pub(crate) request: &'a Request,
    pub(crate) proxy_env: &'a [String],
}

impl Scope<'_> {
    fn expand(&self, word: &Word, state: &State) -> Result<String, Error> {
        self.words.expand(word, &state.env)
    }
}

/// What is left to do for an instruction once the config is up to date.
pub(crate) enum Step {
    /// Nothing.
    Config,
    /// A directory.
    Workdir(Workdir),
    /// Files, and where the sources are that are not in the build context.
    Copy(Copy, Elsewhere),
    /// A command, and its mounts.
    Run(Run, Vec<MountSpec>),
}

/// Where the sources of a COPY or ADD are, still to be resolved.
pub(crate) enum Elsewhere {
    /// All of them in what `--from` names, if it is there.
    From(Option<Word>),
    /// Some of them, by number, on the network.
    Remote(Vec<(usize, Remote)>),
}

/// Tells whether an instruction makes a layer, unless it is `WORKDIR /`.
pub(crate) fn makes_layer(instruction: &Instruction) -> bool {
    matches!(instruction.kind, Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_))
}

/// Parses the triggers of a base image. They have no place in this Dockerfile, so errors point at the FROM.
pub(crate) fn parse_triggers(triggers: &[String], from: Span) -> Result<Vec<Instruction>, Error> {
    triggers
        .iter()
        .map(|text| {
            parse_instruction(text).map_err(|diagnostics| {
                let error = diagnostics.into_iter().find(|diagnostic| diagnostic.severity == Severity::Error);
                let why = error.map_or_else(|| "it is empty".to_owned(), |error| error.message);
                invalid("onbuild", from, format!("ONBUILD trigger {text:?} of the base image: {why}"))
            })
        })
        .collect()
}

/// Applies an instruction to the state of its stage.
pub(crate) fn dispatch(
    scope: &Scope<'_>,
    state: &mut State,
    instruction: &Instruction,
) -> Result<Step, Error> {
    match &instruction.kind {
        Kind::Run(run) => run::run(scope, state, run, instruction.span),
        Kind::Copy(copy) => transfer::copy(scope, state, copy),
        Kind::Add(add) => transfer::add(scope, state, add),
        Kind::Workdir(path) => workdir(scope, state, path),
        Kind::Arg(arguments) => config::arg(scope, state, arguments),
        Kind::Env(pairs) => config::env(scope, state, pairs),
        Kind::Label(pairs) => config::label(scope, state, pairs),
        Kind::Cmd(command) => config::cmd(state, command),
        Kind::Entrypoint(command) => config::entrypoint(state, command),
        Kind::Shell(words) => config::shell(state, words),
        Kind::User(word) => config::user(scope, state, word),
        Kind::Expose(words) => config::expose(scope, state, words),
        Kind::Volume(words) => config::volume(scope, state, words),
        Kind::StopSignal(word) => config::stop_signal(scope, state, word),
        Kind::Healthcheck(check) => config::healthcheck(state, check),
        Kind::Maintainer(word) => config::maintainer(state, word),
        Kind::Onbuild { text, .. } => config::onbuild(state, text),
        Kind::From { .. } => {
            Err(invalid("from", instruction.span, "FROM starts a stage and cannot stand inside one"))
        }
    }
}

fn workdir(scope: &Scope<'_>, state: &mut State, word: &Word) -> Result<Step, Error> {
    let path = scope.expand(word, state)?;
    let path = clean(&join(&state.config.config.working_dir, &path));
    state.config.config.working_dir.clone_from(&path);
    let text = format!("WORKDIR {path}");
    if path == "/" {
        history::metadata(&mut state.config, text);
        return Ok(Step::Config);
    }
    history::layer(&mut state.config, text);
    Ok(Step::Workdir(Workdir { path, user: state.config.config.user.clone() }))
}

/// Joins a path to the directory it is relative to.
pub(crate) fn join(directory: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") }
}

/// Makes an absolute path clean, as Go's `path.Clean` does: no `.`, `..`, empty component or trailing slash.
pub(crate) fn clean(path: &str) -> String {
    let mut components: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop();
            }
            name => components.push(name),
        }
    }
    format!("/{}", components.join("/"))
}
