//! Running one command.
//!
//! Four processes: the builder, which may have many threads, starts its own binary again as a **helper** (`spawn`,
//! `helper`); the helper makes the **first process** of a new process namespace (`first`), which builds the root file
//! system around itself and starts the **command** (`command`), then reaps. The helper outlives them both, cleans up and
//! reports. Whoever dies takes those below with it. Helper and first process do what they can before they are told what to
//! run, and may be started ahead of that (`prepare_command`).

mod cgroup;
mod chroot;
mod command;
mod first;
mod foreign;
mod helper;
mod keeper;
mod machine;
mod mounts;
mod network;
mod overlay;
mod refused;
mod spawn;
mod stubs;
mod wire;

pub use foreign::Foreign;
pub use helper::intercept;
pub use keeper::{prepare_network, private_networks};
pub(crate) use overlay::Layers;
pub use spawn::{Killer, Running, Stdio3, prepare_command, read_all, settle, spawn};
pub use stubs::share_mount_points;

use serde::{Deserialize, Serialize};

/// The first argument by which the binary knows that it was started as a helper.
pub const SANDBOX_ARGUMENT: &str = "__sandbox-helper";

/// The second argument of a process that keeps a private network.
pub(crate) const KEEPER_ARGUMENT: &str = "network";

/// The second argument of a helper that is to try a mode, which is the third.
pub(crate) const PROBE_ARGUMENT: &str = "probe";

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// As a shell counts: the exit code, 128 + signal, 127 for a command not found, 126 for one that cannot be executed.
    pub code: i32,
    /// With one id only: calls that the kernel refused because they named ids that do not exist. At most 20, in order.
    pub refused: Vec<Refused>,
    /// Why the command could not be executed, if it is for another processor; the code is 126 or 127 then.
    pub foreign: Option<Foreign>,
    /// What the user should know once, lower-case fragments, such as a weaker network than was asked for.
    pub notes: Vec<String>,
}

/// A system call on a user or group that does not exist here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The call, such as `chown`.
    pub call: String,
    /// The file it was about, inside the root, if it was about one.
    pub path: Option<String>,
    /// The user or group.
    pub id: u32,
}
