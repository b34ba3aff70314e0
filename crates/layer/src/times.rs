//! Which times a layer shows.

use crate::{Entry, Kind};

/// The times that the entries of a layer show in its tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// This, in seconds since 1970, for what is fresh and for whiteouts; for all else its true time.
    Epoch(i64),
    /// The true time for everything; 0 for whiteouts, as from containerd since 2.0 (`archive/tar.go`, `ChangeWriter`).
    True,
}

impl Times {
    /// Returns the time that `entry` shows, in seconds since 1970.
    pub(crate) fn of(self, entry: &Entry) -> i64 {
        match self {
            Times::Epoch(epoch) if entry.fresh || entry.kind == Kind::Whiteout => epoch,
            Times::Epoch(_) | Times::True => entry.mtime.seconds,
        }
    }

    /// Returns the time that fresh files show where it is not their own, in seconds since 1970.
    pub(crate) fn of_fresh(self) -> Option<i64> {
        match self {
            Times::Epoch(epoch) => Some(epoch),
            Times::True => None,
        }
    }

    /// Returns the time that the mark of an opaque directory shows, in seconds since 1970.
    pub(crate) fn of_mark(self, directory: &Entry) -> i64 {
        match self {
            Times::Epoch(epoch) => epoch,
            Times::True => directory.mtime.seconds,
        }
    }
}
