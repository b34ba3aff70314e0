//! A build: plans the Dockerfile, runs the steps that are not cached, and puts the image together.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use jettison_dockerfile::Span;
use jettison_image::{Descriptor, Digest, Platform};
use jettison_plan::{Base, ImageSource, Merged, Operation, Origin, Remote, Stage};
use jettison_registry::{Cancel, Client};
use jettison_sandbox::{Identity, Killer};
use jettison_store::{LayerId, Object, Store};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ahead::ReadyLayer;
use crate::base::{BaseImage, Images};
use crate::copy_step::Form;
use crate::event::{Event, Outcome, StepId, StepInfo};
use crate::explain::Ledger;
use crate::export::CompressionOptions;
use crate::fetch::{FetchError, Fetcher};
use crate::finish::{self, Built};
use crate::keys::{self, Key};
use crate::layers::{Layers, Snapshot, lock};
use crate::request::Request;
use crate::sources::Sources;
use crate::{Error, schedule};

/// The kind of records that remember which layer a step made.
const STEPS: &str = "steps";

/// How often a build looks whether it was canceled.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// What a build works with.
pub struct Environment<'a> {
    /// Where everything is kept.
    pub store: &'a Store,
    /// The way to registries.
    pub client: &'a Client,
    /// As whom this process works.
    pub identity: &'a Identity,
    /// Why no command can be run, where that is so.
    pub no_sandbox: Option<&'a str>,
    /// Ends the build from outside.
    pub cancel: &'a Cancel,
    /// Told what happens.
    pub events: &'a (dyn Fn(Event) + Sync),
    /// Told of each layer that may leave while the build goes on, some twice. Called from several threads.
    pub ready: &'a (dyn Fn(ReadyLayer) + Sync),
}

/// What a step made, by its key.
#[derive(Serialize, Deserialize)]
struct StepRecord {
    layer: LayerId,
}

/// Everything that the steps of one build share.
pub(crate) struct Engine<'a> {
    pub(crate) request: &'a Request,
    pub(crate) graph: &'a Merged,
    pub(crate) store: &'a Store,
    client: &'a Client,
    pub(crate) cancel: &'a Cancel,
    pub(crate) identity: &'a Identity,
    pub(crate) no_sandbox: Option<&'a str>,
    pub(crate) layers: &'a Layers<'a>,
    pub(crate) sources: &'a Sources<'a>,
    pub(crate) events: &'a (dyn Fn(Event) + Sync),
    pub(crate) ready: &'a (dyn Fn(ReadyLayer) + Sync),
    pub(crate) running: Running,
    pub(crate) ledger: Ledger<'a>,
    bases: &'a Bases,
    /// In which form each node's layer is kept.
    forms: Vec<Form>,
    notes: Mutex<BTreeSet<String>>,
    /// How many RUNs have not begun.
    pub(crate) runs_left: AtomicUsize,
    /// `--no-cache-filter`: where the instructions of those stages stand.
    uncached: HashSet<(usize, usize)>,
}

/// Builds the target of a Dockerfile, for each platform asked for. Nothing is tagged or exported.
pub fn build(request: &Request, environment: &Environment<'_>) -> Result<Vec<Built>, Error> {
    let images = Images {
        store: environment.store,
        client: environment.client,
        contexts: &request.contexts,
        pull: request.pull,
        cancel: environment.cancel,
    };
    let mut bases = HashMap::new();
    let graph = plan(request, &images, &mut bases)?;
    (environment.events)(Event::Planned { steps: steps(&graph) });
    let blobs = blob_steps(&graph, &bases);
    let progress = |blob: &Descriptor, done: u64| {
        if let Some(step) = blobs.get(&blob.digest) {
            let (item, total) = (blob.digest.to_string(), Some(blob.size));
            (environment.events)(Event::Progress { step: *step, item, done, total });
        }
    };
    let layers = Layers::new(environment.store, environment.identity, &images, &progress);
    let sources = Sources::new(request, &layers, &graph);
    let engine = Engine {
        request,
        graph: &graph,
        store: environment.store,
        client: environment.client,
        cancel: environment.cancel,
        identity: environment.identity,
        no_sandbox: environment.no_sandbox,
        layers: &layers,
        sources: &sources,
        events: environment.events,
        ready: environment.ready,
        running: Running::default(),
        ledger: Ledger::new(request.identity, environment.store, &graph),
        bases: &bases,
        forms: forms(&graph, request.compression),
        notes: Mutex::default(),
        runs_left: AtomicUsize::new(
            graph.nodes.iter().filter(|node| matches!(node.operation, Operation::Run(_))).count(),
        ),
        uncached: uncached(request, &graph),
    };
    engine.warn_of_unknown_stages();
    let snapshots = engine.run_all(environment.cancel);
    jettison_sandbox::settle();
    // A build that failed has results too.
    engine.ledger.keep()?;
    let snapshots = snapshots?;
    sources.remember_contexts()?;
    finish::finish(&engine, &snapshots)
}

/// The base images that a build knows, each once.
type Bases = HashMap<(ImageSource, Platform), BaseImage>;

/// Plans the Dockerfile for each platform, and makes one graph of all.
fn plan(request: &Request, images: &Images<'_>, bases: &mut Bases) -> Result<Merged, Error> {
    let platforms = match request.platforms.as_slice() {
        [] => vec![None],
        platforms => platforms.iter().cloned().map(Some).collect(),
    };
    let mut graphs = Vec::new();
    for platform in platforms {
        let asked = jettison_plan::Request { platform, ..request.plan.clone() };
        let graph = jettison_plan::plan(&request.dockerfile, &asked, &mut |source, platform| {
            let key = (source.clone(), platform.clone());
            if !bases.contains_key(&key) {
                bases.insert(key.clone(), images.resolve(source, platform)?);
            }
            let image = &bases[&key];
            Ok(Base { id: image.id, config: image.config.clone() })
        })?;
        graphs.push((asked.platform.unwrap_or(asked.build_platform), graph));
    }
    Ok(jettison_plan::merge(graphs))
}

impl Engine<'_> {
    /// Makes the trees of all nodes.
    fn run_all(&self, cancel: &Cancel) -> Result<Vec<Snapshot>, Error> {
        let inputs: Vec<Vec<usize>> = self.graph.nodes.iter().map(jettison_plan::Node::inputs).collect();
        let done = AtomicBool::new(false);
        let leaving = leaving(self.graph);
        thread::scope(|scope| {
            let ahead = self.request.compression.map(|options| {
                let (ahead, made) = mpsc::channel();
                scope.spawn(move || self.compress_ahead(options, &made));
                ahead
            });
            let watcher = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    if cancel.is_cancelled() {
                        self.running.stop();
                    }
                    thread::park_timeout(POLL);
                }
            });
            let result = schedule::run(
                &inputs,
                self.request.jobs,
                &|node, results: &schedule::Results<Snapshot>| {
                    let snapshot = self.step(node, &|input| results.of(input).clone())?;
                    if let Some(ahead) = ahead.as_ref().filter(|_| leaving.contains(&node)) {
                        // Nobody takes it any more if the build is canceled.
                        let _ = ahead.send((node, snapshot.clone()));
                    }
                    Ok(snapshot)
                },
                &|| self.running.stop(),
            );
            done.store(true, Ordering::Relaxed);
            watcher.thread().unpark();
            result
        })
    }

    /// Makes the tree of one node and tells about it.
    fn step(&self, id: StepId, tree_of: &dyn Fn(usize) -> Snapshot) -> Result<Snapshot, Error> {
        self.check_canceled()?;
        let started = Instant::now();
        (self.events)(Event::Started { step: id });
        let result = self.make(id, tree_of);
        let outcome = match &result {
            Ok((_, true)) => Outcome::Cached,
            Ok((_, false)) => Outcome::Done,
            Err(Error::Canceled) => Outcome::Canceled,
            Err(error) => Outcome::Failed(error.to_string()),
        };
        if self.request.explain && outcome != Outcome::Canceled {
            let reasons = if outcome == Outcome::Cached { Vec::new() } else { self.why(id)? };
            (self.events)(Event::Explained { step: id, reasons });
        }
        (self.events)(Event::Finished { step: id, outcome, elapsed: started.elapsed() });
        result.map(|(snapshot, _)| snapshot)
    }

    fn make(&self, id: StepId, tree_of: &dyn Fn(usize) -> Snapshot) -> Result<(Snapshot, bool), Error> {
        let node = &self.graph.nodes[id];
        let parent = node.parent.map_or_else(Snapshot::empty, tree_of);
        let (layer, cached) = match &node.operation {
            Operation::Image { source, platform, .. } => {
                let image = self.bases.get(&(source.clone(), platform.clone()));
                let image = image.ok_or_else(|| Error::Image {
                    image: source.to_string(),
                    why: "it was not resolved when the build was planned".to_owned(),
                })?;
                self.ledger.note(id, keys::image(&source.to_string(), &platform.to_string(), &image.id));
                let snapshot = self.layers.of_image(image);
                if self.forms[id] == Form::Directory {
                    self.layers.will_carry(&snapshot);
                }
                return Ok((snapshot, self.layers.has_all(image)?));
            }
            Operation::Run(run) => self.run(id, run, &parent, tree_of)?,
            Operation::Copy(copy) => self.copy(Some(id), copy, &parent, tree_of, self.forms[id])?,
            Operation::Workdir(workdir) => self.workdir(id, workdir, &parent)?,
            Operation::Fetch(remote) => {
                let (layer, known) = self.fetch(id, remote)?;
                self.ledger.note(id, keys::fetch(&remote.shown(), layer.as_str()));
                (layer, known)
            }
        };
        Ok((self.layers.add(&parent, layer), cached))
    }

    /// Returns the layer of what comes from the network, and whether it was there already.
    fn fetch(&self, step: StepId, remote: &Remote) -> Result<(LayerId, bool), Error> {
        let progress = |done: u64, total: Option<u64>| {
            let item = remote.shown();
            (self.events)(Event::Progress { step, item, done, total });
        };
        let fetcher = Fetcher {
            store: self.store,
            client: self.client,
            cancel: self.cancel,
            secrets: &self.request.secrets,
            agents: &self.request.agents,
            started: self.request.started,
            progress: &progress,
        };
        fetcher.fetch(remote).map_err(|source| match source {
            FetchError::Web(jettison_registry::Error::Cancelled) => Error::Canceled,
            source => {
                Error::Fetch { span: self.span(Some(step)), url: remote.shown(), source: Box::new(source) }
            }
        })
    }

    /// Returns the layer of the step with this key, which `make` makes unless it was made before, and whether it was.
    ///
    /// Equal steps of one build are made once: the layers above rest on the name of the one that is remembered. What is
    /// no step of its own, but part of one, has no `id`.
    pub(crate) fn once(
        &self,
        id: Option<StepId>,
        key: Key,
        make: impl FnOnce() -> Result<LayerId, Error>,
    ) -> Result<(LayerId, bool), Error> {
        let (digest, no_cache) = (key.digest, self.no_cache(id).is_some());
        if let Some(id) = id {
            self.ledger.note(id, key);
        }
        let flight = lock(&self.running.flights).entry(digest).or_default().clone();
        let mut made_here = lock(&flight);
        let records = self.store.records(STEPS);
        if (*made_here || !no_cache)
            && let Some(record) = records.get::<StepRecord>(&digest)?
        {
            return Ok((record.layer, true));
        }
        self.running.set_busy();
        let layer = make()?;
        // Another process may have been faster: what it made is what others build on.
        if !no_cache && let Some(record) = records.get::<StepRecord>(&digest)? {
            return Ok((record.layer, false));
        }
        let needs = [Object::Layer(layer.clone())];
        records.put(&digest, &StepRecord { layer: layer.clone() }, &needs)?;
        *made_here = true;
        Ok((layer, false))
    }

    /// Tells whether the step with this key is in the cache and may be taken from there.
    pub(crate) fn is_cached(&self, id: Option<StepId>, key: &Key) -> Result<bool, Error> {
        if self.no_cache(id).is_some() {
            return Ok(false);
        }
        Ok(self.store.records(STEPS).get::<StepRecord>(&key.digest)?.is_some())
    }

    /// Returns what `find` finds out about trees, or listed contexts, which is found out once: they are known by
    /// names that say all. Else a step that is in the cache would have the index of each layer below it read.
    pub(crate) fn known<T: Serialize + DeserializeOwned>(
        &self,
        name: &Digest,
        find: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        // What a power cut tore is no JSON.
        let known = self.store.note(name)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(known) = known {
            return Ok(known);
        }
        let found = find()?;
        // Digests and numbers: serialising them to memory has nothing that can fail.
        self.store.put_note(name, &serde_json::to_vec(&found).expect("what is known is plain data"))?;
        Ok(found)
    }

    /// Returns the flag that keeps a step from using the cache.
    fn no_cache(&self, id: Option<StepId>) -> Option<&'static str> {
        let span = self.span(id);
        match self.uncached.contains(&(span.start, span.end)) {
            _ if self.request.no_cache => Some("--no-cache"),
            true => Some("--no-cache-filter"),
            false => None,
        }
    }

    /// Says why a step was not found in the cache.
    fn why(&self, id: StepId) -> Result<Vec<String>, Error> {
        match (&self.graph.nodes[id].operation, self.no_cache(Some(id))) {
            (Operation::Run(_) | Operation::Copy(_) | Operation::Workdir(_), Some(flag)) => {
                Ok(vec![format!("{flag} was given")])
            }
            _ => self.ledger.why(id),
        }
    }

    /// Returns a step's instruction; of what is no step, a place of no length.
    pub(crate) fn span(&self, id: Option<StepId>) -> Span {
        id.map_or_else(Span::default, |id| self.graph.nodes[id].label.span)
    }

    pub(crate) fn is_canceled(&self) -> bool {
        self.running.stopped.load(Ordering::SeqCst) || self.cancel.is_cancelled()
    }

    pub(crate) fn check_canceled(&self) -> Result<(), Error> {
        if self.is_canceled() { Err(Error::Canceled) } else { Ok(()) }
    }

    /// A name that no stage has may be mistyped.
    fn warn_of_unknown_stages(&self) {
        let (_, stages) = Stage::split(&self.request.dockerfile.dockerfile);
        for name in &self.request.no_cache_filter {
            if !stages.iter().any(|stage| stage.title().eq_ignore_ascii_case(name)) {
                let message = format!("--no-cache-filter: there is no stage \"{name}\"");
                (self.events)(Event::Warning { step: None, message });
            }
        }
    }

    /// Says something once a build, whichever steps it is true of.
    pub(crate) fn note(&self, step: StepId, message: String) {
        if lock(&self.notes).insert(message.clone()) {
            (self.events)(Event::Warning { step: Some(step), message });
        }
    }
}

/// Returns the places of all steps of stages that shall not use the cache.
fn uncached(request: &Request, graph: &Merged) -> HashSet<(usize, usize)> {
    let (_, stages) = Stage::split(&request.dockerfile.dockerfile);
    let named = |stage: &Stage<'_>| {
        request.no_cache_filter.iter().any(|name| name.eq_ignore_ascii_case(&stage.title()))
    };
    let stages: HashSet<usize> =
        stages.iter().filter(|stage| named(stage)).map(|stage| stage.index).collect();
    let labels = graph.nodes.iter().map(|node| &node.label);
    let labels = labels.filter(|label| stages.contains(&label.stage));
    labels.map(|label| (label.span.start, label.span.end)).collect()
}

/// The commands that run now, and what this build has made.
#[derive(Default)]
pub(crate) struct Running {
    stopped: AtomicBool,
    /// Whether something is not in the cache, and is being made.
    busy: AtomicBool,
    killers: Mutex<HashMap<StepId, Killer>>,
    /// The steps of this build by key, locked while one is made; whether it was executed in this build, as
    /// `--no-cache` does not execute one twice.
    flights: Mutex<HashMap<Digest, Arc<Mutex<bool>>>>,
}

/// Forgets a command when it has ended.
pub(crate) struct Registered<'a>(&'a Running, StepId);

impl Running {
    /// Has a command killed when the build stops.
    pub(crate) fn register(&self, step: StepId, killer: Killer) -> Registered<'_> {
        lock(&self.killers).insert(step, killer.clone());
        if self.stopped.load(Ordering::SeqCst) {
            killer.kill();
        }
        Registered(self, step)
    }

    /// Notes that something is made that was not in the cache.
    pub(crate) fn set_busy(&self) {
        self.busy.store(true, Ordering::Relaxed);
    }

    /// Tells whether anything was not in the cache so far.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        for killer in lock(&self.killers).values() {
            killer.kill();
        }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        lock(&self.0.killers).remove(&self.1);
    }
}

/// What the user is told of the steps. A step's digest is that of its name and its inputs' digests.
fn steps(graph: &Merged) -> Vec<StepInfo> {
    let mut digests: Vec<Digest> = Vec::new();
    let step = |(id, node): (usize, &jettison_plan::Node)| {
        let inputs = node.inputs();
        let mut text = node.label.name.clone();
        for input in &inputs {
            text += &digests[*input].hex();
        }
        let digest = Digest::of(format!("{id} {text}").as_bytes());
        digests.push(digest);
        StepInfo { id, name: node.label.name.clone(), digest, inputs }
    };
    graph.nodes.iter().enumerate().map(step).collect()
}

/// Which step shows the download of which blob.
fn blob_steps(graph: &Merged, bases: &Bases) -> HashMap<Digest, StepId> {
    let mut steps = HashMap::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        let Operation::Image { source, platform, .. } = &node.operation else { continue };
        let Some(image) = bases.get(&(source.clone(), platform.clone())) else { continue };
        for blob in image.blobs() {
            steps.entry(blob.digest).or_insert(id);
        }
    }
    steps
}

/// Returns the steps that the images end with, from the last to the base of each.
fn leaving(graph: &Merged) -> HashSet<StepId> {
    let mut steps = HashSet::new();
    for image in &graph.images {
        let mut next = Some(image.stages[image.target].node);
        while let Some(id) = next.filter(|id| steps.insert(*id)) {
            next = graph.nodes[id].parent;
        }
    }
    steps
}

/// A layer is kept as a directory if a command runs on its tree or mounts it, else as a tar; and compressed, if it is of
/// an image that leaves so.
fn forms(graph: &Merged, compression: Option<CompressionOptions>) -> Vec<Form> {
    let mut forms = vec![Form::Tar(None); graph.nodes.len()];
    let mark = |forms: &mut Vec<Form>, start: Option<usize>, form: Form| {
        let mut next = start;
        while let Some(id) = next {
            if forms[id] == form {
                break;
            }
            forms[id] = form;
            next = graph.nodes[id].parent;
        }
    };
    for image in &graph.images {
        mark(&mut forms, Some(image.stages[image.target].node), Form::Tar(compression));
    }
    for node in &graph.nodes {
        let Operation::Run(run) = &node.operation else { continue };
        mark(&mut forms, node.parent, Form::Directory);
        for (from, _) in run.mounts.iter().filter_map(|mount| mount.kind.source()) {
            if let Origin::Tree(tree) = from {
                mark(&mut forms, Some(*tree), Form::Directory);
            }
        }
    }
    forms
}
