//! Private networks that outlive a step: starting pasta takes far longer than starting a command, so a builder keeps
//! the networks of steps that have ended for those to come. No command can change one (it lacks CAP_NET_ADMIN), and
//! whatever listened there is dead.
//!
//! Each is held by a keeper, the builder's own binary started again, which ends with the builder.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags};
use rustix::process::PidfdFlags;

use super::network::{Pasta, private};
use super::wire::{Channel, retry};
use super::{KEEPER_ARGUMENT, SANDBOX_ARGUMENT};
use crate::enter::find_helper;
use crate::identity::{Identity, Mode};
use crate::sys;

/// What the builder knows of its keepers.
struct Keepers {
    /// Those whose network no step uses.
    idle: Vec<Keeper>,
    /// Why the last one failed; the next would too.
    failure: Option<String>,
}

static KEEPERS: Mutex<Keepers> = Mutex::new(Keepers { idle: Vec::new(), failure: None });

/// A private network of the builder.
#[derive(Debug)]
pub(super) struct Keeper {
    process: Child,
    control: Channel,
    /// Absent until the keeper has said that the network is up.
    namespace: Option<OwnedFd>,
}

/// Starts to make a private network, so that the first command with [`crate::Network::Default`] need not wait for it.
/// Returns at once. Does nothing where there is no pasta.
pub fn prepare_network(identity: &Identity) {
    if private_networks(identity)
        && let Ok(keeper) = Keeper::start()
    {
        keeper.give_back();
    }
}

/// Whether commands with [`crate::Network::Default`] get a private network, as far as that can be known beforehand;
/// else they get the host's.
pub fn private_networks(identity: &Identity) -> bool {
    identity.mode != Mode::Chroot && find_helper("pasta").is_some()
}

/// A network that no other step uses; the error is for people.
pub(super) fn take() -> Result<Keeper, String> {
    let idle = {
        let mut keepers = KEEPERS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = &keepers.failure {
            return Err(failure.clone());
        }
        std::iter::from_fn(|| keepers.idle.pop()).find_map(Keeper::if_alive)
    };
    let started = match idle {
        Some(keeper) => Ok(keeper),
        None => Keeper::start(),
    };
    started.and_then(Keeper::wait_until_up).map_err(|error| {
        let failure = error.to_string();
        KEEPERS.lock().unwrap_or_else(PoisonError::into_inner).failure = Some(failure.clone());
        failure
    })
}

impl Keeper {
    fn start() -> io::Result<Self> {
        let (control, theirs) = Channel::pair()?;
        let process = Command::new("/proc/self/exe")
            .args([SANDBOX_ARGUMENT, KEEPER_ARGUMENT])
            .env_clear()
            .stdin(Stdio::from(theirs.into_fd()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Keeper { process, control, namespace: None })
    }

    fn if_alive(mut self) -> Option<Self> {
        matches!(self.process.try_wait(), Ok(None)).then_some(self)
    }

    fn wait_until_up(mut self) -> io::Result<Self> {
        if self.namespace.is_none() {
            let (answer, fds) = self
                .control
                .receive::<Result<(), String>>()?
                .ok_or_else(|| io::Error::other("its keeper ended without an answer"))?;
            answer.map_err(io::Error::other)?;
            let namespace = fds.into_iter().next();
            self.namespace = Some(namespace.ok_or_else(|| io::Error::other("its keeper sent no namespace"))?);
        }
        Ok(self)
    }

    /// The network namespace.
    pub(super) fn namespace(&self) -> Option<&OwnedFd> {
        self.namespace.as_ref()
    }

    /// Keeps the network for the next step.
    pub(super) fn give_back(self) {
        KEEPERS.lock().unwrap_or_else(PoisonError::into_inner).idle.push(self);
    }
}

/// The keeper's own side: the builder is at the other end of our standard input.
pub(super) fn serve() -> ! {
    sys::ignore_signals(&[libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE]);
    if let Ok(fd) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) {
        let _ = keep(&Channel::from_fd(fd));
    }
    sys::exit_now(0)
}

fn keep(control: &Channel) -> io::Result<()> {
    // Out of the way of the terminal's signals: pasta must not end before the commands that use it.
    let _ = rustix::process::setsid();
    let made = find_helper("pasta")
        .ok_or_else(|| io::Error::other("pasta is not installed"))
        .and_then(|program| private(&program));
    match made {
        Err(error) => control.send(&Err::<(), _>(error.to_string()), &[]),
        Ok((namespace, pasta)) => {
            control.send(&Ok::<_, String>(()), &[namespace.as_fd()])?;
            wait_for_either_end(control, &pasta)
        }
    }
}

/// Returns when the builder or pasta has ended; the other's end follows.
fn wait_for_either_end(control: &Channel, pasta: &Pasta) -> io::Result<()> {
    let process = rustix::process::pidfd_open(pasta.pid(), PidfdFlags::empty())?;
    let mut fds = [PollFd::new(control, PollFlags::IN), PollFd::new(&process, PollFlags::IN)];
    retry(|| rustix::event::poll(&mut fds, None))?;
    Ok(())
}
