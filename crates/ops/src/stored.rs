//! An image of the store, opened: its layers' indexes and contents, and what an exporter wants of it.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::sync::Arc;

use jettison_build::export::{ImageSource, SourceLayer};
use jettison_fs::Dir;
use jettison_image::{Config, Digest, MAX_MANIFEST_SIZE, RawManifest, Reference};
use jettison_layer::{Content, DirContent, Entry, Index, Kind, NoSink, TarContent, Tree};
use jettison_store::{ImageLayer, ImageRecord, Layer, LayerId, Store};

use crate::Error;

/// Bytes that are read from a blob at once.
const BUFFER: usize = 256 << 10;

/// An image of the store.
pub(crate) struct Stored<'a> {
    pub(crate) store: &'a Store,
    pub(crate) record: ImageRecord,
    pub(crate) config: Config,
    /// Layers that were unpacked or read after the record was written are found by these.
    chains: Vec<LayerId>,
}

impl<'a> Stored<'a> {
    pub(crate) fn open(store: &'a Store, record: ImageRecord) -> Result<Stored<'a>, Error> {
        let config = store.config(&record)?;
        let chains = chain_ids(&config.rootfs.diff_ids).iter().map(LayerId::chain).collect();
        Ok(Stored { store, record, config, chains })
    }

    /// Returns the layers, lowest first.
    pub(crate) fn layers(&self) -> &[ImageLayer] {
        &self.record.layers
    }

    /// Returns the name under which a layer's unpacked form is stored.
    pub(crate) fn layer_id(&self, number: usize) -> Option<&LayerId> {
        self.record.layers.get(number)?.layer.as_ref().or(self.chains.get(number))
    }

    /// Looks up what the store has of a layer besides its blob.
    pub(crate) fn layer(&self, number: usize) -> Result<Option<Layer>, Error> {
        match self.layer_id(number) {
            Some(id) => Ok(self.store.layer(id)?),
            None => Ok(None),
        }
    }

    /// Returns the bytes of a layer's files, and whether that is only the length of its blob.
    pub(crate) fn size(&self, number: usize) -> Result<(u64, bool), Error> {
        if let Some(layer) = self.layer(number)? {
            return Ok((layer.meta().unpacked_size, false));
        }
        let blob = self.layers().get(number).and_then(|layer| layer.blob.as_ref());
        Ok((blob.map_or(0, |blob| blob.size), true))
    }

    /// Returns the index of a layer, if it was ever made.
    pub(crate) fn index(&self, number: usize) -> Result<Option<Arc<Index>>, Error> {
        match self.layer(number)? {
            Some(layer) => Ok(Some(Arc::new(layer.index()?))),
            None => Ok(None),
        }
    }

    /// Returns the merged view of all layers; `None` where one was never read.
    pub(crate) fn tree(&self) -> Result<Option<Tree>, Error> {
        let indexes = (0..self.layers().len())
            .map(|number| self.index(number))
            .collect::<Result<Option<Vec<_>>, _>>()?;
        Ok(indexes.map(Tree::new))
    }

    /// Returns the content of a layer that is unpacked or has its tar; `None` where there is only a compressed blob.
    pub(crate) fn content_at_hand(&self, number: usize) -> Result<Option<Arc<dyn Content>>, Error> {
        let Some(layer) = self.layer(number)? else { return Ok(None) };
        if let Some(directory) = layer.fs() {
            return Ok(Some(Arc::new(DirContent::new(Dir::open(&directory)?))));
        }
        match layer.meta().facts.tar {
            Some(tar) => Ok(Some(Arc::new(TarContent::new(self.store.blobs().open(&tar)?)?.0))),
            None => Ok(None),
        }
    }

    /// Returns the content of a layer in any case, decompressing its blob into a temporary file if it has to, and the
    /// layer's index.
    pub(crate) fn content(&self, number: usize) -> Result<(Arc<Index>, Arc<dyn Content>), Error> {
        if let (Some(index), Some(content)) = (self.index(number)?, self.content_at_hand(number)?) {
            return Ok((index, content));
        }
        let file = self.tar_file(number)?;
        let index = match self.index(number)? {
            Some(index) => index,
            None => {
                let mut reader = io::BufReader::with_capacity(BUFFER, &file);
                Arc::new(jettison_layer::read_layer(&mut reader, &mut NoSink)?.index)
            }
        };
        (&file).rewind().map_err(|source| Error::io("read", self.store.root(), source))?;
        Ok((index, Arc::new(TarContent::new(file)?.0)))
    }

    /// Decompresses a layer's blob into a file without a name, positioned at its start.
    fn tar_file(&self, number: usize) -> Result<File, Error> {
        let mut file = self.store.temporary_file()?;
        let mut tar = self.open_tar(number)?;
        let failed = |source| Error::io("write", self.store.root(), source);
        io::copy(&mut tar, &mut file).map_err(failed)?;
        tar.verify()?;
        file.rewind().map_err(failed)?;
        Ok(file)
    }

    /// Opens the uncompressed tar in a layer's blob.
    pub(crate) fn open_tar(&self, number: usize) -> Result<VerifiedTar, Error> {
        let layer = self.layers().get(number);
        let Some((diff_id, blob)) = layer.and_then(|layer| Some((layer.diff_id, layer.blob.as_ref()?)))
        else {
            return Err(Error::request(format!(
                "layer {number} of image {} has no content",
                self.record.config.short()
            )));
        };
        let file = io::BufReader::with_capacity(BUFFER, self.store.blobs().open(&blob.digest)?);
        let failed = |source| Error::io("decompress", self.store.blobs().path(&blob.digest), source);
        let reader = jettison_layer::decompress(file).map_err(failed)?;
        Ok(VerifiedTar { reader: Box::new(reader), digester: Default::default(), blob: blob.digest, diff_id })
    }

    /// Returns what exporters want.
    pub(crate) fn source(&self, names: Vec<Reference>) -> Result<ImageSource<'a>, Error> {
        let manifest = match &self.record.manifest {
            Some(descriptor) => {
                let bytes = self.store.blobs().read_small(&descriptor.digest, MAX_MANIFEST_SIZE)?;
                Some(RawManifest { media_type: descriptor.media_type.clone(), bytes })
            }
            None => None,
        };
        let layers =
            (0..self.layers().len()).map(|number| self.source_layer(number)).collect::<Result<_, _>>()?;
        Ok(ImageSource { config: self.store.config_bytes(&self.record)?, layers, names, manifest })
    }

    fn source_layer(&self, number: usize) -> Result<SourceLayer<'a>, Error> {
        let ImageLayer { diff_id, blob, .. } = self.layers()[number].clone();
        let mut source = SourceLayer { diff_id, blob, fetch: None, tar: None, origin: None };
        if source.blob.is_some() {
            source.origin = self.origin()?;
            return Ok(source);
        }
        let Some(layer) = self.layer(number)? else {
            return Err(Error::request(format!("layer {diff_id} is gone from the store")));
        };
        let epochs = &layer.meta().facts.diff_ids;
        let epoch = epochs.iter().find(|(_, known)| **known == diff_id).map(|(epoch, _)| *epoch);
        let epoch = epoch.unwrap_or(jettison_image::DEFAULT_EPOCH);
        let (index, content) = self.content(number)?;
        source.tar = Some(Box::new(move |out: &mut dyn Write| {
            jettison_layer::write_layer(&index, &content, epoch, out).map_err(io::Error::other)
        }));
        Ok(source)
    }

    /// Returns a name that the image has in a registry: pushes to that registry may mount its blobs from there.
    fn origin(&self) -> Result<Option<Reference>, Error> {
        let mut tags = self.store.tags()?.into_iter();
        let pulled =
            tags.find(|tag| tag.entry.image == self.record.config && tag.entry.repo_digest.is_some());
        Ok(pulled.map(|tag| tag.reference))
    }

    /// Returns the whole tree as one layer, for exporters that write files and no image.
    pub(crate) fn root_fs(&self) -> Result<(Index, RootFs), Error> {
        let parts =
            (0..self.layers().len()).map(|number| self.content(number)).collect::<Result<Vec<_>, _>>()?;
        let (indexes, contents): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let tree = Tree::new(indexes);
        let mut entries = Vec::with_capacity(tree.len());
        for node in tree.iter() {
            let mut entry = node.entry.clone();
            if let Kind::Directory { opaque } = &mut entry.kind {
                *opaque = false;
            }
            // The other name of a file that is hidden by now becomes the file.
            let (layer, file) = node.content();
            if let Kind::Hardlink { target } = &entry.kind {
                let shown = tree
                    .get(target)
                    .is_some_and(|there| there.content() == (layer, file) && there.file.is_none());
                if !shown {
                    entry = Entry { path: entry.path, ..file.clone() };
                }
            }
            entries.push(entry);
        }
        Ok((Index { entries }, RootFs { tree, contents }))
    }
}

/// The content of a whole tree.
pub(crate) struct RootFs {
    tree: Tree,
    contents: Vec<Arc<dyn Content>>,
}

impl Content for RootFs {
    fn open(&self, entry: &Entry) -> io::Result<Box<dyn Read + Send + '_>> {
        let node = self.tree.get(&entry.path).ok_or(io::ErrorKind::NotFound)?;
        let (layer, file) = node.content();
        self.contents.get(layer).ok_or(io::ErrorKind::NotFound)?.open(file)
    }
}

/// The tar of a layer as it comes out of its blob, hashed on the way.
pub(crate) struct VerifiedTar {
    reader: Box<dyn Read + Send>,
    digester: jettison_image::Digester,
    blob: Digest,
    diff_id: Digest,
}

impl Read for VerifiedTar {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.digester.update(&buffer[..read]);
        Ok(read)
    }
}

impl VerifiedTar {
    /// Reads what is behind the tar's end, and compares the whole with what the image's config promises.
    pub(crate) fn verify(mut self) -> Result<(), Error> {
        let blob = self.blob;
        io::copy(&mut self, &mut io::sink()).map_err(|source| Error::io("read", blob.to_string(), source))?;
        let (found, expected) = (self.digester.finish(), self.diff_id);
        if found == expected {
            return Ok(());
        }
        let what = format!("the tar in blob {blob}");
        Err(Error::Store(jettison_store::Error::Digest { what, expected, found }))
    }
}

/// Names layers by all that lies below them (OCI image spec, config.md, "Layer ChainID").
pub(crate) fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let next = match chain.last() {
            None => *diff_id,
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        };
        chain.push(next);
    }
    chain
}
