//! Layers and trees of a build: what a snapshot is, and bringing a layer into the form that is needed.
//!
//! Nothing is downloaded, indexed or unpacked before somebody asks for just that.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use jettison_fs::Dir;
use jettison_image::{Descriptor, Digest, Reference, chain_id};
use jettison_layer::{
    Content, DirContent, Index, LayerTar, NoSink, Ownership, TarContent, Tree, TreeContent, Unpacked,
};
use jettison_sandbox::Identity;
use jettison_store::{Layer, LayerDraft, LayerFacts, LayerId, Object, PulledBlob, Store};

use crate::base::{BaseContent, BaseImage, Images};
use crate::{Error, keys};

/// The kind of records that keep the layers of base images.
const BASES: &str = "bases";

/// A tree by its layers, lowest first. Cheap to copy; knows nothing of files.
#[derive(Clone)]
pub(crate) struct Snapshot {
    /// The tree's name.
    pub(crate) id: Digest,
    layers: Arc<Vec<Arc<Cell>>>,
}

/// A layer of this build.
pub(crate) struct Cell {
    pub(crate) id: LayerId,
    /// For a layer of a base image: its blob and where that can be had.
    pub(crate) base: Option<BaseBlob>,
    /// Whether a command of this build runs on it.
    carries: AtomicBool,
    /// Held while one thread brings the layer into some form.
    busy: Mutex<()>,
    /// Whether this build has told the store that it uses it.
    used: AtomicBool,
    index: OnceLock<Arc<Index>>,
    content: OnceLock<Arc<dyn Content>>,
    /// Where its files are, once that is known: the store keeps them there as long as the build holds the layer.
    directory: OnceLock<PathBuf>,
}

/// The blob of a base image's layer.
pub(crate) struct BaseBlob {
    pub(crate) diff_id: Digest,
    pub(crate) descriptor: Descriptor,
    pub(crate) from: Option<Reference>,
}

impl Cell {
    fn new(id: LayerId, base: Option<BaseBlob>) -> Cell {
        Cell {
            id,
            base,
            carries: AtomicBool::new(false),
            busy: Mutex::new(()),
            used: AtomicBool::new(false),
            index: OnceLock::new(),
            content: OnceLock::new(),
            directory: OnceLock::new(),
        }
    }

    /// Tells whether it is known to change nothing of the tree below it.
    fn is_empty(&self) -> bool {
        self.index.get().is_some_and(|index| index.entries.is_empty())
    }
}

impl Snapshot {
    /// The tree of `FROM scratch`.
    pub(crate) fn empty() -> Snapshot {
        Snapshot { id: keys::empty_tree(), layers: Arc::default() }
    }

    pub(crate) fn layers(&self) -> &[Arc<Cell>] {
        &self.layers
    }

    /// The tree below layer number `layer`.
    fn below(&self, layer: usize) -> Snapshot {
        let layers = self.layers[..layer].to_vec();
        let id = layers.iter().fold(keys::empty_tree(), |below, cell| keys::tree(&below, cell.id.as_str()));
        Snapshot { id, layers: Arc::new(layers) }
    }
}

/// A base image's layer that is unpacked, but knows nothing yet of the tree below it.
struct New {
    draft: LayerDraft,
    target: Dir,
    unpacked: Unpacked,
}

/// Told what is downloaded: the blob, bytes so far, bytes in all.
pub(crate) type Progress<'a> = &'a (dyn Fn(&Descriptor, u64) + Sync);

/// All layers that a build has met, and the means to get at them.
pub(crate) struct Layers<'a> {
    pub(crate) store: &'a Store,
    pub(crate) identity: &'a Identity,
    pub(crate) images: &'a Images<'a>,
    pub(crate) progress: Progress<'a>,
    cells: Mutex<HashMap<LayerId, Arc<Cell>>>,
    trees: Mutex<HashMap<Digest, Arc<Tree>>>,
}

impl<'a> Layers<'a> {
    pub(crate) fn new(
        store: &'a Store,
        identity: &'a Identity,
        images: &'a Images<'a>,
        progress: Progress<'a>,
    ) -> Layers<'a> {
        Layers { store, identity, images, progress, cells: Mutex::default(), trees: Mutex::default() }
    }

    /// How owners are held on disk.
    pub(crate) fn ownership(&self) -> Ownership {
        let ids: u64 = self.identity.uid_map.iter().map(|extent| u64::from(extent.count)).sum();
        if ids > 1 { Ownership::Native } else { Ownership::Squashed }
    }

    /// Takes note that a command runs on a tree: what must be unpacked for it later is unpacked when it is first read.
    pub(crate) fn will_carry(&self, snapshot: &Snapshot) {
        snapshot.layers().iter().for_each(|cell| cell.carries.store(true, Ordering::Relaxed));
    }

    /// Returns the tree of a base image.
    pub(crate) fn of_image(&self, image: &BaseImage) -> Snapshot {
        let mut chain = None;
        let mut snapshot = Snapshot::empty();
        for layer in &image.layers {
            let id = chain_id(chain.as_ref(), &layer.diff_id);
            chain = Some(id);
            snapshot = match &layer.content {
                BaseContent::Made(made) => self.add(&snapshot, made.clone()),
                BaseContent::Blob(descriptor, from) => {
                    let blob = BaseBlob {
                        diff_id: layer.diff_id,
                        descriptor: descriptor.clone(),
                        from: from.clone(),
                    };
                    self.push(&snapshot, LayerId::chain(&id), Some(blob))
                }
            };
        }
        snapshot
    }

    /// Tells whether all of a base image is in the store.
    pub(crate) fn has_all(&self, image: &BaseImage) -> Result<bool, Error> {
        for blob in image.blobs() {
            if !self.store.blobs().has(&blob.digest)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts a layer that is in the store on top of a tree.
    pub(crate) fn add(&self, below: &Snapshot, layer: LayerId) -> Snapshot {
        self.push(below, layer, None)
    }

    /// Takes note of a layer that was just made, so that what is known of it is not read again.
    pub(crate) fn made(&self, layer: &Layer, index: Index) {
        let cell = Cell::new(layer.id().clone(), None);
        let _ = cell.index.set(Arc::new(index));
        if let Some(directory) = layer.fs() {
            let _ = cell.directory.set(directory);
        }
        lock(&self.cells).entry(cell.id.clone()).or_insert_with(|| Arc::new(cell));
    }

    fn push(&self, below: &Snapshot, id: LayerId, base: Option<BaseBlob>) -> Snapshot {
        let cell = {
            let mut cells = lock(&self.cells);
            cells.entry(id.clone()).or_insert_with(|| Arc::new(Cell::new(id.clone(), base))).clone()
        };
        let layers = below.layers.iter().cloned().chain([cell]).collect();
        Snapshot { id: keys::tree(&below.id, id.as_str()), layers: Arc::new(layers) }
    }

    /// Returns the merged view of a tree, downloading and indexing what it has to.
    pub(crate) fn tree(&self, snapshot: &Snapshot) -> Result<Arc<Tree>, Error> {
        if let Some(tree) = lock(&self.trees).get(&snapshot.id) {
            return Ok(tree.clone());
        }
        let cells = snapshot.layers();
        let carries = |cell: &Arc<Cell>| cell.base.is_some() && cell.carries.load(Ordering::Relaxed);
        if let Some(top) = cells.iter().rposition(carries)
            && self.stored_index(&cells[top])?.is_none()
        {
            // Which makes the indexes as well, from one look at the blobs.
            self.directories(&snapshot.below(top + 1))?;
        }
        self.each(cells.iter().filter(|cell| cell.index.get().is_none()).collect(), &|cell| {
            self.index(cell).map(drop)
        })?;
        let indexes = cells.iter().map(|cell| self.index(cell)).collect::<Result<Vec<_>, _>>()?;
        let tree = Arc::new(Tree::new(indexes));
        lock(&self.trees).insert(snapshot.id, tree.clone());
        Ok(tree)
    }

    /// Returns a layer's index. Of a base image's layer it is made as its blob streams by, and kept.
    pub(crate) fn index(&self, cell: &Cell) -> Result<Arc<Index>, Error> {
        if let Some(index) = cell.index.get() {
            return Ok(index.clone());
        }
        // What is in the store is read without waiting for anybody: see `unpack_all`.
        if let Some(index) = self.stored_index(cell)? {
            return Ok(index);
        }
        let _busy = lock(&cell.busy);
        if let Some(index) = self.stored_index(cell)? {
            return Ok(index);
        }
        let base = cell.base.as_ref().ok_or_else(|| gone(cell))?;
        let index = self.while_fetching(base, &|mut tar| {
            let index = jettison_layer::read_layer(&mut tar, &mut NoSink)?.index;
            verify(tar, base)?;
            Ok(index)
        })?;
        self.store.add_layer(cell.id.clone(), facts(base), &index)?;
        self.keep_base(cell)?;
        Ok(cell.index.get_or_init(|| Arc::new(index)).clone())
    }

    fn stored_index(&self, cell: &Cell) -> Result<Option<Arc<Index>>, Error> {
        if let Some(index) = cell.index.get() {
            return Ok(Some(index.clone()));
        }
        let Some(layer) = self.store.layer(&cell.id)? else { return Ok(None) };
        let index = Arc::new(layer.index()?);
        Ok(Some(cell.index.get_or_init(|| index).clone()))
    }

    /// Has the store keep a base image's layer as part of the cache, for stages whose image is not kept.
    fn keep_base(&self, cell: &Cell) -> Result<(), Error> {
        let key = Digest::of(cell.id.as_str().as_bytes());
        Ok(self.store.records(BASES).put(&key, &(), &[Object::Layer(cell.id.clone())])?)
    }

    /// Remembers that base layers are in use: what was not used for long goes first.
    fn use_bases(&self, snapshot: &Snapshot) -> Result<(), Error> {
        for cell in snapshot.layers().iter().filter(|cell| cell.base.is_some()) {
            if !cell.used.swap(true, Ordering::Relaxed) {
                let key = Digest::of(cell.id.as_str().as_bytes());
                self.store.records(BASES).get::<()>(&key)?;
            }
        }
        Ok(())
    }

    /// Remembers digests that were taken of a layer's files.
    pub(crate) fn remember_digests(&self, cell: &Cell, index: &Index) -> Result<(), Error> {
        match self.store.layer(&cell.id)? {
            Some(layer) => Ok(layer.update_index(index)?),
            None => Ok(()),
        }
    }

    /// Brings the blob of a base image's layer into the store.
    pub(crate) fn fetch(&self, base: &BaseBlob) -> Result<(), Error> {
        match &base.from {
            Some(from) => {
                self.images.download(from, &base.descriptor, &|done| (self.progress)(&base.descriptor, done))
            }
            None if self.store.blobs().has(&base.descriptor.digest)? => Ok(()),
            None => Err(blob_gone(base)),
        }
    }

    /// Brings the blob of a base image's layer into the store, and meanwhile calls `read` with the tar in it; a second
    /// time if the download had to start again.
    fn while_fetching<T: Send>(
        &self,
        base: &BaseBlob,
        read: &(dyn Fn(LayerTar<'_>) -> Result<T, Error> + Sync),
    ) -> Result<T, Error> {
        let read =
            |blob: Box<dyn Read + Send>| read(LayerTar::new(blob).map_err(|why| unreadable(base, &why))?);
        match &base.from {
            Some(from) => {
                let progress = |done| (self.progress)(&base.descriptor, done);
                self.images.while_downloading(from, &base.descriptor, &progress, &read)
            }
            None if self.store.blobs().has(&base.descriptor.digest)? => {
                read(Box::new(self.store.blobs().open(&base.descriptor.digest)?))
            }
            None => Err(blob_gone(base)),
        }
    }

    /// Returns the directories that a command's root file system is made of: an overlay costs time for each layer, and those
    /// in which there is nothing do not show.
    pub(crate) fn lower(&self, snapshot: &Snapshot) -> Result<Vec<PathBuf>, Error> {
        let all = snapshot.layers().iter().zip(self.directories(snapshot)?);
        Ok(all.filter(|(cell, _)| !cell.is_empty()).map(|(_, directory)| directory).collect())
    }

    /// Returns the directories of a tree's layers for an overlay, lowest first, unpacking what is not yet unpacked.
    pub(crate) fn directories(&self, snapshot: &Snapshot) -> Result<Vec<PathBuf>, Error> {
        self.use_bases(snapshot)?;
        let cells = snapshot.layers();
        let missing: Vec<usize> = (0..cells.len())
            .map(|at| Ok((at, self.directory(&cells[at])?)))
            .filter_map(absent)
            .collect::<Result<_, Error>>()?;
        self.unpack_all(snapshot, &missing)?;
        cells.iter().map(|cell| self.directory(cell)?.ok_or_else(|| gone(cell))).collect()
    }

    /// Returns the files of a layer.
    pub(crate) fn content(&self, snapshot: &Snapshot, at: usize) -> Result<Arc<dyn Content>, Error> {
        let cell = &snapshot.layers()[at];
        if let Some(content) = cell.content.get() {
            return Ok(content.clone());
        }
        let content: Arc<dyn Content> = match self.directory(cell)? {
            Some(directory) => Arc::new(DirContent::new(Dir::open(&directory)?)),
            None => match self.store.layer(&cell.id)? {
                Some(layer) if layer.meta().facts.tar.is_some() => self.tar(&layer)?,
                _ => {
                    self.directories(&snapshot.below(at + 1))?;
                    let directory = self.directory(cell)?.ok_or_else(|| gone(cell))?;
                    Arc::new(DirContent::new(Dir::open(&directory)?))
                }
            },
        };
        Ok(cell.content.get_or_init(|| content).clone())
    }

    /// Returns the files of all layers of a tree.
    pub(crate) fn contents(&self, snapshot: &Snapshot) -> Result<TreeContent, Error> {
        let layers = (0..snapshot.layers().len()).map(|at| self.content(snapshot, at));
        Ok(TreeContent::new(layers.collect::<Result<_, _>>()?))
    }

    /// Returns the files of a COPY layer that was written as a tar.
    fn tar(&self, layer: &Layer) -> Result<Arc<dyn Content>, Error> {
        let Some(tar) = layer.meta().facts.tar else {
            return Err(Error::Image {
                image: layer.id().to_string(),
                why: "its content is gone".to_owned(),
            });
        };
        Ok(Arc::new(TarContent::new(self.store.blobs().open(&tar)?)?.0))
    }

    /// Returns the directory of a layer, if it is unpacked. A step asks for those of all layers below it.
    fn directory(&self, cell: &Cell) -> Result<Option<PathBuf>, Error> {
        if let Some(directory) = cell.directory.get() {
            return Ok(Some(directory.clone()));
        }
        let found = self.store.layer(&cell.id)?.and_then(|layer| layer.fs());
        Ok(found.map(|directory| cell.directory.get_or_init(|| directory).clone()))
    }

    /// Unpacks these layers of a tree as they are downloaded, all at once.
    fn unpack_all(&self, snapshot: &Snapshot, missing: &[usize]) -> Result<(), Error> {
        let cells: BTreeMap<&LayerId, &Arc<Cell>> =
            missing.iter().map(|at| &snapshot.layers()[*at]).map(|cell| (&cell.id, cell)).collect();
        // All take them by ID, so that no two wait for each other. Whoever holds some waits for no other: what lies below
        // them and is not among them is in the store.
        let _busy: Vec<_> = cells.values().map(|cell| lock(&cell.busy)).collect();
        let unpacked = Mutex::new(HashMap::new());
        self.each(cells.values().collect(), &|cell| {
            if let Some(new) = self.unpack(cell)? {
                lock(&unpacked).insert(&cell.id, new);
            }
            Ok(())
        })?;
        let mut unpacked = unpacked.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Lowest first: what a tar leaves open is filled in from the tree below it.
        for at in missing {
            if let Some(new) = unpacked.remove(&snapshot.layers()[*at].id) {
                self.fit(snapshot, *at, new)?;
            }
        }
        Ok(())
    }

    /// Unpacks a layer, unless another process has meanwhile. One of a base image is yet to be fitted.
    fn unpack(&self, cell: &Cell) -> Result<Option<New>, Error> {
        let stored = self.store.layer(&cell.id)?;
        match (&cell.base, stored) {
            (_, Some(layer)) if layer.fs().is_some() => Ok(None),
            (Some(base), _) => Ok(Some(self.while_fetching(base, &|mut tar| {
                let draft = self.store.draft_layer()?;
                let target = Dir::open(&draft.fs())?;
                let unpacked = jettison_layer::unpack(&mut tar, &target, self.ownership())?;
                verify(tar, base)?;
                Ok(New { draft, target, unpacked })
            })?)),
            (None, Some(layer)) => {
                self.unpack_tar(&layer)?;
                Ok(None)
            }
            (None, None) => Err(gone(cell)),
        }
    }

    /// Fits a new directory, which is of layer number `at`, onto the tree below it.
    fn fit(&self, snapshot: &Snapshot, at: usize, new: New) -> Result<(), Error> {
        let New { draft, target, mut unpacked } = new;
        let cell = &snapshot.layers()[at];
        let base = cell.base.as_ref().ok_or_else(|| gone(cell))?;
        let below = snapshot.below(at);
        let (tree, content) = (self.tree(&below)?, self.contents(&below)?);
        jettison_layer::fix_up(&target, &mut unpacked, &tree, &content, self.ownership())?;
        match self.store.layer(&cell.id)? {
            Some(layer) => layer.add_fs(draft)?,
            None => {
                let _ = draft.commit_as(cell.id.clone(), facts(base), &unpacked.index)?;
                self.keep_base(cell)?;
            }
        }
        Ok(())
    }

    /// A COPY layer that was written as a tar gets a directory once something runs on it.
    fn unpack_tar(&self, layer: &Layer) -> Result<(), Error> {
        let draft = self.store.draft_layer()?;
        let target = Dir::open(&draft.fs())?;
        jettison_layer::materialize(&layer.index()?, &*self.tar(layer)?, &target, self.ownership())?;
        Ok(layer.add_fs(draft)?)
    }

    /// Calls `work` for each item, all at once: downloads wait for the network, not for each other.
    pub(crate) fn each<T: Send>(
        &self,
        items: Vec<T>,
        work: &(dyn Fn(T) -> Result<(), Error> + Sync),
    ) -> Result<(), Error> {
        if items.len() < 2 {
            return items.into_iter().try_for_each(work);
        }
        thread::scope(|scope| {
            let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
            let results = threads.into_iter().map(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            results.collect::<Vec<_>>().into_iter().collect()
        })
    }
}

/// Reads the rest of a layer's tar and compares the whole with the diff ID that the config promises.
fn verify(tar: LayerTar<'_>, base: &BaseBlob) -> Result<(), Error> {
    let found = tar.diff_id().map_err(|why| unreadable(base, &why))?;
    if found == base.diff_id {
        return Ok(());
    }
    let why = format!("the layer unpacks to {found}, but the image's config promises {}", base.diff_id);
    Err(Error::Image { image: base.descriptor.digest.to_string(), why })
}

fn facts(base: &BaseBlob) -> LayerFacts {
    let pulled = PulledBlob { descriptor: base.descriptor.clone(), diff_id: base.diff_id };
    LayerFacts { pulled: Some(pulled), ..LayerFacts::default() }
}

fn absent<T>(found: Result<(usize, Option<T>), Error>) -> Option<Result<usize, Error>> {
    match found {
        Ok((_, Some(_))) => None,
        Ok((at, None)) => Some(Ok(at)),
        Err(error) => Some(Err(error)),
    }
}

fn unreadable(base: &BaseBlob, why: &io::Error) -> Error {
    Error::Image { image: base.descriptor.digest.to_string(), why: why.to_string() }
}

fn blob_gone(base: &BaseBlob) -> Error {
    let why = format!("blob {} is gone from the store", base.descriptor.digest);
    Error::Image { image: base.diff_id.to_string(), why }
}

fn gone(cell: &Cell) -> Error {
    Error::Image { image: format!("layer {}", cell.id), why: "it is gone from the store".to_owned() }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
