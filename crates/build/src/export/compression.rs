//! Which compression layers leave in: BuildKit's `compression`, `compression-level` and `force-compression`.

use jettison_image::{Descriptor, Digest, media_type as types};
use jettison_layer::{Compression, DEFAULT_GZIP_LEVEL, DEFAULT_ZSTD_LEVEL};
use jettison_store::{Error as StoreError, Store};

/// Which compression layers leave in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompressionOptions {
    /// What layers that were made here get.
    pub compression: Compression,
    /// Whether blobs as pulled are compressed anew where theirs is another.
    pub force: bool,
}

/// A compression that an exporter cannot make.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownCompression {
    /// No such name.
    #[error("compression \"{0}\" is not supported: expected uncompressed, gzip or zstd")]
    Name(String),
    /// A level that the compression does not have.
    #[error("compression-level \"{level}\" is not valid: expected a number from 1 to {highest}")]
    Level {
        /// The value.
        level: String,
        /// The highest level.
        highest: i32,
    },
    /// A level of nothing.
    #[error("compression-level needs compression=gzip or compression=zstd")]
    NoLevel,
    /// Neither true nor false.
    #[error("force-compression \"{0}\" is not valid: expected true or false")]
    Force(String),
}

impl Default for CompressionOptions {
    fn default() -> CompressionOptions {
        CompressionOptions::GZIP
    }
}

impl CompressionOptions {
    /// Images for registries and layouts: gzip, as docker's.
    pub const GZIP: CompressionOptions =
        CompressionOptions { compression: Compression::Gzip { level: DEFAULT_GZIP_LEVEL }, force: false };

    /// Archives for daemons, which unpack them at once: `docker save` does not compress either.
    pub const UNCOMPRESSED: CompressionOptions =
        CompressionOptions { compression: Compression::None, force: false };

    /// Reads the attributes of an output; what is not given is as in `self`.
    pub fn with(
        self,
        compression: Option<&str>,
        level: Option<&str>,
        force: Option<&str>,
    ) -> Result<CompressionOptions, UnknownCompression> {
        let compression = match compression {
            None => self.compression,
            Some("uncompressed") => Compression::None,
            Some("gzip") => Compression::Gzip { level: DEFAULT_GZIP_LEVEL },
            Some("zstd") => Compression::Zstd { level: DEFAULT_ZSTD_LEVEL },
            Some(other) => return Err(UnknownCompression::Name(other.to_owned())),
        };
        let compression = match (compression, level) {
            (compression, None) => compression,
            (Compression::None, Some(_)) => return Err(UnknownCompression::NoLevel),
            (Compression::Gzip { .. }, Some(level)) => {
                Compression::Gzip { level: number(level, 9)?.unsigned_abs() }
            }
            (Compression::Zstd { .. }, Some(level)) => Compression::Zstd { level: number(level, 22)? },
        };
        let force = match force.map(|force| (force.parse(), force)) {
            None => self.force,
            Some((Ok(force), _)) => force,
            // An attribute without a value, as in `force-compression`, is given as an empty one.
            Some((Err(_), "")) => true,
            Some((Err(_), other)) => return Err(UnknownCompression::Force(other.to_owned())),
        };
        Ok(CompressionOptions { compression, force })
    }

    /// Returns the blob that a layer's tar became when it was compressed so.
    pub(crate) fn known(&self, store: &Store, diff_id: &Digest) -> Result<Option<Descriptor>, StoreError> {
        store.memo().get(diff_id, &self.compression.to_string())
    }

    /// Remembers that a layer's tar became this blob when it was compressed so, and returns its descriptor.
    pub(crate) fn remember(
        &self,
        store: &Store,
        diff_id: &Digest,
        digest: Digest,
        size: u64,
    ) -> Result<Descriptor, StoreError> {
        let descriptor = Descriptor::new(self.media_type(), digest, size);
        store.memo().put(diff_id, &self.compression.to_string(), &descriptor)?;
        Ok(descriptor)
    }

    /// Tells whether a blob of this media type may leave as it is.
    pub(crate) fn keeps(&self, media_type: &str) -> bool {
        !self.force || oci_media_type(media_type) == self.media_type()
    }

    /// Returns the media type of layers that are compressed so.
    pub(super) fn media_type(&self) -> &'static str {
        match self.compression {
            Compression::None => types::OCI_LAYER,
            Compression::Gzip { .. } => types::OCI_LAYER_GZIP,
            Compression::Zstd { .. } => types::OCI_LAYER_ZSTD,
        }
    }
}

fn number(level: &str, highest: i32) -> Result<i32, UnknownCompression> {
    let wrong = || UnknownCompression::Level { level: level.to_owned(), highest };
    level.parse().ok().filter(|level| (1..=highest).contains(level)).ok_or_else(wrong)
}

/// Returns the OCI name of a layer's media type: our manifests are OCI's. A layer that may not be pushed keeps the type
/// that says so.
pub(super) fn oci_media_type(media_type: &str) -> &str {
    match media_type {
        types::DOCKER_LAYER => types::OCI_LAYER,
        types::DOCKER_LAYER_GZIP => types::OCI_LAYER_GZIP,
        types::DOCKER_LAYER_ZSTD => types::OCI_LAYER_ZSTD,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_buildkits() {
        let read = |compression, level, force| CompressionOptions::GZIP.with(compression, level, force);
        let options = |compression, force| Ok(CompressionOptions { compression, force });
        for (attributes, expected) in [
            ((None, None, None), Ok(CompressionOptions::GZIP)),
            ((None, Some("9"), None), options(Compression::Gzip { level: 9 }, false)),
            ((Some("uncompressed"), None, Some("true")), options(Compression::None, true)),
            ((Some("zstd"), Some("22"), Some("")), options(Compression::Zstd { level: 22 }, true)),
            (
                (Some("zstd"), Some("23"), None),
                Err(UnknownCompression::Level { level: "23".into(), highest: 22 }),
            ),
            ((None, Some("0"), None), Err(UnknownCompression::Level { level: "0".into(), highest: 9 })),
            ((Some("estargz"), None, None), Err(UnknownCompression::Name("estargz".into()))),
            ((Some("uncompressed"), Some("1"), None), Err(UnknownCompression::NoLevel)),
            ((None, None, Some("perhaps")), Err(UnknownCompression::Force("perhaps".into()))),
        ] {
            let (compression, level, force) = attributes;
            assert_eq!(read(compression, level, force), expected, "{attributes:?}");
        }
    }
}
