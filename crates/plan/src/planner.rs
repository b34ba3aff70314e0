//! What each stage becomes that the target needs.

use std::collections::HashMap;

use jettison_dockerfile::{Instruction, Kind, Parsed, Span};
use jettison_image::{Config, DEFAULT_PATH, Digest, Platform};

use crate::error::{Error, invalid};
use crate::graph::{Copy, CopySource, Graph, ImageSource, Label, Node, NodeId, Operation, Origin, StagePlan};
use crate::history;
use crate::instructions::{self, Elsewhere, Step};
use crate::mounts;
use crate::names::{Named, Names, named_sources};
use crate::remote::Remote;
use crate::request::{Base, BaseResolver, Request};
use crate::scope::{self, Env, Words};
use crate::stage::{Stage, find_target};

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
        proxy_env: scope::proxy_env(request),
        done: vec![None; stages.len()],
        names: Names { request, words, globals, stages },
        order: Vec::new(),
        resolver,
        nodes: Vec::new(),
        images: HashMap::new(),
        bases: HashMap::new(),
    };
    for stage in planner.names.needed(target)? {
        planner.build_stage(stage, &mut Vec::new())?;
    }
    planner.finish(target)
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
    names: Names<'a>,
    proxy_env: Vec<String>,
    done: Vec<Option<State>>,
    /// Stages in the order in which they were finished.
    order: Vec<usize>,
    resolver: &'a mut BaseResolver<'r>,
    nodes: Vec<Node>,
    images: HashMap<(ImageSource, Platform), NodeId>,
    bases: HashMap<(ImageSource, Platform), Base>,
}

impl<'a> Planner<'a, '_> {
    /// Plans a stage whose static needs are done. `pending` are the stages that wait for it because of triggers.
    fn build_stage(&mut self, index: usize, pending: &mut Vec<usize>) -> Result<(), Error> {
        if self.done[index].is_some() {
            return Ok(());
        }
        let stage = self.names.stages[index];
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
            let applied = self.apply(&mut state, instruction, label, trigger_span.is_some());
            applied.map_err(|error| trigger_span.into_iter().fold(error, Error::at))?;
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
            if let Named::Stage(other) = self.names.source(&name, span, index)? {
                for needed in self.names.needed(other)? {
                    if pending.contains(&needed) {
                        let title = self.names.stages[needed].title();
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
        let (named, span) = self.names.base_of(stage)?;
        let platform = self.names.platform_of(stage)?;
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
        let explicit = self.names.request.platform.is_some() || has_platform_flag(stage);
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
            help: self.names.near_stage(source),
            source: error,
        })?;
        self.bases.insert(key, base.clone());
        Ok(base)
    }

    /// Applies an instruction to the state of its stage. The places of a `trigger` are none of this Dockerfile.
    fn apply(
        &mut self,
        state: &mut State,
        instruction: &Instruction,
        label: Label,
        trigger: bool,
    ) -> Result<(), Error> {
        let scope = instructions::Scope {
            words: self.names.words,
            globals: &self.names.globals,
            request: self.names.request,
            proxy_env: &self.proxy_env,
        };
        match instructions::dispatch(&scope, state, instruction)? {
            Step::Config => Ok(()),
            Step::Workdir(workdir) => {
                self.advance(state, Operation::Workdir(workdir), label);
                Ok(())
            }
            Step::Copy(mut copy, elsewhere) => {
                if trigger {
                    copy.sources.iter_mut().for_each(|source| source.span = None);
                }
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
                let namespace = mounts::namespace(self.names.request);
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
        match self.names.source(name, span, label.stage)? {
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
        let label =
            Label { name: "FROM scratch".to_owned(), stage, span: self.names.stages[stage].from.span };
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
        let title = match (stage.name, self.names.stages.len()) {
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
                for (name, value) in &self.names.request.labels {
                    config.config.labels.insert(name.clone(), value.clone());
                }
            }
            plans.push((
                index,
                StagePlan { name: self.names.stages[index].title(), node, config, platform: state.platform },
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
    let all = CopySource { span: None, from, path: String::new(), include: None, extract: false };
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
