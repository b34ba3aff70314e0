//! Where COPY and mounts read from: contexts and trees, both as a merged view with the files behind it.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use jettison_dockerfile::glob::has_wildcards;
use jettison_image::{Digest, Digester};
use jettison_layer::{Content, Entry, Kind, Node, Tree, TreeContent, file_name};
use jettison_plan::{CopySource, Merged, Operation, Origin};

use crate::context::{ContextFiles, Listing};
use crate::layers::{Layers, Snapshot, lock};
use crate::request::{NamedContext, Request};
use crate::stat_cache::StatCache;
use crate::{ContextSource, Error};

/// A tree that files are taken from.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) tree: Arc<Tree>,
    place: Place,
    /// Whether the files come from the network.
    fetched: bool,
}

#[derive(Clone)]
enum Place {
    Context(Arc<ContextFiles>),
    Snapshot(Snapshot),
}

/// A context as far as it was looked at.
enum Context {
    Listed(Box<Listing>),
    Read(Source),
}

/// The sources of a build; each context is listed once, when the first step needs it, and read if a step must see more
/// than that nothing changed.
pub(crate) struct Sources<'a> {
    request: &'a Request,
    layers: &'a Layers<'a>,
    graph: &'a Merged,
    /// What instructions want of each context: `None` is the build context.
    wanted: BTreeMap<Option<String>, Vec<String>>,
    contexts: Mutex<HashMap<Option<String>, Context>>,
    /// Digests of files as they were taken, by the name of the context or layer and the path in it.
    digests: Mutex<HashMap<String, HashMap<Vec<u8>, Digest>>>,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(request: &'a Request, layers: &'a Layers<'a>, graph: &'a Merged) -> Sources<'a> {
        Sources {
            request,
            layers,
            graph,
            wanted: wanted(graph),
            contexts: Mutex::default(),
            digests: Mutex::default(),
        }
    }

    /// Returns the source that `origin` names; `tree` gives the tree of a node.
    pub(crate) fn get(&self, origin: &Origin, tree: &dyn Fn(usize) -> Snapshot) -> Result<Source, Error> {
        match origin {
            Origin::Context => self.context(None),
            Origin::NamedContext(name) => self.context(Some(name)),
            Origin::Tree(node) => {
                let fetched = self.is_fetched(*node);
                Ok(Source { fetched, ..self.of_snapshot(&tree(*node))? })
            }
        }
    }

    /// Tells whether a node's tree comes from the network.
    pub(crate) fn is_fetched(&self, node: usize) -> bool {
        matches!(self.graph.nodes[node].operation, Operation::Fetch(_))
    }

    pub(crate) fn of_snapshot(&self, snapshot: &Snapshot) -> Result<Source, Error> {
        let place = Place::Snapshot(snapshot.clone());
        Ok(Source { tree: self.layers.tree(snapshot)?, place, fetched: false })
    }

    /// Returns the name of all that the instructions may want of a context, with the times that promise that its files are
    /// what they were when an earlier build listed the same. Not every context has one.
    pub(crate) fn listed(&self, context: Option<&String>) -> Result<Option<Digest>, Error> {
        let mut contexts = lock(&self.contexts);
        match contexts.get(&context.cloned()) {
            Some(Context::Listed(listing)) => return Ok(listing.name()),
            Some(Context::Read(source)) => return Ok(source.listed()),
            None => {}
        }
        let Some(listing) = self.list(context)? else { return Ok(None) };
        let name = listing.name();
        contexts.insert(context.cloned(), Context::Listed(Box::new(listing)));
        Ok(name)
    }

    fn context(&self, name: Option<&String>) -> Result<Source, Error> {
        let mut contexts = lock(&self.contexts);
        let listing = match contexts.remove(&name.cloned()) {
            Some(Context::Listed(listing)) => Some(*listing),
            Some(Context::Read(source)) => {
                contexts.insert(name.cloned(), Context::Read(source.clone()));
                return Ok(source);
            }
            None => self.list(name)?,
        };
        let Some(listing) = listing else {
            let place = Place::Snapshot(Snapshot::empty());
            return Ok(Source { tree: Arc::default(), place, fetched: false });
        };
        let known = self.layers.store.note(&stat_key(listing.path()))?;
        let files = ContextFiles::new(listing, &StatCache::read(known.unwrap_or_default()))?;
        let tree = Arc::new(Tree::new([files.index.clone()]));
        let source = Source { tree, place: Place::Context(Arc::new(files)), fetched: false };
        contexts.insert(name.cloned(), Context::Read(source.clone()));
        Ok(source)
    }

    /// Lists a context; nothing, if there is none.
    fn list(&self, name: Option<&String>) -> Result<Option<Listing>, Error> {
        let Some(directory) = self.directory(name)? else { return Ok(None) };
        let wanted = self.wanted.get(&name.cloned()).map(Vec::as_slice).unwrap_or_default();
        Ok(Some(Listing::read(directory, wanted, self.request.started)?))
    }

    /// Remembers the digests that were taken of the contexts' files, for the next build.
    pub(crate) fn remember_contexts(&self) -> Result<(), Error> {
        let taken = lock(&self.digests);
        for context in lock(&self.contexts).values() {
            let Context::Read(source) = context else { continue };
            let Place::Context(files) = &source.place else { continue };
            let Some(taken) = taken.get(source.name(0)) else { continue };
            let digests = files.digests(&|path| taken.get(path).copied());
            if digests.is_empty() {
                continue;
            }
            let key = stat_key(files.path());
            let known = StatCache::read(self.layers.store.note(&key)?.unwrap_or_default());
            self.layers.store.put_note(&key, &known.with(digests, self.request.started))?;
        }
        Ok(())
    }

    fn directory(&self, name: Option<&String>) -> Result<Option<&ContextSource>, Error> {
        let Some(name) = name else { return Ok(self.request.context.as_ref()) };
        match self.request.contexts.get(name) {
            Some(NamedContext::Directory(source)) => Ok(Some(source)),
            _ => {
                Err(Error::Image { image: name.clone(), why: "the named context holds no files".to_owned() })
            }
        }
    }

    /// Returns the digest of the content of `path` in `source`, a file, taking it where nobody has yet.
    pub(crate) fn digest(&self, source: &Source, path: &[u8]) -> Result<Option<Digest>, Error> {
        let Some(node) = source.tree.get(path) else { return Ok(None) };
        let (layer, entry) = node.content();
        if !matches!(entry.kind, Kind::File { .. }) {
            return Ok(None);
        }
        if let Some(digest) = self.taken(source, layer, entry) {
            return Ok(Some(digest));
        }
        let digest = hash(&*self.content(source, layer)?, entry)?;
        self.note(source, layer, &entry.path, digest);
        Ok(Some(digest))
    }

    /// Returns the digest of a file if it is known without reading the file.
    pub(crate) fn taken(&self, source: &Source, layer: usize, entry: &Entry) -> Option<Digest> {
        match entry.kind {
            Kind::File { digest: Some(digest), .. } => Some(digest),
            Kind::File { size: 0, .. } => Some(Digest::of(b"")),
            _ => lock(&self.digests).get(source.name(layer))?.get(&entry.path).copied(),
        }
    }

    /// Remembers the digest of the file `path` in a layer of `source`.
    pub(crate) fn note(&self, source: &Source, layer: usize, path: &[u8], digest: Digest) {
        let mut digests = lock(&self.digests);
        if !digests.contains_key(source.name(layer)) {
            digests.insert(source.name(layer).to_owned(), HashMap::new());
        }
        if let Some(of_layer) = digests.get_mut(source.name(layer)) {
            of_layer.insert(path.to_vec(), digest);
        }
    }

    /// Takes the digests of those of `nodes` that nobody has taken yet, on all cores.
    pub(crate) fn take_digests<'t>(
        &self,
        source: &Source,
        nodes: impl Iterator<Item = Node<'t>>,
    ) -> Result<(), Error> {
        /// Below this many files a thread costs more than it saves.
        const FILES_PER_THREAD: usize = 32;
        let untaken = |(layer, entry): &(usize, &Entry)| {
            matches!(entry.kind, Kind::File { .. }) && self.taken(source, *layer, entry).is_none()
        };
        let missing: Vec<(usize, &Entry)> = nodes.map(|node| node.content()).filter(untaken).collect();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.min(missing.len() / FILES_PER_THREAD).max(1);
        let next = AtomicUsize::new(0);
        let work = || -> Result<(), Error> {
            while let Some((layer, entry)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                let digest = hash(&*self.content(source, *layer)?, entry)?;
                self.note(source, *layer, &entry.path, digest);
            }
            Ok(())
        };
        thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            helpers
                .into_iter()
                .map(|helper| helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .fold(own, Result::and)
        })
    }

    /// Returns the files of layer number `layer` of `source`.
    pub(crate) fn content(&self, source: &Source, layer: usize) -> Result<Arc<dyn Content>, Error> {
        match &source.place {
            Place::Context(files) => Ok(files.content()),
            Place::Snapshot(snapshot) => self.layers.content(snapshot, layer),
        }
    }

    /// Writes the digests that were taken into the indexes of their layers, for the next build.
    pub(crate) fn remember(&self, source: &Source) -> Result<(), Error> {
        let Place::Snapshot(snapshot) = &source.place else { return Ok(()) };
        for cell in snapshot.layers() {
            let Some(taken) = lock(&self.digests).get(cell.id.as_str()).cloned() else { continue };
            let mut index = (*self.layers.index(cell)?).clone();
            for (path, taken) in taken {
                if let Some(at) = index.position(&path)
                    && let Kind::File { digest, .. } = &mut index.entries[at].kind
                {
                    *digest = Some(taken);
                }
            }
            self.layers.remember_digests(cell, &index)?;
        }
        Ok(())
    }
}

impl Source {
    /// Returns the names in a directory.
    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        match &self.place {
            Place::Context(files) => files.names(directory),
            Place::Snapshot(_) => {
                let name = |node: jettison_layer::Node<'_>| file_name(&node.entry.path).to_vec();
                self.tree
                    .children(directory.as_bytes())
                    .filter_map(|node| String::from_utf8(name(node)).ok())
                    .collect()
            }
        }
    }

    /// Tells whether `.dockerignore` hides a path.
    pub(crate) fn hides(&self, path: &str) -> bool {
        matches!(&self.place, Place::Context(files) if files.hides(path))
    }

    /// Tells whether this is a context, whose files may change under our hands.
    pub(crate) fn is_context(&self) -> bool {
        matches!(self.place, Place::Context(_))
    }

    /// Tells whether the files come from the network.
    pub(crate) fn is_fetched(&self) -> bool {
        self.fetched
    }

    /// Returns the name of a context's files as they were listed.
    fn listed(&self) -> Option<Digest> {
        match &self.place {
            Place::Context(files) => files.listed(),
            Place::Snapshot(_) => None,
        }
    }

    fn name(&self, layer: usize) -> &str {
        match &self.place {
            Place::Context(files) => files.name(),
            Place::Snapshot(snapshot) => snapshot.layers()[layer].id.as_str(),
        }
    }
}

/// Under which key the store keeps what is known of the files of a directory.
fn stat_key(path: &Path) -> Digest {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Digest::of(path.as_os_str().as_bytes())
}

/// Returns a small text file of a tree, links followed; empty where there is none.
pub(crate) fn text_of(tree: &Tree, contents: &TreeContent, path: &[u8]) -> Result<String, Error> {
    /// The largest `/etc/passwd` that is believed, in bytes.
    const MAX_TEXT: u64 = 16 << 20;
    let Ok(path) = tree.resolve(path, true) else { return Ok(String::new()) };
    let Some(node) = tree.get(&path) else { return Ok(String::new()) };
    if !matches!(node.content().1.kind, Kind::File { .. }) {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    let read = contents.open(&node).and_then(|reader| reader.take(MAX_TEXT).read_to_end(&mut bytes));
    let path = String::from_utf8_lossy(&path).into_owned();
    read.map_err(|source| Error::Io { action: "read", path: path.into(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn hash(content: &dyn Content, entry: &Entry) -> Result<Digest, Error> {
    let failed = |source: io::Error| Error::Io {
        action: "read",
        path: String::from_utf8_lossy(&entry.path).into_owned().into(),
        source,
    };
    let mut reader = content.open(entry).map_err(failed)?;
    let mut digester = Digester::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        match reader.read(&mut buffer).map_err(failed)? {
            0 => return Ok(digester.finish()),
            read => digester.update(&buffer[..read]),
        }
    }
}

/// Returns the paths below which the instructions of a graph look, for each context.
fn wanted(graph: &Merged) -> BTreeMap<Option<String>, Vec<String>> {
    let mut wanted: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
    let mut add = |origin: &Origin, paths: Vec<String>| {
        let context = match origin {
            Origin::Context => None,
            Origin::NamedContext(name) => Some(name.clone()),
            Origin::Tree(_) => return,
        };
        wanted.entry(context).or_default().extend(paths);
    };
    for node in &graph.nodes {
        match &node.operation {
            Operation::Copy(copy) => {
                copy.sources.iter().for_each(|source| add(&source.from, vec![literal_start(source)]));
            }
            Operation::Run(run) => {
                for (from, source) in run.mounts.iter().filter_map(|mount| mount.kind.source()) {
                    add(from, vec![relative(source)]);
                }
            }
            Operation::Image { .. } | Operation::Workdir(_) | Operation::Fetch(_) => {}
        }
    }
    wanted
}

/// The part of a source before its first pattern.
fn literal_start(source: &CopySource) -> String {
    // In the patterns of --parents, unlike in paths, a backslash takes away the meaning of what follows.
    let literal = |component: &&str| !has_wildcards(component);
    let plain = |component: &&str| !has_wildcards(component) && !component.contains('\\');
    let mut start: Vec<&str> = source.path.split('/').take_while(literal).collect();
    if !has_wildcards(&source.path) {
        start.extend(source.include.iter().flat_map(|include| include.split('/')).take_while(plain));
    }
    start.retain(|component| !component.is_empty());
    start.join("/")
}

fn relative(path: &str) -> String {
    path.trim_start_matches('/').to_owned()
}
