//! COPY and ADD, worked out on layer indexes alone: which files are meant, where they go, and what they become there.
//!
//! No file is opened here. The behaviour is that of BuildKit's file operation (`solver/llbsolver/file`) and of its
//! copier (`tonistiigi/fsutil/copy`).

mod chmod;
mod place;
mod select;

pub(crate) use place::{PlaceError, Placed, Placement};
pub(crate) use select::{Item, SelectError, select};
