//! As whom a build works: the mode, and which ids exist in its user namespace.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Reason;

/// How much of a container this machine lets us make, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// Started as root: every id exists, under its own number.
    Root,
    /// Started as an ordinary user with subordinate ids: root is the user, the others come from `/etc/subuid`.
    Subordinate,
    /// Started as an ordinary user without subordinate ids: root is the user, and no other id exists.
    Single,
    /// Root without namespaces, as in an unprivileged container: a changed root directory is all that confines
    /// a command. Weaker, to be announced.
    Chroot,
}

impl Mode {
    /// All, best first.
    pub const ALL: [Mode; 4] = [Mode::Root, Mode::Subordinate, Mode::Single, Mode::Chroot];

    /// Whether file systems can be mounted, so that [`crate::Root::Overlay`] and mounts work.
    pub fn overlay(self) -> bool {
        self != Mode::Chroot
    }

    /// The name used in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Root => "root",
            Mode::Subordinate => "subordinate-ids",
            Mode::Single => "single-id",
            Mode::Chroot => "chroot",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A run of ids, as in a line of `/proc/PID/uid_map` (user_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// The first id inside the namespace.
    pub inside: u32,
    /// The id it stands for in the namespace around it.
    pub outside: u32,
    /// How many ids.
    pub count: u32,
}

/// As whom this process works since [`crate::enter`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Which of the possible ways.
    pub mode: Mode,
    /// The users that exist.
    pub uid_map: Vec<Extent>,
    /// The groups that exist.
    pub gid_map: Vec<Extent>,
    /// Whether `setgroups` is allowed.
    pub setgroups: bool,
    /// Whether a user namespace of our own is around us (else root here is root of whatever was around us before).
    pub user_namespace: bool,
    /// Why each better mode was not taken.
    pub passed_over: Vec<Reason>,
}

impl Identity {
    /// Whether a file can be given to this user, and a command can run as it.
    pub fn maps_uid(&self, uid: u32) -> bool {
        contains(&self.uid_map, uid)
    }

    /// Whether a file can be given to this group, and a command can run with it.
    pub fn maps_gid(&self, gid: u32) -> bool {
        contains(&self.gid_map, gid)
    }

    /// The id map as text, such as `uid 0:1000:1 1:100000:65536 gid 0:1000:1 1:100000:65536`.
    ///
    /// Two processes with equal fingerprints see the same owners in one file tree. A store records it.
    pub fn fingerprint(&self) -> String {
        format!("uid {} gid {}", line(&self.uid_map), line(&self.gid_map))
    }

    /// What the user can do to have more ids: the remedies of the modes that were passed over.
    pub fn remedy(&self) -> String {
        let remedies: Vec<&str> =
            self.passed_over.iter().filter_map(|reason| reason.remedy.as_deref()).collect();
        match remedies.is_empty() {
            true => "`jettison doctor` tells more".to_owned(),
            false => remedies.join("; "),
        }
    }
}

fn contains(map: &[Extent], id: u32) -> bool {
    map.iter().any(|extent| id >= extent.inside && id - extent.inside < extent.count)
}

fn line(map: &[Extent]) -> String {
    let words: Vec<String> =
        map.iter().map(|extent| format!("{}:{}:{}", extent.inside, extent.outside, extent.count)).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(uid_map: &[(u32, u32, u32)]) -> Identity {
        let map: Vec<Extent> =
            uid_map.iter().map(|&(inside, outside, count)| Extent { inside, outside, count }).collect();
        Identity {
            mode: Mode::Subordinate,
            uid_map: map.clone(),
            gid_map: map,
            setgroups: true,
            user_namespace: true,
            passed_over: Vec::new(),
        }
    }

    #[test]
    fn ids_at_the_ends_of_extents() {
        let id = identity(&[(0, 1000, 1), (1, 100_000, 65_536)]);
        for (uid, mapped) in [(0, true), (1, true), (65_536, true), (65_537, false), (u32::MAX, false)] {
            assert_eq!(id.maps_uid(uid), mapped, "{uid}");
            assert_eq!(id.maps_gid(uid), mapped, "{uid}");
        }
        let all = identity(&[(0, 0, u32::MAX)]);
        assert!(all.maps_uid(u32::MAX - 1));
        assert!(!all.maps_uid(u32::MAX), "(uid_t)-1 is no id");
    }

    #[test]
    fn fingerprint_is_the_map() {
        let id = identity(&[(0, 1000, 1), (1, 100_000, 65_536)]);
        assert_eq!(id.fingerprint(), "uid 0:1000:1 1:100000:65536 gid 0:1000:1 1:100000:65536");
    }
}
