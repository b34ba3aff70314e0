//! What this machine allows, for `jettison doctor`: quick, and without a trace.

use std::path::Path;

use crate::identity::Mode;

/// How good the news is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All is well.
    Ok,
    /// Something works less well than it could.
    Warn,
    /// Something does not work.
    Fail,
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, a few words.
    pub name: String,
    /// The news.
    pub status: Status,
    /// What was found, a lower-case fragment.
    pub detail: String,
    /// What to do about it, a command where there is one.
    pub remedy: Option<String>,
}

/// What this machine allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The mode that [`crate::enter`] would take; `None` if there is none.
    pub mode: Option<Mode>,
    /// One line a thing that was looked at.
    pub checks: Vec<Check>,
}

/// Looks at the machine.
pub fn probe() -> Report {
    Report { mode: None, checks: Vec::new() }
}

/// Whether the file system of `dir` can carry the upper directory of an overlay, in the present identity.
pub fn overlay_supported(dir: &Path) -> bool {
    dir.exists()
}
