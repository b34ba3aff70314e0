//! Why the kernel refused a user namespace, from what it publishes about its settings.

use std::fs;

use crate::error::Reason;
use crate::identity::Mode;

/// The first number in a file of `/proc/sys`, if it is there.
pub(crate) fn sysctl(name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// The settings known to forbid user namespaces: name, the value that forbids, and the value that allows.
const SWITCHES: [(&str, u64, &str); 3] = [
    ("user.max_user_namespaces", 0, "15000"),
    ("kernel.unprivileged_userns_clone", 0, "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", 1, "0"),
];

/// Explains `error`, with which the kernel refused `what` (such as `create a user namespace`) to `mode`.
pub(crate) fn user_namespace(mode: Mode, what: &str, error: &std::io::Error) -> Reason {
    for (name, forbids, allows) in SWITCHES {
        // The two later switches concern ordinary users only.
        let concerns_us = name.starts_with("user.") || !rustix::process::geteuid().is_root();
        if concerns_us && sysctl(name) == Some(forbids) {
            return Reason {
                mode,
                what: format!("cannot {what}: {error}, for {name} is {forbids}"),
                remedy: Some(format!("as root: sysctl -w {name}={allows}")),
            };
        }
    }
    if under_seccomp() {
        return Reason {
            mode,
            what: format!("cannot {what}: {error}; a seccomp filter is in force, as in a container"),
            remedy: Some("start the container with --security-opt seccomp=unconfined".to_owned()),
        };
    }
    Reason { mode, what: format!("cannot {what}: {error}"), remedy: None }
}

/// Whether some seccomp filter is already laid upon this process.
pub(crate) fn under_seccomp() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}
