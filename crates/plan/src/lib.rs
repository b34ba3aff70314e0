//! From instructions to a graph of steps, and to the config of the image they make.
//!
//! The plan holds only what the target needs, is plain data, and says nothing of caches, layers or disks. What the
//! planner has to know of base images it asks through a function; it does no I/O itself.

mod context;
mod epoch;
mod error;
mod graph;
mod history;
mod instructions;
mod merge;
mod mounts;
mod names;
mod planner;
mod ports;
mod remote;
mod request;
mod scope;
mod stage;

pub use context::context_key;
pub use epoch::{Epoch, SOURCE_DATE_EPOCH, source_date_epoch};
pub use error::Error;
pub use graph::{
    Access, Chmod, Copy, CopySource, Graph, ImageSource, InlineFile, Label, Limit, Mount, MountKind,
    NetworkMode, Node, NodeId, Operation, Origin, Run, SecretVariable, Security, Sharing, StagePlan, Workdir,
};
pub use merge::{ImagePlan, Merged, merge};
pub use mounts::ram_in_bytes;
pub use names::named_sources;
pub use planner::plan;
pub use ports::expand as expand_ports;
pub use remote::{GitTree, Remote, RemoteFile};
pub use request::{Base, BaseResolver, ContextKind, Entitlement, Request, RunOptions};
pub use scope::{Env, NON_ENV_ARGS, Words, globals};
pub use stage::Stage;

#[cfg(test)]
mod tests;
