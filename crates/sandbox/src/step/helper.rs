//! The helper: the builder's own binary, started again. It outlives the step, cleans up after it and reports.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::{io, mem};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, WaitOptions};

use super::cgroup::Cgroups;
use super::first;
use super::refused::Recorder;
use super::stubs::{self, StubLayer};
use super::wire::{Channel, Given, Go, Notice, Outset, Reply, Request, Stub, retry};
use super::{Foreign, KEEPER_ARGUMENT, Outcome, PROBE_ARGUMENT, SANDBOX_ARGUMENT, chroot, keeper};
use crate::error::{Fault, OrFault};
use crate::identity::Mode;
use crate::sys::{self, Fork};

/// Must be the first thing that `main` does: a process that [`super::spawn`] started does its work here and ends.
/// In any other process it returns at once.
pub fn intercept() {
    let mut args = std::env::args_os();
    if args.nth(1).is_none_or(|argument| argument != SANDBOX_ARGUMENT) {
        return;
    }
    sys::notice_children();
    match (args.next(), args.next()) {
        (Some(probe), Some(mode)) if probe == PROBE_ARGUMENT => crate::probe::answer(&mode.to_string_lossy()),
        (Some(keeper), None) if keeper == KEEPER_ARGUMENT => keeper::serve(),
        _ => serve(),
    }
}

fn serve() -> ! {
    // The builder ends us by closing the socket; what is typed at the terminal is not for us.
    sys::ignore_signals(&[libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE]);
    let Ok((control, outset)) = start_up() else { sys::exit_now(1) };
    let result = match outset.identity.mode {
        Mode::Chroot => word(&control)
            .and_then(|fds| chroot::step(given(fds)?, &control))
            .map(|outcome| answer(&control, Ok(outcome))),
        _ => step(&outset, &control),
    };
    if let Err(fault) = result {
        answer(&control, Err(fault));
    }
    sys::exit_now(0)
}

/// Tells the builder how it went, which is done once.
fn answer(control: &Channel, outcome: Result<Outcome, Fault>) {
    let reply = match outcome {
        Ok(outcome) => Reply::Done(outcome),
        Err(fault) => Reply::Failed(fault),
    };
    let _ = control.send(&reply, &[]);
}

/// Reads what to make ready from the socket that is our standard input.
fn start_up() -> io::Result<(Channel, Outset)> {
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    // Standard output is /dev/null already.
    sys::dup_to(rustix::stdio::stdout(), 0)?;
    let control = Channel::from_fd(control);
    match control.receive()? {
        Some((outset, _)) => Ok((control, outset)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Waits for the builder's word to run, and gives the descriptors that come with it. Where the builder has no use for this
/// helper, the process ends.
fn word(control: &Channel) -> Result<Vec<OwnedFd>, Fault> {
    match control.receive_bytes(&mut [0; 8]).or_fault(|| "be told what to run".to_owned())? {
        (0, _) => sys::exit_now(0),
        (_, fds) => Ok(fds),
    }
}

fn given(fds: Vec<OwnedFd>) -> Result<Given, Fault> {
    Given::from_fds(fds).or_fault(|| "read what to run".to_owned())
}

/// Makes ready what it can, waits for the word, runs the command, and answers unless it fails.
fn step(outset: &Outset, control: &Channel) -> Result<(), Fault> {
    let what = || "start the first process".to_owned();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let (ours, theirs) = Channel::pair().or_fault(what)?;
    // SAFETY: the helper has one thread.
    let first = match unsafe { sys::fork(libc::CLONE_NEWPID) }.or_fault(what)? {
        Fork::Parent(first) => first,
        Fork::Child => {
            // Else nobody would see that the helper's end is closed.
            drop(ours);
            first::run(outset, &theirs)
        }
    };
    drop(theirs);
    let fds = word(control)?;
    let request =
        fds.first().map(Request::from_file).transpose().or_fault(|| "read what to run".to_owned())?;
    let request = request.ok_or_else(|| Fault::new("run nothing"))?;
    let mut watch = Watch::new(&request, first);
    let (kept, result) = match watch.start(&request, fds, &ours) {
        Ok(kept) => (Some(kept), watch.until_end(control, &ours)),
        Err(fault) => (None, Err(fault)),
    };
    let made = mem::take(&mut watch.stubs);
    // Where nobody is left to write and nothing is to be put back, the builder need not wait for the namespaces to go.
    let unanswered = match result.is_ok() && watch.alone && made.is_empty() {
        true => {
            answer(control, watch.outcome(None));
            None
        }
        false => Some(watch),
    };
    sys::kill(first, libc::SIGKILL);
    // From here on nothing fails: the builder may have its answer.
    let status = retry(|| rustix::process::waitpid(Some(first), WaitOptions::empty())).ok().flatten();
    drop(kept);
    for (stub, parent) in made.iter().rev() {
        stubs::remove(stub, parent);
    }
    result?;
    if let Some(watch) = unanswered {
        answer(control, watch.outcome(status.and_then(|(_, status)| status.terminating_signal())));
    }
    Ok(())
}

/// What the helper learns while the step runs.
pub(super) struct Watch {
    first: Pid,
    code: Option<i32>,
    /// Whether the command ended and left nobody.
    alone: bool,
    fault: Option<Fault>,
    foreign: Option<Foreign>,
    notes: Vec<String>,
    stubs: Vec<(Stub, OwnedFd)>,
    recorder: Recorder,
}

impl Watch {
    pub(super) fn new(request: &Request, first: Pid) -> Self {
        Watch {
            first,
            code: None,
            alone: false,
            fault: None,
            foreign: None,
            notes: Vec::new(),
            stubs: Vec::new(),
            recorder: Recorder::new(request.identity.clone()),
        }
    }

    /// Puts the first process into the cgroups that are its own.
    pub(super) fn enter(&mut self, cgroups: &mut Cgroups) -> Result<(), Fault> {
        cgroups.take(self.first)?;
        self.notes.append(&mut cgroups.notes);
        Ok(())
    }

    /// Lets the first process go; gives what must be there until it has ended.
    fn start(
        &mut self,
        request: &Request,
        fds: Vec<OwnedFd>,
        first: &Channel,
    ) -> Result<(Cgroups, Option<StubLayer>), Fault> {
        let mut cgroups = Cgroups::beneath(request.spec.cgroup_parent.as_deref())?;
        let stub_layer = StubLayer::make(&request.spec, request.shared.as_deref())?;
        self.enter(&mut cgroups)?;
        let stubs = [stub_layer.as_ref().map(StubLayer::path), request.shared.as_deref()];
        let go = Go { stubs: stubs.into_iter().flatten().map(Path::to_owned).collect() };
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        first.send(&go, &fds).or_fault(|| "start the first process".to_owned())?;
        Ok((cgroups, stub_layer))
    }

    /// Serves the builder, the first process and the seccomp listener until the step is over or is to be over.
    pub(super) fn until_end(&mut self, control: &Channel, notices: &Channel) -> Result<(), Fault> {
        let what = || "wait for the command".to_owned();
        let mut listener: Option<OwnedFd> = None;
        loop {
            let mut fds = vec![PollFd::new(control, PollFlags::IN), PollFd::new(notices, PollFlags::IN)];
            fds.extend(listener.as_ref().map(|listener| PollFd::new(listener, PollFlags::IN)));
            retry(|| rustix::event::poll(&mut fds, None)).or_fault(what)?;
            let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
            let ready = |index: usize| ready.get(index).copied().unwrap_or(PollFlags::empty());
            if let Some(current) = &listener
                && !ready(2).is_empty()
                && !self.recorder.serve(current.as_fd(), ready(2))
            {
                listener = None;
            }
            if !ready(1).is_empty() {
                match notices.receive::<Notice>().or_fault(what)? {
                    None => return Ok(()),
                    Some((notice, fds)) => listener = self.take(notice, fds).or(listener),
                }
                if self.alone {
                    return Ok(());
                }
            }
            if !ready(0).is_empty() {
                let mut order = [0; 1];
                match control.receive_bytes(&mut order).or_fault(what)? {
                    // The builder wants the command dead, or is dead itself.
                    (0, _) => return Ok(()),
                    _ => sys::kill(self.first, i32::from(order[0])),
                }
            }
        }
    }

    /// Notes what the first process says; gives the seccomp listener if that is what came.
    fn take(&mut self, notice: Notice, fds: Vec<OwnedFd>) -> Option<OwnedFd> {
        let fd = fds.into_iter().next();
        match notice {
            Notice::Stub(stub) => self.stubs.extend(fd.map(|parent| (stub, parent))),
            Notice::Note(note) => self.notes.push(note),
            Notice::Failed(fault) => self.fault = self.fault.take().or(Some(fault)),
            Notice::Foreign(foreign) => self.foreign = Some(foreign),
            Notice::Ended { code, alone } => (self.code, self.alone) = (Some(code), alone),
            Notice::Listener => return fd,
        }
        None
    }

    /// The answer. `signal` is what ended the first process, if it did not end by itself.
    pub(super) fn outcome(self, signal: Option<i32>) -> Result<Outcome, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let code = self.code.unwrap_or(128 + signal.unwrap_or(libc::SIGKILL));
        Ok(Outcome { code, refused: self.recorder.refused, foreign: self.foreign, notes: self.notes })
    }
}
