//! Moving the whole program into a user namespace and a mount namespace of its own.
//!
//! The program is split in two before it does anything else: a child goes on inside, and the process that the user
//! started stays outside as a thin parent (see `guardian`).
#![allow(unsafe_code)]

mod guardian;
mod maps;

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use rustix::mount::MountPropagationFlags;
use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::{CapabilitySet, UnshareFlags};

use crate::diagnose;
use crate::error::{EnterError, Reason};
use crate::identity::{Identity, Mode};
use crate::sys::{self, Fork};
use maps::{Maps, Surroundings, Writer};

pub(crate) use maps::find_helper;

/// Moves this program to where it can work on file trees and run commands: in the mode `prefer`, or in the best
/// mode this machine allows.
///
/// Must be called by the main thread before any other thread exists. On success what returns is, in all modes but
/// those without a user namespace of their own, a child of the process that called: the caller itself stays outside,
/// passes signals on, and exits as the child does. If either is killed, so is the other.
///
/// The mount namespace is private: nothing mounted here is seen outside; unmounts outside still arrive.
///
/// # Errors
///
/// [`EnterError::NoMode`] says of each mode that was tried what is missing.
pub fn enter(prefer: Option<Mode>) -> Result<Identity, EnterError> {
    if thread_count() != 1 {
        return Err(EnterError::Threads);
    }
    sys::notice_children();
    let around = Surroundings::read().map_err(|source| EnterError::System {
        what: "read the id maps of this process".to_owned(),
        source,
    })?;
    let candidates = match prefer {
        Some(mode) => vec![mode],
        None => Mode::ALL.to_vec(),
    };
    let mut passed_over = Vec::new();
    for mode in candidates {
        match attempt(mode, &around) {
            Ok(identity) => return Ok(Identity { passed_over, ..identity }),
            Err(reason) => passed_over.push(reason),
        }
    }
    Err(EnterError::NoMode { reasons: passed_over })
}

fn thread_count() -> usize {
    fs::read_dir("/proc/self/task").map_or(1, |tasks| tasks.count())
}

/// Tries one mode.
fn attempt(mode: Mode, around: &Surroundings) -> Result<Identity, Reason> {
    let refuse = |what: &str| Reason { mode, what: what.to_owned(), remedy: None };
    let maps = match mode {
        Mode::Root | Mode::Chroot if !around.root => return Err(refuse("this process is not root")),
        Mode::Chroot if !has(CapabilitySet::SYS_CHROOT) => return Err(refuse("CAP_SYS_CHROOT is missing")),
        Mode::Subordinate if around.root => return Err(refuse("this process is root already")),
        Mode::Root => maps::all(around)?,
        Mode::Subordinate => maps::subordinate(around)?,
        Mode::Single => maps::single(around),
        Mode::Chroot => return Ok(around.as_identity(mode)),
    };
    let refused = match inside(mode, maps, around) {
        Ok(identity) => return Ok(identity),
        Err(reason) => reason,
    };
    // Root that may mount where it is can do without a user namespace of its own.
    let few_ids = around.ids() <= 1;
    if around.root && has(CapabilitySet::SYS_ADMIN) && few_ids == (mode == Mode::Single) {
        return without_user_namespace(mode, around).map_err(|_| refused);
    }
    Err(refused)
}

fn has(capability: CapabilitySet) -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

fn without_user_namespace(mode: Mode, around: &Surroundings) -> io::Result<Identity> {
    private_mounts()?;
    Ok(around.as_identity(mode))
}

fn private_mounts() -> io::Result<()> {
    sys::unshare(UnshareFlags::NEWNS)?;
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    Ok(())
}

/// What the two halves of the program say to each other while the namespace is being made: one byte, and with
/// [`FAILED`] the error number and which call it was.
const MADE: u8 = b'u';
const MAPPED: u8 = b'm';
const READY: u8 = b'r';
const FAILED: u8 = b'f';

/// Splits the program; returns in the child, inside. In the parent it returns only if that failed.
fn inside(mode: Mode, maps: Maps, around: &Surroundings) -> Result<Identity, Reason> {
    let refuse = |what: &str, error: io::Error| diagnose::user_namespace(mode, what, &error);
    let (outer, inner) = UnixStream::pair().map_err(|error| refuse("make a socket pair", error))?;
    let mask = guardian::handled().block();
    let parent = rustix::process::getpid();
    // SAFETY: `enter` checked that there is no second thread.
    let child = match unsafe { sys::fork(0) } {
        Err(error) => {
            mask.set_blocked();
            return Err(refuse("make a process", error));
        }
        Ok(Fork::Parent(child)) => child,
        Ok(Fork::Child) => {
            drop(outer);
            go_inside(inner, parent);
            mask.set_blocked();
            return Ok(maps.identity(mode));
        }
    };
    drop(inner);
    let refused = match accompany(outer, child, &maps, around) {
        Ok(()) => guardian::guard(child),
        Err((what, error)) => refuse(what, error),
    };
    sys::kill(child, libc::SIGKILL);
    let _ = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty());
    mask.set_blocked();
    Err(refused)
}

/// The child's half of the conversation.
fn go_inside(mut channel: UnixStream, parent: rustix::process::Pid) {
    if let Err(error) = sys::unshare(UnshareFlags::NEWUSER) {
        give_up(channel, 0, &error);
    }
    let mut answer = [0; 1];
    if channel.write_all(&[MADE]).is_err() || channel.read_exact(&mut answer).is_err() || answer != [MAPPED] {
        sys::exit_now(1);
    }
    if let Err((stage, error)) = settle() {
        give_up(channel, stage, &error);
    }
    // The parent may have died before the death signal was set; then nobody would ever send it.
    let orphan = rustix::process::getppid() != Some(parent);
    if orphan || channel.write_all(&[READY]).is_err() {
        sys::exit_now(1);
    }
}

fn give_up(mut channel: UnixStream, stage: u8, error: &io::Error) -> ! {
    let [a, b, c, d] = error.raw_os_error().unwrap_or(0).to_le_bytes();
    let _ = channel.write_all(&[FAILED, stage, a, b, c, d]);
    sys::exit_now(1)
}

/// Becomes root of the new namespace. The death signal comes last, for a change of credentials clears it.
fn settle() -> Result<(), (u8, io::Error)> {
    use rustix::process::{Gid, Uid};
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).map_err(|error| (1, error.into()))?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).map_err(|error| (1, error.into()))?;
    private_mounts().map_err(|error| (2, error))?;
    // Else our own files under /proc would belong to the root of the machine.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(|error| (1, error.into()))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| (1, error.into()))
}

const STAGES: [&str; 3] =
    ["create a user namespace", "become root in a user namespace", "create a mount namespace"];

/// The parent's half: writes the maps once the namespace exists.
fn accompany(
    mut channel: UnixStream,
    child: rustix::process::Pid,
    maps: &Maps,
    around: &Surroundings,
) -> Result<(), (&'static str, io::Error)> {
    expect(&mut channel, MADE)?;
    Writer { child, around }.write(maps).map_err(|error| ("write the id maps", error))?;
    channel.write_all(&[MAPPED]).map_err(|error| (STAGES[1], error))?;
    expect(&mut channel, READY)
}

fn expect(channel: &mut UnixStream, wanted: u8) -> Result<(), (&'static str, io::Error)> {
    let mut byte = [0; 1];
    channel.read_exact(&mut byte).map_err(|error| (STAGES[0], error))?;
    if byte == [wanted] {
        return Ok(());
    }
    let mut rest = [0; 5];
    channel.read_exact(&mut rest).map_err(|error| (STAGES[0], error))?;
    let [stage, a, b, c, d] = rest;
    let what = STAGES.get(usize::from(stage)).copied().unwrap_or(STAGES[0]);
    Err((what, io::Error::from_raw_os_error(i32::from_le_bytes([a, b, c, d]))))
}
