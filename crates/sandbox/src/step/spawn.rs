//! The builder's side of a step.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, WaitOptions};

use super::keeper::{self, Keeper};
use super::network::Choice;
use super::stubs;
use super::wire::{Channel, Outset, Reply, Request, retry};
use super::{Outcome, SANDBOX_ARGUMENT};
use crate::error::Error;
use crate::identity::{Identity, Mode};
use crate::seccomp::{self, Options};
use crate::spec::{MountSource, Network, Root, Spec};

/// Where a command's standard streams go.
#[derive(Debug)]
pub struct Stdio3 {
    /// Standard input; used only if [`Spec::interactive`], else it is /dev/null.
    pub stdin: Option<OwnedFd>,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

impl Stdio3 {
    /// No input, and a pipe for each output: the streams, and the ends to read standard output and error from.
    ///
    /// # Errors
    ///
    /// Too many open files.
    pub fn pipes() -> io::Result<(Stdio3, io::PipeReader, io::PipeReader)> {
        let (out, stdout) = io::pipe()?;
        let (err, stderr) = io::pipe()?;
        Ok((Stdio3 { stdin: None, stdout: stdout.into(), stderr: stderr.into() }, out, err))
    }

    /// The streams of this process itself.
    ///
    /// # Errors
    ///
    /// Too many open files, or one of them is closed.
    pub fn inherit() -> io::Result<Stdio3> {
        Ok(Stdio3 {
            stdin: Some(io::stdin().as_fd().try_clone_to_owned()?),
            stdout: io::stdout().as_fd().try_clone_to_owned()?,
            stderr: io::stderr().as_fd().try_clone_to_owned()?,
        })
    }
}

/// A helper that makes ready what it can, and waits for what to run.
#[derive(Debug)]
struct Helper {
    process: Child,
    control: Channel,
    outset: Outset,
}

impl Helper {
    /// Starts the builder's own binary again. Its control socket is its standard input, so that nothing needs to be done
    /// between fork and exec.
    fn start(outset: Outset) -> io::Result<Helper> {
        let (control, theirs) = Channel::pair()?;
        let process = Command::new("/proc/self/exe")
            .arg(SANDBOX_ARGUMENT)
            .env_clear()
            .stdin(Stdio::from(theirs.into_fd()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        control.send(&outset, &[])?;
        Ok(Helper { process, control, outset })
    }
}

/// The helper for the next command, if there is one. It ends when this process does.
static NEXT: Mutex<Option<Helper>> = Mutex::new(None);

fn next() -> MutexGuard<'static, Option<Helper>> {
    NEXT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes ready, beside what this process does meanwhile, what the next command needs that is like most others. Failures show
/// when it is run.
pub fn prepare_command(identity: &Identity) {
    let mut next = next();
    if next.is_none() {
        let outset = Outset { identity: identity.clone(), insecure: false, shm_size: None };
        *next = Helper::start(outset).ok();
    }
}

/// Takes the helper that waits, if what it makes ready is what is wanted, else starts one.
fn helper(outset: Outset) -> io::Result<Helper> {
    let waiting = next().take_if(|helper| helper.outset == outset);
    match waiting {
        Some(helper) => Ok(helper),
        None => Helper::start(outset),
    }
}

/// A command that was started. Dropping it kills the command.
#[derive(Debug)]
pub struct Running {
    helper: Child,
    control: Arc<Channel>,
    /// Whether the command has ended, and all that it started; the helper may still take down what was around it.
    ended: bool,
    /// Lends the command its network.
    keeper: Option<Keeper>,
    note: Option<String>,
}

/// The helpers of commands that have ended.
static ENDING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Waits until nothing is left of commands that have ended: processes, namespaces and mounts.
pub fn settle() {
    let mut ending = ENDING.lock().unwrap_or_else(PoisonError::into_inner);
    for helper in ending.drain(..) {
        let _ = retry(|| rustix::process::waitpid(Some(helper), WaitOptions::empty()));
    }
}

/// Ends a command, from any thread. Without effect once the command has ended.
#[derive(Debug, Clone)]
pub struct Killer(Arc<Channel>);

impl Killer {
    /// Kills the command and all it started.
    pub fn kill(&self) {
        // The helper takes the end of our half for the order to kill, which is also what our own death looks like.
        let _ = rustix::net::shutdown(self.0.as_fd(), rustix::net::Shutdown::Write);
    }

    /// Sends a signal to the command alone.
    pub fn signal(&self, number: u8) {
        let _ = self.0.send_bytes(&[number], &[]);
    }
}

/// Starts the command of `spec` as `identity` allows. Returns at once, but for the time it takes to make a private
/// network if that is asked for and none is idle (see [`crate::prepare_network`]).
///
/// Needs a `main` that calls [`super::intercept`] first. May be called from any thread.
///
/// # Errors
///
/// Before anything runs: [`Error::UnmappedUser`] and [`Error::UnmappedGroup`] for a user that does not exist here,
/// [`Error::Unsupported`] for what the mode cannot do, [`Error::Helper`] if no process could be made. What goes wrong
/// later is told by [`Running::wait`].
pub fn spawn(identity: &Identity, spec: &Spec, stdio: Stdio3) -> Result<Running, Error> {
    check(identity, spec)?;
    let outset = Outset { identity: identity.clone(), insecure: spec.insecure, shm_size: spec.shm_size };
    let Helper { process, control, .. } = helper(outset).map_err(Error::Helper)?;
    let (network, keeper, note) = choose_network(identity, spec.network);
    let running = Running { helper: process, control: Arc::new(control), ended: false, keeper, note };
    let filter = seccomp::encoded(filter_options(identity, spec)).to_vec();
    let shared = stubs::shared_for(&spec.root);
    let request = Request { spec: spec.clone(), identity: identity.clone(), network, shared, filter };
    let file = request.to_file().map_err(Error::Helper)?;
    let mut fds = vec![file.as_fd(), stdio.stdout.as_fd(), stdio.stderr.as_fd()];
    fds.extend(running.keeper.as_ref().and_then(Keeper::namespace).map(AsFd::as_fd));
    if spec.interactive {
        fds.extend(stdio.stdin.as_ref().map(AsFd::as_fd));
    }
    // An overlay must not be mounted on layers that another still writes to, even if nobody is left there to write.
    settle();
    running.control.send_bytes(b"run", &fds).map_err(Error::Helper)?;
    Ok(running)
}

/// What the filter of a step does besides Docker's profile.
pub(super) fn filter_options(identity: &Identity, spec: &Spec) -> Options {
    Options { announce_ids: identity.mode == Mode::Single, terminal: spec.interactive }
}

/// The network for a step, the keeper of a private one, and a note if it is not what was asked for.
fn choose_network(identity: &Identity, wanted: Network) -> (Choice, Option<Keeper>, Option<String>) {
    match wanted {
        Network::None => (Choice::Loopback, None, None),
        Network::Default if keeper::private_networks(identity) => match keeper::take() {
            Ok(keeper) => (Choice::Private, Some(keeper), None),
            Err(failure) => {
                let note = format!("commands have the network of the host, for pasta failed: {failure}");
                (Choice::Host, None, Some(note))
            }
        },
        Network::Default | Network::Host => (Choice::Host, None, None),
    }
}

/// Refuses what can be known to fail.
fn check(identity: &Identity, spec: &Spec) -> Result<(), Error> {
    let mode = identity.mode;
    if !identity.maps_uid(spec.user.uid) {
        return Err(Error::UnmappedUser { uid: spec.user.uid, mode, remedy: identity.remedy() });
    }
    if !identity.maps_gid(spec.user.gid) {
        return Err(Error::UnmappedGroup { gid: spec.user.gid, mode, remedy: identity.remedy() });
    }
    if identity.setgroups
        && let Some(&gid) = spec.user.groups.iter().find(|&&gid| !identity.maps_gid(gid))
    {
        return Err(Error::UnmappedGroup { gid, mode, remedy: identity.remedy() });
    }
    if mode.overlay() {
        return Ok(());
    }
    let unsupported = |what: &str| Err(Error::Unsupported { what: what.to_owned(), mode });
    if matches!(spec.root, Root::Overlay { .. }) {
        return unsupported("an overlay as root file system");
    }
    if spec.network == Network::None {
        return unsupported("a command without network");
    }
    match spec.mounts.first().map(|mount| &mount.source) {
        None => Ok(()),
        Some(MountSource::Bind(_) | MountSource::Inside { .. }) => unsupported("a bind mount"),
        Some(MountSource::File { .. }) => unsupported("a file in memory"),
        Some(MountSource::Overlay { .. }) => unsupported("a mount of another tree"),
        Some(MountSource::Tmpfs { .. }) => unsupported("a tmpfs mount"),
    }
}

/// Reads the outputs of [`Stdio3::pipes`] as they come, until nobody can write any more, which is when the command and all
/// that it started have ended. `take` gets the number of the pipe with its bytes.
pub fn read_all(pipes: [io::PipeReader; 2], take: &mut dyn FnMut(usize, &[u8])) {
    let mut buffer = vec![0; 1 << 14];
    let mut open: Vec<(usize, io::PipeReader)> = pipes.into_iter().enumerate().collect();
    while !open.is_empty() {
        let mut fds: Vec<_> = open.iter().map(|(_, pipe)| PollFd::new(pipe, PollFlags::IN)).collect();
        if retry(|| rustix::event::poll(&mut fds, None)).is_err() {
            return;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        open.retain_mut(|(number, pipe)| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            // A pipe that cannot be read has ended as far as we are concerned; the exit code tells how it went.
            match pipe.read(&mut buffer) {
                Ok(read @ 1..) => take(*number, &buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return false,
            }
            true
        });
    }
}

impl Running {
    /// The helper's process number.
    pub fn pid(&self) -> u32 {
        self.helper.id()
    }

    /// A handle by which other threads can end the command.
    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.control))
    }

    /// Waits until the command and all that it started have ended. What was around them is taken down meanwhile, for which
    /// [`settle`] waits.
    ///
    /// # Errors
    ///
    /// [`Error::Setup`] says what around the command could not be made; [`Error::Lost`] that the helper was killed.
    pub fn wait(mut self) -> Result<Outcome, Error> {
        match self.control.receive::<Reply>() {
            Ok(Some((Reply::Done(mut outcome), _))) => {
                self.ended = true;
                outcome.notes.extend(self.note.take());
                Ok(outcome)
            }
            Ok(Some((Reply::Failed(fault), _))) => Err(fault.into()),
            Ok(None) => Err(Error::Lost(self.helper.wait().map_err(Error::Helper)?.to_string())),
            Err(error) => Err(Error::Helper(error)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            ENDING.lock().unwrap_or_else(PoisonError::into_inner).push(Pid::from_child(&self.helper));
        } else {
            self.killer().kill();
            let _ = self.helper.wait();
        }
        // Only now does nobody use that network.
        if let Some(keeper) = self.keeper.take() {
            keeper.give_back();
        }
    }
}
