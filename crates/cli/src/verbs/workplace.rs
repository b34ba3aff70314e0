//! What most verbs need: the store, and as whom this process works on its files.

use std::time::SystemTime;

use jettison_ops::Store;
use jettison_sandbox::{EnterError, Identity};

use crate::environment::Environment;
use crate::failure::Failure;

/// The store, and as whom we work.
pub struct Workplace {
    /// The store.
    pub store: Store,
    /// As whom commands can be run.
    pub identity: Identity,
}

/// Enters the sandbox's user namespace and opens the store. No thread may exist yet.
pub fn open(environment: &Environment) -> Result<Workplace, Failure> {
    let identity = jettison_sandbox::enter(None).map_err(|error| no_place(&error))?;
    let store = Store::open(&environment.root, &identity.fingerprint(), SystemTime::now())
        .map_err(|error| Failure::from(jettison_ops::Error::from(error)))
        .map_err(|failure| failure.with_code(crate::failure::code::ENVIRONMENT))?;
    Ok(Workplace { store, identity })
}

fn no_place(error: &EnterError) -> Failure {
    let EnterError::NoMode { reasons } = error else { return Failure::environment(error.to_string()) };
    let list: String = reasons.iter().map(|reason| format!("\n  {reason}")).collect();
    Failure::environment(format!("this machine allows no place to build in:{list}"))
        .help("`jettison doctor` tells what to do about each")
}

/// Returns the time in seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(0)
}
