//! Package managers' caches that are left in a layer.

use jettison_dockerfile::{Instruction, Run};

use super::edit::{Edit, plain};
use super::{Draft, Rewrite, Waste};
use crate::advice::rules;

/// A cleanup at the end of the RUN that makes it necessary.
struct Cleanup {
    rule: &'static str,
    /// Any of these calls makes it necessary.
    calls: &'static [&'static str],
    /// Any of these texts says that it is done.
    done: &'static [&'static str],
    command: &'static str,
    waste: &'static [&'static str],
}

const CLEANUPS: [Cleanup; 4] = [
    Cleanup {
        rule: rules::APT.name,
        calls: &[
            "apt-get update",
            "apt update",
            "apt-get -y update",
            "apt-get update -y",
            "apt-get -qq update",
        ],
        done: &["/var/lib/apt/lists"],
        command: "rm -rf /var/lib/apt/lists/*",
        waste: &["var/lib/apt/lists", "var/cache/apt"],
    },
    Cleanup {
        rule: rules::DNF.name,
        calls: &["yum install", "yum -y install", "yum update", "yum -y update"],
        done: &["yum clean all", "/var/cache/yum"],
        command: "yum clean all && rm -rf /var/cache/yum",
        waste: &["var/cache/yum", "var/lib/yum", "var/cache/dnf"],
    },
    Cleanup {
        rule: rules::DNF.name,
        calls: &["dnf install", "dnf -y install", "microdnf install"],
        done: &["dnf clean all", "/var/cache/dnf"],
        command: "dnf clean all && rm -rf /var/cache/dnf",
        waste: &["var/cache/dnf", "var/cache/libdnf5", "var/lib/dnf"],
    },
    Cleanup {
        rule: rules::NPM.name,
        calls: &["npm install", "npm ci", "npm i"],
        done: &["npm cache clean", ".npm"],
        command: "rm -rf ~/.npm",
        waste: &["root/.npm"],
    },
];

/// A flag that keeps a program from leaving a cache.
struct NoCache {
    rule: &'static str,
    calls: &'static [&'static str],
    flag: &'static str,
    waste: &'static [&'static str],
}

const NO_CACHES: [NoCache; 2] = [
    NoCache {
        rule: rules::PIP.name,
        calls: &["pip install", "pip3 install"],
        flag: "--no-cache-dir",
        waste: &["root/.cache"],
    },
    NoCache {
        rule: rules::APK.name,
        calls: &["apk add"],
        flag: "--no-cache",
        waste: &["var/cache/apk", "etc/apk/cache", "lib/apk/db/lock"],
    },
];

pub(super) fn rewrites(draft: &Draft<'_>, stage: &[Instruction], found: &mut Vec<Rewrite>) {
    for instruction in stage {
        let Some((run, command)) = plain(instruction) else { continue };
        for cleanup in &CLEANUPS {
            let called = cleanup.calls.iter().any(|call| !draft.ends_of(instruction, call).is_empty());
            let done = cleanup.done.iter().any(|done| command.contains(done));
            if !called || done || is_mounted(run, cleanup.waste) {
                continue;
            }
            let what = format!("remove the cache in the layer that makes it: {}", cleanup.command);
            let mut rewrite = Rewrite::new(cleanup.rule, instruction, what);
            rewrite.edits.push(draft.append(instruction, cleanup.command));
            rewrite.waste = cleanup.waste.iter().copied().map(Waste::Below).collect();
            found.push(rewrite);
        }
        for no_cache in &NO_CACHES {
            let ends: Vec<usize> =
                no_cache.calls.iter().flat_map(|call| draft.ends_of(instruction, call)).collect();
            if ends.is_empty() || command.contains(no_cache.flag) || is_mounted(run, no_cache.waste) {
                continue;
            }
            let what = format!("keep no cache: {}", no_cache.flag);
            let mut rewrite = Rewrite::new(no_cache.rule, instruction, what);
            rewrite.edits =
                ends.iter().map(|end| Edit::insert(*end, format!(" {}", no_cache.flag))).collect();
            rewrite.waste = no_cache.waste.iter().copied().map(Waste::Below).collect();
            found.push(rewrite);
        }
    }
}

/// Tells whether a cache mount takes what would be left.
fn is_mounted(run: &Run, waste: &[&str]) -> bool {
    run.mounts.iter().any(|mount| {
        mount.text.contains("type=cache") && waste.iter().any(|waste| mount.text.contains(waste))
    })
}
