//! The machine a command sees: /proc, /sys, /dev, and the two files of the network.
//!
//! As Docker lays them out (moby `oci/defaults.go`, runc `libcontainer/SPEC.md`), with the nodes of /dev bound from
//! the host, since making device nodes is denied to the root of a user namespace.

use std::cell::OnceCell;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::mounts::{Tree, clone_tree, filesystem, remove_file, write_file};
use super::network::{Files, Net};
use super::wire::Outset;
use crate::error::{Fault, OrFault};
use crate::identity::Identity;
use crate::sys::{self, attr};

/// Files and directories of the kernel that are hidden: they tell of the host or act on it.
const MASKED_PROC: [&str; 10] = [
    "proc/acpi",
    "proc/asound",
    "proc/interrupts",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/timer_list",
    "proc/timer_stats",
];
const MASKED_SYS: [&str; 2] = ["sys/devices/virtual/powercap", "sys/firmware"];

/// Parts of /proc that are there to be read only.
const READ_ONLY: [&str; 5] = ["proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"];

/// The device nodes every program may expect.
const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Where the links in /dev point.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
];

/// Bytes of /dev/shm, docker's default.
const SHM_SIZE: u64 = 64 << 20;

/// The group of terminals, by long convention.
const TTY_GROUP: u32 = 5;

/// Neither set-user-id, nor devices, nor programs.
fn inert() -> MountAttrFlags {
    MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC
}

/// The parts of a machine that do not depend on what runs on it, mounted in a mount namespace of their own until there is a
/// root file system to move them to: where the host has /proc and /sys, for nobody keeps layers there.
pub(super) struct Machine {
    insecure: bool,
    /// The new /dev.
    dev: OwnedFd,
    covers: Covers,
}

/// Where the new /proc and /dev wait, and where they belong.
const WAITING: [(&str, &str); 2] = [("/proc", "/proc"), ("/sys", "/dev")];

/// What hides files and directories from view.
struct Covers {
    /// The host's null device.
    file: OwnedFd,
    /// An empty directory, mounted where the first one is hidden.
    directory: OnceCell<OwnedFd>,
}

impl Machine {
    /// Mounts the new /proc and /dev in the tree of the host.
    pub(super) fn mount(outset: &Outset, host: &Tree<'_>) -> Result<Machine, Fault> {
        proc(host)?;
        let dev = dev(host, &outset.identity, outset.shm_size.unwrap_or(SHM_SIZE))?;
        let covers = Covers { file: host_node("null")?, directory: OnceCell::new() };
        if !outset.insecure {
            for path in MASKED_PROC {
                covers.mask(host, path)?;
            }
            for path in READ_ONLY {
                make_read_only(host, path)?;
            }
        }
        Ok(Machine { insecure: outset.insecure, dev, covers })
    }

    /// Moves them into a tree, and mounts the rest there: what shows the network.
    pub(super) fn furnish(&self, tree: &Tree<'_>, net: &Net, files: &Files) -> Result<(), Fault> {
        for (waits, path) in WAITING {
            let what = || format!("mount {path}");
            let place = tree.mount_point(path, true)?;
            let mount =
                rustix::fs::open(waits, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).or_fault(what)?;
            tree.attach(&mount, &place).or_fault(what)?;
        }
        sys_tree(tree, net, self.insecure)?;
        if !self.insecure {
            for path in MASKED_SYS {
                self.covers.mask(tree, path)?;
            }
        }
        for (path, text) in [("/etc/hosts", &files.hosts), ("/etc/resolv.conf", &files.resolv_conf)] {
            bind_text(tree, &self.dev, path, text)?;
        }
        Ok(())
    }
}

fn proc(tree: &Tree<'_>) -> Result<(), Fault> {
    let what = || "mount /proc".to_owned();
    let place = tree.mount_point("/proc", true)?;
    let mount = match filesystem("proc", &[], inert()) {
        Ok(mount) => mount,
        // The kernel refuses a fresh /proc to a container whose own one is partly hidden.
        Err(rustix::io::Errno::PERM) => {
            tree.note("/proc is that of the surrounding container, which hides parts of its own");
            copy_of_host("/proc", attr::NOSUID | attr::NODEV | attr::NOEXEC).or_fault(what)?
        }
        Err(error) => return Err(Fault::of(what(), error)),
    };
    tree.attach(&mount, &place).or_fault(what)
}

/// A fresh /sys shows the network namespace it is mounted in, and may only be mounted by its owner.
fn sys_tree(tree: &Tree<'_>, net: &Net, writable: bool) -> Result<(), Fault> {
    let what = || "mount /sys".to_owned();
    let place = tree.mount_point("/sys", true)?;
    let read_only = if writable { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_RDONLY };
    let fresh = match net {
        Net::Host => Err(rustix::io::Errno::PERM),
        Net::Loopback | Net::Joined(_) => filesystem("sysfs", &[], inert() | read_only),
    };
    let attributes = if writable { 0 } else { attr::READ_ONLY } | attr::NOSUID | attr::NODEV | attr::NOEXEC;
    let is_fresh = fresh.is_ok();
    let mount = match fresh {
        Ok(mount) => mount,
        Err(_) => copy_of_host("/sys", attributes).or_fault(what)?,
    };
    tree.attach(&mount, &place).or_fault(what)?;
    if is_fresh
        && let Some(place) = tree.find("sys/fs/cgroup")?
        && let Ok(mount) = copy_of_host("/sys/fs/cgroup", attributes)
    {
        tree.attach(&mount, &place).or_fault(what)?;
    }
    Ok(())
}

fn copy_of_host(path: &str, attributes: u64) -> std::io::Result<OwnedFd> {
    let source = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let mount = clone_tree(source)?;
    sys::set_mount_attributes(mount.as_fd(), attributes)?;
    Ok(mount)
}

fn host_node(name: &str) -> Result<OwnedFd, Fault> {
    let path = format!("/dev/{name}");
    rustix::fs::open(path.as_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .or_fault(|| format!("open {path}"))
}

impl Covers {
    fn mask(&self, tree: &Tree<'_>, path: &str) -> Result<(), Fault> {
        let what = || format!("hide /{path}");
        let Some(place) = tree.find(path)? else { return Ok(()) };
        let mode = rustix::fs::fstat(&place).or_fault(what)?.st_mode;
        let file = mode & libc::S_IFMT != libc::S_IFDIR;
        if let Some(mounted) = if file { Some(&self.file) } else { self.directory.get() } {
            let cover = rustix::io::dup(mounted).and_then(clone_tree).or_fault(what)?;
            return tree.attach(&cover, &place).or_fault(what);
        }
        let cover = filesystem("tmpfs", &[("mode", "755")], inert() | MountAttrFlags::MOUNT_ATTR_RDONLY);
        let cover = cover.or_fault(what)?;
        tree.attach(&cover, &place).or_fault(what)?;
        let _ = self.directory.set(cover);
        Ok(())
    }
}

fn make_read_only(tree: &Tree<'_>, path: &str) -> Result<(), Fault> {
    let what = || format!("make /{path} read-only");
    let Some(place) = tree.find(path)? else { return Ok(()) };
    let copy = rustix::io::dup(&place).and_then(clone_tree).or_fault(what)?;
    sys::set_mount_attributes(copy.as_fd(), attr::READ_ONLY).or_fault(what)?;
    tree.attach(&copy, &place).or_fault(what)
}

/// Mounts the new /dev where it waits.
fn dev(host: &Tree<'_>, identity: &Identity, shm_size: u64) -> Result<OwnedFd, Fault> {
    let what = || "mount /dev".to_owned();
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let dev = filesystem("tmpfs", &[("mode", "755"), ("size", "65536k")], flags).or_fault(what)?;
    for directory in ["pts", "shm", "mqueue"] {
        rustix::fs::mkdirat(&dev, directory, Mode::from_raw_mode(0o755)).or_fault(what)?;
    }
    for (name, target) in LINKS {
        rustix::fs::symlinkat(target, &dev, name).or_fault(what)?;
    }
    for name in NODES {
        write_file(&dev, name, "").or_fault(what)?;
    }
    let waiting = host.find("sys")?.ok_or_else(|| Fault::new("find /sys"))?;
    host.attach(&dev, &waiting).or_fault(what)?;
    let place = |name: &str| rustix::fs::openat(&dev, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    for name in NODES {
        let node = clone_tree(host_node(name)?).or_fault(what)?;
        place(name).and_then(|place| host.attach(&node, &place)).or_fault(|| format!("bind /dev/{name}"))?;
    }
    let pts = terminals(identity).or_fault(|| "mount /dev/pts".to_owned())?;
    place("pts").and_then(|place| host.attach(&pts, &place)).or_fault(|| "mount /dev/pts".to_owned())?;
    let shm_size = shm_size.to_string();
    for (name, kind, options) in
        [("shm", "tmpfs", [("mode", "1777"), ("size", &shm_size)].as_slice()), ("mqueue", "mqueue", &[])]
    {
        let what = || format!("mount /dev/{name}");
        let mount = filesystem(kind, options, inert()).or_fault(what)?;
        place(name).and_then(|place| host.attach(&mount, &place)).or_fault(what)?;
    }
    Ok(dev)
}

fn terminals(identity: &Identity) -> rustix::io::Result<OwnedFd> {
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mut options = vec![("ptmxmode", "0666"), ("mode", "0620")];
    if identity.maps_gid(TTY_GROUP) {
        options.push(("gid", "5"));
    }
    filesystem("devpts", &options, flags)
}

/// Mounts a file that is in no file system of the tree: written to /dev, bound, and unlinked from there.
fn bind_text(tree: &Tree<'_>, dev: &OwnedFd, path: &str, text: &str) -> Result<(), Fault> {
    const NAME: &str = ".text";
    let what = || format!("mount {path}");
    write_file(dev, NAME, text).or_fault(what)?;
    let file = rustix::fs::openat(dev, NAME, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).or_fault(what)?;
    let mount = clone_tree(file).or_fault(what)?;
    tree.attach(&mount, &tree.mount_point(path, false)?).or_fault(what)?;
    remove_file(dev, NAME);
    Ok(())
}
