//! For tests only: real parts with their faults made to order.
//!
//! A real registry on loopback ([`Registry`]), a proxy before it that injects faults ([`Proxy`]), small base images made
//! from Debian's busybox ([`base`]), build contexts ([`Context`]), a runner of the binary as any kind of user
//! ([`Jettison`]), and readers of what came out ([`Image`], [`Steps`], [`Browser`]). A helper fails by panicking with the reason, as
//! the test would; a missing program fails by name, with the line that installs it.
#![allow(clippy::unwrap_used, reason = "a test helper fails by panicking")]

pub mod base;
pub mod base64;
mod browser;
mod context;
pub mod foreign;
mod git;
mod http;
mod image;
mod jettison;
mod judges;
mod layout;
mod proxy;
mod registry;
mod ssh;
mod steps;
mod tls;
mod tokens;
pub mod tools;
mod web;

pub use browser::Browser;
pub use context::Context;
pub use git::{COMMIT_TIME, GitServer};
pub use http::Request;
pub use image::{Entry, Image, Kind, Tree};
pub use jettison::{Jettison, Output, Who};
pub use judges::{Docker, Podman};
pub use layout::{Layer, Layout};
pub use proxy::{Fault, Proxy, Rule};
pub use registry::{Access, Registry, RegistryOptions};
pub use ssh::SshServer;
pub use steps::{Step, Steps};
pub use tls::Certificate;
pub use tokens::TokenServer;
pub use web::{Served, WebServer};
