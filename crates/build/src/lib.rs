//! From a graph of steps to an image: scheduler, cache keys, executors, exporters; one stream of events.
//!
//! Start in `engine.rs`. Knows nothing of terminals, arguments or configuration files.

mod archive;
mod base;
mod context;
mod copied;
mod copy;
mod copy_step;
mod engine;
mod error;
mod event;
pub mod export;
mod finish;
mod keys;
mod layers;
mod look_up;
mod request;
mod run_step;
mod schedule;
mod sources;
mod stat_cache;
mod unpacked;
mod users;

pub use context::ContextSource;
pub use engine::{Environment, build};
pub use error::Error;
pub use event::*;
pub use finish::{Built, BuiltLayer, BuiltStage};
pub use look_up::base_config;
pub use request::{NamedContext, Request};
pub use unpacked::{UnpackedImage, unpacked};
pub use users::UserError;
