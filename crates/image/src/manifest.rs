//! Descriptors, manifests and indexes (OCI image spec 1.1 and Docker schema 2), with their raw bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, Platform};

/// Media types by name. OCI image spec, media-types.md; Docker's in distribution's manifest-v2-2 spec.
pub mod media_type {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image config.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, uncompressed.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker image manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, uncompressed.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker layer, gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker layer, zstd (moby writes this form too).
    pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    /// Docker layer that may not be pushed, gzip.
    pub const DOCKER_FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
}

/// What a media type stands for in an image; the two families say the same things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// A manifest of one image.
    Manifest,
    /// An index (Docker: manifest list) of several.
    Index,
    /// An image config.
    Config,
    /// A layer; how it is compressed is told by its first bytes.
    Layer,
}

impl MediaType {
    /// Classifies `text`, or `None` for what is no part of an image.
    pub fn classify(text: &str) -> Option<MediaType> {
        use media_type::*;
        Some(match text {
            OCI_MANIFEST | DOCKER_MANIFEST => MediaType::Manifest,
            OCI_INDEX | DOCKER_INDEX => MediaType::Index,
            OCI_CONFIG | DOCKER_CONFIG => MediaType::Config,
            OCI_LAYER | OCI_LAYER_GZIP | OCI_LAYER_ZSTD | DOCKER_LAYER | DOCKER_LAYER_GZIP
            | DOCKER_LAYER_ZSTD | DOCKER_FOREIGN_LAYER => MediaType::Layer,
            _ => return None,
        })
    }
}

/// The largest manifest or index that is read, in bytes; the distribution spec asks registries to allow 4 MiB.
pub const MAX_MANIFEST_SIZE: u64 = 4 << 20;

/// A pointer to a blob. OCI image spec, descriptor.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// What the blob is.
    #[serde(rename = "mediaType")]
    pub media_type: String,
    /// The blob's name.
    pub digest: Digest,
    /// The blob's length in bytes.
    pub size: u64,
    /// Where else the blob may be had; only foreign layers have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// In an index: what the image runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Makes a descriptor without annotations.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
        }
    }

    /// Makes the descriptor of `bytes`.
    pub fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Tells whether this is a BuildKit attestation, which is no image although it stands in an index like one.
    pub fn is_attestation(&self) -> bool {
        self.annotations.get("vnd.docker.reference.type").is_some_and(|kind| kind == "attestation-manifest")
    }
}

/// A manifest of one image: its config and its layers, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always 2.
    #[serde(rename = "schemaVersion")]
    pub schema_version: u32,
    /// Repeats the manifest's own media type; old OCI manifests lack it.
    #[serde(rename = "mediaType", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The image's config.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An index of manifests, one a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Always 2.
    #[serde(rename = "schemaVersion")]
    pub schema_version: u32,
    /// Repeats the index's own media type; old OCI indexes lack it.
    #[serde(rename = "mediaType", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Why bytes are not a manifest we can use.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not the right JSON.
    #[error("the {what} is not valid: {source}")]
    Json {
        /// What was being read.
        what: &'static str,
        /// Where the JSON is wrong.
        source: serde_json::Error,
    },
    /// A media type that is no image, such as a Helm chart's or Docker's schema 1.
    #[error("media type \"{0}\" is not that of an image")]
    MediaType(String),
    /// A manifest that claims to be both or neither: OCI image spec 1.1, "mediaType" in manifest.md.
    #[error("the document does not say whether it is a manifest or an index")]
    Ambiguous,
}

/// A manifest or index as it came, with its media type; the digest is of exactly these bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// The media type under which it came.
    pub media_type: String,
    /// The bytes as they came.
    pub bytes: Vec<u8>,
}

impl RawManifest {
    /// Returns the digest of the bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// Returns the descriptor of the bytes.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(&self.media_type, &self.bytes)
    }

    /// Tells whether this is an index rather than a manifest of one image.
    pub fn is_index(&self) -> bool {
        MediaType::classify(&self.media_type) == Some(MediaType::Index)
    }

    /// Reads the bytes as a manifest of one image.
    pub fn manifest(&self) -> Result<Manifest, ManifestError> {
        self.expect(MediaType::Manifest)?;
        self.refuse_both()?;
        serde_json::from_slice(&self.bytes).map_err(|source| ManifestError::Json { what: "manifest", source })
    }

    /// Reads the bytes as an index.
    pub fn index(&self) -> Result<Index, ManifestError> {
        self.expect(MediaType::Index)?;
        self.refuse_both()?;
        serde_json::from_slice(&self.bytes).map_err(|source| ManifestError::Json { what: "index", source })
    }

    fn expect(&self, wanted: MediaType) -> Result<(), ManifestError> {
        match MediaType::classify(&self.media_type) {
            Some(kind) if kind == wanted => Ok(()),
            _ => Err(ManifestError::MediaType(self.media_type.clone())),
        }
    }

    /// A document with both `layers` and `manifests` could be read two ways (CVE-2021-41190).
    fn refuse_both(&self) -> Result<(), ManifestError> {
        #[derive(Deserialize)]
        struct Probe {
            layers: Option<serde::de::IgnoredAny>,
            manifests: Option<serde::de::IgnoredAny>,
        }
        match serde_json::from_slice::<Probe>(&self.bytes) {
            Ok(Probe { layers: Some(_), manifests: Some(_) }) => Err(ManifestError::Ambiguous),
            _ => Ok(()),
        }
    }
}

impl Manifest {
    /// Makes an OCI manifest.
    pub fn oci(config: Descriptor, layers: Vec<Descriptor>) -> Manifest {
        Manifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            config,
            layers,
            annotations: BTreeMap::new(),
        }
    }

    /// Writes the manifest as docker does: two spaces of indent, no final newline.
    pub fn to_raw(&self) -> RawManifest {
        let media_type = self.media_type.clone().unwrap_or_else(|| media_type::OCI_MANIFEST.to_owned());
        RawManifest { media_type, bytes: pretty(self) }
    }
}

impl Index {
    /// Makes an OCI index.
    pub fn oci(manifests: Vec<Descriptor>) -> Index {
        Index {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.to_owned()),
            manifests,
            annotations: BTreeMap::new(),
        }
    }

    /// Writes the index as docker does: two spaces of indent, no final newline.
    pub fn to_raw(&self) -> RawManifest {
        let media_type = self.media_type.clone().unwrap_or_else(|| media_type::OCI_INDEX.to_owned());
        RawManifest { media_type, bytes: pretty(self) }
    }

    /// Returns the manifest that serves `platform` best, the first of equals.
    pub fn select(&self, platform: &Platform) -> Option<&Descriptor> {
        let images = || self.manifests.iter().filter(|manifest| !manifest.is_attestation());
        let ranked = images().filter_map(|manifest| {
            let rank = platform.rank(manifest.platform.as_ref()?)?;
            Some((rank, manifest))
        });
        let best = ranked.min_by_key(|(rank, _)| *rank).map(|(_, manifest)| manifest);
        // An index of one image that names no platform can only mean that image.
        best.or_else(|| images().find(|manifest| manifest.platform.is_none()))
    }
}

fn pretty<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain structs with string keys: serialising to memory has nothing that can fail.
    serde_json::to_vec_pretty(value).expect("manifests are plain data")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(text: &str) -> Descriptor {
        let platform = (!text.is_empty()).then(|| text.parse().unwrap());
        Descriptor { platform, ..Descriptor::of(media_type::OCI_MANIFEST, text.as_bytes()) }
    }

    #[test]
    fn an_index_gives_the_best_platform() {
        let index = Index::oci(["linux/arm/v6", "linux/amd64", "linux/arm/v7"].map(descriptor).into());
        let select = |text: &str| index.select(&text.parse().unwrap()).map(|found| found.digest);
        assert_eq!(select("linux/amd64"), Some(Digest::of(b"linux/amd64")));
        assert_eq!(select("linux/arm/v8"), Some(Digest::of(b"linux/arm/v7")));
        assert_eq!(select("linux/s390x"), None);
    }

    #[test]
    fn a_document_of_two_kinds_is_refused() {
        let raw = RawManifest {
            media_type: media_type::OCI_INDEX.to_owned(),
            bytes: br#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}"#.to_vec(),
        };
        assert!(matches!(raw.index(), Err(ManifestError::Ambiguous)));
    }

    #[test]
    fn raw_bytes_keep_their_digest() {
        let raw = Index::oci(vec![]).to_raw();
        assert_eq!(raw.index().unwrap().to_raw().digest(), raw.digest());
        assert!(raw.manifest().is_err());
    }
}
