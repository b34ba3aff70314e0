//! Follows the variables through the stages, in the order of the file, as BuildKit's `dockerfile2llb` dispatches them.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use jettison_dockerfile::words::Expander;
use jettison_dockerfile::{
    Argument, Copy, Instruction, Kind, Pair, Run, Source, Span, Transfer, Word, csv_fields,
    parse_instruction, suggest,
};
use jettison_image::{Config, DEFAULT_PATH, Platform};
use jettison_plan::{Env, NON_ENV_ARGS, Stage, context_key, expand_ports, named_sources};

use super::file::{BuildError, File, failed, is_called};
use super::finding::Hit;
use super::{BaseLookup, Request};

/// An instruction in its turn, a trigger of the base among them.
pub(crate) struct Visit<'a> {
    pub(crate) instruction: Cow<'a, Instruction>,
    /// The number of its stage.
    pub(crate) stage: usize,
    /// Where it stands: a trigger at the FROM that pulls it.
    pub(crate) span: Span,
    /// The words that were expanded and that are asked for: the names of ENV, the values of ARG, the path of WORKDIR, the
    /// ports of EXPOSE, the sources of COPY and ADD that lie in the context.
    pub(crate) words: Vec<String>,
    /// Variables that are not set, once a word, with the name that was perhaps meant.
    pub(crate) undefined: Vec<(String, Option<String>)>,
    /// Whether SHELL was set before it.
    pub(crate) shell: bool,
    /// Whether WORKDIR was set before it, in this file.
    pub(crate) workdir: bool,
}

impl Visit<'_> {
    /// Makes a hit that is about the instruction.
    pub(crate) fn hit(&self, message: String) -> Hit {
        Hit { span: self.span, message, comments: self.instruction.comments.clone() }
    }
}

/// A base image that is not for the platform wanted.
pub(crate) struct Mismatch<'a> {
    pub(crate) from: &'a Instruction,
    pub(crate) image: String,
    pub(crate) expected: Platform,
    pub(crate) actual: Platform,
}

/// What is known at a place of a stage.
#[derive(Clone, Default)]
struct State {
    /// ENV and ARG.
    env: Env,
    /// ENV alone: what a stage that starts from this one sets anew.
    image_env: Env,
    declared: BTreeSet<String>,
    shell: bool,
    workdir: bool,
}

/// The walk, and what it has found.
pub(crate) struct Walk<'f, 'a> {
    file: &'f File<'a>,
    request: &'f Request<'a>,
    expander: Expander,
    ends: HashMap<usize, State>,
    visits: Vec<Visit<'a>>,
    mismatches: Vec<Mismatch<'a>>,
}

type Outcome<'a> = (Vec<Visit<'a>>, Vec<Mismatch<'a>>, Option<BuildError>);

impl<'f, 'a> Walk<'f, 'a> {
    pub(crate) fn new(file: &'f File<'a>, request: &'f Request<'a>) -> Walk<'f, 'a> {
        Walk {
            file,
            request,
            expander: Expander::new(file.parsed.dockerfile.directives.escape),
            ends: HashMap::new(),
            visits: Vec::new(),
            mismatches: Vec::new(),
        }
    }

    /// Visits the stages that are to be checked.
    pub(crate) fn run(mut self, base: &mut BaseLookup<'_>) -> Outcome<'a> {
        let error = self.stages(base).err();
        (self.visits, self.mismatches, error)
    }

    fn stages(&mut self, base: &mut BaseLookup<'_>) -> Result<(), BuildError> {
        let wanted = self.wanted()?;
        for stage in self.file.stages.iter().copied() {
            if wanted.contains(&stage.index) {
                self.stage(stage, base)?;
            }
        }
        Ok(())
    }

    /// Returns the stages that the target needs, or all.
    fn wanted(&self) -> Result<BTreeSet<usize>, BuildError> {
        let stages = &self.file.stages;
        let all: BTreeSet<usize> = (0..stages.len()).collect();
        let target = match &self.request.plan.target {
            None if self.request.every_stage => return Ok(all),
            None => stages.len().saturating_sub(1),
            Some(name) => match stages.iter().rposition(|stage| is_called(stage, name)) {
                Some(found) => found,
                None => {
                    let message = format!("target stage {name:?} could not be found");
                    return Err(failed(Span::default())(message));
                }
            },
        };
        let mut wanted = BTreeSet::new();
        let mut open = vec![target];
        while let Some(stage) = open.pop() {
            if wanted.insert(stage) {
                open.extend(self.needs(stage));
            }
        }
        Ok(wanted)
    }

    /// Returns the stages that a stage names.
    fn needs(&self, index: usize) -> Vec<usize> {
        let stage = self.file.stages[index];
        let mut needs: Vec<usize> = self.base_stage(index).into_iter().collect();
        for instruction in stage.instructions {
            let names = named_sources(instruction).unwrap_or_default();
            needs.extend(names.iter().filter_map(|(name, _)| self.source_stage(name)));
        }
        needs
    }

    fn image(&self, index: usize) -> &'f str {
        let image = self.file.froms.get(index).and_then(|from| from.image.as_ref());
        image.map_or("", |expansion| expansion.text.as_str())
    }

    /// Returns the stage above that a stage starts from.
    fn base_stage(&self, index: usize) -> Option<usize> {
        let image = self.image(index);
        let above = &self.file.stages[..index];
        above.iter().rposition(|stage| stage.name.is_some_and(|own| own.text.to_lowercase() == image))
    }

    fn source_stage(&self, name: &str) -> Option<usize> {
        if let Ok(number) = name.parse::<usize>() {
            return Some(number).filter(|number| *number < self.file.stages.len());
        }
        self.file.stages.iter().rposition(|stage| is_called(stage, name))
    }

    fn is_context(&self, name: &str) -> bool {
        self.request.plan.contexts.contains_key(&context_key(name))
    }

    fn stage(&mut self, stage: Stage<'a>, base: &mut BaseLookup<'_>) -> Result<(), BuildError> {
        // A named context replaces the stage, instructions and all.
        if stage.name.is_some_and(|name| self.is_context(&name.text)) {
            self.ends.insert(stage.index, State::default());
            return Ok(());
        }
        let (mut state, triggers) = self.start(stage, base)?;
        for trigger in triggers {
            let span = stage.from.span;
            self.visit(stage.index, trigger, span, &mut state)?;
        }
        for instruction in stage.instructions {
            self.visit(stage.index, Cow::Borrowed(instruction), instruction.span, &mut state)?;
        }
        self.ends.insert(stage.index, state);
        Ok(())
    }

    /// Makes the state at the beginning of a stage, with the triggers that its base has.
    fn start(
        &mut self,
        stage: Stage<'a>,
        base: &mut BaseLookup<'_>,
    ) -> Result<(State, Vec<Cow<'a, Instruction>>), BuildError> {
        if let Some(number) = self.base_stage(stage.index) {
            let mut state = self.ends.get(&number).cloned().unwrap_or_default();
            for pair in state.image_env.pairs() {
                let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
                state.env.set(name, value);
            }
            let triggers =
                self.file.stages[number].instructions.iter().filter_map(|known| match &known.kind {
                    Kind::Onbuild { instruction, .. } => instruction.as_deref().map(Cow::Borrowed),
                    _ => None,
                });
            return Ok((state, triggers.collect()));
        }
        let config = self.config(stage, base)?;
        let mut state = State::default();
        let mut triggers = Vec::new();
        if let Some(config) = &config {
            for pair in &config.config.env {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                state.image_env.set(name, value);
            }
            state.shell = config.config.shell.as_ref().is_some_and(|shell| !shell.is_empty());
            let parsed = config.config.on_build.iter().filter_map(|text| parse_instruction(text).ok());
            triggers = parsed.map(Cow::Owned).collect();
        }
        if state.image_env.get("PATH").is_none() {
            state.image_env.set("PATH", DEFAULT_PATH);
        }
        state.env = state.image_env.clone();
        Ok((state, triggers))
    }

    /// Looks the base image of a stage up.
    fn config(&mut self, stage: Stage<'a>, base: &mut BaseLookup<'_>) -> Result<Option<Config>, BuildError> {
        let image = self.image(stage.index);
        if image == "scratch" {
            return Ok(None);
        }
        let plan = self.request.plan;
        let asked = self.file.froms[stage.index].platform.as_ref().and_then(|text| text.text.parse().ok());
        let expected = asked.or_else(|| plan.platform.clone()).unwrap_or_else(|| plan.build_platform.clone());
        let config = base(image, &expected).map_err(failed(stage.from.span))?;
        if let Some(config) = &config {
            let actual = Platform::new(&config.os, &config.architecture, config.variant.as_deref());
            if (&actual.os, &actual.architecture) != (&expected.os, &expected.architecture) {
                let image = image.to_owned();
                self.mismatches.push(Mismatch { from: stage.from, image, expected, actual });
            }
        }
        Ok(config)
    }

    fn visit(
        &mut self,
        stage: usize,
        instruction: Cow<'a, Instruction>,
        span: Span,
        state: &mut State,
    ) -> Result<(), BuildError> {
        let mut words = Expanding { walk: self, state, words: Vec::new(), undefined: Vec::new() };
        let result = words.instruction(&instruction);
        let Expanding { words, undefined, .. } = words;
        let (shell, workdir) = (state.shell, state.workdir);
        match &instruction.kind {
            Kind::Shell(_) => state.shell = true,
            Kind::Workdir(_) => state.workdir = true,
            _ => {}
        }
        let order = self.check_order(stage, &instruction);
        self.visits.push(Visit { instruction, stage, span, words, undefined, shell, workdir });
        result.and(order).map_err(failed(span))
    }

    /// A COPY can take only from stages above.
    fn check_order(&self, stage: usize, instruction: &Instruction) -> Result<(), String> {
        let Kind::Copy(Copy { from: Some(from), .. }) = &instruction.kind else { return Ok(()) };
        match self.source_stage(&from.text) {
            Some(source) if source >= stage => {
                let own =
                    self.file.stages[stage].name.map_or_else(|| format!("stage-{stage}"), |n| n.text.clone());
                Err(format!(
                    "cannot copy from stage {:?}, it needs to be defined before current stage {own:?}",
                    from.text
                ))
            }
            _ => Ok(()),
        }
    }
}

/// The expansion of one instruction's words.
struct Expanding<'w, 'f, 'a> {
    walk: &'w Walk<'f, 'a>,
    state: &'w mut State,
    words: Vec<String>,
    undefined: Vec<(String, Option<String>)>,
}

impl Expanding<'_, '_, '_> {
    fn instruction(&mut self, instruction: &Instruction) -> Result<(), String> {
        match &instruction.kind {
            Kind::Env(pairs) => self.env(pairs),
            Kind::Label(pairs) => self.pairs(pairs).map(|_| ()),
            Kind::Arg(arguments) => arguments.iter().try_for_each(|argument| self.arg(argument)),
            Kind::Workdir(word) => {
                let path = self.expand(&word.text)?;
                self.words.push(path);
                Ok(())
            }
            Kind::User(word) | Kind::StopSignal(word) => self.expand(&word.text).map(|_| ()),
            Kind::Volume(words) => words.iter().try_for_each(|word| self.expand(&word.text).map(|_| ())),
            Kind::Expose(words) => self.expose(words),
            Kind::Copy(copy) => self.transfer(&copy.transfer, copy.from.is_none(), None),
            Kind::Add(add) => self.transfer(&add.transfer, true, add.checksum.as_ref()),
            Kind::Run(run) => self.mounts(run),
            _ => Ok(()),
        }
    }

    /// Expands a text and notes which variables are not set.
    fn expand(&mut self, text: &str) -> Result<String, String> {
        let expander = self.walk.expander.clone();
        self.expand_with(&expander, text)
    }

    fn expand_with(&mut self, expander: &Expander, text: &str) -> Result<String, String> {
        let env = &self.state.env;
        let expansion = expander
            .expand(text, &|name| env.get(name).map(str::to_owned))
            .map_err(|error| error.to_string())?;
        let names: Vec<&str> = env.names().iter().map(String::as_str).collect();
        for name in expansion.unmatched {
            if !self.state.declared.contains(&name) && !NON_ENV_ARGS.contains(&name.as_str()) {
                let near = suggest::nearest(&name, &names).map(str::to_owned);
                self.undefined.push((name, near));
            }
        }
        Ok(expansion.text)
    }

    fn pairs(&mut self, pairs: &[Pair]) -> Result<Vec<(String, String)>, String> {
        pairs.iter().map(|pair| Ok((self.expand(&pair.name.text)?, self.expand(&pair.value.text)?))).collect()
    }

    fn env(&mut self, pairs: &[Pair]) -> Result<(), String> {
        for (name, value) in self.pairs(pairs)? {
            self.state.env.set(&name, &value);
            self.state.image_env.set(&name, &value);
            self.words.push(name);
        }
        Ok(())
    }

    fn arg(&mut self, argument: &Argument) -> Result<(), String> {
        let name = &argument.name.text;
        let given = self.walk.request.plan.build_args.get(name).cloned();
        let value = match (given, &argument.default) {
            (Some(given), _) => Some(given),
            (None, Some(default)) => Some(self.expand(&default.text)?),
            (None, None) => self.walk.file.globals.get(name).map(str::to_owned),
        };
        self.words.push(value.clone().unwrap_or_default());
        if let Some(value) = value.filter(|_| !NON_ENV_ARGS.contains(&name.as_str())) {
            self.state.env.set(name, &value);
        }
        self.state.declared.insert(name.clone());
        Ok(())
    }

    /// EXPOSE says nothing of variables that are not set.
    fn expose(&mut self, words: &[Word]) -> Result<(), String> {
        let env = &self.state.env;
        for word in words {
            let ports = self.walk.expander.expand_words(&word.text, &|name| env.get(name).map(str::to_owned));
            self.words.extend(ports.map_err(|error| error.to_string())?);
        }
        self.words.sort();
        match self.words.iter().position(|port| expand_ports(port).is_err()) {
            Some(wrong) => {
                let message = expand_ports(&self.words[wrong]).err().unwrap_or_default();
                self.words.truncate(wrong);
                Err(message)
            }
            None => Ok(()),
        }
    }

    fn transfer(
        &mut self,
        transfer: &Transfer,
        of_context: bool,
        checksum: Option<&Word>,
    ) -> Result<(), String> {
        for word in [transfer.chown.as_ref(), transfer.chmod.as_ref(), checksum].into_iter().flatten() {
            self.expand(&word.text)?;
        }
        for source in &transfer.sources {
            if let Source::Path(word) = source {
                let path = self.expand(&word.text)?;
                if of_context {
                    self.words.push(path);
                }
            }
        }
        self.expand(&transfer.destination.text)?;
        for source in &transfer.sources {
            if let Source::Heredoc(heredoc) = source
                && heredoc.expand
            {
                self.expand_with(&Expander::heredoc(), &heredoc.body)?;
            }
        }
        Ok(())
    }

    fn mounts(&mut self, run: &Run) -> Result<(), String> {
        for mount in &run.mounts {
            for field in csv_fields(&mount.text).map_err(|error| error.to_string())? {
                let Some((key, value)) = field.split_once('=') else { continue };
                if !key.eq_ignore_ascii_case("from") {
                    self.expand(value)?;
                }
            }
        }
        Ok(())
    }
}
