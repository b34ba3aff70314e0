//! What most verbs need: the store, and as whom this process works on its files.

use std::time::{Duration, SystemTime};

use jettison_build::Event;
use jettison_ops::{Cancel, Client, Store};
use jettison_sandbox::{EnterError, Extent, Identity, Mode, Reason};

use crate::environment::Environment;
use crate::failure::Failure;

/// The store, and as whom we work.
pub struct Workplace {
    /// The store.
    pub store: Store,
    /// As whom commands can be run.
    pub identity: Identity,
    /// Why no command can be run, where that is so: files are written all the same, as whoever we are.
    pub no_sandbox: Option<String>,
}

impl Workplace {
    /// The same for the verbs that build: with a client, a way to stop them, and who is told what goes on.
    pub fn with<'a>(
        &'a self,
        client: &'a Client,
        cancel: &'a Cancel,
        events: &'a (dyn Fn(Event) + Sync),
    ) -> jettison_ops::Workplace<'a> {
        jettison_ops::Workplace {
            store: &self.store,
            client,
            identity: &self.identity,
            no_sandbox: self.no_sandbox.as_deref(),
            cancel,
            events,
            now: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO),
        }
    }
}

/// Enters the sandbox's user namespace and opens the store. No thread may exist yet.
pub fn open(environment: &Environment) -> Result<Workplace, Failure> {
    let (identity, no_sandbox) = match jettison_sandbox::enter(None) {
        Ok(identity) => (identity, None),
        Err(EnterError::NoMode { reasons }) => {
            let why: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            (alone(reasons), Some(why.join("; ")))
        }
        Err(error) => return Err(Failure::environment(error.to_string())),
    };
    let store = Store::open(&environment.root, &identity.fingerprint(), SystemTime::now())
        .map_err(|error| Failure::from(jettison_ops::Error::from(error)))
        .map_err(|failure| failure.with_code(crate::failure::code::ENVIRONMENT))?;
    Ok(Workplace { store, identity, no_sandbox })
}

/// The identity of a process that has nothing but itself: owners live in the indexes alone.
fn alone(passed_over: Vec<Reason>) -> Identity {
    let one = vec![Extent { inside: 0, outside: 0, count: 1 }];
    Identity {
        mode: Mode::Chroot,
        uid_map: one.clone(),
        gid_map: one,
        setgroups: false,
        user_namespace: false,
        passed_over,
    }
}

/// Returns the time in seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(0)
}
