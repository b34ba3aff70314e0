//! The process the user started, once the program goes on in its child: it passes signals on and ends as the child does.

use rustix::process::{Pid, WaitOptions, WaitStatus};

use crate::sys::{self, Signals};

/// What people and supervisors send. Not the signals of job control (SIGTSTP, SIGCONT): the shell sends those to both
/// of us, and it waits for this process to stop.
const PASSED_ON: [i32; 9] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    libc::SIGALRM,
    libc::SIGPIPE,
];

/// The signals that must be blocked before the child exists, so that none is lost.
pub(super) fn handled() -> Signals {
    let mut all = PASSED_ON.to_vec();
    all.push(libc::SIGCHLD);
    Signals::of(&all)
}

/// Stays until the child has ended, then ends in the same way.
pub(super) fn guard(child: Pid) -> ! {
    let signals = handled();
    loop {
        // A child that ended before we came here has left a pending SIGCHLD.
        let received = signals.wait();
        if received.signal == libc::SIGCHLD {
            if let Ok(Some((_, status))) = rustix::process::waitpid(Some(child), WaitOptions::NOHANG) {
                end_as(status);
            }
        } else if received.by_process {
            // What the terminal sends, it sends to the child as well.
            sys::kill(child, received.signal);
        }
    }
}

fn end_as(status: WaitStatus) -> ! {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => sys::exit_now(code),
        (None, Some(signal)) => {
            // One core file, the child's, is enough.
            let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
            sys::die_by(signal)
        }
        (None, None) => sys::exit_now(1),
    }
}
