//! Checks of a Dockerfile: with a build, instead of one (`--call`, `--check`), and without any of its means (`check`).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use jettison_build::{Environment, base_config};
use jettison_dockerfile::{Parsed, Severity};
use jettison_image::{Config, Platform};
use jettison_plan::NetworkMode;
use jettison_report::lint::{
    self, BuildError, CheckOptions, Checked, Finding, Outline, Request, Settings, Target, all_checks,
    build_checks,
};

use super::sources::{default_dockerfile, ignore_file, named_contexts, read_file, sources};
use super::{Workplace, environment, plan_request};
use crate::settings::BuildSettings;
use crate::{Error, Faults, SourceFile};

/// What is asked about a Dockerfile instead of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// What BuildKit's checks say of it.
    Check,
    /// What a build of the target can be given.
    Outline,
    /// Which stages it has.
    Targets,
}

/// The answer to a [`Call`].
#[derive(Debug, Clone)]
pub enum Answer {
    /// What the checks say.
    Check(Checked),
    /// What a build of the target can be given, or why there would be none.
    Outline(Result<Outline, BuildError>),
    /// The stages.
    Targets(Vec<Target>),
}

/// Answers a question about a Dockerfile. Base images are asked for their configs, as in a build.
pub fn call(
    method: Call,
    settings: &BuildSettings,
    workplace: &Workplace<'_>,
    stdin: &mut dyn Read,
) -> Result<(SourceFile, Answer), Error> {
    let sources = sources(settings, workplace, stdin)?;
    let parsed = jettison_dockerfile::parse(sources.dockerfile.text.as_bytes());
    let file = SourceFile { name: sources.dockerfile.name.clone(), text: parsed.text.clone() };
    if method == Call::Targets {
        if parsed.has_errors() {
            return Err(errors_of(file, &parsed));
        }
        return Ok((file, Answer::Targets(lint::targets(&parsed))));
    }
    let (kinds, contexts) = named_contexts(settings)?;
    let plan = plan_request(settings, kinds);
    let environment = environment(workplace);
    let mut base = |name: &str, platform: &Platform| {
        base_config(name, platform, &contexts, settings.pull, &environment).map_err(|error| error.to_string())
    };
    let ignore = sources.context.as_ref().map(|context| &context.ignore);
    let request = Request {
        dockerfile: &parsed,
        plan: &plan,
        every_stage: method == Call::Check,
        ignore,
        settings: Settings::NONE,
    };
    let answer = match method {
        Call::Outline => Answer::Outline(lint::outline(&request, &mut base)),
        _ => Answer::Check(build_checks(&request, &options(&request)?, &mut base)),
    };
    Ok((file, answer))
}

/// Checks a Dockerfile with all rules, docker's and hadolint's, offline: `path` is a directory with one, or the file itself. Of base images it is
/// taken that they set no variable but PATH.
pub fn check(
    path: &Path,
    dockerfile: Option<&Path>,
    settings: &Settings,
) -> Result<(SourceFile, Checked), Error> {
    let (name, text) = match dockerfile {
        Some(file) => (file.to_owned(), read_file(file)?),
        None if path.is_dir() => default_dockerfile(path)?,
        None => (path.to_owned(), read_file(path)?),
    };
    let parsed = jettison_dockerfile::parse(text.as_bytes());
    let ignore = if path.is_dir() { Some(ignore_file(path, &name)?) } else { None };
    let plan = jettison_plan::Request {
        target: None,
        build_args: BTreeMap::new(),
        labels: Vec::new(),
        platform: None,
        build_platform: Platform::host(),
        contexts: BTreeMap::new(),
        network: NetworkMode::Default,
        extra_hosts: Vec::new(),
        run: jettison_plan::RunOptions::default(),
    };
    let request =
        Request { dockerfile: &parsed, plan: &plan, every_stage: true, ignore: ignore.as_ref(), settings };
    let checked = all_checks(&request, &options(&request)?, &mut |_, _| Ok(None));
    Ok((SourceFile { name: name.display().to_string(), text: parsed.text.clone() }, checked))
}

/// Reads a configuration file of hadolint.
pub fn hadolint_settings(path: &Path) -> Result<Settings, Error> {
    let text = read_file(path)?;
    Settings::parse(&text).map_err(|error| Error::request(format!("{}: {error}", path.display())))
}

/// Runs the checks of a build whose Dockerfile says `error=true`, and fails if they find anything. Tells whether there
/// was one to run.
pub(super) fn refuse_if_asked(
    request: &jettison_build::Request,
    environment: &Environment<'_>,
    file: &SourceFile,
) -> Result<bool, Error> {
    let lint = lint_request(request);
    let options = options(&lint)?;
    if !options.error {
        return Ok(false);
    }
    let findings = findings(&lint, &options, request, environment);
    match findings.is_empty() {
        true => Ok(true),
        false => Err(Error::Checks { file: Box::new(file.clone()), findings }),
    }
}

/// Runs the checks of a build that went well: then the store knows the base images.
pub(super) fn of_build(
    request: &jettison_build::Request,
    environment: &Environment<'_>,
) -> Result<Vec<Finding>, Error> {
    let lint = lint_request(request);
    Ok(findings(&lint, &options(&lint)?, request, environment))
}

fn lint_request(request: &jettison_build::Request) -> Request<'_> {
    let ignore = request.context.as_ref().map(|context| &context.ignore);
    Request {
        dockerfile: &request.dockerfile,
        plan: &request.plan,
        every_stage: false,
        ignore,
        settings: Settings::NONE,
    }
}

/// A base image that cannot be had is the build's affair.
fn findings(
    lint: &Request<'_>,
    options: &CheckOptions,
    request: &jettison_build::Request,
    environment: &Environment<'_>,
) -> Vec<Finding> {
    let mut base = |name: &str, platform: &Platform| -> Result<Option<Config>, String> {
        Ok(base_config(name, platform, &request.contexts, false, environment).ok().flatten())
    };
    build_checks(lint, options, &mut base).findings
}

fn options(request: &Request<'_>) -> Result<CheckOptions, Error> {
    CheckOptions::of(request).map_err(|error| Error::request(error.to_string()))
}

fn errors_of(file: SourceFile, parsed: &Parsed) -> Error {
    let mut diagnostics = parsed.diagnostics.clone();
    diagnostics.retain(|found| found.severity == Severity::Error);
    Error::Dockerfile(Box::new(Faults { file, diagnostics }))
}
