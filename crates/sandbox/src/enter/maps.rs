//! Which ids exist inside: what to write into `uid_map` and `gid_map`, and how (user_namespaces(7), subuid(5)).

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Pid;

use crate::error::Reason;
use crate::identity::{Extent, Identity, Mode};

/// The kernel takes at most this many lines in an id map.
const MAX_EXTENTS: usize = 340;

/// Where this process is before it enters anything.
pub(super) struct Surroundings {
    /// Whether the effective user is 0.
    pub(super) root: bool,
    uid: u32,
    gid: u32,
    uids: Vec<Extent>,
    gids: Vec<Extent>,
    setgroups: bool,
}

impl Surroundings {
    pub(super) fn read() -> io::Result<Self> {
        let setgroups = fs::read_to_string("/proc/self/setgroups").unwrap_or_default();
        Ok(Surroundings {
            root: rustix::process::geteuid().is_root(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            uids: parse_map(&fs::read_to_string("/proc/self/uid_map")?),
            gids: parse_map(&fs::read_to_string("/proc/self/gid_map")?),
            setgroups: setgroups.trim() != "deny",
        })
    }

    /// How many users and groups exist here, whichever is fewer.
    pub(super) fn ids(&self) -> u64 {
        let total = |map: &[Extent]| map.iter().map(|extent| u64::from(extent.count)).sum::<u64>();
        total(&self.uids).min(total(&self.gids))
    }

    /// The identity of a process that stays in this user namespace.
    pub(super) fn as_identity(&self, mode: Mode) -> Identity {
        Identity {
            mode,
            uid_map: unchanged(&self.uids),
            gid_map: unchanged(&self.gids),
            setgroups: self.setgroups,
            user_namespace: false,
            passed_over: Vec::new(),
        }
    }
}

/// Reads `/proc/PID/uid_map`.
fn parse_map(text: &str) -> Vec<Extent> {
    let extent = |line: &str| {
        let mut numbers = line.split_whitespace().map(|word| word.parse().ok());
        Some(Extent { inside: numbers.next()??, outside: numbers.next()??, count: numbers.next()?? })
    };
    text.lines().filter_map(extent).collect()
}

/// The same ids under the same numbers. Not joined where they adjoin: a line must lie within one line of the map around.
fn unchanged(map: &[Extent]) -> Vec<Extent> {
    map.iter().map(|extent| Extent { outside: extent.inside, ..*extent }).collect()
}

/// The maps of a namespace to be made.
pub(super) struct Maps {
    uids: Vec<Extent>,
    gids: Vec<Extent>,
    setgroups: bool,
    /// Whether they must be written by newuidmap and newgidmap.
    by_helper: bool,
}

impl Maps {
    pub(super) fn identity(self, mode: Mode) -> Identity {
        Identity {
            mode,
            uid_map: self.uids,
            gid_map: self.gids,
            setgroups: self.setgroups,
            user_namespace: true,
            passed_over: Vec::new(),
        }
    }
}

/// For [`Mode::Root`]: all ids there are.
pub(super) fn all(around: &Surroundings) -> Result<Maps, Reason> {
    if around.ids() <= 1 {
        let what = "only one user id exists in the namespace around this process".to_owned();
        return Err(Reason { mode: Mode::Root, what, remedy: None });
    }
    Ok(Maps {
        uids: unchanged(&around.uids),
        gids: unchanged(&around.gids),
        setgroups: around.setgroups,
        by_helper: false,
    })
}

/// For [`Mode::Single`]: root inside is who we are outside.
pub(super) fn single(around: &Surroundings) -> Maps {
    let one = |id| vec![Extent { inside: 0, outside: id, count: 1 }];
    Maps { uids: one(around.uid), gids: one(around.gid), setgroups: false, by_helper: false }
}

/// For [`Mode::Subordinate`]: root inside is who we are outside, the ids from 1 on are the subordinate ones.
pub(super) fn subordinate(around: &Surroundings) -> Result<Maps, Reason> {
    let refuse =
        |what: String, remedy: String| Reason { mode: Mode::Subordinate, what, remedy: Some(remedy) };
    for helper in ["newuidmap", "newgidmap"] {
        if find_helper(helper).is_none() {
            return Err(refuse(format!("{helper} is not installed"), "apt install uidmap".to_owned()));
        }
    }
    let name = user_name(around.uid);
    let shown = name.clone().unwrap_or_else(|| around.uid.to_string());
    let ids = |file: &str, own: u32| {
        let ranges =
            subordinate_ids(&fs::read_to_string(file).unwrap_or_default(), name.as_deref(), around.uid);
        if ranges.is_empty() {
            return Err(refuse(
                format!("{file} has no line for {shown}"),
                format!("as root: echo '{shown}:100000:65536' >> {file}"),
            ));
        }
        Ok(with_own(own, &ranges))
    };
    Ok(Maps {
        uids: ids("/etc/subuid", around.uid)?,
        gids: ids("/etc/subgid", around.gid)?,
        setgroups: true,
        by_helper: true,
    })
}

/// 0 is the own id, and from 1 on come the ranges in order.
fn with_own(own: u32, ranges: &[(u32, u32)]) -> Vec<Extent> {
    let mut map = vec![Extent { inside: 0, outside: own, count: 1 }];
    let mut next: u32 = 1;
    for &(outside, count) in ranges.iter().take(MAX_EXTENTS - 1) {
        let Some(after) = next.checked_add(count) else { break };
        map.push(Extent { inside: next, outside, count });
        next = after;
    }
    map
}

/// The ranges (first, count) that a file in the format of subuid(5) grants to a user, in its order.
pub(crate) fn subordinate_ids(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    let number = uid.to_string();
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let first: u32 = fields.next()?.parse().ok()?;
        let count: u32 = fields.next()?.parse().ok()?;
        let ours = Some(owner) == name || owner == number;
        let sound = count > 0 && first.checked_add(count).is_some();
        (ours && sound).then_some((first, count))
    };
    text.lines().filter_map(range).collect()
}

/// The name of a user by `/etc/passwd`. (A static binary cannot ask other sources; their users write numbers.)
pub(crate) fn user_name(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == uid).then(|| name.to_owned())
    })
}

/// Finds a program of the system. Not by `PATH`, which the caller of a setuid program should not have to trust.
pub(crate) fn find_helper(name: &str) -> Option<PathBuf> {
    const DIRECTORIES: [&str; 7] =
        ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/local/sbin", "/run/wrappers/bin"];
    DIRECTORIES.iter().map(|directory| PathBuf::from(directory).join(name)).find(|path| path.is_file())
}

/// Writes maps for a child that has made its namespace and waits.
pub(super) struct Writer<'a> {
    pub(super) child: Pid,
    pub(super) around: &'a Surroundings,
}

impl Writer<'_> {
    pub(super) fn write(&self, maps: &Maps) -> io::Result<()> {
        if maps.by_helper {
            self.by_helper("newuidmap", &maps.uids)?;
            return self.by_helper("newgidmap", &maps.gids);
        }
        let directory = format!("/proc/{}", self.child.as_raw_nonzero());
        // Without privilege a group map may only be written once setgroups has been given up.
        if !maps.setgroups && self.around.setgroups {
            fs::write(format!("{directory}/setgroups"), "deny")?;
        }
        fs::write(format!("{directory}/uid_map"), lines(&maps.uids))?;
        fs::write(format!("{directory}/gid_map"), lines(&maps.gids))
    }

    fn by_helper(&self, helper: &str, map: &[Extent]) -> io::Result<()> {
        let path =
            find_helper(helper).ok_or_else(|| io::Error::other(format!("{helper} is not installed")))?;
        let mut command = Command::new(path);
        command.arg(self.child.as_raw_nonzero().to_string());
        for extent in map {
            command.args([extent.inside, extent.outside, extent.count].map(|number| number.to_string()));
        }
        let output = command.stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or("it failed").trim();
        Err(io::Error::other(said.to_owned()))
    }
}

fn lines(map: &[Extent]) -> String {
    map.iter().map(|extent| format!("{} {} {}\n", extent.inside, extent.outside, extent.count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subordinate_lines_by_name_and_number() {
        let text =
            "other:1:5\nann:100000:65536\n# note\n1000:300000:10\nann:x:1\nann:7:0\nann:4294967295:2\n";
        assert_eq!(subordinate_ids(text, Some("ann"), 1000), [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(subordinate_ids(text, None, 1000), [(300_000, 10)]);
        assert_eq!(subordinate_ids(text, Some("an"), 1001), []);
    }

    #[test]
    fn own_id_comes_first() {
        let map = with_own(1000, &[(100_000, 10), (300_000, 5)]);
        assert_eq!(lines(&map), "0 1000 1\n1 100000 10\n11 300000 5\n");
    }

    #[test]
    fn too_many_ids_are_left_out() {
        let map = with_own(5, &[(10, u32::MAX - 10), (7, 100)]);
        assert_eq!(map.len(), 2, "the second range would pass the last id");
    }

    #[test]
    fn maps_of_the_kernel() {
        let map = parse_map("         0       1000          1\n         1     100000      65536\n");
        assert_eq!(lines(&unchanged(&map)), "0 0 1\n1 1 65536\n");
    }
}
