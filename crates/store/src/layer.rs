//! Layers: an index, facts, and the content as a directory, a tar, or a blob as pulled.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jettison_image::{Descriptor, Digest};
use jettison_layer::{Index, Kind, Times};
use serde::{Deserialize, Serialize};

use crate::Store;
use crate::draft::LayerDraft;
use crate::error::{Context, Error, Result};
use crate::files::{self, Durability};
use crate::object::Object;

/// The largest index of a layer that is read, in bytes: some ten million paths.
const MAX_INDEX: u64 = 2 << 30;

/// The name of a layer in its store.
///
/// A built layer has a random one of 32 hex digits: what made it is told by cache records. A pulled one has its chain
/// ID (OCI image spec, config.md) of 64, because how it unpacks depends on the layers below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerId(String);

impl LayerId {
    /// Makes an ID that no layer has.
    pub fn random() -> LayerId {
        let mut bytes = [0_u8; 16];
        // The kernel gives up to 256 bytes at once, and this only fails before Linux 3.17.
        let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        assert_eq!(filled, Ok(bytes.len()), "the kernel gives random bytes");
        LayerId(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Makes the ID of a pulled layer from its chain ID.
    pub fn chain(chain_id: &Digest) -> LayerId {
        LayerId(chain_id.hex())
    }

    /// Returns the hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LayerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<LayerId> {
        LayerId::try_from(text.to_owned())
    }
}

impl TryFrom<String> for LayerId {
    type Error = Error;

    fn try_from(text: String) -> Result<LayerId> {
        let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if digits && matches!(text.len(), 32 | 64) { Ok(LayerId(text)) } else { Err(Error::LayerId(text)) }
    }
}

impl From<LayerId> for String {
    fn from(id: LayerId) -> String {
        id.0
    }
}

/// What is known of a layer when it is made, whatever lies below it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerFacts {
    /// The name of the step that made it, or where it was pulled from.
    pub created_by: String,
    /// When, in seconds since 1970; 0 where nobody asks.
    #[serde(default)]
    pub made: i64,
    /// How long that took, in seconds.
    pub seconds: f64,
    /// The digest of its uncompressed tar, by the epoch (seconds since 1970) that fresh files take in it.
    #[serde(default)]
    pub diff_ids: BTreeMap<i64, Digest>,
    /// The digest of its uncompressed tar with true times.
    #[serde(default)]
    pub true_diff_id: Option<Digest>,
    /// Its uncompressed tar among the blobs, if it was written.
    #[serde(default)]
    pub tar: Option<Digest>,
    /// Its blob as pulled, if it was pulled.
    #[serde(default)]
    pub pulled: Option<PulledBlob>,
}

/// A layer's blob as a registry or an archive gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulledBlob {
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of the tar in it.
    pub diff_id: Digest,
}

/// What the store remembers of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerMeta {
    /// What its maker said.
    pub facts: LayerFacts,
    /// The sum of the sizes of its files, in bytes.
    pub unpacked_size: u64,
    /// What its unpacked form takes on disk, in bytes: files and directories in whole blocks of 4 KiB.
    pub disk_size: u64,
}

impl LayerMeta {
    fn new(facts: LayerFacts, index: &Index) -> LayerMeta {
        const BLOCK: u64 = 4 << 10;
        let mut meta = LayerMeta { facts, unpacked_size: 0, disk_size: 0 };
        for entry in &index.entries {
            match entry.kind {
                Kind::File { size, .. } => {
                    meta.unpacked_size = meta.unpacked_size.saturating_add(size);
                    meta.disk_size =
                        meta.disk_size.saturating_add(size.div_ceil(BLOCK).saturating_mul(BLOCK));
                }
                Kind::Directory { .. } => meta.disk_size = meta.disk_size.saturating_add(BLOCK),
                _ => {}
            }
        }
        meta
    }
}

/// A layer of the store. It stays there while the [`Store`] it came from lives.
#[derive(Debug, Clone)]
pub struct Layer {
    store: Store,
    id: LayerId,
    meta: LayerMeta,
}

impl Store {
    /// Looks up a layer and keeps it, with its blobs, in the store. `None` where there is no such layer.
    pub fn layer(&self, id: &LayerId) -> Result<Option<Layer>> {
        let gate = self.inner.gate.take()?;
        self.inner.hold(&Object::Layer(id.clone()), &gate)?;
        let Some(meta) = self.inner.layer_meta(id)? else {
            return Ok(None);
        };
        for blob in meta.facts.blobs() {
            self.inner.hold(&Object::Blob(blob), &gate)?;
        }
        Ok(Some(Layer::new(self, id.clone(), meta)))
    }

    /// Starts a layer whose content will be a directory.
    pub fn draft_layer(&self) -> Result<LayerDraft> {
        LayerDraft::new(self)
    }

    /// Adds a layer whose content is a blob of `facts`, not unpacked so far. If another process added it first, that
    /// one is returned.
    pub fn add_layer(&self, id: LayerId, facts: LayerFacts, index: &Index) -> Result<Layer> {
        LayerDraft::without_fs(self)?.commit_as(id, facts, index)
    }
}

impl Layer {
    pub(crate) fn new(store: &Store, id: LayerId, meta: LayerMeta) -> Layer {
        Layer { store: store.clone(), id, meta }
    }

    /// Returns its name in the store.
    pub fn id(&self) -> &LayerId {
        &self.id
    }

    /// Returns what is known of it.
    pub fn meta(&self) -> &LayerMeta {
        &self.meta
    }

    /// Returns the directory with its content in overlay form, if it is unpacked.
    pub fn fs(&self) -> Option<PathBuf> {
        let path = self.folder().join(FS);
        path.is_dir().then_some(path)
    }

    /// Reads its index.
    pub fn index(&self) -> Result<Index> {
        let path = self.folder().join(INDEX);
        let bytes =
            files::read_if_there(&path, MAX_INDEX)?.ok_or_else(|| Error::NoSuchLayer(self.id.clone()))?;
        Index::decode(&bytes).map_err(|error| Error::Corrupt { path, why: error.to_string() })
    }

    /// Writes its index anew, with content digests that were not known before. The entries must be the same.
    pub fn update_index(&self, index: &Index) -> Result<()> {
        self.rewrite(INDEX, &index.encode())
    }

    /// Remembers the digest of its uncompressed tar with `times`.
    pub fn remember_diff_id(&mut self, times: Times, diff_id: Digest) -> Result<()> {
        self.update_facts(|facts| facts.set_diff_id(times, diff_id))
    }

    /// Remembers that the blob `tar` is its uncompressed tar.
    pub fn remember_tar(&mut self, tar: Digest) -> Result<()> {
        self.update_facts(|facts| facts.tar = Some(tar))
    }

    /// Gives a layer that had only its blob the content of `draft`. If another process did so first, the draft is
    /// dropped.
    pub fn add_fs(&self, draft: LayerDraft) -> Result<()> {
        let target = self.folder().join(FS);
        self.store.grow(self.meta.disk_size);
        self.store.inner.publish(&Object::Layer(self.id.clone()), || match fs::rename(draft.fs(), &target) {
            Err(_) if target.is_dir() => Ok(()),
            result => result.context("write", &target),
        })
    }

    fn update_facts(&mut self, change: impl Fn(&mut LayerFacts)) -> Result<()> {
        // Others may have learnt something meanwhile. Two that write at the same instant cost one a memo, no more.
        if let Some(newest) = self.store.inner.layer_meta(&self.id)? {
            self.meta = newest;
        }
        change(&mut self.meta.facts);
        self.rewrite(META, &encode_meta(&self.meta))
    }

    fn rewrite(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let temporary = self.store.inner.temporary()?;
        self.store.inner.publish(&Object::Layer(self.id.clone()), || {
            files::replace(&temporary, &self.folder().join(name), bytes, Durability::Later)
        })
    }

    fn folder(&self) -> PathBuf {
        self.store.inner.layout.layer(&self.id)
    }
}

impl LayerFacts {
    /// Returns the digest of its uncompressed tar with `times`, if that is known.
    pub fn diff_id(&self, times: Times) -> Option<Digest> {
        match times {
            Times::Epoch(epoch) => self.diff_ids.get(&epoch).copied(),
            Times::True => self.true_diff_id,
        }
    }

    /// Sets the digest of its uncompressed tar with `times`.
    pub fn set_diff_id(&mut self, times: Times, diff_id: Digest) {
        match times {
            Times::Epoch(epoch) => drop(self.diff_ids.insert(epoch, diff_id)),
            Times::True => self.true_diff_id = Some(diff_id),
        }
    }

    /// Returns the times with which its uncompressed tar has the digest `diff_id`, if one is known to.
    pub fn times_of(&self, diff_id: Digest) -> Option<Times> {
        if self.true_diff_id == Some(diff_id) {
            return Some(Times::True);
        }
        self.diff_ids.iter().find(|(_, known)| **known == diff_id).map(|(epoch, _)| Times::Epoch(*epoch))
    }

    /// Returns the blobs without which the layer is not whole.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = Digest> {
        self.tar.into_iter().chain(self.pulled.iter().map(|pulled| pulled.descriptor.digest))
    }

    /// Returns all diff IDs under which the layer is known.
    pub(crate) fn all_diff_ids(&self) -> impl Iterator<Item = Digest> {
        self.diff_ids
            .values()
            .copied()
            .chain(self.true_diff_id)
            .chain(self.pulled.iter().map(|pulled| pulled.diff_id))
    }
}

impl crate::store::Inner {
    /// Reads what is known of a layer, without holding it. A layer whose facts cannot be read counts as absent.
    pub(crate) fn layer_meta(&self, id: &LayerId) -> Result<Option<LayerMeta>> {
        let bytes = files::read_if_there(&self.layout.layer(id).join(META), files::MAX_DOCUMENT)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}

const FS: &str = "fs";
const INDEX: &str = "index";
const META: &str = "meta.json";

/// Writes what belongs beside the content into a layer's folder.
pub(crate) fn describe(folder: &Path, facts: LayerFacts, index: &Index) -> Result<LayerMeta> {
    let meta = LayerMeta::new(facts, index);
    files::write_new(&folder.join(INDEX), &index.encode(), Durability::Later)?;
    files::write_new(&folder.join(META), &encode_meta(&meta), Durability::Later)?;
    Ok(meta)
}

fn encode_meta(meta: &LayerMeta) -> Vec<u8> {
    // Plain structs with string and integer keys: serialising to memory has nothing that can fail.
    serde_json::to_vec(meta).expect("facts are plain data")
}
