//! Directory-relative file system calls: walks, openat2, xattrs, statx, copies.
//!
//! Everything starts at an open [`Dir`] and names what is directly in it, so no symbolic link on the way can lead
//! elsewhere. Knows nothing of images or layers. Every [`Error`] carries its path.

mod copy;
mod descent;
mod dir;
mod entries;
mod error;
mod make;
mod metadata;
mod new_file;
mod remove;
mod walk;
mod xattr;

pub use copy::copy_data;
pub use dir::Dir;
pub use entries::DirEntry;
pub use error::{Error, Result};
pub use metadata::{FileKind, Metadata, Timestamp};
pub use new_file::NewFile;
pub use walk::{Flow, Part, Visit, Visited, walk, walk_on_threads};
