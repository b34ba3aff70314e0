//! Exports: what comes out is read by skopeo, umoci, podman and a real registry.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archives;
mod fixture;
mod podman;
mod prepare;
mod registry;
mod trees;
