//! Rules about the package managers of languages: pip, npm, yarn, gem, go.

use std::collections::BTreeMap;

use jettison_dockerfile::Kind;

use super::packages::cleaned_after;
use super::placed::{each, each_command, run_text};
use crate::ShellCommand;
use crate::lint::file::File;
use crate::lint::finding::Hit;

/// Options of pip that have a value.
const PIP_OPTIONS: [&str; 24] = [
    "abi",
    "b",
    "build",
    "e",
    "editable",
    "extra-index-url",
    "f",
    "find-links",
    "i",
    "index-url",
    "implementation",
    "no-binary",
    "only-binary",
    "platform",
    "prefix",
    "progress-bar",
    "proxy",
    "python-version",
    "root",
    "src",
    "t",
    "target",
    "trusted-host",
    "upgrade-strategy",
];

/// Returns the operands that follow `install`, or another subcommand.
fn after<'c>(command: &'c ShellCommand, subcommands: &[&str], options: &[&str]) -> Vec<&'c str> {
    let operands = command.operands_beside(options);
    operands.into_iter().skip_while(|word| !subcommands.contains(word)).skip(1).collect()
}

/// Tells whether a command is `pip install`, `pip3 install` or `python -m pip install`.
pub(super) fn is_pip_install(command: &ShellCommand) -> bool {
    let words: Vec<&str> = command.arguments.iter().map(String::as_str).collect();
    match command.name.starts_with("python") {
        true => words.windows(3).any(|three| three == ["-m", "pip", "install"]),
        false => command.name.starts_with("pip") && words.contains(&"install"),
    }
}

/// DL3013
pub(super) fn pip_version(file: &File<'_>) -> Vec<Hit> {
    each_command(
        file,
        "the version is another one another day: name it, as in `pip install NAME==1.2`",
        |command| {
            let listed =
                command.has_argument(&["-r", "--requirement", "."]) || command.has_flag(&["c", "constraint"]);
            is_pip_install(command)
                && !listed
                && !after(command, &["install"], &PIP_OPTIONS).into_iter().all(is_pinned_for_pip)
        },
    )
}

fn is_pinned_for_pip(package: &str) -> bool {
    let versioned = package.contains("==")
        || package.contains(['<', '>'])
        || package.contains("!=")
        || package.contains("~=");
    let is_repository = ["git", "hg", "svn", "bzr"].iter().any(|scheme| {
        package.strip_prefix(scheme).is_some_and(|rest| rest.starts_with(['+', ':']) || *scheme == "git")
    });
    match is_repository {
        true => {
            versioned || package.contains('@') || package.ends_with(".whl") || package.ends_with(".tar.gz")
        }
        false => {
            versioned || package.contains('/') || package.ends_with(".whl") || package.ends_with(".tar.gz")
        }
    }
}

/// DL3042
pub(super) fn pip_cache(file: &File<'_>) -> Vec<Hit> {
    // A stage that starts from another has its variables.
    let mut stages: BTreeMap<&str, bool> = BTreeMap::new();
    let mut current = "";
    let mut hits = Vec::new();
    for placed in file.placed() {
        match &placed.instruction.kind {
            Kind::From { image, name, .. } => {
                let inherited = stages.get(image.text.as_str()).copied().unwrap_or_default();
                current = name.as_ref().map_or(&image.text, |name| &name.text);
                stages.insert(current, inherited);
            }
            Kind::Env(pairs) => {
                let off = |pair: &jettison_dockerfile::Pair| {
                    pair.name.text == "PIP_NO_CACHE_DIR" && is_true(pair.value.text.trim_matches('"'))
                };
                if pairs.iter().any(off) {
                    stages.insert(current, true);
                }
            }
            Kind::Run(run) => {
                let text = run_text(run);
                let set = text.split("PIP_NO_CACHE_DIR=").nth(1);
                let off = stages.get(current).copied().unwrap_or_default() || set.is_some_and(starts_true);
                let mounted = placed.mounts("/root/.cache/pip");
                if !off && !mounted && placed.script.any(leaves_pip_cache) {
                    hits.push(
                        placed.hit("pip keeps what it has downloaded: add --no-cache-dir, or mount a cache"),
                    );
                }
            }
            _ => {}
        }
    }
    hits
}

fn leaves_pip_cache(command: &ShellCommand) -> bool {
    let wrapped = |name: &str| command.name.contains(name) || command.has_argument(&[name]);
    is_pip_install(command)
        && !command.has_argument(&["--no-cache-dir"])
        && !wrapped("pipx")
        && !wrapped("pipenv")
}

fn is_true(value: &str) -> bool {
    ["1", "true", "on", "yes"].contains(&value.to_ascii_lowercase().as_str())
}

fn starts_true(text: &str) -> bool {
    let value = text.trim_start_matches(['"', '\'']);
    is_true(value.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default())
}

/// DL3016
pub(super) fn npm_version(file: &File<'_>) -> Vec<Hit> {
    each_command(
        file,
        "the version is another one another day: name it, as in `npm install NAME@1.2`",
        |command| {
            command.is("npm", &["install"])
                && command.operands().next() == Some("install")
                && !after(command, &["install"], &[]).into_iter().all(is_pinned_for_npm)
        },
    )
}

fn is_pinned_for_npm(package: &str) -> bool {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| package.starts_with(prefix));
    if starts(&["git://", "git+ssh://", "git+http://", "git+https://"]) {
        return package.contains('#');
    }
    let is_file = starts(&["/", "./", "../", "~/"]);
    let is_archive = [".tar", ".tar.gz", ".tgz"].iter().any(|end| package.ends_with(end));
    is_file || is_archive || package.strip_prefix('@').unwrap_or(package).contains('@')
}

/// DL3028
pub(super) fn gem_version(file: &File<'_>) -> Vec<Hit> {
    each_command(
        file,
        "the version is another one another day: name it, as in `gem install NAME:1.2`",
        |command| {
            let options = command.arguments.iter().position(|word| word == "--");
            let own = &command.arguments[..options.unwrap_or(command.arguments.len())];
            let named = own.iter().any(|word| word == "-v" || word.starts_with("--version"));
            let packages =
                own.iter().filter(|word| !word.starts_with('-') && *word != "install" && *word != "i");
            command.is("gem", &["install", "i"])
                && !named
                && !packages.into_iter().all(|package| package.contains(':'))
        },
    )
}

/// DL3060
pub(super) fn yarn_cache(file: &File<'_>) -> Vec<Hit> {
    each(file, "yarn keeps what it has downloaded: add `yarn cache clean`, or mount a cache", |placed| {
        !placed.mounts("/usr/local/share/.cache/yarn")
            && !cleaned_after(
                &placed.script,
                |command| command.is("yarn", &["install"]),
                |command| command.is("yarn", &["cache", "clean"]),
            )
    })
}

/// DL3062
pub(super) fn go_version(file: &File<'_>) -> Vec<Hit> {
    each_command(
        file,
        "the version is another one another day: name it, as in `go install NAME@v1.2.3`",
        |command| {
            let operands: Vec<&str> = command.operands().collect();
            let floats = |package: &&str| {
                let is_path = package.starts_with(['/', '.']);
                !is_path && (!package.contains('@') || package.ends_with("@latest"))
            };
            command.name == "go"
                && match operands.as_slice() {
                    ["install" | "get", packages @ ..] => packages.iter().any(floats),
                    ["run", program, ..] => floats(program),
                    _ => false,
                }
        },
    )
}
