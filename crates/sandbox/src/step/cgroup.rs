//! The control groups of a step: one in each hierarchy of the machine, beneath the group that the user names.
//!
//! cgroups(7); where a group stands is as in opencontainers/runc, `libcontainer/cgroups`: PARENT beneath the root of each
//! hierarchy, made where it is missing, and left there.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::Pid;

use crate::error::{Fault, OrFault};

/// How often the removal of a group is tried. The kernel may need a moment after the last process has ended.
const TRIES: u32 = 10;

/// What a group of a `cpuset` hierarchy must have before it takes a process, and does not inherit by itself.
const CPUSET: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// The groups of one step; removed when dropped.
#[derive(Default)]
pub(super) struct Cgroups {
    groups: Vec<PathBuf>,
    /// What one hierarchy refused where another did not, for the user.
    pub(super) notes: Vec<String>,
}

impl Cgroups {
    /// Makes a group beneath `parent`, an absolute path without dots, in each hierarchy that lets us; none without
    /// `parent`.
    ///
    /// # Errors
    ///
    /// There is no hierarchy, or none lets us.
    pub(super) fn beneath(parent: Option<&str>) -> Result<Cgroups, Fault> {
        let mut cgroups = Cgroups::default();
        let Some(parent) = parent else { return Ok(cgroups) };
        let name = format!("jettison-{:016x}", random().or_fault(|| "name a cgroup".to_owned())?);
        let mounted = hierarchies(&fs::read("/proc/self/mountinfo").unwrap_or_default());
        if mounted.is_empty() {
            return Err(Fault::new(format!("make a cgroup beneath {parent}: none are mounted here")));
        }
        let made = mounted.into_iter().map(|hierarchy| {
            let group = hierarchy.join(parent.trim_matches('/')).join(&name);
            make(&hierarchy, &group).or_fault(|| format!("make the cgroup {}", group.display()))?;
            Ok(group)
        });
        (cgroups.groups, cgroups.notes) = one_at_least(made)?;
        Ok(cgroups)
    }

    /// Puts a process into the groups.
    ///
    /// # Errors
    ///
    /// None of them takes it.
    pub(super) fn take(&mut self, process: Pid) -> Result<(), Fault> {
        let pid = process.as_raw_nonzero().to_string();
        let joined = self.groups.iter().map(|group| {
            fs::write(group.join("cgroup.procs"), &pid)
                .or_fault(|| format!("put the command into the cgroup {}", group.display()))
        });
        let (_, notes) = one_at_least(joined)?;
        self.notes.extend(notes);
        Ok(())
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        self.groups.iter().for_each(|group| remove(group));
    }
}

/// Returns what was done, and notes of what was refused; fails where all was refused. A machine may give us some
/// hierarchies and not others.
fn one_at_least<T>(results: impl Iterator<Item = Result<T, Fault>>) -> Result<(Vec<T>, Vec<String>), Fault> {
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => done.push(value),
            Err(fault) => refused.push(fault),
        }
    }
    let note =
        |fault: &Fault| format!("cannot {}: {}", fault.what, io::Error::from_raw_os_error(fault.errno));
    let notes = refused.iter().map(note).collect();
    match refused.into_iter().next() {
        Some(fault) if done.is_empty() => Err(fault),
        _ => Ok((done, notes)),
    }
}

/// Returns where hierarchies of either version are mounted: proc_pid_mountinfo(5).
fn hierarchies(mountinfo: &[u8]) -> Vec<PathBuf> {
    let mounted = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let place = fields.nth(4)?;
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        matches!(kind, b"cgroup" | b"cgroup2")
            .then(|| PathBuf::from(std::ffi::OsString::from_vec(plain(place))))
    };
    mountinfo.split(|byte| *byte == b'\n').filter_map(mounted).collect()
}

/// Undoes the escapes of a mount point: `\040` is a blank.
fn plain(escaped: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = escaped;
    while let Some((&first, others)) = rest.split_first() {
        let code = others.get(..3).filter(|_| first == b'\\').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(byte) => (bytes.push(byte), rest = &others[3..]),
            None => (bytes.push(first), rest = others),
        };
    }
    bytes
}

/// Makes the group `path`, and those above it that are missing, in the hierarchy at `root`.
fn make(root: &Path, path: &Path) -> io::Result<()> {
    let mut missing: Vec<&Path> = path.ancestors().take_while(|above| *above != root).collect();
    missing.retain(|group| !group.is_dir());
    for group in missing.into_iter().rev() {
        match fs::create_dir(group) {
            // Another step was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result?,
        }
        inherit_cpuset(group)?;
    }
    Ok(())
}

fn inherit_cpuset(group: &Path) -> io::Result<()> {
    for name in CPUSET {
        let Ok(own) = fs::read_to_string(group.join(name)) else { continue };
        let version_1 = !group.join("cgroup.controllers").exists();
        if version_1
            && own.trim().is_empty()
            && let Some(above) = group.parent()
        {
            fs::write(group.join(name), fs::read(above.join(name))?)?;
        }
    }
    Ok(())
}

/// Removes a group, and what an insecure step may have made beneath it.
fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    for attempt in 0..TRIES {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                thread::sleep(Duration::from_millis(1 << attempt));
            }
            _ => return,
        }
    }
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let text = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:3 - cgroup cgroup rw,cpu\n\
            41 31 0:38 / /odd\\040place rw - cgroup2 cgroup2 rw\n";
        assert_eq!(hierarchies(text), [Path::new("/sys/fs/cgroup/cpu"), Path::new("/odd place")]);
        assert!(hierarchies(b"\n31 - cgroup\n\xff").is_empty());
    }
}
