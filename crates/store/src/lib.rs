//! The store: content-addressed blobs, layers, cache records, images and tags, as plain files.
//!
//! Any number of processes share a store. Everything is written under another name and renamed into place, so a
//! reader sees a whole thing or nothing. The store knows files and JSON; how a layer is made, what a cache key means
//! and where a blob comes from is not its business.
//!
//! Where to start: [`Store`] opens it, `layout.rs` is the map of its folders, `session.rs` says what a running process
//! holds, `journal.rs` what a power cut may cost, `gc.rs` what goes.

mod archive;
mod blob;
mod cache_mount;
mod check;
mod draft;
mod error;
mod files;
mod gate;
mod gc;
mod image;
mod journal;
mod layer;
mod layout;
mod limit;
mod memo;
mod notes;
mod object;
mod partial;
mod reach;
mod record;
mod remove;
mod resolve;
mod session;
mod store;
mod tag;
mod usage;
mod value;

pub use archive::{Archive, ArchiveError, ArchivedImage, IMAGE_NAME, Loaded, REF_NAME};
pub use blob::{BlobWriter, Blobs};
pub use cache_mount::{CacheMount, CacheMountDraft, CacheMountEntry, MountSharing, Take};
pub use check::Damage;
pub use draft::LayerDraft;
pub use error::{Error, Result};
pub use gc::{CacheScope, ImageScope, PruneFilter, Pruned};
pub use image::{ImageLayer, ImageRecord};
pub use layer::{Layer, LayerFacts, LayerId, LayerMeta, PulledBlob};
pub use memo::Memo;
pub use object::Object;
pub use partial::{Download, Partial};
pub use record::Records;
pub use remove::Removed;
pub use resolve::Resolved;
pub use store::Store;
pub use tag::{TagEntry, TaggedImage};
pub use usage::{CacheEntry, Group, Usage};
