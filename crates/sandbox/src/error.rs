//! What can go wrong, with enough inside to tell the user what to do about it.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::identity::Mode;

/// A command could not be run. (That it ran and failed is no error: see [`crate::Outcome::code`].)
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The helper process could not be started or spoken to.
    #[error("cannot start the sandbox helper")]
    Helper(#[source] io::Error),
    /// The helper ended without an answer, as when it is killed for want of memory.
    #[error("the sandbox helper ended unexpectedly ({0})")]
    Lost(String),
    /// Something around the command could not be set up.
    #[error("cannot {what}")]
    Setup {
        /// What, such as `mount the root file system`.
        what: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The command's user does not exist in this user namespace.
    #[error("user {uid} does not exist here: {}; {remedy}", one_id(*.mode))]
    UnmappedUser {
        /// The user asked for.
        uid: u32,
        /// As what the build works.
        mode: Mode,
        /// What makes the user available.
        remedy: String,
    },
    /// The command's group does not exist in this user namespace.
    #[error("group {gid} does not exist here: {}; {remedy}", one_id(*.mode))]
    UnmappedGroup {
        /// The group asked for.
        gid: u32,
        /// As what the build works.
        mode: Mode,
        /// What makes the group available.
        remedy: String,
    },
    /// What the specification asks for is not possible in this mode.
    #[error("{what} is not possible in {mode} mode")]
    Unsupported {
        /// A noun phrase, such as `an overlay as root file system`.
        what: String,
        /// The mode.
        mode: Mode,
    },
}

fn one_id(mode: Mode) -> &'static str {
    match mode {
        Mode::Single => "the build has one user id only",
        _ => "it is outside the ids this build may use",
    }
}

/// Why a mode is not possible on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The mode.
    pub mode: Mode,
    /// What is missing, a lower-case fragment.
    pub what: String,
    /// What the user, or who owns the machine, can do about it; a command where there is one.
    pub remedy: Option<String>,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.mode, self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

/// No place was found in which to work on file trees and run commands.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// None of the modes that were tried is possible.
    #[error("commands cannot be run here; `jettison doctor` tells more{}", list(.reasons))]
    NoMode {
        /// One for each mode that was tried.
        reasons: Vec<Reason>,
    },
    /// [`crate::enter`] was called after a thread had been started: a caller's mistake.
    #[error("the sandbox must be entered before the first thread is started")]
    Threads,
    /// The kernel refused something that no mode can do without.
    #[error("cannot {what}")]
    System {
        /// What.
        what: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

fn list(reasons: &[Reason]) -> String {
    reasons.iter().map(|reason| format!("\n  {reason}")).collect()
}

/// An error inside the helper processes, in a form that crosses a socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// Continues "cannot ...".
    pub(crate) what: String,
    /// The error number; 0 stands for an error of ours.
    pub(crate) errno: i32,
}

impl Fault {
    /// A fault that no system call reported.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Fault { what: what.into(), errno: 0 }
    }

    /// A fault of one system call.
    pub(crate) fn of(what: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Fault { what: what.into(), errno: error.into().raw_os_error().unwrap_or(0) }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let source = match fault.errno {
            0 => io::Error::other("the sandbox refused it"),
            errno => io::Error::from_raw_os_error(errno),
        };
        Error::Setup { what: fault.what, source }
    }
}

/// Adds what was tried to a failed system call.
pub(crate) trait OrFault<T> {
    /// `what` continues "cannot ...".
    fn or_fault(self, what: impl FnOnce() -> String) -> Result<T, Fault>;
}

impl<T, E: Into<io::Error>> OrFault<T> for Result<T, E> {
    fn or_fault(self, what: impl FnOnce() -> String) -> Result<T, Fault> {
        self.map_err(|error| Fault::of(what(), error))
    }
}
