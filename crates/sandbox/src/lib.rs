//! One command in one root: namespaces, overlay, mounts, users, seccomp, capabilities.
//!
//! Knows nothing of Dockerfiles, layers or caches. The way through:
//!
//! 1. `main` calls [`intercept`] before anything else: a process that was started as a step's helper never returns.
//! 2. A program that touches file trees calls [`enter`] once, before its first thread: it moves into a user and mount
//!    namespace, and says as whom it works there ([`Identity`]).
//! 3. [`spawn`] starts one command, from any thread; [`Running::wait`] gives its [`Outcome`], and [`settle`] returns when
//!    nothing is left of it.
//!
//! [`probe`] tells which of this a machine allows. Needs Linux 5.12 (`mount_setattr`) for all but chroot mode.

mod diagnose;
mod enter;
mod error;
mod identity;
mod probe;
mod seccomp;
mod spec;
mod step;
mod sys;

pub use enter::enter;
pub use error::{EnterError, Error, Reason};
pub use identity::{Extent, Identity, Mode};
pub use probe::{Check, Report, Status, overlay_supported, probe};
pub use spec::*;
pub use step::{
    Foreign, Killer, Outcome, Refused, Running, SANDBOX_ARGUMENT, Stdio3, intercept, prepare_command,
    prepare_network, private_networks, read_all, settle, share_mount_points, spawn,
};
