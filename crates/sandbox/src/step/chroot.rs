//! A step where there are no namespaces: a changed root directory, and whatever privileges can be dropped.
//!
//! Nothing can be mounted, so the files of the network and the nodes of /dev are laid into the tree and taken out again;
//! /proc stays empty. The helper adopts whatever the command leaves behind, and kills it.
#![allow(unsafe_code)]

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::process::{Pid, Signal, WaitOptions};

use super::Outcome;
use super::cgroup::Cgroups;
use super::command::{Streams, become_command, enter_directory};
use super::first;
use super::helper::Watch;
use super::network::Files;
use super::overlay::open_directory;
use super::wire::{Channel, Given, Notice, Request};
use crate::error::{Fault, OrFault};
use crate::spec::Root;
use crate::sys::{self, Fork, Signals};

/// Runs one command in a directory.
pub(super) fn step(given: Given, control: &Channel) -> Result<Outcome, Fault> {
    let Given { request, streams, .. } = given;
    let mut cgroups = Cgroups::beneath(request.spec.cgroup_parent.as_deref())?;
    let what = || "start the command".to_owned();
    let Root::Directory(root) = &request.spec.root else {
        return Err(Fault::new("use an overlay as root file system without namespaces"));
    };
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).or_fault(what)?;
    let files = Files::new(&request.spec, request.network);
    let _furniture = Furniture::lay(root, &files)?;
    let (ours, theirs) = Channel::pair().or_fault(what)?;
    // SAFETY: the helper has one thread.
    let first = match unsafe { sys::fork(0) }.or_fault(what)? {
        Fork::Parent(first) => first,
        Fork::Child => {
            drop(ours);
            run_first(&request, streams, root, &theirs)
        }
    };
    drop(theirs);
    drop(streams);
    let mut watch = Watch::new(&request, first);
    let started = watch.enter(&mut cgroups);
    let started = started.and_then(|()| ours.send_bytes(b"g", &[]).or_fault(what));
    let result = started.and_then(|()| watch.until_end(control, &ours));
    kill_descendants();
    result?;
    watch.outcome(None)
}

/// Starts the command and reaps, as in a process namespace; orphans go to the helper, though.
fn run_first(request: &Request, streams: Streams, root: &Path, channel: &Channel) -> ! {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    if !matches!(channel.receive_bytes(&mut [0; 1]), Ok((1, _))) {
        sys::exit_now(1);
    }
    let helper = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    Signals::all().block();
    // SAFETY: this process has one thread.
    match unsafe { sys::fork(0) } {
        Ok(Fork::Child) => become_confined(request, &streams, root, channel),
        Ok(Fork::Parent(command)) => {
            // Whoever reads them waits for their last holder.
            drop(streams);
            sys::exit_now(first::reap(command, helper, channel))
        }
        Err(_) => sys::exit_now(1),
    }
}

fn become_confined(request: &Request, streams: &Streams, root: &Path, channel: &Channel) -> ! {
    let confined = rustix::process::chroot(root)
        .and_then(|()| rustix::process::chdir("/"))
        .or_fault(|| format!("change the root to {}", root.display()))
        .and_then(|()| enter_directory(&request.spec, Path::new("/")));
    match confined {
        Ok(()) => become_command(request, streams, true, channel),
        Err(fault) => {
            let _ = channel.send(&Notice::Failed(fault), &[]);
            sys::exit_now(1)
        }
    }
}

/// Kills all children of this process, and theirs as they become ours, until none is left.
fn kill_descendants() {
    loop {
        for child in children() {
            sys::kill(child, libc::SIGKILL);
        }
        if rustix::process::wait(WaitOptions::empty()).is_err() {
            return;
        }
    }
}

fn children() -> Vec<Pid> {
    let own = rustix::process::getpid().as_raw_nonzero().to_string();
    let parent_is_us = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name of the program, in brackets, may hold anything; the state and the parent come after it.
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)) == Some(&own)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(parent_is_us).filter_map(Pid::from_raw).collect()
}

/// The device nodes: name, major and minor number.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// What was laid into a tree; taken out when dropped, in reverse order.
struct Furniture(Vec<Piece>);

/// One name that was made, with what was there before under another name.
struct Piece {
    parent: OwnedFd,
    name: String,
    saved: Option<String>,
    directory: bool,
    times: rustix::fs::Timestamps,
}

impl Furniture {
    fn lay(root: &Path, files: &Files) -> Result<Self, Fault> {
        let root = open_directory(root)?;
        let mut furniture = Furniture(Vec::new());
        let etc = furniture.directory(&root, "etc")?;
        for (name, text) in [("hosts", &files.hosts), ("resolv.conf", &files.resolv_conf)] {
            furniture.file(&etc, name, text)?;
        }
        let dev = furniture.directory(&root, "dev")?;
        for (name, major, minor) in NODES {
            furniture.node(&dev, name, rustix::fs::makedev(major, minor))?;
        }
        Ok(furniture)
    }

    /// Opens a directory of the tree, made where it is missing.
    fn directory(&mut self, root: &OwnedFd, name: &str) -> Result<OwnedFd, Fault> {
        let what = || format!("open /{name} in the root file system");
        let open = || {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            rustix::fs::openat2(root, name, flags, Mode::empty(), resolve)
        };
        match open() {
            Err(rustix::io::Errno::NOENT) => {}
            result => return result.or_fault(what),
        }
        let times = times(root).or_fault(what)?;
        rustix::fs::mkdirat(root, name, Mode::from_raw_mode(0o755)).or_fault(what)?;
        self.made(root, name, None, true, times).or_fault(what)?;
        open().or_fault(what)
    }

    /// Puts a file in the place of whatever is there. That is moved aside and not written to: it may be a hard link of
    /// a file in another tree.
    fn file(&mut self, parent: &OwnedFd, name: &str, text: &str) -> Result<(), Fault> {
        let what = || format!("write /etc/{name} in the root file system");
        let times = times(parent).or_fault(what)?;
        let aside = format!(".{name}.jettison");
        let saved = match rustix::fs::renameat(parent, name, parent, &aside) {
            Ok(()) => Some(aside),
            Err(rustix::io::Errno::NOENT) => None,
            Err(error) => return Err(Fault::of(what(), error)),
        };
        self.made(parent, name, saved, false, times).or_fault(what)?;
        super::mounts::write_file(parent, name, text).or_fault(what)
    }

    /// Makes a device node, or where that is not allowed a plain file, if the name is free.
    fn node(&mut self, parent: &OwnedFd, name: &str, device: u64) -> Result<(), Fault> {
        let what = || format!("make /dev/{name} in the root file system");
        if rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Ok(());
        }
        let times = times(parent).or_fault(what)?;
        let mode = Mode::from_raw_mode(0o666);
        if rustix::fs::mknodat(parent, name, FileType::CharacterDevice, mode, device).is_err() {
            super::mounts::write_file(parent, name, "").or_fault(what)?;
        }
        self.made(parent, name, None, false, times).or_fault(what)?;
        // The umask took the write permission of others.
        rustix::fs::chmodat(parent, name, mode, AtFlags::empty()).or_fault(what)
    }

    fn made(
        &mut self,
        parent: &OwnedFd,
        name: &str,
        saved: Option<String>,
        directory: bool,
        times: rustix::fs::Timestamps,
    ) -> rustix::io::Result<()> {
        let parent = rustix::io::fcntl_dupfd_cloexec(parent.as_fd(), 3)?;
        self.0.push(Piece { parent, name: name.to_owned(), saved, directory, times });
        Ok(())
    }
}

impl Drop for Furniture {
    fn drop(&mut self) {
        for piece in self.0.drain(..).rev() {
            let flags = if piece.directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            let _ = rustix::fs::unlinkat(&piece.parent, &piece.name, flags);
            if let Some(saved) = &piece.saved {
                let _ = rustix::fs::renameat(&piece.parent, saved, &piece.parent, &piece.name);
            }
            let path = sys::path_of(&piece.parent);
            let _ = rustix::fs::utimensat(rustix::fs::CWD, path, &piece.times, AtFlags::empty());
        }
    }
}

fn times(directory: &OwnedFd) -> rustix::io::Result<rustix::fs::Timestamps> {
    let stat = rustix::fs::fstat(directory)?;
    let time =
        |seconds: i64, nanoseconds: i64| rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    Ok(rustix::fs::Timestamps {
        last_access: time(stat.st_atime as i64, stat.st_atime_nsec as i64),
        last_modification: time(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
    })
}
