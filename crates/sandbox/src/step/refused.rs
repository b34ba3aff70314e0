//! With one id only: which call on which file the kernel is about to refuse, told by a seccomp listener.
//!
//! Every call goes on to the kernel, which decides; nothing is answered in its place. So it does not matter that the
//! command could change its memory after it was read here: the record is a hint for the user, not a check.

use std::fs;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::event::PollFlags;

use super::Refused;
use crate::identity::Identity;
use crate::seccomp;
use crate::sys::{self, Announced};

/// The most entries kept.
const MAX_ENTRIES: usize = 20;
/// The longest path the kernel takes (linux/limits.h).
const PATH_MAX: usize = 4096;
/// How much of a path is kept, so that the whole record fits into a message.
const SHOWN: usize = 512;
/// The most groups of a process (linux/limits.h).
const MAX_GROUPS: usize = 65_536;

/// Collects what is refused.
pub(super) struct Recorder {
    identity: Identity,
    pub(super) refused: Vec<Refused>,
}

/// What an id names.
#[derive(Clone, Copy)]
enum Id {
    User,
    Group,
}

impl Recorder {
    pub(super) fn new(identity: Identity) -> Self {
        Recorder { identity, refused: Vec::new() }
    }

    /// Takes one announced call. `false` when no process is left under the filter.
    pub(super) fn serve(&mut self, listener: BorrowedFd<'_>, ready: PollFlags) -> bool {
        if !ready.contains(PollFlags::IN) {
            return false;
        }
        // A call whose thread died meanwhile is an error here, and nothing to record.
        if let Ok(call) = sys::next_announced(listener) {
            let entry = self.examine(&call);
            if sys::still_waits(listener, &call) {
                self.record(entry);
            }
            sys::let_go_on(listener, &call);
        }
        true
    }

    fn record(&mut self, entry: Option<Refused>) {
        if let Some(entry) = entry
            && self.refused.len() < MAX_ENTRIES
            && !self.refused.contains(&entry)
        {
            self.refused.push(entry);
        }
    }

    /// The entry for a call that names an id which does not exist.
    fn examine(&self, call: &Announced) -> Option<Refused> {
        let name = seccomp::name(call.arch, call.number as u32)?;
        let short = seccomp::has_short_ids(call.arch, name);
        let plain = name.strip_suffix("32").unwrap_or(name);
        let id = match plain {
            "setgroups" => self.groups(call, short),
            _ => {
                ids(plain).iter().find_map(|&(argument, kind)| self.missing(call.args[argument], kind, short))
            }
        }?;
        let path = path(call, plain).map(|path| path.chars().take(SHOWN).collect());
        Some(Refused { call: plain.to_owned(), path, id })
    }

    /// The id, if it does not exist; all bits set mean "leave as it is".
    fn missing(&self, value: u64, kind: Id, short: bool) -> Option<u32> {
        let value = if short { u32::from(value as u16) } else { value as u32 };
        let none = if short { u32::from(u16::MAX) } else { u32::MAX };
        let exists = match kind {
            Id::User => self.identity.maps_uid(value),
            Id::Group => self.identity.maps_gid(value),
        };
        (value != none && !exists).then_some(value)
    }

    fn groups(&self, call: &Announced, short: bool) -> Option<u32> {
        let count = usize::try_from(call.args[0]).ok()?.min(MAX_GROUPS);
        let size = if short { 2 } else { 4 };
        let mut buffer = vec![0; count * size];
        let read = sys::read_memory(call.pid, call.args[1], &mut buffer).ok()?;
        let value = |bytes: &[u8]| bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
        let mut groups = buffer.get(..read)?.chunks_exact(size).map(value);
        groups.find_map(|group| self.missing(group, Id::Group, short))
    }
}

/// Which arguments of a call are ids.
fn ids(call: &str) -> &'static [(usize, Id)] {
    match call {
        "chown" | "lchown" | "fchown" => &[(1, Id::User), (2, Id::Group)],
        "fchownat" => &[(2, Id::User), (3, Id::Group)],
        "setuid" | "setfsuid" => &[(0, Id::User)],
        "setgid" | "setfsgid" => &[(0, Id::Group)],
        "setreuid" => &[(0, Id::User), (1, Id::User)],
        "setregid" => &[(0, Id::Group), (1, Id::Group)],
        "setresuid" => &[(0, Id::User), (1, Id::User), (2, Id::User)],
        "setresgid" => &[(0, Id::Group), (1, Id::Group), (2, Id::Group)],
        _ => &[],
    }
}

/// The file a call is about, as the command names it, made absolute as far as can be told.
fn path(call: &Announced, name: &str) -> Option<String> {
    let open = |fd: u64| link(call.pid, &format!("fd/{}", fd as i32));
    let (directory, address) = match name {
        "chown" | "lchown" => (None, call.args[0]),
        "fchown" => return open(call.args[0]),
        "fchownat" if call.args[0] as i32 != libc::AT_FDCWD => (Some(call.args[0]), call.args[1]),
        "fchownat" => (None, call.args[1]),
        _ => return None,
    };
    let path = string(call.pid, address)?;
    if path.starts_with('/') {
        return Some(path);
    }
    let base = match directory {
        Some(fd) => open(fd),
        None => link(call.pid, "cwd"),
    };
    match (base, path.is_empty()) {
        (base, true) => base,
        (Some(base), false) => Some(Path::new(&base).join(&path).to_string_lossy().into_owned()),
        (None, false) => Some(path),
    }
}

fn link(pid: u32, name: &str) -> Option<String> {
    let target = fs::read_link(format!("/proc/{pid}/{name}")).ok()?;
    Some(target.to_string_lossy().into_owned())
}

/// Reads a string, page by page: the next page may not be there.
fn string(pid: u32, address: u64) -> Option<String> {
    const PAGE: u64 = 4096;
    let mut bytes: Vec<u8> = Vec::new();
    let mut at = address;
    while bytes.len() < PATH_MAX {
        let mut buffer = vec![0; (PAGE - at % PAGE) as usize];
        let read = sys::read_memory(pid, at, &mut buffer).ok()?;
        let part = buffer.get(..read)?;
        if let Some(end) = part.iter().position(|&byte| byte == 0) {
            bytes.extend(part.get(..end)?);
            return Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        bytes.extend(part);
        at = at.checked_add(read as u64)?;
    }
    None
}
