//! Carrying out COPY, ADD and WORKDIR.

use std::cell::OnceCell;
use std::io::{self, Write};
use std::thread;

use jettison_dockerfile::Span;
use jettison_fs::Dir;
use jettison_image::{Digest, Digester};
use jettison_layer::{Compressor, Content, Entry, Fingerprint, Index, Kind, Node, join};
use jettison_plan::{Copy, CopySource, Origin, Workdir};
use jettison_store::{BlobWriter, LayerFacts, LayerId};

use crate::copy::{Filter, Item, PlaceError, Placed, Placement, SelectError, select};
use crate::engine::Engine;
use crate::event::StepId;
use crate::export::CompressionOptions;
use crate::layers::Snapshot;
use crate::sources::Source;
use crate::until_canceled::UntilCanceled;
use crate::{Error, archive, keys};

/// In which form a layer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A directory, because something runs on it.
    Directory,
    /// An uncompressed tar, because nothing does; and compressed as well, if it leaves so.
    Tar(Option<CompressionOptions>),
}

/// What one source of a COPY comes to.
enum Selected {
    /// Files and directories of the source of that number.
    Item(usize, Item),
    /// An archive that ADD extracts, and what is in it.
    Archive(Item, archive::Opened),
}

/// Takes the path that an entry has for the consumer, and the entry.
type Visit<'a> = dyn FnMut(&[u8], &Entry) -> Result<(), Error> + 'a;

/// Everything a COPY copies.
struct Selection {
    /// The trees that files are taken from, each once.
    sources: Vec<Source>,
    items: Vec<Selected>,
}

impl Engine<'_> {
    /// Returns the layer of a COPY or ADD, and whether it came from the cache.
    pub(crate) fn copy(
        &self,
        id: Option<StepId>,
        copy: &Copy,
        parent: &Snapshot,
        tree_of: &dyn Fn(usize) -> Snapshot,
        form: Form,
    ) -> Result<(LayerId, bool), Error> {
        let span = self.span(id);
        let selection = OnceCell::new();
        let select = || match selection.get() {
            Some(selection) => Ok(selection),
            None => self.select(copy, span, tree_of).map(|selected| selection.get_or_init(|| selected)),
        };
        let link = copy.link && copy.chmod.is_none();
        let owner = match &copy.chown {
            Some(spec) => Some(self.owner(spec, parent)?),
            None => None,
        };
        // What a mount shows must be what its own fingerprint says, which is of the files as they were read.
        let selector = if id.is_some() { self.selector(copy, tree_of)? } else { None };
        let base = if link { Snapshot::empty() } else { parent.clone() };
        let key = |contents: &Digest| keys::copy(&base.id, copy, owner, contents);
        let contents = match selector {
            Some(selector) => {
                let known = self.known(&selector, || self.fingerprint(select()?))?;
                // What is copied is fingerprinted in this build: a file may have changed since it was listed.
                let copies = selection.get().is_none() && !self.is_cached(id, &key(&known))?;
                if copies { self.fingerprint(select()?)? } else { known }
            }
            None => self.fingerprint(select()?)?,
        };
        self.once(id, key(&contents), || {
            let selection = select()?;
            self.ledger.keep_listing(&contents, || self.listing(selection))?;
            let layer = self.copy_now(copy, span, &base, selection, owner, form)?;
            selection.sources.iter().try_for_each(|source| self.sources.remember(source))?;
            Ok(layer)
        })
    }

    /// Returns the name of what a COPY takes, if that can be told without reading any file: all of it is in trees, or in
    /// contexts whose times promise what is in them.
    fn selector(&self, copy: &Copy, tree_of: &dyn Fn(usize) -> Snapshot) -> Result<Option<Digest>, Error> {
        let mut names = Vec::new();
        for source in &copy.sources {
            let name = match &source.from {
                Origin::Context => self.sources.listed(None)?,
                Origin::NamedContext(name) => self.sources.listed(Some(name))?,
                Origin::Tree(node) if !self.sources.is_fetched(*node) => Some(tree_of(*node).id),
                Origin::Tree(_) => None,
            };
            let Some(name) = name else { return Ok(None) };
            names.push(name);
        }
        Ok((!names.is_empty()).then(|| keys::selector(copy, &names)))
    }

    /// Copies, whether or not that was done before.
    fn copy_now(
        &self,
        copy: &Copy,
        span: Span,
        base: &Snapshot,
        selection: &Selection,
        owner: Option<(u32, u32)>,
        form: Form,
    ) -> Result<LayerId, Error> {
        let below = self.layers.tree(base)?;
        let now = self.request.started;
        let mut placement = Placement::new(&below, owner, copy.chmod.as_ref(), now);
        let sources = &selection.sources;
        let mut archives = Vec::new();
        for selected in &selection.items {
            match selected {
                Selected::Item(number, item) => {
                    placement.copy(*number, &sources[*number].tree, item, &copy.destination)
                }
                Selected::Archive(_, archive) => {
                    // Archives count on behind the sources.
                    let number = sources.len() + archives.len();
                    archives.push(archive);
                    placement.extract(number, &archive.tree, &archive.listed, &copy.destination)
                }
            }
            .map_err(|error| place_error(span, &error))?;
        }
        for file in &copy.files {
            let placed = placement.inline(&file.name, &file.content, &copy.destination);
            placed.map_err(|error| place_error(span, &error))?;
        }
        let (mut index, origins) = placement.finish();
        self.fill_digests(&mut index, &origins, sources)?;
        let content = self.copied_content(&index, origins, sources, &archives)?;
        self.write_layer(&index, &content, form)
    }

    /// Returns the layer of a WORKDIR, and whether it came from the cache.
    pub(crate) fn workdir(
        &self,
        id: StepId,
        workdir: &Workdir,
        parent: &Snapshot,
    ) -> Result<(LayerId, bool), Error> {
        let key = keys::workdir(&parent.id, workdir);
        self.once(Some(id), key, || self.workdir_now(workdir, parent, self.span(Some(id))))
    }

    fn workdir_now(&self, workdir: &Workdir, parent: &Snapshot, span: Span) -> Result<LayerId, Error> {
        let owner = match workdir.user.as_str() {
            "" => None,
            user => Some(self.owner(user, parent)?),
        };
        let below = self.layers.tree(parent)?;
        let mut placement = Placement::new(&below, owner, None, self.request.started);
        placement.make_directory(&workdir.path).map_err(|error| place_error(span, &error))?;
        let (index, _) = placement.finish();
        self.write_layer(&index, &jettison_layer::NoContent, Form::Directory)
    }

    fn select(
        &self,
        copy: &Copy,
        span: Span,
        tree_of: &dyn Fn(usize) -> Snapshot,
    ) -> Result<Selection, Error> {
        let mut origins: Vec<&Origin> = Vec::new();
        let mut selection = Selection { sources: Vec::new(), items: Vec::new() };
        for wanted in &copy.sources {
            let number = origins.iter().position(|origin| **origin == wanted.from);
            let number = number.unwrap_or(origins.len());
            if number == origins.len() {
                origins.push(&wanted.from);
                selection.sources.push(self.sources.get(&wanted.from, tree_of)?);
            }
            let source = &selection.sources[number];
            let found = select(&source.tree, wanted, &copy.exclude);
            let place = wanted.span.unwrap_or(span);
            for item in found.map_err(|error| select_error(place, source, &error))? {
                let archive = if wanted.extract { self.archive(source, &item)? } else { None };
                selection.items.push(match archive {
                    Some(archive) => Selected::Archive(item, archive),
                    None => Selected::Item(number, item),
                });
            }
        }
        Ok(selection)
    }

    /// Reads an item as an archive, if it is one.
    fn archive(&self, source: &Source, item: &Item) -> Result<Option<archive::Opened>, Error> {
        let Some(node) = source.tree.get(&item.path) else { return Ok(None) };
        let (layer, entry) = node.content();
        if !matches!(entry.kind, Kind::File { .. }) {
            return Ok(None);
        }
        let content = self.sources.content(source, layer)?;
        archive::open(&*content, entry, self.store.root())
    }

    /// The fingerprint of one path and all below it.
    pub(crate) fn path_fingerprint(
        &self,
        from: &Origin,
        path: &str,
        tree_of: &dyn Fn(usize) -> Snapshot,
    ) -> Result<Digest, Error> {
        let fingerprint = || {
            let source = self.sources.get(from, tree_of)?;
            let path = path.trim_start_matches('/').as_bytes();
            let fingerprint = self.subtree_fingerprint(&source, path, &Filter::default())?;
            self.sources.remember(&source)?;
            Ok(fingerprint)
        };
        match from {
            Origin::Tree(node) => self.known(&keys::subtree(&tree_of(*node).id, path), fingerprint),
            Origin::Context | Origin::NamedContext(_) => fingerprint(),
        }
    }

    /// The files that [`Engine::path_fingerprint`] is the fingerprint of.
    pub(crate) fn path_listing(
        &self,
        from: &Origin,
        path: &str,
        tree_of: &dyn Fn(usize) -> Snapshot,
    ) -> Result<Index, Error> {
        let source = self.sources.get(from, tree_of)?;
        let path = path.trim_start_matches('/').as_bytes();
        let mut entries = Vec::new();
        self.list(&source, path, &Filter::default(), &mut entries)?;
        Ok(Index::from_entries(entries))
    }

    /// The fingerprint of a file, or of what a filter takes of a directory: its own mode and owner stay behind.
    fn subtree_fingerprint(&self, source: &Source, top: &[u8], filter: &Filter) -> Result<Digest, Error> {
        let mut fingerprint = Fingerprint::new();
        self.each_taken(source, top, filter, &mut |relative, entry| Ok(fingerprint.add(relative, entry)?))?;
        Ok(fingerprint.finish())
    }

    /// Appends what is taken of `top`, under the paths of the source.
    fn list(
        &self,
        source: &Source,
        top: &[u8],
        filter: &Filter,
        entries: &mut Vec<Entry>,
    ) -> Result<(), Error> {
        entries.reserve(source.tree.subtree(top).count());
        self.each_taken(source, top, filter, &mut |relative, entry| {
            entries.push(Entry { path: join(top, relative), ..entry.clone() });
            Ok(())
        })
    }

    /// Calls `visit` with the path below `top` and the entry of a file, or of all that a filter takes of a directory.
    /// Files have their digests.
    fn each_taken(
        &self,
        source: &Source,
        top: &[u8],
        filter: &Filter,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        let itself = source.tree.get(top).filter(|node| !node.entry.is_directory());
        let nodes: Vec<(&[u8], Node<'_>)> = match itself {
            Some(file) => vec![(b"", file)],
            None => {
                let taken = filter.taken(&source.tree, top);
                taken.into_iter().map(|taken| (taken.relative, taken.node)).collect()
            }
        };
        self.sources.take_digests(source, nodes.iter().map(|(_, node)| *node))?;
        for (relative, node) in nodes {
            let entry = node.content().1;
            match entry.kind {
                Kind::File { size, digest: None } => {
                    let kind = Kind::File { size, digest: self.sources.digest(source, &node.entry.path)? };
                    visit(relative, &Entry { kind, ..entry.clone() })?;
                }
                _ => visit(relative, entry)?,
            }
        }
        Ok(())
    }

    /// Returns a layer that holds the files of a context, for mounts: without what is ignored, and owned by root.
    pub(crate) fn context_layer(
        &self,
        from: &Origin,
        tree_of: &dyn Fn(usize) -> Snapshot,
    ) -> Result<LayerId, Error> {
        let whole = Copy {
            sources: vec![CopySource {
                span: None,
                from: from.clone(),
                path: String::new(),
                include: None,
                extract: false,
            }],
            files: Vec::new(),
            destination: "/".to_owned(),
            chown: None,
            chmod: None,
            exclude: Vec::new(),
            link: true,
        };
        let (layer, _) = self.copy(None, &whole, &Snapshot::empty(), tree_of, Form::Directory)?;
        Ok(layer)
    }

    /// The digest of all files that a COPY takes: names, kinds, modes, owners, contents; never times.
    fn fingerprint(&self, selection: &Selection) -> Result<Digest, Error> {
        let mut digester = Digester::new();
        for selected in &selection.items {
            match selected {
                Selected::Item(number, item) => {
                    let source = &selection.sources[*number];
                    let content = self.subtree_fingerprint(source, &item.path, &item.filter)?;
                    digester.field(b"item").field(&item.name).field(content.as_bytes());
                    for time in self.times(source, item) {
                        digester.field(&time.to_le_bytes());
                    }
                }
                Selected::Archive(_, archive) => {
                    let mut fingerprint = Fingerprint::new();
                    for node in archive.tree.iter() {
                        fingerprint.add_node(&node.entry.path, &node)?;
                    }
                    digester.field(b"archive").field(fingerprint.finish().as_bytes());
                }
            }
        }
        Ok(digester.finish())
    }

    /// Returns the times of what comes from the network, which are what servers say: a file of another time is another
    /// file, as in BuildKit. Other times do not count.
    fn times(&self, source: &Source, item: &Item) -> Vec<i64> {
        if !source.is_fetched() {
            return Vec::new();
        }
        let itself = source.tree.get(&item.path);
        let below = item.filter.taken(&source.tree, &item.path).into_iter().map(|taken| taken.node);
        let dated = itself.into_iter().chain(below).map(|node| node.content().1).filter(|entry| !entry.fresh);
        dated.map(|entry| entry.mtime.seconds).collect()
    }

    /// The files that [`Engine::fingerprint`] is the fingerprint of.
    fn listing(&self, selection: &Selection) -> Result<Index, Error> {
        let mut entries = Vec::new();
        for selected in &selection.items {
            match selected {
                Selected::Item(number, item) => {
                    self.list(&selection.sources[*number], &item.path, &item.filter, &mut entries)?;
                }
                Selected::Archive(item, archive) => entries.extend(archive.tree.iter().map(|node| {
                    let kind = node.content().1.kind.clone();
                    Entry { path: join(&item.path, &node.entry.path), kind, ..node.entry.clone() }
                })),
            }
        }
        Ok(Index::from_entries(entries))
    }

    /// Writes the digests that the key rests on into the new layer's index.
    fn fill_digests(&self, index: &mut Index, origins: &[Placed], sources: &[Source]) -> Result<(), Error> {
        for (entry, placed) in index.entries.iter_mut().zip(origins) {
            if let Placed::File { source, place } = placed
                && let Some(source) = sources.get(*source)
                && let Some(original) = source.tree.at(*place)
                && let Kind::File { digest, .. } = &mut entry.kind
                && digest.is_none()
            {
                *digest = self.sources.digest(source, &original.path)?;
            }
        }
        Ok(())
    }

    /// Keeps a new layer in the store.
    fn write_layer(&self, index: &Index, content: &dyn Content, form: Form) -> Result<LayerId, Error> {
        let started = std::time::Instant::now();
        // A tar has the records of compiled files as they leave with these times, not as they are.
        let form = if jettison_layer::has_followers(index) { Form::Directory } else { form };
        let layer = match form {
            Form::Directory => {
                let draft = self.store.draft_layer()?;
                let target = Dir::open(&draft.fs())?;
                jettison_layer::materialize(index, content, &target, self.layers.ownership())?;
                draft.commit(self.facts(started), index)?
            }
            Form::Tar(compression) => {
                let diff_id = self.write_tar(index, content, compression)?;
                let mut facts = self.facts(started);
                facts.tar = Some(diff_id);
                facts.set_diff_id(self.request.times, diff_id);
                self.store.add_layer(LayerId::random(), facts, index)?
            }
        };
        Ok(layer.id().clone())
    }

    /// Writes a layer as an uncompressed tar, and in the same pass as the blob that it leaves as. Returns the tar's digest.
    fn write_tar(
        &self,
        index: &Index,
        content: &dyn Content,
        compression: Option<CompressionOptions>,
    ) -> Result<Digest, Error> {
        let failed = |source| Error::Io { action: "write", path: self.store.root().to_owned(), source };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let blob = compression.map(|options| {
            let blob = self.store.blobs().writer()?;
            options.compression.compress(blob, threads).map_err(failed)
        });
        let tar = io::BufWriter::with_capacity(1 << 17, self.store.blobs().writer()?);
        let mut out = UntilCanceled::new(self, TarAndBlob { tar, blob: blob.transpose()? });
        let written = jettison_layer::write_layer(index, content, self.request.times, &mut out);
        self.check_canceled()?;
        written?;
        let out = out.finish();
        let tar = out.tar.into_inner().map_err(|error| failed(error.into_error()))?;
        let (diff_id, _) = tar.commit(None)?;
        if let (Some(options), Some(blob)) = (compression, out.blob) {
            let (digest, size) = blob.finish().map_err(failed)?.commit(None)?;
            options.remember(self.store, &diff_id, digest, size)?;
        }
        Ok(diff_id)
    }

    pub(crate) fn facts(&self, started: std::time::Instant) -> LayerFacts {
        let made = self.request.started.seconds;
        LayerFacts { made, seconds: started.elapsed().as_secs_f64(), ..LayerFacts::default() }
    }
}

/// A layer on its way into the store, uncompressed and perhaps compressed.
struct TarAndBlob {
    tar: io::BufWriter<BlobWriter>,
    blob: Option<Compressor<BlobWriter>>,
}

impl Write for TarAndBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tar.write_all(bytes)?;
        self.blob.as_mut().map_or(Ok(()), |blob| blob.write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tar.flush()
    }
}

fn select_error(span: Span, source: &Source, error: &SelectError) -> Error {
    let help = match error {
        SelectError::NotFound(path) if source.hides(path) => {
            Some(format!("\"{path}\" is there, but .dockerignore leaves it out of the build context"))
        }
        SelectError::NotFound(path) => nearest(source, path).map(|near| format!("did you mean \"{near}\"?")),
        SelectError::Pattern(_) | SelectError::Filter(_) | SelectError::Links(_) => None,
    };
    Error::Instruction { span, message: error.to_string(), help }
}

/// Returns the path in the same directory whose name is nearest to the one that is missing.
fn nearest(source: &Source, path: &str) -> Option<String> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let names = source.names(directory);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let near = jettison_dockerfile::suggest::nearest(name, &names)?;
    Some(if directory.is_empty() { near.to_owned() } else { format!("{directory}/{near}") })
}

fn place_error(span: Span, error: &PlaceError) -> Error {
    Error::Instruction { span, message: error.to_string(), help: None }
}
