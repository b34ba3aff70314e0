//! The first process of a step's process namespace: builds the root around itself, starts the command, reaps.
//!
//! It keeps its credentials: a change would clear the death signal that ties it to the helper. Since it has more
//! capabilities than the command, the command cannot reach into it.
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};
use rustix::thread::UnshareFlags;

use super::command::{become_command, enter_directory};
use super::machine::Machine;
use super::mounts::Tree;
use super::network::{self, Files, Net};
use super::wire::{Channel, Given, Go, Notice, Outset};
use crate::error::{Fault, OrFault};
use crate::sys::{self, Fork, Signals};

/// Runs in the new process; never returns.
pub(super) fn run(outset: &Outset, channel: &Channel) -> ! {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    Signals::all().block();
    let machine = prepare(outset, channel);
    // If the helper died before the death signal was set, nobody sends the word to go.
    let Ok(Some((Go { stubs }, fds))) = channel.receive() else { sys::exit_now(1) };
    let given = Given::from_fds(fds).or_fault(|| "read what to run".to_owned());
    let started = machine.and_then(|machine| {
        let given = given?;
        build(&given, &machine, &stubs, channel)?;
        start(given, channel)
    });
    match started {
        Ok(command) => sys::exit_now(reap(command, OUTSIDE, channel)),
        Err(fault) => {
            let _ = channel.send(&Notice::Failed(fault), &[]);
            sys::exit_now(1)
        }
    }
}

/// Makes the namespaces, and in them what every machine has.
fn prepare(outset: &Outset, channel: &Channel) -> Result<Machine, Fault> {
    sys::unshare(UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS)
        .or_fault(|| "create namespaces".to_owned())?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    Machine::mount(outset, &Tree::host(channel)?)
}

/// Builds the root file system with the machine in it, and enters it.
fn build(given: &Given, machine: &Machine, stubs: &[PathBuf], channel: &Channel) -> Result<(), Fault> {
    let spec = &given.request.spec;
    // Of the cgroup that this process is in by now; kernels may lack these.
    let _ = sys::unshare(UnshareFlags::NEWCGROUP);
    let files = Files::new(spec, given.request.network);
    network::enter(&given.net).or_fault(|| "enter the network namespace".to_owned())?;
    let tree = Tree::mount(&spec.root, stubs, channel)?;
    machine.furnish(&tree, &given.net, &files)?;
    for mount in &spec.mounts {
        tree.add(mount)?;
    }
    tree.enter()?;
    rustix::system::sethostname(spec.hostname.as_bytes())
        .or_fault(|| format!("set the host name {}", spec.hostname))?;
    enter_directory(spec, Path::new("/"))
}

/// Starts the command, and lets go of its streams: whoever reads them waits for their last holder.
fn start(given: Given, channel: &Channel) -> Result<Pid, Fault> {
    // What the command could learn of this process through /proc is none of its business.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let host_network = matches!(given.net, Net::Host);
    // SAFETY: this process has one thread.
    match unsafe { sys::fork(0) }.or_fault(|| "start the command".to_owned())? {
        Fork::Parent(command) => Ok(command),
        Fork::Child => become_command(&given.request, &given.streams, host_network, channel),
    }
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
        let mut ended = None;
        let left = loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == command => ended = Some(code(status)),
                Ok(Some(_)) => {}
                left => break left,
            }
        };
        if let Some(code) = ended {
            let alone = matches!(left, Err(Errno::CHILD));
            let _ = channel.send(&Notice::Ended { code, alone }, &[]);
            return code;
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
