//! Layers: what is in them, how they stack, how they become tars and directories and come from them.
//!
//! The [`Index`] is the centre: reading, unpacking and comparing make one; writing, stacking ([`Tree`]) and cache keys
//! ([`Fingerprint`]) use it. Knows nothing of stores, registries or Dockerfiles.

mod archive;
mod changes;
mod codec;
mod compress;
mod content;
mod diff;
mod difference;
mod disk;
mod drop_dead;
mod error;
mod fingerprint;
mod fix_up;
mod gzip;
mod index;
mod layer_tar;
mod listing;
mod merged;
mod names;
mod observe;
mod path;
mod pyc;
mod read;
mod resolve;
mod settle;
mod tar;
mod tar_content;
mod times;
mod tree;
mod unpack;
mod write;

pub use archive::{Archive, is_archive, read_archive};
pub use codec::DecodeError;
pub use compress::{Compression, Compressor, DEFAULT_GZIP_LEVEL, DEFAULT_ZSTD_LEVEL, decompress};
pub use content::{Content, DirContent, NoContent, TreeContent};
pub use diff::{diff, diff_directory, prepare_upper};
pub use difference::{Change, Difference, differences, side_by_side};
pub use disk::Ownership;
pub use drop_dead::drop_dead;
pub use error::Error;
pub use fingerprint::{Fingerprint, fill_digests};
pub use fix_up::fix_up;
pub use index::{Entry, Index, Kind};
pub use jettison_fs::Timestamp;
pub use layer_tar::LayerTar;
pub use merged::Merged;
pub use observe::DiffOptions;
pub use path::{MAX_PATH, compare_paths, file_name, is_below, join, parent};
pub use pyc::has_followers;
pub use read::{FileContent, Listing, NoSink, Sink, read_layer};
pub use resolve::ResolveError;
pub use settle::{Settled, settle};
pub use tar_content::TarContent;
pub use times::Times;
pub use tree::{Node, Place, Tree};
pub use unpack::{Unpacked, materialize, unpack};
pub use write::{tar_size, write_layer, write_part};
