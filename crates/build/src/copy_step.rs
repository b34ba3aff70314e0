//! Carrying out COPY, ADD and WORKDIR.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use jettison_dockerfile::Span;
use jettison_dockerfile::ignore::Patterns;
use jettison_fs::Dir;
use jettison_image::{Digest, Digester, HashingWriter};
use jettison_layer::{Content, Entry as LayerEntry, Fingerprint, Index, Kind, Tree};
use jettison_plan::{Copy, Origin, Workdir};
use jettison_store::{LayerFacts, LayerId};

use crate::copy::{Item, PlaceError, Placed, Placement, SelectError, select};
use crate::engine::Engine;
use crate::layers::Snapshot;
use crate::sources::{Source, exclusions};
use crate::{Error, archive, keys};

/// In which form a layer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A directory, because something runs on it.
    Directory,
    /// An uncompressed tar, because nothing does.
    Tar,
}

/// What one source of a COPY comes to.
enum Selected {
    /// Files and directories.
    Item(Item),
    /// An archive that ADD extracts: its entries, with their content.
    Archive(Arc<Tree>, Arc<dyn Content>),
}

/// Everything a COPY copies.
struct Selection {
    source: Source,
    items: Vec<Selected>,
}

impl Engine<'_> {
    /// Returns the layer of a COPY or ADD, and whether it came from the cache.
    pub(crate) fn copy(
        &self,
        copy: &Copy,
        span: Span,
        parent: &Snapshot,
        tree_of: &dyn Fn(usize) -> Snapshot,
        form: Form,
    ) -> Result<(LayerId, bool), Error> {
        let instruction = |message: String| Error::Instruction { span, message, help: None };
        let exclude = exclusions(&copy.exclude).map_err(instruction)?;
        let source = self.sources.get(&copy.from, tree_of)?;
        let selection = self.select(copy, source, span)?;
        let link = copy.link && copy.chmod.is_none();
        let owner = match &copy.chown {
            Some(spec) => Some(self.owner(spec, parent)?),
            None => None,
        };
        let contents = self.fingerprint(&selection, copy, exclude.as_ref())?;
        let base = if link { Snapshot::empty() } else { parent.clone() };
        let key = keys::copy(&base.id, copy, owner, &contents);
        self.once(&key, || {
            let layer = self.copy_now(copy, span, &base, &selection, owner, exclude.as_ref(), form)?;
            self.sources.remember(&selection.source)?;
            Ok(layer)
        })
    }

    /// Copies, whether or not that was done before.
    #[expect(clippy::too_many_arguments, reason = "all that `copy` has worked out")]
    fn copy_now(
        &self,
        copy: &Copy,
        span: Span,
        base: &Snapshot,
        selection: &Selection,
        owner: Option<(u32, u32)>,
        exclude: Option<&Patterns>,
        form: Form,
    ) -> Result<LayerId, Error> {
        let below = self.layers.tree(base)?;
        let now = self.request.started;
        let mut placement = Placement::new(&below, owner, copy.chmod.as_ref(), exclude, now);
        let mut archives = Vec::new();
        for selected in &selection.items {
            match selected {
                Selected::Item(item) => placement.copy(0, &selection.source.tree, item, &copy.destination),
                Selected::Archive(tree, content) => {
                    archives.push(content.clone());
                    placement.extract(archives.len(), tree, &copy.destination)
                }
            }
            .map_err(|error| place_error(span, &error))?;
        }
        for file in &copy.files {
            let placed = placement.inline(&file.name, &file.content, &copy.destination);
            placed.map_err(|error| place_error(span, &error))?;
        }
        let (mut index, origins) = placement.finish();
        self.fill_digests(&mut index, &origins, &selection.source)?;
        let content = self.copied_content(&selection.source, &archives, origins)?;
        self.write_layer(&index, &content, form)
    }

    /// Returns the layer of a WORKDIR, and whether it came from the cache.
    pub(crate) fn workdir(
        &self,
        workdir: &Workdir,
        parent: &Snapshot,
        span: Span,
    ) -> Result<(LayerId, bool), Error> {
        let key = keys::workdir(&parent.id, workdir);
        self.once(&key, || self.workdir_now(workdir, parent, span))
    }

    fn workdir_now(&self, workdir: &Workdir, parent: &Snapshot, span: Span) -> Result<LayerId, Error> {
        let owner = match workdir.user.as_str() {
            "" => None,
            user => {
                let user = self.user(user, parent, span)?;
                Some((user.uid, user.gid))
            }
        };
        let below = self.layers.tree(parent)?;
        let mut placement = Placement::new(&below, owner, None, None, self.request.started);
        placement.make_directory(&workdir.path).map_err(|error| place_error(span, &error))?;
        let (index, _) = placement.finish();
        self.write_layer(&index, &jettison_layer::NoContent, Form::Directory)
    }

    fn select(&self, copy: &Copy, source: Source, span: Span) -> Result<Selection, Error> {
        let mut items = Vec::new();
        for pattern in &copy.sources {
            let found = select(&source.tree, pattern, copy.parents);
            for item in found.map_err(|error| select_error(span, &source, pattern, &error))? {
                let archive = if copy.extract { self.archive(&source, &item)? } else { None };
                items.push(match archive {
                    Some((tree, content)) => Selected::Archive(tree, content),
                    None => Selected::Item(item),
                });
            }
        }
        Ok(Selection { source, items })
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
        let source = self.sources.get(from, tree_of)?;
        let fingerprint = self.subtree_fingerprint(&source, path.trim_start_matches('/').as_bytes(), None)?;
        self.sources.remember(&source)?;
        Ok(fingerprint)
    }

    fn subtree_fingerprint(
        &self,
        source: &Source,
        top: &[u8],
        exclude: Option<&Patterns>,
    ) -> Result<Digest, Error> {
        self.sources.take_digests(source, top)?;
        let mut fingerprint = Fingerprint::new();
        for node in source.tree.subtree(top) {
            let relative = relative(&node.entry.path, top);
            let skipped = exclude.is_some_and(|patterns| patterns.matches_or_parent_matches(relative));
            // Of a directory its content is copied; its own mode and owner stay behind.
            let top_itself = relative.is_empty() && node.entry.is_directory();
            if top_itself || skipped && !node.entry.is_directory() {
                continue;
            }
            let mut entry = node.content().1.clone();
            if let Kind::File { digest, .. } = &mut entry.kind {
                *digest = self.sources.digest(source, &node.entry.path)?;
            }
            fingerprint.add(relative, &entry)?;
        }
        Ok(fingerprint.finish())
    }

    /// Returns a layer that holds the files of a context, for mounts: without what is ignored, and owned by root.
    pub(crate) fn context_layer(
        &self,
        from: &Origin,
        tree_of: &dyn Fn(usize) -> Snapshot,
    ) -> Result<LayerId, Error> {
        let whole = Copy {
            from: from.clone(),
            sources: vec![String::new()],
            files: Vec::new(),
            destination: "/".to_owned(),
            chown: None,
            chmod: None,
            exclude: Vec::new(),
            parents: false,
            link: true,
            extract: false,
        };
        let (layer, _) = self.copy(&whole, Span::default(), &Snapshot::empty(), tree_of, Form::Directory)?;
        Ok(layer)
    }

    /// The digest of all that a COPY takes: names, kinds, modes, owners, contents; never times.
    fn fingerprint(
        &self,
        selection: &Selection,
        copy: &Copy,
        exclude: Option<&Patterns>,
    ) -> Result<Digest, Error> {
        let mut digester = Digester::new();
        for selected in &selection.items {
            match selected {
                Selected::Item(item) => {
                    let content = self.subtree_fingerprint(&selection.source, &item.path, exclude)?;
                    digester.field(b"item").field(&item.name).field(&item.parents).field(content.as_bytes());
                }
                Selected::Archive(tree, _) => {
                    let mut fingerprint = Fingerprint::new();
                    for node in tree.iter() {
                        fingerprint.add_node(&node.entry.path, &node)?;
                    }
                    digester.field(b"archive").field(fingerprint.finish().as_bytes());
                }
            }
        }
        for file in &copy.files {
            digester.field(b"inline").field(file.name.as_bytes()).field(file.content.as_bytes());
        }
        Ok(digester.finish())
    }

    /// Writes the digests that the key rests on into the new layer's index.
    fn fill_digests(
        &self,
        index: &mut Index,
        origins: &HashMap<Vec<u8>, Placed>,
        source: &Source,
    ) -> Result<(), Error> {
        for entry in &mut index.entries {
            if let Some(Placed::File { source: 0, path, .. }) = origins.get(&entry.path)
                && let Kind::File { digest, .. } = &mut entry.kind
                && digest.is_none()
            {
                *digest = self.sources.digest(source, path)?;
            }
        }
        Ok(())
    }

    /// Keeps a new layer in the store.
    fn write_layer(&self, index: &Index, content: &dyn Content, form: Form) -> Result<LayerId, Error> {
        let started = std::time::Instant::now();
        let layer = match form {
            Form::Directory => {
                let draft = self.store.draft_layer()?;
                let target = Dir::open(&draft.fs())?;
                jettison_layer::materialize(index, content, &target, self.layers.ownership())?;
                draft.commit(self.facts(started), index)?
            }
            Form::Tar => {
                let mut out =
                    HashingWriter::new(io::BufWriter::with_capacity(1 << 17, self.store.blobs().writer()?));
                jettison_layer::write_layer(index, content, self.request.epoch, &mut out)?;
                let (out, diff_id, _) = out.finish();
                let blob = out.into_inner().map_err(|error| Error::Io {
                    action: "write",
                    path: self.store.root().to_owned(),
                    source: error.into_error(),
                })?;
                blob.commit(Some(diff_id))?;
                let mut facts = self.facts(started);
                facts.tar = Some(diff_id);
                facts.diff_ids.insert(self.request.epoch, diff_id);
                self.store.add_layer(LayerId::random(), facts, index)?
            }
        };
        Ok(layer.id().clone())
    }

    pub(crate) fn facts(&self, started: std::time::Instant) -> LayerFacts {
        LayerFacts { seconds: started.elapsed().as_secs_f64(), ..LayerFacts::default() }
    }
}

/// The bytes of copied files, wherever they are.
struct CopiedContent {
    /// By number of the source tree (0 is the COPY's own, the others are archives) and of its layer.
    contents: HashMap<(usize, usize), Arc<dyn Content>>,
    origins: HashMap<Vec<u8>, Placed>,
    /// Whether the files are somebody's to change while we copy.
    volatile: bool,
}

impl Engine<'_> {
    fn copied_content(
        &self,
        source: &Source,
        archives: &[Arc<dyn Content>],
        origins: HashMap<Vec<u8>, Placed>,
    ) -> Result<CopiedContent, Error> {
        let mut contents: HashMap<(usize, usize), Arc<dyn Content>> = HashMap::new();
        for placed in origins.values() {
            let Placed::File { source: number, layer, .. } = placed else { continue };
            if let Entry::Vacant(vacant) = contents.entry((*number, *layer)) {
                vacant.insert(match number.checked_sub(1) {
                    None => self.sources.content(source, *layer)?,
                    Some(archive) => archives[archive].clone(),
                });
            }
        }
        Ok(CopiedContent { contents, origins, volatile: source.is_context() })
    }
}

impl CopiedContent {
    fn original(&self, entry: &LayerEntry) -> io::Result<(usize, &dyn Content, LayerEntry)> {
        let Some(Placed::File { source, layer, path }) = self.origins.get(&entry.path) else {
            return Err(io::Error::other("the entry is no copied file"));
        };
        let content = self.contents.get(&(*source, *layer));
        let content = content.ok_or_else(|| io::Error::other("nothing holds this file"))?;
        Ok((*source, &**content, LayerEntry { path: path.clone(), ..entry.clone() }))
    }
}

impl Content for CopiedContent {
    fn open(&self, entry: &LayerEntry) -> io::Result<Box<dyn Read + Send + '_>> {
        if let Some(Placed::Inline(bytes)) = self.origins.get(&entry.path) {
            return Ok(Box::new(Cursor::new(bytes.as_slice())));
        }
        // Sockets of a context are empty files that cannot be opened.
        if entry.size() == 0 {
            return Ok(Box::new(io::empty()));
        }
        let (source, content, original) = self.original(entry)?;
        let bytes = content.open(&original)?;
        // What the key promised is what must be copied, though somebody may be writing to the context.
        match entry.kind {
            Kind::File { digest: Some(expected), .. } if source == 0 && self.volatile => {
                Ok(Box::new(Verified { bytes, digester: Digester::new(), expected }))
            }
            _ => Ok(bytes),
        }
    }

    fn open_file(&self, entry: &LayerEntry) -> io::Result<Option<File>> {
        if self.volatile
            || entry.size() == 0
            || matches!(self.origins.get(&entry.path), Some(Placed::Inline(_)))
        {
            return Ok(None);
        }
        let (_, content, original) = self.original(entry)?;
        content.open_file(&original)
    }
}

/// A file that must not have changed since its digest was taken.
struct Verified<'a> {
    bytes: Box<dyn Read + Send + 'a>,
    digester: Digester,
    expected: Digest,
}

impl Read for Verified<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.digester.update(&buffer[..read]);
        if read == 0 && !buffer.is_empty() && self.digester.clone().finish() != self.expected {
            return Err(io::Error::other("the file changed during the build"));
        }
        Ok(read)
    }
}

fn relative<'p>(path: &'p [u8], top: &[u8]) -> &'p [u8] {
    let rest = path.strip_prefix(top).unwrap_or(path);
    rest.strip_prefix(b"/").unwrap_or(rest)
}

fn select_error(span: Span, source: &Source, pattern: &str, error: &SelectError) -> Error {
    let help = match error {
        SelectError::NotFound(path) if source.hides(path) => {
            Some(format!("\"{path}\" is there, but .dockerignore leaves it out of the build context"))
        }
        SelectError::NotFound(_) => nearest(source, pattern).map(|near| format!("did you mean \"{near}\"?")),
        SelectError::Pattern(_) | SelectError::Links(_) => None,
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
