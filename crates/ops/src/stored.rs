//! An image of the store, opened: its layers' indexes and contents, and what an exporter wants of it.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::sync::Arc;

use jettison_build::export::{Annotations, ImageSource, SourceLayer};
use jettison_fs::Dir;
use jettison_image::{Config, DEFAULT_EPOCH, MAX_MANIFEST_SIZE, RawManifest, Reference, chain_id};
use jettison_layer::{
    Content, DirContent, Index, LayerTar, Merged, NoSink, TarContent, Times, Tree, TreeContent,
};
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
        let mut chains = Vec::with_capacity(config.rootfs.diff_ids.len());
        let mut below = None;
        for diff_id in &config.rootfs.diff_ids {
            let id = chain_id(below.as_ref(), diff_id);
            chains.push(LayerId::chain(&id));
            below = Some(id);
        }
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
    pub(crate) fn tar_file(&self, number: usize) -> Result<File, Error> {
        let layer = self.layers().get(number);
        let Some((expected, blob)) = layer.and_then(|layer| Some((layer.diff_id, layer.blob.as_ref()?)))
        else {
            return Err(Error::request(format!(
                "layer {number} of image {} has no content",
                self.record.config.short()
            )));
        };
        let read = |source| Error::io("decompress", self.store.blobs().path(&blob.digest), source);
        let write = |source| Error::io("write", self.store.root(), source);
        let compressed = io::BufReader::with_capacity(BUFFER, self.store.blobs().open(&blob.digest)?);
        let mut tar = LayerTar::new(compressed).map_err(read)?;
        let mut file = self.store.temporary_file()?;
        io::copy(&mut tar, &mut file).map_err(write)?;
        let found = tar.diff_id().map_err(read)?;
        if found != expected {
            let what = format!("the tar in blob {}", blob.digest);
            return Err(Error::Store(jettison_store::Error::Digest { what, expected, found }));
        }
        file.rewind().map_err(write)?;
        Ok(file)
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
        Ok(ImageSource {
            config: self.store.config_bytes(&self.record)?,
            layers,
            names,
            manifest,
            annotations: Annotations::default(),
        })
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
        let times = layer.meta().facts.times_of(diff_id).unwrap_or(Times::Epoch(DEFAULT_EPOCH));
        let (index, content) = self.content(number)?;
        source.tar = Some(Box::new(move |out: &mut dyn Write| {
            jettison_layer::write_layer(&index, &content, times, out).map_err(io::Error::other)
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
    pub(crate) fn root_fs(&self) -> Result<Merged, Error> {
        let parts =
            (0..self.layers().len()).map(|number| self.content(number)).collect::<Result<Vec<_>, _>>()?;
        let (indexes, contents): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        Ok(Merged::new(Arc::new(Tree::new(indexes)), TreeContent::new(contents)))
    }
}
