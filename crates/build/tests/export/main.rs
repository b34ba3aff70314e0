//! Exports: what comes out is read by skopeo, umoci, docker, podman and a real registry.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archives;
mod daemons;
mod fixture;
mod prepare;
mod registry;
mod trees;
