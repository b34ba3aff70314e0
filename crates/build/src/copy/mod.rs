//! COPY and ADD, worked out on layer indexes alone: which files are meant, where they go, and what they become there.
//!
//! No file is opened here. The behaviour is that of BuildKit's file operation (`solver/llbsolver/file`) and of its
//! copier (`tonistiigi/fsutil/copy`).

mod chmod;
mod extract;
mod filter;
mod made;
mod place;
mod placement;
mod select;

pub(crate) use filter::Filter;
pub(crate) use placement::{PlaceError, Placed, Placement};
pub(crate) use select::{Item, SelectError, select};

/// Returns `path` without the directory `top` in front.
fn relative<'p>(path: &'p [u8], top: &[u8]) -> &'p [u8] {
    let rest = path.strip_prefix(top).unwrap_or(path);
    rest.strip_prefix(b"/").unwrap_or(rest)
}

/// Returns the directory of a path of the tree; the root's is the root.
fn parent(path: &[u8]) -> &[u8] {
    jettison_layer::parent(path).unwrap_or_default()
}
