//! A Dockerfile with what rules ask about it. Reading goes as far as a build would: what follows an error is not there.

use std::cell::OnceCell;

use jettison_dockerfile::ignore::Patterns;
use jettison_dockerfile::nodes::parse_nodes;
use jettison_dockerfile::words::{Expander, Expansion, WordError};
use jettison_dockerfile::{Diagnostic, Instruction, Kind, LineIndex, Parsed, Severity, Span};
use jettison_image::{Platform, Reference};
use jettison_plan::{Env, Stage, Words, context_key, globals};

use super::hadolint::{Placed, Settings, place};
use super::walk::{Mismatch, Visit, Walk};
use super::{BaseLookup, Request};

/// Why a build would fail before its first step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    /// In BuildKit's words where it has some.
    pub message: String,
    /// The place; empty where the error has none.
    pub span: Span,
    /// The first line of the place, from 1.
    pub line: usize,
}

/// A FROM with its words expanded.
pub(crate) struct From<'a> {
    pub(crate) stage: Stage<'a>,
    pub(crate) image: Option<Expansion>,
    pub(crate) platform: Option<Expansion>,
}

/// A Dockerfile with what rules ask about it.
pub(crate) struct File<'a> {
    pub(crate) parsed: &'a Parsed,
    pub(crate) lines: LineIndex<'a>,
    pub(crate) ignore: Option<&'a Patterns>,
    /// hadolint's.
    pub(crate) settings: &'a Settings,
    /// Whether BuildKit's first pass reads it: else no check runs.
    pub(crate) readable: bool,
    /// The instructions before the first that is wrong in itself.
    pub(crate) instructions: &'a [Instruction],
    /// The stages; none if any instruction is wrong.
    pub(crate) stages: Vec<Stage<'a>>,
    /// The variables that FROM can use, and the names of all that are declared for it.
    pub(crate) globals: Env,
    pub(crate) declared: Vec<String>,
    /// What each FROM names if only the defaults of ARGs count, as far as that can be told.
    pub(crate) default_images: Vec<String>,
    pub(crate) froms: Vec<From<'a>>,
    /// The instructions of the stages that are checked, with their words expanded.
    pub(crate) visits: Vec<Visit<'a>>,
    /// Base images that are for another platform.
    pub(crate) mismatches: Vec<Mismatch<'a>>,
    pub(crate) error: Option<BuildError>,
    placed: OnceCell<Vec<Placed<'a>>>,
}

impl<'a> File<'a> {
    pub(crate) fn read(request: &Request<'a>, base: &mut BaseLookup<'_>) -> File<'a> {
        let mut file = File::follow(request, base);
        if let Some(error) = &mut file.error {
            error.line = file.lines.line(error.span.start);
        }
        file
    }

    fn follow(request: &Request<'a>, base: &mut BaseLookup<'_>) -> File<'a> {
        let parsed = request.dockerfile;
        let mut file = File {
            parsed,
            lines: LineIndex::new(&parsed.text),
            ignore: request.ignore,
            settings: request.settings,
            readable: true,
            instructions: &parsed.dockerfile.instructions,
            stages: Vec::new(),
            globals: Env::default(),
            declared: Vec::new(),
            default_images: Vec::new(),
            froms: Vec::new(),
            visits: Vec::new(),
            mismatches: Vec::new(),
            error: None,
            placed: OnceCell::new(),
        };
        if let Some(wrong) = first_error(&parsed.diagnostics) {
            file.stop_at(wrong);
            return file;
        }
        let (before_from, stages) = Stage::split(&parsed.dockerfile);
        file.stages.clone_from(&stages);
        if let Err(error) = file.read_from(request, before_from).and_then(|()| file.check_sources(request)) {
            file.error = Some(error);
            return file;
        }
        let walk = Walk::new(&file, request);
        (file.visits, file.mismatches, file.error) = walk.run(base);
        file
    }

    /// Returns all instructions that could be understood, whatever is wrong with others.
    pub(crate) fn placed(&self) -> &[Placed<'a>] {
        self.placed.get_or_init(|| place(&self.parsed.dockerfile))
    }

    /// Keeps what BuildKit has seen before an error of the parser.
    fn stop_at(&mut self, wrong: &Diagnostic) {
        self.readable = first_error(&parse_nodes(&self.parsed.text).diagnostics).is_none();
        // The instruction before the first FROM has been looked at when it is refused.
        let until = wrong.span.start + usize::from(wrong.code == "no-stage");
        let read = self.instructions.partition_point(|known| known.keyword.span.start < until);
        self.instructions = if self.readable { &self.instructions[..read] } else { &[] };
        let line = self.lines.line(wrong.span.start);
        let help = wrong.help.as_deref().filter(|help| help.starts_with("did you mean"));
        let help = help.map(|help| format!(" ({})", help.replace("--", ""))).unwrap_or_default();
        let message = match self.readable && wrong.code != "no-stages" && wrong.code != "no-stage" {
            true => format!("dockerfile parse error on line {line}: {}{help}", wrong.message),
            false => wrong.message.clone(),
        };
        self.error = Some(BuildError { message, span: wrong.span, line });
    }

    /// Expands the words of every FROM.
    fn read_from(&mut self, request: &Request<'a>, before_from: &[Instruction]) -> Result<(), BuildError> {
        let escape = self.parsed.dockerfile.directives.escape;
        let target = request.plan.target.as_deref();
        let target = target.or_else(|| self.stages.last().and_then(|stage| stage.name).map(|n| &*n.text));
        let target = target.unwrap_or("default");
        let of_plan = |plan: &jettison_plan::Request| globals(plan, Words::new(escape), before_from, target);
        if let Ok(defaults) = of_plan(&without_arguments(request.plan)) {
            self.default_images = default_images(&self.stages, &defaults, escape);
        }
        self.globals = of_plan(request.plan).map_err(|error| failed(error.span())(error.to_string()))?;
        self.declared = self.globals.names().to_vec();
        self.declared.extend(before_from.iter().flat_map(argument_names));
        for stage in self.stages.clone() {
            let Kind::From { image, platform, .. } = &stage.from.kind else { continue };
            let expander = Expander::new(escape);
            let expand =
                |text: &str, env: &Env| expander.expand(text, &|name| env.get(name).map(str::to_owned));
            let wrong = |error: WordError| failed(stage.from.span)(error.to_string());
            let expanded = expand(&image.text, &self.globals);
            self.froms.push(From { stage, image: expanded.as_ref().ok().cloned(), platform: None });
            if expanded.map_err(wrong)?.text.is_empty() {
                let message = format!("base name ({}) should not be blank", image.text);
                return Err(failed(stage.from.span)(message));
            }
            let Some(platform) = platform else { continue };
            let expanded = expand(&platform.text, &self.globals).map_err(wrong)?;
            let checked = check_platform(&platform.text, &expanded);
            self.froms.last_mut().expect("one was pushed").platform = Some(expanded);
            checked.map_err(failed(stage.from.span))?;
        }
        Ok(())
    }

    /// Checks that what FROM and `--from` name can be an image where it is no stage.
    fn check_sources(&self, request: &Request<'_>) -> Result<(), BuildError> {
        let is_context = |name: &str| request.plan.contexts.contains_key(&context_key(name));
        for (number, from) in self.froms.iter().enumerate() {
            let Some(image) = from.image.as_ref().map(|expansion| expansion.text.as_str()) else { continue };
            let above = self.stages[..number].iter();
            let is_stage =
                above.rev().any(|stage| stage.name.is_some_and(|own| own.text.to_lowercase() == image));
            if image != "scratch" && !is_stage && !is_context(image) {
                check_reference(image).map_err(failed(from.stage.from.span))?;
            }
        }
        for stage in &self.stages {
            for instruction in stage.instructions {
                self.check_from_flags(instruction, &is_context)?;
            }
        }
        Ok(())
    }

    fn check_from_flags(
        &self,
        instruction: &Instruction,
        is_context: &dyn Fn(&str) -> bool,
    ) -> Result<(), BuildError> {
        let wrong = failed(instruction.span);
        let sources = jettison_plan::named_sources(instruction).map_err(|error| wrong(error.to_string()))?;
        for (name, _) in sources {
            if let Ok(number) = name.parse::<usize>() {
                if number >= self.stages.len() {
                    return Err(wrong(format!("invalid stage index {number}")));
                }
                continue;
            }
            let is_stage = self.stages.iter().any(|stage| is_called(stage, &name));
            if name.contains('$') && matches!(instruction.kind, Kind::Copy(_)) {
                let message = "variable expansion is not supported for --from, define a new stage with FROM using ARG \
                               from global scope as a workaround";
                return Err(wrong(message.to_owned()));
            }
            if !is_stage && name != "scratch" && !is_context(&name) {
                check_reference(&name).map_err(&wrong)?;
            }
        }
        Ok(())
    }
}

/// Tells whether `--from` means a stage; case does not count.
pub(crate) fn is_called(stage: &Stage<'_>, name: &str) -> bool {
    stage.name.is_some_and(|own| own.text.eq_ignore_ascii_case(name))
}

/// Makes errors about a place.
pub(crate) fn failed(span: Span) -> impl Fn(String) -> BuildError {
    move |message| BuildError { message, span, line: 0 }
}

fn first_error(diagnostics: &[Diagnostic]) -> Option<&Diagnostic> {
    diagnostics.iter().filter(|found| found.severity == Severity::Error).min_by_key(|found| found.span.start)
}

fn argument_names(instruction: &Instruction) -> Vec<String> {
    match &instruction.kind {
        Kind::Arg(arguments) => arguments.iter().map(|argument| argument.name.text.clone()).collect(),
        _ => Vec::new(),
    }
}

/// The settings without `--build-arg`, but for those that replace the automatic platform arguments.
fn without_arguments(plan: &jettison_plan::Request) -> jettison_plan::Request {
    let mut plan = plan.clone();
    plan.build_args.retain(|name, _| name.starts_with("TARGET") || name.starts_with("BUILD"));
    plan
}

fn default_images(stages: &[Stage<'_>], defaults: &Env, escape: char) -> Vec<String> {
    let words = Words::new(escape);
    let image = |stage: &Stage<'_>| match &stage.from.kind {
        Kind::From { image, .. } => words.expand(image, defaults).ok(),
        _ => None,
    };
    stages.iter().map_while(image).collect()
}

fn check_platform(written: &str, expanded: &Expansion) -> Result<(), String> {
    if expanded.text.is_empty() {
        return Err(format!("empty platform value from expression {written}"));
    }
    match expanded.text.parse::<Platform>() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("failed to parse platform {written}: {error}")),
    }
}

/// As BuildKit's check, which says no more than that the form is wrong.
fn check_reference(name: &str) -> Result<(), String> {
    match Reference::parse(name) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("failed to parse stage name {name:?}: invalid reference format: {error}")),
    }
}
