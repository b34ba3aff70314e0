//! The tar format: ustar with PAX extensions, and what GNU tar adds on reading.
//!
//! Nothing here knows of layers. POSIX.1-2017, "pax"; GNU tar manual, "Basic Tar Format".

mod header;
mod pax;
mod read;
mod sparse;
mod write;

pub(crate) use read::{Header, TarReader};
pub(crate) use sparse::Segment;
pub(crate) use write::{Member, TarWriter};

/// The unit of the format, in bytes.
pub(crate) const BLOCK: usize = 512;

/// PAX records of extended attributes start with this.
pub(crate) const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";
