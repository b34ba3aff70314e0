//! Rules about what RUN runs, other than package managers.

use std::collections::BTreeSet;

use jettison_dockerfile::{Kind, Run};

use super::placed::{each, each_command, each_plain, plain};
use crate::Script;
use crate::lint::file::File;
use crate::lint::finding::Hit;

/// The number of digits from which on a user id is high.
const HIGH_ID: usize = 6;

/// DL3001
pub(super) fn pointless(file: &File<'_>) -> Vec<Hit> {
    let programs = ["ssh", "vim", "shutdown", "service", "ps", "free", "top", "kill", "mount"];
    each_command(file, "the program makes no sense in a container", |command| {
        programs.contains(&command.name.as_str())
    })
}

/// DL3003
pub(super) fn cd(file: &File<'_>) -> Vec<Hit> {
    each_plain(file, "cd holds for this RUN only: WORKDIR says it once", |placed| placed.script.calls("cd"))
}

/// DL3004
pub(super) fn sudo(file: &File<'_>) -> Vec<Hit> {
    each_command(file, "sudo is not needed: RUN runs as root, or as USER says", |command| {
        command.name == "sudo"
    })
}

/// DL3027
pub(super) fn apt(file: &File<'_>) -> Vec<Hit> {
    each_command(file, "apt changes from release to release: use apt-get", |command| command.name == "apt")
}

/// DL3046
pub(super) fn high_id(file: &File<'_>) -> Vec<Hit> {
    let is_high = |word: &str| word.len() >= HIGH_ID && word.bytes().all(|byte| byte.is_ascii_digit());
    let message = "a high user id makes /var/log/lastlog huge: add -l";
    each_command(file, message, |command| {
        let mut values = command.operands().map(str::to_owned).collect::<Vec<_>>();
        values.extend(
            command.arguments.iter().filter_map(|word| word.strip_prefix("--uid=")).map(str::to_owned),
        );
        command.name == "useradd"
            && command.has_flag(&["u", "uid"])
            && !command.has_flag(&["l", "no-log-init"])
            && values.iter().any(|value| is_high(value))
    })
}

/// DL3047
pub(super) fn wget(file: &File<'_>) -> Vec<Hit> {
    let quiet = ["progress", "q", "quiet", "o", "output-file", "a", "append-output", "no-verbose"];
    each_command(file, "the progress bar fills the log: add --progress=dot:giga, or -q", |command| {
        command.name == "wget" && !command.has_flag(&quiet) && !command.has_argument(&["-nv"])
    })
}

/// DL3059. RUNs of several commands are left alone: those were parted on purpose.
pub(super) fn consecutive(file: &File<'_>) -> Vec<Hit> {
    let mut before: Option<(&Run, usize)> = None;
    let mut hits = Vec::new();
    for placed in plain(file) {
        let Some(run) = placed.run() else {
            before = None;
            continue;
        };
        let count = placed.script.commands.len();
        match before {
            Some((other, one)) if have_equal_flags(other, run) && one <= 1 && count <= 1 => {
                hits.push(placed.hit("it can be one with the RUN above"));
            }
            _ => before = Some((run, count)),
        }
    }
    hits
}

fn have_equal_flags(one: &Run, other: &Run) -> bool {
    let flags = |run: &Run| {
        let mut mounts: Vec<String> = run.mounts.iter().map(|word| word.text.clone()).collect();
        mounts.sort();
        let single = [&run.network, &run.security].map(|flag| flag.as_ref().map(|word| word.text.clone()));
        (mounts, single)
    };
    flags(one) == flags(other)
}

/// DL4001. Told where a stage has used both.
pub(super) fn two_fetchers(file: &File<'_>) -> Vec<Hit> {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let mut stage = 0;
    let mut hits = Vec::new();
    for placed in file.placed() {
        if placed.stage != stage {
            (stage, used) = (placed.stage, BTreeSet::new());
        }
        let here: Vec<&str> = ["wget", "curl"].into_iter().filter(|name| placed.script.calls(name)).collect();
        used.extend(&here);
        if !here.is_empty() && used.len() > 1 {
            hits.push(placed.hit("the stage needs both wget and curl"));
        }
    }
    hits
}

/// DL4005
pub(super) fn shell(file: &File<'_>) -> Vec<Hit> {
    each(file, "SHELL changes the shell of RUN without touching /bin/sh", |placed| {
        placed.script.any(|command| command.is("ln", &["/bin/sh"]))
    })
}

/// DL4006
pub(super) fn pipefail(file: &File<'_>) -> Vec<Hit> {
    let mut safe = false;
    let mut hits = Vec::new();
    for placed in plain(file) {
        match &placed.instruction.kind {
            Kind::From { .. } => safe = false,
            Kind::Shell(words) => safe = is_safe(words),
            Kind::Run(_) if !safe && placed.script.pipes => {
                hits.push(
                    placed.hit("only the last command of the pipe decides: set SHELL with -o pipefail"),
                );
            }
            _ => {}
        }
    }
    hits
}

/// Tells whether a shell has pipefail, or is none of the POSIX family.
fn is_safe(words: &[String]) -> bool {
    let others = ["pwsh", "powershell", "cmd"];
    if words.first().is_some_and(|shell| others.iter().any(|other| shell.starts_with(other))) {
        return true;
    }
    Script::parse(&words.join(" ")).any(|command| {
        let name = command.name.rsplit('/').next().unwrap_or_default();
        ["bash", "zsh", "ash"].contains(&name)
            && command.has_flag(&["o"])
            && command.has_argument(&["pipefail"])
    })
}
