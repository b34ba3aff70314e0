//! One command in one root: namespaces, overlay, mounts, users, seccomp, capabilities.

mod spec;

pub use spec::*;
