//! Layer index, tar writer and reader, unpack, diff, compression.

mod index;

pub use index::{Entry, Index, Kind, Timestamp, compare_paths};
