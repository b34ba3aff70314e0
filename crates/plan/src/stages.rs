//! Which stages the target needs, and what each becomes.

use std::collections::{BTreeSet, HashMap};

use jettison_dockerfile::{Dockerfile, Instruction, Kind, Parsed, Span, Word};
use jettison_image::{Config, DEFAULT_PATH, Digest, Platform, Reference};

use crate::context::context_key;
use crate::error::{Error, invalid, invalid_with_help};
use crate::graph::{Copy, CopySource, Graph, ImageSource, Label, Node, NodeId, Operation, Origin, StagePlan};
use crate::history;
use crate::instructions::{self, Elsewhere, Step};
use crate::mounts;
use crate::remote::Remote;
use crate::request::{Base, BaseResolver, ContextKind, Request};
use crate::scope::{self, Env, Words};

/// A stage as it stands in the Dockerfile.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a> {
    /// Its number, from zero.
    pub index: usize,
    /// What it is called.
    pub name: Option<&'a Word>,
    /// Its FROM.
    pub from: &'a Instruction,
    /// What follows.
    pub instructions: &'a [Instruction],
}

impl Stage<'_> {
    /// Splits a Dockerfile into the instructions before the first FROM and the stages.
    pub fn split(dockerfile: &Dockerfile) -> (&[Instruction], Vec<Stage<'_>>) {
        let all = &dockerfile.instructions;
        let is_from = |instruction: &Instruction| matches!(instruction.kind, Kind::From { .. });
        let starts: Vec<usize> = (0..all.len()).filter(|at| is_from(&all[*at])).collect();
        let ends = starts.iter().skip(1).copied().chain([all.len()]);
        let stages = starts.iter().zip(ends).enumerate().map(|(index, (start, end))| {
            let name = match &all[*start].kind {
                Kind::From { name, .. } => name.as_ref(),
                _ => None,
            };
            Stage { index, name, from: &all[*start], instructions: &all[start + 1..end] }
        });
        let stages = stages.collect();
        (&all[..starts.first().copied().unwrap_or(all.len())], stages)
    }

    fn is_called(&self, name: &str) -> bool {
        self.name.is_some_and(|own| own.text.eq_ignore_ascii_case(name))
    }

    /// Returns its name in lower case, or `stage-N`.
    pub fn title(&self) -> String {
        self.name.map_or_else(|| format!("stage-{}", self.index), |name| name.text.to_ascii_lowercase())
    }
}

/// Plans the target of a Dockerfile that parsed without errors.
///
/// Asks `resolver` for the config of every base image that the target needs, each once, and for no other.
pub fn plan(parsed: &Parsed, request: &Request, resolver: &mut BaseResolver<'_>) -> Result<Graph, Error> {
    let (before_from, stages) = Stage::split(&parsed.dockerfile);
    let words = Words::new(parsed.dockerfile.directives.escape);
    let target = find_target(&stages, request)?;
    let target_stage = stages[target].name.map_or("default", |name| name.text.as_str());
    let globals = scope::globals(request, words, before_from, target_stage)?;
    let mut planner = Planner {
        request,
        words,
        proxy_env: scope::proxy_env(request),
        globals,
        done: vec![None; stages.len()],
        order: Vec::new(),
        stages,
        resolver,
        nodes: Vec::new(),
        images: HashMap::new(),
        bases: HashMap::new(),
    };
    for stage in planner.needed(target)? {
        planner.build_stage(stage, &mut Vec::new())?;
    }
    planner.finish(target)
}

fn find_target(stages: &[Stage<'_>], request: &Request) -> Result<usize, Error> {
    let Some(last) = stages.len().checked_sub(1) else {
        return Err(invalid("no-stage", Span::default(), "the Dockerfile has no stage: it needs a FROM"));
    };
    let Some(name) = &request.target else { return Ok(last) };
    let by_name = stages.iter().rev().find(|stage| stage.is_called(name)).map(|stage| stage.index);
    by_name.ok_or_else(|| {
        let names: Vec<String> =
            stages.iter().filter_map(|stage| stage.name).map(|name| name.text.clone()).collect();
        let help = near(name, &names).map(|near| format!("did you mean \"{near}\"?")).or_else(|| {
            let all = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            Some(if names.is_empty() { "no stage has a name".to_owned() } else { format!("there are {all}") })
        });
        invalid_with_help(
            "unknown-target",
            Span::default(),
            format!("target stage \"{name}\" could not be found"),
            help,
        )
    })
}

/// What is known at the end of a stage, and what a stage that starts from it inherits.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// The tree; `None` while it is empty.
    pub(crate) node: Option<NodeId>,
    pub(crate) config: Config,
    /// ENV and ARG, as RUN sees them.
    pub(crate) env: Env,
    /// ARGs by declaration, for the history of RUN.
    pub(crate) build_args: Vec<(String, Option<String>)>,
    /// Whether this stage itself has a CMD.
    pub(crate) cmd_set: bool,
    pub(crate) platform: Platform,
}

struct Planner<'a, 'r> {
    request: &'a Request,
    words: Words,
    proxy_env: Vec<String>,
    globals: Env,
    stages: Vec<Stage<'a>>,
    done: Vec<Option<State>>,
    /// Stages in the order in which they were finished.
    order: Vec<usize>,
    resolver: &'a mut BaseResolver<'r>,
    nodes: Vec<Node>,
    images: HashMap<(ImageSource, Platform), NodeId>,
    bases: HashMap<(ImageSource, Platform), Base>,
}

/// What a FROM, a `--from` or a mount's `from` names.
enum Named {
    Stage(usize),
    Image(ImageSource),
    Directory(String),
    Remote(Remote),
    Scratch,
}

impl<'a> Planner<'a, '_> {
    /// Returns the stages that `target` needs by what the file says, each behind those it needs itself.
    ///
    /// The triggers of base images may need more: those are added when the base is known.
    fn needed(&self, target: usize) -> Result<Vec<usize>, Error> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = BTreeSet::new();
        let mut stack = vec![(target, self.references(target)?, 0)];
        open.insert(target);
        while let Some((stage, references, next)) = stack.pop() {
            let Some((needed, span)) = references.get(next).copied() else {
                open.remove(&stage);
                seen.insert(stage);
                order.push(stage);
                continue;
            };
            stack.push((stage, references, next + 1));
            if open.contains(&needed) {
                let title = self.stages[needed].title();
                return Err(invalid(
                    "cycle",
                    span,
                    format!("circular dependency detected on stage: {title}"),
                ));
            }
            if !seen.contains(&needed) {
                open.insert(needed);
                stack.push((needed, self.references(needed)?, 0));
            }
        }
        Ok(order)
    }

    /// Returns the stages that a stage names, with the places.
    fn references(&self, index: usize) -> Result<Vec<(usize, Span)>, Error> {
        let stage = self.stages[index];
        let mut found = Vec::new();
        if let (Named::Stage(base), span) = self.base_of(stage)? {
            found.push((base, span));
        }
        for instruction in stage.instructions {
            for (name, span) in named_sources(instruction)? {
                if let Named::Stage(other) = self.source(&name, span, index)? {
                    found.push((other, span));
                }
            }
        }
        Ok(found)
    }

    /// Says what a stage's FROM names.
    fn base_of(&self, stage: Stage<'a>) -> Result<(Named, Span), Error> {
        let Kind::From { image, .. } = &stage.from.kind else {
            return Err(invalid("no-stage", stage.from.span, "a stage must start with FROM"));
        };
        let name = self.words.expand(image, &self.globals)?;
        if name.is_empty() {
            return Err(invalid(
                "blank-base",
                image.span,
                format!("base name ({}) should not be blank", image.text),
            ));
        }
        if name == "scratch" {
            return Ok((Named::Scratch, image.span));
        }
        if let Some(context) = self.context(&name) {
            return Ok((context, image.span));
        }
        // Only stages above count, and the later of two with one name.
        let above = self.stages[..stage.index].iter().rev();
        if let Some(base) =
            above.into_iter().find(|other| other.name.is_some_and(|own| own.text.to_lowercase() == name))
        {
            return Ok((Named::Stage(base.index), image.span));
        }
        Ok((Named::Image(ImageSource::Reference(self.reference(&name, image.span)?)), image.span))
    }

    /// Says what the `--from` of an instruction in stage `user` names.
    fn source(&self, name: &str, span: Span, user: usize) -> Result<Named, Error> {
        if let Ok(number) = name.parse::<usize>() {
            return match self.stages.get(number) {
                Some(_) if number < user => Ok(Named::Stage(number)),
                Some(stage) => Err(self.not_yet_defined(&stage.title(), span, user)),
                None => Err(invalid(
                    "unknown-stage",
                    span,
                    format!("there is no stage {number}: stages count from 0"),
                )),
            };
        }
        if name == "scratch" {
            return Ok(Named::Scratch);
        }
        if let Some(context) = self.context(name) {
            return Ok(context);
        }
        let mut called = self.stages.iter().rev().filter(|stage| stage.is_called(name)).peekable();
        if let Some(last) = called.peek().copied() {
            return match called.find(|stage| stage.index < user) {
                Some(stage) => Ok(Named::Stage(stage.index)),
                None if last.index == user => Err(invalid(
                    "cycle",
                    span,
                    format!("circular dependency detected on stage: {}", last.title()),
                )),
                None => Err(self.not_yet_defined(&last.title(), span, user)),
            };
        }
        Ok(Named::Image(ImageSource::Reference(self.reference(name, span)?)))
    }

    fn not_yet_defined(&self, from: &str, span: Span, user: usize) -> Error {
        let user = self.stages[user].title();
        let message = format!(
            "cannot copy from stage \"{from}\", it needs to be defined before current stage \"{user}\""
        );
        invalid_with_help("stage-order", span, message, Some(format!("move stage \"{from}\" above this one")))
    }

    fn context(&self, name: &str) -> Option<Named> {
        let key = context_key(name);
        let kind = self.request.contexts.get(&key)?;
        Some(match kind {
            ContextKind::Directory => Named::Directory(key),
            ContextKind::Remote(remote) => Named::Remote(remote.clone()),
            ContextKind::Image => Named::Image(ImageSource::Context(key)),
            ContextKind::Scratch => Named::Scratch,
        })
    }

    fn reference(&self, name: &str, span: Span) -> Result<Reference, Error> {
        Reference::parse(name).map_err(|error| {
            let names: Vec<String> =
                self.stages.iter().filter_map(|stage| stage.name).map(|name| name.text.clone()).collect();
            let help = near(name, &names).map(|near| format!("did you mean stage \"{near}\"?"));
            invalid_with_help(
                "reference",
                span,
                format!("failed to parse stage name \"{name}\": {error}"),
                help,
            )
        })
    }

    /// Plans a stage whose static needs are done. `pending` are the stages that wait for it because of triggers.
    fn build_stage(&mut self, index: usize, pending: &mut Vec<usize>) -> Result<(), Error> {
        if self.done[index].is_some() {
            return Ok(());
        }
        let stage = self.stages[index];
        let mut state = self.start(stage)?;
        let triggers = std::mem::take(&mut state.config.config.on_build);
        let triggers = instructions::parse_triggers(&triggers, stage.from.span)?;
        pending.push(index);
        for trigger in &triggers {
            self.build_sources_of(trigger, stage.from.span, index, pending)?;
        }
        pending.pop();
        let total =
            1 + triggers.iter().chain(stage.instructions).filter(|i| instructions::makes_layer(i)).count();
        let mut number = 1;
        let all = triggers.iter().map(|trigger| (trigger, Some(stage.from.span)));
        let all = all.chain(stage.instructions.iter().map(|instruction| (instruction, None)));
        for (instruction, trigger_span) in all {
            if instructions::makes_layer(instruction) {
                number += 1;
            }
            let name = self.step_name(stage, number, total, &instruction.original);
            let label = Label { name, stage: index, span: trigger_span.unwrap_or(instruction.span) };
            self.apply(&mut state, instruction, label)?;
        }
        self.done[index] = Some(state);
        self.order.push(index);
        Ok(())
    }

    /// Plans the stages that a trigger names: what the base image wants was not known before.
    fn build_sources_of(
        &mut self,
        trigger: &Instruction,
        span: Span,
        index: usize,
        pending: &mut Vec<usize>,
    ) -> Result<(), Error> {
        for (name, _) in named_sources(trigger)? {
            if let Named::Stage(other) = self.source(&name, span, index)? {
                for needed in self.needed(other)? {
                    if pending.contains(&needed) {
                        let title = self.stages[needed].title();
                        return Err(invalid(
                            "cycle",
                            span,
                            format!("circular dependency detected on stage: {title}"),
                        ));
                    }
                    self.build_stage(needed, pending)?;
                }
            }
        }
        Ok(())
    }

    /// Makes the state with which a stage starts: its FROM.
    fn start(&mut self, stage: Stage<'a>) -> Result<State, Error> {
        let (named, span) = self.base_of(stage)?;
        let platform = self.platform_of(stage)?;
        let mut state = match named {
            Named::Stage(base) => {
                let base = self.done[base].clone().expect("stages are planned behind what they need");
                State { cmd_set: false, ..base }
            }
            Named::Scratch => State::new(None, Config::scratch(&platform), platform),
            Named::Directory(context) => {
                let label = self.label_of_from(stage, &context);
                let operation = whole(Origin::NamedContext(context));
                let node = self.push(Node { operation, parent: None, label });
                State::of_files(node, platform)
            }
            Named::Remote(remote) => {
                let label = self.label_of_from(stage, &remote.shown());
                let files = self.fetch_node(remote, &label);
                let node = self.push(Node { operation: whole(Origin::Tree(files)), parent: None, label });
                State::of_files(node, platform)
            }
            Named::Image(source) => self.start_from_image(stage, source, platform, span)?,
        };
        if state.config.config.env("PATH").is_none() {
            state.config.config.set_env("PATH", DEFAULT_PATH);
        }
        for pair in state.config.config.env.clone() {
            let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
            state.env.set(name, value);
        }
        if state.config.config.working_dir.is_empty() {
            state.config.config.working_dir = "/".to_owned();
        }
        Ok(state)
    }

    fn start_from_image(
        &mut self,
        stage: Stage<'a>,
        source: ImageSource,
        platform: Platform,
        span: Span,
    ) -> Result<State, Error> {
        let base = self.base(&source, &platform, span)?;
        let mut config = base.config;
        config.created = None;
        let layers = config.rootfs.diff_ids.len();
        history::tell_all(&mut config, layers);
        let explicit = self.request.platform.is_some() || has_platform_flag(stage);
        if explicit {
            config.os.clone_from(&platform.os);
            config.architecture.clone_from(&platform.architecture);
            config.variant.clone_from(&platform.variant);
        }
        if config.rootfs.diff_ids.is_empty() {
            return Ok(State::new(None, config, platform));
        }
        let label = self.label_of_from(stage, &source.to_string());
        let node = self.image_node(source, platform.clone(), Some(base.id), label);
        Ok(State::new(Some(node), config, platform))
    }

    fn base(&mut self, source: &ImageSource, platform: &Platform, span: Span) -> Result<Base, Error> {
        let key = (source.clone(), platform.clone());
        if let Some(base) = self.bases.get(&key) {
            return Ok(base.clone());
        }
        let base = (self.resolver)(source, platform).map_err(|error| Error::Base {
            image: source.to_string(),
            span,
            help: self.near_stage(source),
            source: error,
        })?;
        self.bases.insert(key, base.clone());
        Ok(base)
    }

    /// Says which stage may have been meant by what is taken for an image.
    fn near_stage(&self, source: &ImageSource) -> Option<String> {
        let ImageSource::Reference(reference) = source else { return None };
        let names: Vec<String> =
            self.stages.iter().filter_map(|stage| stage.name).map(|name| name.text.to_lowercase()).collect();
        near(&reference.familiar_name(), &names).map(|near| format!("did you mean stage \"{near}\"?"))
    }

    fn platform_of(&self, stage: Stage<'a>) -> Result<Platform, Error> {
        let default = || self.request.platform.clone().unwrap_or_else(|| self.request.build_platform.clone());
        let Kind::From { platform: Some(word), .. } = &stage.from.kind else { return Ok(default()) };
        let text = self.words.expand(word, &self.globals)?;
        if text.is_empty() {
            let message = format!("empty platform value from expression {}", word.text);
            return Err(invalid("platform", word.span, message));
        }
        text.parse().map_err(|error| {
            invalid("platform", word.span, format!("failed to parse platform {text}: {error}"))
        })
    }

    /// Applies one instruction.
    fn apply(&mut self, state: &mut State, instruction: &Instruction, label: Label) -> Result<(), Error> {
        let scope = instructions::Scope {
            words: self.words,
            globals: &self.globals,
            request: self.request,
            proxy_env: &self.proxy_env,
        };
        match instructions::dispatch(&scope, state, instruction)? {
            Step::Config => Ok(()),
            Step::Workdir(workdir) => {
                self.advance(state, Operation::Workdir(workdir), label);
                Ok(())
            }
            Step::Copy(mut copy, elsewhere) => {
                match elsewhere {
                    Elsewhere::From(None) => {}
                    Elsewhere::From(Some(word)) => {
                        let from = self.origin(&word.text, word.span, &label, &state.platform)?;
                        copy.sources.iter_mut().for_each(|source| source.from = from.clone());
                    }
                    Elsewhere::Remote(remotes) => {
                        for (source, remote) in remotes {
                            copy.sources[source].from = Origin::Tree(self.fetch_node(remote, &label));
                        }
                    }
                }
                self.advance(state, Operation::Copy(copy), label);
                Ok(())
            }
            Step::Run(mut run, mounts) => {
                let namespace = mounts::namespace(self.request);
                for mount in mounts {
                    let span = mount.span;
                    let mut origin = |name: &str| self.origin(name, span, &label, &state.platform);
                    mounts::add(mount, &mut run, namespace, &mut origin)?;
                }
                self.advance(state, Operation::Run(run), label);
                Ok(())
            }
        }
    }

    /// Returns the tree that a `--from` names, planning an image that nobody has named before.
    fn origin(
        &mut self,
        name: &str,
        span: Span,
        label: &Label,
        platform: &Platform,
    ) -> Result<Origin, Error> {
        match self.source(name, span, label.stage)? {
            Named::Stage(stage) => {
                let node = self.done[stage].as_ref().and_then(|state| state.node);
                Ok(Origin::Tree(node.unwrap_or_else(|| self.empty_tree(stage))))
            }
            Named::Directory(context) => Ok(Origin::NamedContext(context)),
            Named::Remote(remote) => Ok(Origin::Tree(self.fetch_node(remote, label))),
            Named::Scratch => {
                let node = self.empty_tree(label.stage);
                Ok(Origin::Tree(node))
            }
            Named::Image(source) => {
                let base = self.base(&source, platform, span)?;
                let name = format!("FROM {source}");
                let label = Label { name, stage: label.stage, span };
                Ok(Origin::Tree(self.image_node(source, platform.clone(), Some(base.id), label)))
            }
        }
    }

    /// A stage of `FROM scratch` without any layer has no node: this makes one that holds nothing.
    fn empty_tree(&mut self, stage: usize) -> NodeId {
        let copy = bare_copy(Vec::new());
        let label = Label { name: "FROM scratch".to_owned(), stage, span: self.stages[stage].from.span };
        self.push(Node { operation: Operation::Copy(copy), parent: None, label })
    }

    fn image_node(
        &mut self,
        source: ImageSource,
        platform: Platform,
        id: Option<Digest>,
        label: Label,
    ) -> NodeId {
        let key = (source.clone(), platform.clone());
        if let Some(node) = self.images.get(&key) {
            return *node;
        }
        let node =
            self.push(Node { operation: Operation::Image { source, platform, id }, parent: None, label });
        self.images.insert(key, node);
        node
    }

    /// What several instructions fetch is fetched once.
    fn fetch_node(&mut self, remote: Remote, label: &Label) -> NodeId {
        let operation = Operation::Fetch(remote.clone());
        if let Some(node) = self.nodes.iter().position(|node| node.operation == operation) {
            return node;
        }
        let label = Label { name: remote.shown(), ..label.clone() };
        self.push(Node { operation, parent: None, label })
    }

    fn advance(&mut self, state: &mut State, operation: Operation, label: Label) {
        state.node = Some(self.push(Node { operation, parent: state.node, label }));
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn label_of_from(&self, stage: Stage<'a>, base: &str) -> Label {
        let total = 1 + stage.instructions.iter().filter(|i| instructions::makes_layer(i)).count();
        let name = self.step_name(stage, 1, total, &format!("FROM {base}"));
        Label { name, stage: stage.index, span: stage.from.span }
    }

    fn step_name(&self, stage: Stage<'a>, number: usize, total: usize, text: &str) -> String {
        let title = match (stage.name, self.stages.len()) {
            (None, 1) => String::new(),
            _ => format!("{} ", stage.title()),
        };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("[{title}{number}/{total}] {text}")
    }

    fn finish(mut self, target: usize) -> Result<Graph, Error> {
        let mut plans = Vec::new();
        let order = std::mem::take(&mut self.order);
        for index in order {
            let state = self.done[index].take().expect("the order lists finished stages");
            let node = state.node.unwrap_or_else(|| self.empty_tree(index));
            let mut config = state.config;
            if index == target {
                for (name, value) in &self.request.labels {
                    config.config.labels.insert(name.clone(), value.clone());
                }
            }
            plans.push((
                index,
                StagePlan { name: self.stages[index].title(), node, config, platform: state.platform },
            ));
        }
        plans.sort_by_key(|(index, _)| *index);
        let position = plans.iter().position(|(index, _)| *index == target).expect("the target is planned");
        Ok(Graph {
            nodes: self.nodes,
            stages: plans.into_iter().map(|(_, plan)| plan).collect(),
            target: position,
        })
    }
}

impl State {
    /// What a stage starts with that is made from a named context of files: one layer.
    fn of_files(node: NodeId, platform: Platform) -> State {
        let mut config = Config::scratch(&platform);
        history::tell_all(&mut config, 1);
        State::new(Some(node), config, platform)
    }

    fn new(node: Option<NodeId>, config: Config, platform: Platform) -> State {
        State { node, config, env: Env::default(), build_args: Vec::new(), cmd_set: false, platform }
    }
}

fn has_platform_flag(stage: Stage<'_>) -> bool {
    matches!(&stage.from.kind, Kind::From { platform: Some(_), .. })
}

/// `FROM` a named context of files: all of it is the tree.
fn whole(from: Origin) -> Operation {
    let all = CopySource { from, path: String::new(), include: None, extract: false };
    Operation::Copy(bare_copy(vec![all]))
}

fn bare_copy(sources: Vec<CopySource>) -> Copy {
    Copy {
        sources,
        files: Vec::new(),
        destination: "/".to_owned(),
        chown: None,
        chmod: None,
        exclude: Vec::new(),
        link: false,
    }
}

/// Returns what an instruction names with `--from` or `from=`, unresolved.
pub fn named_sources(instruction: &Instruction) -> Result<Vec<(String, Span)>, Error> {
    match &instruction.kind {
        Kind::Copy(copy) => Ok(copy.from.iter().map(|word| (word.text.clone(), word.span)).collect()),
        Kind::Run(run) => {
            let names = run.mounts.iter().filter_map(|word| Some((mounts::from_of(word)?, word.span)));
            Ok(names.collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// Returns the name nearest to `wanted`, if one is near enough to be meant.
pub(crate) fn near(wanted: &str, names: &[String]) -> Option<String> {
    let wanted = wanted.to_lowercase();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    jettison_dockerfile::suggest::nearest(&wanted, &names).map(str::to_owned)
}
