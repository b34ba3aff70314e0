//! The words of an image, as types: digests, references, platforms, descriptors, manifests, configs.
//!
//! Everything here is plain data and its text forms. No I/O, no clock, no environment. What came from outside keeps
//! its raw bytes, because a digest is a promise about bytes, not about meaning.

mod config;
mod digest;
mod manifest;
mod platform;
mod reference;
mod timestamp;

pub use config::{Config, DEFAULT_PATH, Empty, Healthcheck, History, RootFs, RunConfig};
pub use digest::{Digest, DigestError, Digester, HashingWriter, chain_id};
pub use manifest::{
    Descriptor, Index, MAX_MANIFEST_SIZE, Manifest, ManifestError, MediaType, RawManifest, media_type,
};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
pub use timestamp::{DEFAULT_EPOCH, rfc3339};
