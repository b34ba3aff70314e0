//! The client against Debian's `docker-registry`, and against one whose answers a proxy spoils.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod auth;
mod faults;
mod login;
mod mirrors;
mod proxies;
mod push;
mod support;
mod tls;
