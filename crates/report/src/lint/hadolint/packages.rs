//! Rules about the package managers of distributions: apt, apk, yum, dnf, zypper.

use jettison_dockerfile::Kind;

use super::placed::{Placed, each, each_command, plain, unquoted};
use crate::lint::file::File;
use crate::lint::finding::Hit;
use crate::{EXPANSION, Script, ShellCommand};

/// Tells whether a script has nothing to clean, or cleans after the first command that leaves something.
pub(super) fn cleaned_after(
    script: &Script,
    leaves: impl Fn(&ShellCommand) -> bool,
    cleans: impl Fn(&ShellCommand) -> bool,
) -> bool {
    let Some(first) = script.commands.iter().position(leaves) else { return true };
    script.commands.iter().position(cleans).is_some_and(|clean| clean > first)
}

/// Tells whether a command removes a path below one of `folders`, or, as hadolint takes it, anything with `rm -rf`: what
/// really stays is for the measured rules to say.
fn removes(command: &ShellCommand, folders: &[&str]) -> bool {
    let names = |path: &str| folders.iter().any(|folder| path.starts_with(folder));
    command.name == "rm" && (command.has_argument(&["-rf"]) || command.operands().any(names))
}

/// Returns what a command installs: its operands but the subcommand.
fn installed<'c>(command: &'c ShellCommand, subcommands: &[&str], options: &[&str]) -> Vec<&'c str> {
    let operands = command.operands_beside(options);
    operands.into_iter().filter(|word| !subcommands.contains(word)).collect()
}

fn apt_install(command: &ShellCommand) -> bool {
    command.is("apt-get", &["install"])
}

/// DL3008
pub(super) fn apt_version(file: &File<'_>) -> Vec<Hit> {
    let pinned = |package: &str| package.contains(['=', '/']) || package.ends_with(".deb");
    each_command(
        file,
        "the version is another one another day: name it, as in `apt-get install NAME=1.2`",
        |command| {
            apt_install(command)
                && !installed(command, &["install"], &["t", "target-release"]).into_iter().all(pinned)
        },
    )
}

/// DL3009. Of a stage that nothing starts from, only the last ships.
pub(super) fn apt_lists(file: &File<'_>) -> Vec<Hit> {
    let bases: Vec<&str> = plain(file).filter_map(|placed| from(placed).map(|(image, _)| image)).collect();
    let last = plain(file).map(|placed| placed.stage).max().unwrap_or_default();
    let mut name = None;
    let mut hits = Vec::new();
    for placed in file.placed() {
        if let Some((_, own)) = from(placed) {
            name = own;
        }
        let ships = placed.stage == last || name.is_some_and(|name| bases.contains(&name));
        let mounted = placed.mounts("/var/lib/apt/lists")
            || (placed.mounts("/var/lib/apt") && placed.mounts("/var/cache/apt"));
        let leaves = |command: &ShellCommand| {
            command.is("apt-get", &["update"])
                || command.is("apt", &["update"])
                || command.is("aptitude", &["update"])
        };
        let cleaned =
            placed.script.any(|command| removes(command, &["/var/lib/apt/lists", "/var/lib/apt/*"]));
        if ships && !mounted && placed.script.any(leaves) && !cleaned {
            hits.push(
                placed.hit("the package lists stay in the layer: end with `rm -rf /var/lib/apt/lists/*`"),
            );
        }
    }
    hits
}

fn from<'a>(placed: &Placed<'a>) -> Option<(&'a str, Option<&'a str>)> {
    match &placed.instruction.kind {
        Kind::From { image, name, .. } => {
            Some((unquoted(&image.text), name.as_ref().map(|name| name.text.as_str())))
        }
        _ => None,
    }
}

/// DL3014
pub(super) fn apt_yes(file: &File<'_>) -> Vec<Hit> {
    each_command(file, "apt-get asks, and nobody answers: add -y", |command| {
        let quiet = command.arguments.iter().filter(|word| *word == "--quiet").count();
        apt_install(command)
            && !command.has_flag(&["y", "yes", "assume-yes"])
            && !command.has_argument(&["-q=2", "--quiet=2"])
            && command.count_flag('q') + quiet < 2
    })
}

/// DL3015
pub(super) fn apt_recommends(file: &File<'_>) -> Vec<Hit> {
    each_command(file, "recommended packages come too: add --no-install-recommends", |command| {
        apt_install(command)
            && !command.has_flag(&["no-install-recommends"])
            && !command.has_argument(&["APT::Install-Recommends=false"])
    })
}

/// DL3018
pub(super) fn apk_version(file: &File<'_>) -> Vec<Hit> {
    let pinned = |package: &str| package.contains(['=', '~', '<', '>']) || package.ends_with(".apk");
    each_command(
        file,
        "the version is another one another day: name it, as in `apk add NAME=1.2`",
        |command| {
            let options = ["t", "virtual", "repository", "X"];
            command.is("apk", &["add"]) && !installed(command, &["add"], &options).into_iter().all(pinned)
        },
    )
}

/// DL3019
pub(super) fn apk_cache(file: &File<'_>) -> Vec<Hit> {
    each(file, "the package index stays in the layer: add --no-cache", |placed| {
        !placed.mounts("/var/cache/apk")
            && placed.script.any(|command| command.is("apk", &["add"]) && !command.has_flag(&["no-cache"]))
    })
}

/// DL3030
pub(super) fn yum_yes(file: &File<'_>) -> Vec<Hit> {
    each_command(file, "yum asks, and nobody answers: add -y", |command| {
        command.is("yum", &["install", "groupinstall", "localinstall"])
            && !command.has_flag(&["y", "yes", "assumeyes"])
    })
}

/// DL3032
pub(super) fn yum_cache(file: &File<'_>) -> Vec<Hit> {
    each(file, "yum's cache stays in the layer: end with `yum clean all`", |placed| {
        !cleaned_after(
            &placed.script,
            |command| command.is("yum", &["install"]),
            |command| {
                command.is("yum", &["clean", "all"])
                    || removes(command, &["/var/cache/yum", "/var/cache/*", "/var/cache/dnf"])
            },
        )
    })
}

/// Tells whether all that a yum-like program installs has a version: `NAME-1.2`, of a module `NAME:1.2`.
fn rpm_pinned(command: &ShellCommand) -> bool {
    let module = command.has_argument(&["module"]);
    let pinned = |package: &str| if module { package.contains(':') } else { has_rpm_version(package) };
    installed(command, &["install", "module"], &[]).into_iter().all(pinned)
}

/// What follows the first hyphen is a version where nothing in it but a version's signs stands, and a part begins with
/// a digit or is a variable's.
fn has_rpm_version(package: &str) -> bool {
    let is_version_sign = |c: char| c.is_ascii_alphanumeric() || "._:~^+".contains(c);
    let Some((_, version)) = package.split_once('-') else { return false };
    let mut parts = version.split('-');
    package.ends_with(".rpm")
        || (version.replace(EXPANSION, "").chars().all(|c| is_version_sign(c) || c == '-')
            && parts.any(|part| part.starts_with(|c: char| c.is_ascii_digit() || c == '$')))
}

/// DL3033
pub(super) fn yum_version(file: &File<'_>) -> Vec<Hit> {
    each_command(
        file,
        "the version is another one another day: name it, as in `yum install NAME-1.2`",
        |command| command.is("yum", &["install"]) && !rpm_pinned(command),
    )
}

const DNF: [&str; 2] = ["dnf", "microdnf"];

fn is_dnf(command: &ShellCommand, subcommands: &[&str]) -> bool {
    DNF.contains(&command.name.as_str()) && command.has_argument(subcommands)
}

/// DL3038
pub(super) fn dnf_yes(file: &File<'_>) -> Vec<Hit> {
    each_command(file, "dnf asks, and nobody answers: add -y", |command| {
        is_dnf(command, &["install", "groupinstall", "localinstall"])
            && !command.has_flag(&["y", "yes", "assumeyes"])
    })
}

/// DL3040. What dnf leaves, microdnf does not clean, and the other way round.
pub(super) fn dnf_cache(file: &File<'_>) -> Vec<Hit> {
    let leaving = ["install", "in", "upgrade", "up", "upgrade-minimal", "up-min", "reinstall", "rei"];
    let caches = ["/var/cache/dnf", "/var/cache/yum", "/var/cache/libdnf5", "/var/cache/*"];
    each(file, "dnf's cache stays in the layer: end with `dnf clean all`", |placed| {
        let mounted = placed.mounts("/var/cache/libdnf5");
        let cleaned = |program: &str| {
            let own = |command: &ShellCommand| command.name == program;
            cleaned_after(
                &placed.script,
                |command| own(command) && command.has_argument(&leaving),
                |command| {
                    (own(command) && command.has_argument(&["clean", "all"])) || removes(command, &caches)
                },
            )
        };
        !mounted && !DNF.iter().all(|program| cleaned(program))
    })
}

/// DL3041
pub(super) fn dnf_version(file: &File<'_>) -> Vec<Hit> {
    each_command(
        file,
        "the version is another one another day: name it, as in `dnf install NAME-1.2`",
        |command| is_dnf(command, &["install"]) && !command.has_argument(&["group"]) && !rpm_pinned(command),
    )
}

/// DL3034
pub(super) fn zypper_yes(file: &File<'_>) -> Vec<Hit> {
    let asking = ["install", "in", "remove", "rm", "source-install", "si", "patch"];
    each_command(file, "zypper asks, and nobody answers: add -n", |command| {
        command.is("zypper", &asking) && !command.has_flag(&["n", "non-interactive", "y", "no-confirm"])
    })
}

/// DL3035
pub(super) fn zypper_upgrade(file: &File<'_>) -> Vec<Hit> {
    each_command(file, "the base image is upgraded by its makers", |command| {
        command.is("zypper", &["dist-upgrade", "dup"])
    })
}

/// DL3036
pub(super) fn zypper_cache(file: &File<'_>) -> Vec<Hit> {
    each(file, "zypper's cache stays in the layer: end with `zypper clean`", |placed| {
        !placed.mounts("/var/cache/zypp")
            && !cleaned_after(
                &placed.script,
                |command| command.is("zypper", &["install", "in"]),
                |command| command.is("zypper", &["clean", "cc"]),
            )
    })
}

/// DL3037
pub(super) fn zypper_version(file: &File<'_>) -> Vec<Hit> {
    let pinned = |package: &str| package.contains(['=', '<', '>']) || package.ends_with(".rpm");
    each_command(
        file,
        "the version is another one another day: name it, as in `zypper install NAME=1.2`",
        |command| {
            command.is("zypper", &["install", "in"])
                && !installed(command, &["install", "in"], &[]).into_iter().all(pinned)
        },
    )
}
