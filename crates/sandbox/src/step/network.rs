//! What a command can reach: the host's network, loopback alone, or a private network behind pasta.

use std::fs;
use std::io::{self, BufRead};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use super::wire::Channel;
use crate::spec::Spec;
use crate::sys::{self, Fork};

/// The network namespace of a step.
pub(super) enum Net {
    /// The one around us.
    Host,
    /// A new one, with loopback alone.
    Loopback,
    /// One that pasta connects.
    Joined(OwnedFd),
}

/// What /etc/hosts and /etc/resolv.conf say.
pub(super) struct Files {
    pub(super) hosts: String,
    pub(super) resolv_conf: String,
}

/// An address in the private network at which pasta passes DNS queries on to the host's resolver. Link-local, so that
/// it is nobody else's.
const DNS_FORWARD: &str = "169.254.1.1";

/// The network that the builder chose for a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Choice {
    /// The host's.
    Host,
    /// Loopback alone.
    Loopback,
    /// A private one, whose namespace comes along.
    Private,
}

impl Files {
    /// The files that go with a network.
    pub(super) fn new(spec: &Spec, choice: Choice) -> Self {
        let resolv_conf = match choice {
            Choice::Host => host_resolv_conf(false),
            Choice::Private => host_resolv_conf(true),
            Choice::Loopback => String::new(),
        };
        Files { hosts: hosts(spec), resolv_conf }
    }
}

fn hosts(spec: &Spec) -> String {
    let mut text =
        format!("127.0.0.1\tlocalhost {}\n::1\tlocalhost ip6-localhost ip6-loopback\n", spec.hostname);
    for (name, address) in &spec.extra_hosts {
        text.push_str(&format!("{address}\t{name}\n"));
    }
    text
}

/// The host's resolv.conf. A resolver on the host's loopback is out of reach of a private network: then that of
/// systemd-resolved behind its stub is taken, else pasta's forwarder.
fn host_resolv_conf(private: bool) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let text = read("/etc/resolv.conf");
    if !private || !asks_loopback(&text) {
        return text;
    }
    let upstream = read("/run/systemd/resolve/resolv.conf");
    if !upstream.is_empty() && !asks_loopback(&upstream) {
        return upstream;
    }
    let kept = text.lines().filter(|line| !line.trim_start().starts_with("nameserver"));
    let lines: Vec<String> =
        [format!("nameserver {DNS_FORWARD}")].into_iter().chain(kept.map(str::to_owned)).collect();
    lines.join("\n") + "\n"
}

fn asks_loopback(resolv_conf: &str) -> bool {
    resolv_conf.lines().any(|line| {
        let mut words = line.split_whitespace();
        let server = (words.next() == Some("nameserver")).then(|| words.next()).flatten();
        server.is_some_and(|server| server.starts_with("127.") || server == "::1")
    })
}

/// Enters the network in the step's first process.
pub(super) fn enter(net: &Net) -> io::Result<()> {
    match net {
        Net::Host => Ok(()),
        Net::Loopback => {
            sys::unshare(UnshareFlags::NEWNET)?;
            sys::loopback_up()
        }
        Net::Joined(namespace) => sys::join_network(namespace.as_fd()),
    }
}

/// A running pasta, in a process namespace of its own, so that it dies with us however we die. (It changes its
/// credentials, which would clear a death signal of its own.)
pub(super) struct Pasta(Pid);

impl Pasta {
    /// The process to watch.
    pub(super) fn pid(&self) -> Pid {
        self.0
    }
}

impl Drop for Pasta {
    fn drop(&mut self) {
        sys::kill(self.0, libc::SIGKILL);
        let _ = rustix::process::waitpid(Some(self.0), WaitOptions::empty());
    }
}

/// A new network namespace, connected; with a DNS forwarder where the host's resolver is out of reach. (Not else: some
/// versions give all answers the forwarder's address.)
pub(super) fn private(program: &Path) -> io::Result<(OwnedFd, Pasta)> {
    let forward = host_resolv_conf(true).contains(DNS_FORWARD);
    let namespace = new_namespace()?;
    let (ready, written) = io::pipe()?;
    // SAFETY: the helper has one thread.
    #[allow(unsafe_code)]
    let pasta = match unsafe { sys::fork(libc::CLONE_NEWPID) }? {
        Fork::Parent(pid) => Pasta(pid),
        Fork::Child => {
            drop(ready);
            run_pasta(program, forward, &namespace, &written)
        }
    };
    drop(written);
    await_number(ready)?;
    Ok((namespace, pasta))
}

/// pasta writes its process number once the network is up, and before that whatever is wrong.
fn await_number(ready: io::PipeReader) -> io::Result<()> {
    let patience = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    let mut complaint = "no answer".to_owned();
    let mut lines = io::BufReader::new(ready);
    loop {
        let mut fds = [rustix::event::PollFd::new(lines.get_ref(), rustix::event::PollFlags::IN)];
        if lines.buffer().is_empty() && rustix::event::poll(&mut fds, Some(&patience))? == 0 {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        let mut line = String::new();
        match lines.read_line(&mut line)? {
            0 => return Err(io::Error::other(complaint)),
            _ if line.trim().parse::<u32>().is_ok() => return Ok(()),
            _ => complaint = line.trim().to_owned(),
        }
    }
}

/// Lives as long as pasta does, and dies when the helper does.
fn run_pasta(program: &Path, forward: bool, namespace: &OwnedFd, ready: &io::PipeWriter) -> ! {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // Not forwarded in either direction: ports of the host or of the command, and the host's loopback.
    let mut command = Command::new(program);
    command
        .args(["--foreground", "--quiet", "--config-net", "--no-map-gw", "--no-netns-quit"])
        .args(["--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"])
        // Else it becomes nobody, who may not enter our namespaces.
        .args(["--runas", "0:0"])
        .args(["--netns", &inherited_path(namespace), "--pid", &inherited_path(ready)])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if forward {
        command.args(["--dns-forward", DNS_FORWARD]);
    }
    if let Ok(errors) = ready.try_clone() {
        command.stderr(errors);
    }
    match command.status() {
        Ok(status) => sys::exit_now(status.code().unwrap_or(1)),
        Err(_) => sys::exit_now(1),
    }
}

/// The path of a descriptor in a process that will be started with a copy of it.
fn inherited_path(fd: &impl AsFd) -> String {
    let _ = rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty());
    sys::path_of(fd)
}

fn new_namespace() -> io::Result<OwnedFd> {
    let (ours, theirs) = Channel::pair()?;
    // SAFETY: the helper has one thread.
    #[allow(unsafe_code)]
    let child = match unsafe { sys::fork(0) }? {
        Fork::Parent(child) => child,
        Fork::Child => {
            let made = sys::unshare(UnshareFlags::NEWNET).and_then(|()| sys::loopback_up());
            if let (Ok(()), Ok(file)) = (made, fs::File::open("/proc/self/ns/net")) {
                let _ = theirs.send_bytes(b"n", &[file.as_fd()]);
            }
            sys::exit_now(0)
        }
    };
    drop(theirs);
    let received = ours.receive_bytes(&mut [0; 1]);
    let _ = rustix::process::waitpid(Some(child), WaitOptions::empty());
    let (_, fds) = received?;
    fds.into_iter().next().ok_or_else(|| io::Error::other("no network namespace can be made"))
}
