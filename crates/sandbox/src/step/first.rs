//! The first process of a step's process namespace: builds the root around itself, starts the command, reaps.
//!
//! It keeps its credentials: a change would clear the death signal that ties it to the helper. Since it has more
//! capabilities than the command, the command cannot reach into it.
#![allow(unsafe_code)]

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};
use rustix::thread::UnshareFlags;

use super::command::{Streams, become_command, enter_directory};
use super::machine::furnish;
use super::mounts::Tree;
use super::network::{self, Files, Net};
use super::wire::{Channel, Notice, Request};
use crate::error::{Fault, OrFault};
use crate::sys::{self, Fork, Signals};

/// All that the first process has been given.
pub(super) struct Job<'a> {
    pub(super) request: &'a Request,
    pub(super) net: &'a Net,
    pub(super) files: &'a Files,
    /// Layers of mount points, lowest first.
    pub(super) stubs: &'a [&'a Path],
    pub(super) streams: &'a Streams,
    pub(super) channel: &'a Channel,
}

/// Runs in the new process; never returns.
pub(super) fn run(job: &Job<'_>) -> ! {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // If the helper died before that, nobody sends the word to go.
    if !matches!(job.channel.receive_bytes(&mut [0; 1]), Ok((1, _))) {
        sys::exit_now(1);
    }
    Signals::all().block();
    match build(job).and_then(|null| start(job, &null)) {
        Ok(command) => sys::exit_now(reap(command, OUTSIDE, job.channel)),
        Err(fault) => {
            let _ = job.channel.send(&Notice::Failed(fault), &[]);
            sys::exit_now(1)
        }
    }
}

/// Builds the machine and enters it; gives /dev/null of the host.
fn build(job: &Job<'_>) -> Result<OwnedFd, Fault> {
    let spec = &job.request.spec;
    let flags = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    // Kernels may lack cgroup namespaces.
    if sys::unshare(flags | UnshareFlags::NEWCGROUP).is_err() {
        sys::unshare(flags).or_fault(|| "create namespaces".to_owned())?;
    }
    network::enter(job.net).or_fault(|| "enter the network namespace".to_owned())?;
    let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty())
        .or_fault(|| "open /dev/null".to_owned())?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let tree = Tree::mount(&spec.root, job.stubs, job.channel)?;
    furnish(&tree, job.request, job.net, job.files)?;
    for mount in &spec.mounts {
        tree.add(mount)?;
    }
    tree.enter()?;
    rustix::system::sethostname(spec.hostname.as_bytes())
        .or_fault(|| format!("set the host name {}", spec.hostname))?;
    enter_directory(spec, Path::new("/"))?;
    Ok(null)
}

/// Starts the command, and lets go of its streams: whoever reads them waits for their last holder.
fn start(job: &Job<'_>, null: &OwnedFd) -> Result<Pid, Fault> {
    // What the command could learn of this process through /proc is none of its business.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let host_network = matches!(job.net, Net::Host);
    // SAFETY: this process has one thread.
    let fork = unsafe { sys::fork(0) }.or_fault(|| "start the command".to_owned())?;
    let Fork::Parent(command) = fork else {
        become_command(job.request, job.streams, host_network, job.channel)
    };
    job.streams.let_go(null).or_fault(|| "let go of the command's streams".to_owned())?;
    Ok(command)
}

/// The sender of a signal from outside the process namespace.
const OUTSIDE: i32 = 0;

/// Waits for the command, burying all orphans meanwhile, and passes on signals that `master` sends. Gives the command's
/// exit code.
pub(super) fn reap(command: Pid, master: i32, channel: &Channel) -> i32 {
    loop {
        let received = Signals::all().wait();
        if received.signal != libc::SIGCHLD {
            // Nobody inside may tell this process what to do, and the terminal reaches the command by itself.
            if received.by_process && received.sender == master {
                sys::kill(command, received.signal);
            }
            continue;
        }
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == command {
                let code = code(status);
                let _ = channel.send(&Notice::Ended(code), &[]);
                return code;
            }
        }
    }
}

/// As a shell counts.
pub(super) fn code(status: rustix::process::WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    }
}
