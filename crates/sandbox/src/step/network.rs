//! What a command can reach: the host's network, loopback alone, or a private network behind pasta.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::UnshareFlags;

use super::wire::Channel;
use crate::enter::find_helper;
use crate::error::Fault;
use crate::identity::{Identity, Mode};
use crate::spec::{Network, Spec};
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

/// The network of a step, and the process that connects it, if there is one.
pub(super) struct Prepared {
    pub(super) net: Net,
    pub(super) files: Files,
    pub(super) note: Option<String>,
    _pasta: Option<Pasta>,
}

/// Makes the network that `spec` asks for, or the host's with a note where that cannot be had.
pub(super) fn prepare(spec: &Spec, identity: &Identity) -> Prepared {
    let hosts = hosts(spec);
    let with = |net, resolv_conf, note, pasta| Prepared {
        net,
        files: Files { hosts: hosts.clone(), resolv_conf },
        note,
        _pasta: pasta,
    };
    match spec.network {
        Network::None => return with(Net::Loopback, String::new(), None, None),
        Network::Host => return with(Net::Host, host_resolv_conf(false), None, None),
        Network::Default => {}
    }
    let program = match find_helper("pasta") {
        Some(program) if identity.mode != Mode::Chroot => program,
        _ => return with(Net::Host, host_resolv_conf(false), None, None),
    };
    match private(&program) {
        Ok((namespace, pasta)) => with(Net::Joined(namespace), host_resolv_conf(true), None, Some(pasta)),
        Err(error) => {
            let note = format!("the command has the network of the host, for pasta failed: {error}");
            with(Net::Host, host_resolv_conf(false), Some(note), None)
        }
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
struct Pasta(Pid);

impl Drop for Pasta {
    fn drop(&mut self) {
        sys::kill(self.0, libc::SIGKILL);
        let _ = rustix::process::waitpid(Some(self.0), WaitOptions::empty());
    }
}

/// A new network namespace, connected.
fn private(program: &Path) -> Result<(OwnedFd, Pasta), io::Error> {
    let namespace = new_namespace()?;
    let (ready, written) = io::pipe()?;
    // SAFETY: the helper has one thread.
    #[allow(unsafe_code)]
    let pasta = match unsafe { sys::fork(libc::CLONE_NEWPID) }? {
        Fork::Parent(pid) => Pasta(pid),
        Fork::Child => {
            drop(ready);
            run_pasta(program, &namespace, &written)
        }
    };
    drop(written);
    // pasta writes its process number once the network is up. An end without that is a failure.
    let said = io::read_to_string(ready)?;
    match said.trim().parse::<u32>() {
        Ok(_) => Ok((namespace, pasta)),
        Err(_) => Err(io::Error::other(said.lines().next().unwrap_or("no answer").trim().to_owned())),
    }
}

/// Lives as long as pasta does, and dies when the helper does.
fn run_pasta(program: &Path, namespace: &OwnedFd, ready: &io::PipeWriter) -> ! {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let ours: PathBuf = sys::path_of(namespace).into();
    let errors = ready.try_clone().map_or(Stdio::null(), Stdio::from);
    let _ = (program, ours, errors);
    let _: Option<Command> = None;
    sys::exit_now(1)
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

impl Prepared {
    /// Why the network is not what was asked for, as a fault-free note.
    pub(super) fn notes(&self) -> Vec<String> {
        self.note.iter().cloned().collect()
    }
}

/// Only here so that callers need not know which error a network gives.
pub(super) fn fault(error: io::Error) -> Fault {
    Fault::of("enter the network namespace", error)
}
