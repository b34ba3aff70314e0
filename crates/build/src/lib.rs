//! From a graph of steps to an image: scheduler, cache keys, executors, exporters; one stream of events.
//!
//! Start in `engine.rs`. Knows nothing of terminals, arguments or configuration files.

mod ahead;
mod archive;
mod base;
mod cache_mounts;
mod context;
mod copied;
mod copy;
mod copy_step;
mod engine;
mod error;
mod event;
mod explain;
pub mod export;
mod fetch;
mod finish;
mod git;
mod growing;
mod keys;
mod layers;
mod look_up;
mod remote_date;
mod request;
mod run_mounts;
mod run_step;
mod schedule;
mod secrets;
mod sources;
mod ssh_agent;
mod stat_cache;
mod steps;
mod tail;
mod unpacked;
mod until_canceled;
mod users;

pub use ahead::ReadyLayer;
pub use context::ContextSource;
pub use engine::{Environment, build};
pub use error::Error;
pub use event::*;
pub use fetch::{FetchError, Fetcher};
pub use finish::{Built, BuiltLayer, BuiltStage};
pub use look_up::base_config;
pub use request::{NamedContext, Request, SecretSource};
pub use secrets::{MAX_SECRET, SecretError};
pub use steps::BuiltStep;
pub use unpacked::{UnpackedImage, unpacked};
pub use users::UserError;
