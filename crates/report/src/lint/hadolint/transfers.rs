//! Rules about COPY, ADD and WORKDIR.

use std::collections::{BTreeMap, BTreeSet};

use jettison_dockerfile::{Copy, Kind, Source, Transfer};

use super::placed::{Placed, each_plain, plain, unquoted};
use crate::ShellCommand;
use crate::lint::file::File;
use crate::lint::finding::Hit;

/// How names of archives end that ADD extracts.
const ARCHIVES: [&str; 15] = [
    ".tar", ".Z", ".bz2", ".gz", ".lz", ".lzma", ".tZ", ".tb2", ".tbz", ".tbz2", ".tgz", ".tlz", ".tpz",
    ".txz", ".xz",
];

fn is_archive(path: &str) -> bool {
    ARCHIVES.iter().any(|end| path.ends_with(end))
}

fn copy<'a>(placed: &Placed<'a>) -> Option<&'a Copy> {
    match &placed.instruction.kind {
        Kind::Copy(copy) => Some(copy),
        _ => None,
    }
}

fn sources(transfer: &Transfer) -> impl Iterator<Item = &str> {
    transfer.sources.iter().filter_map(|source| match source {
        Source::Path(word) => Some(unquoted(&word.text)),
        Source::Heredoc(_) => None,
    })
}

/// Tells whether a path begins at a root, be it that of a drive, or is a variable's.
fn is_absolute(path: &str) -> bool {
    let drive =
        |path: &str| path.get(1..).is_some_and(|rest| rest.starts_with(":\\") || rest.starts_with(":/"));
    path.starts_with(['/', '$']) || drive(path)
}

/// DL3000
pub(super) fn workdir(file: &File<'_>) -> Vec<Hit> {
    each_plain(file, "the path is relative to what the base image says", |placed| {
        match &placed.instruction.kind {
            Kind::Workdir(path) => !is_absolute(unquoted(&path.text)),
            _ => false,
        }
    })
}

/// DL3010
pub(super) fn archive(file: &File<'_>) -> Vec<Hit> {
    let mut archives: Vec<(&Placed<'_>, &str)> = Vec::new();
    let mut hits: BTreeMap<usize, Hit> = BTreeMap::new();
    for placed in plain(file) {
        if matches!(placed.instruction.kind, Kind::From { .. }) {
            archives.clear();
        }
        if let Some(copy) = copy(placed).filter(|copy| copy.from.is_none()) {
            let target = unquoted(&copy.transfer.destination.text);
            match is_archive(target) {
                true => archives.push((placed, base_name(target))),
                false => archives.extend(
                    sources(&copy.transfer)
                        .filter(|path| is_archive(path))
                        .map(|path| (placed, base_name(path))),
                ),
            }
        }
        for (copied, name) in &archives {
            if placed.script.any(|command| extracts(command, name)) {
                let message = format!("{name} is extracted later, and stays in this layer: ADD extracts it");
                hits.insert(copied.outer.span.start, copied.hit(message));
            }
        }
    }
    hits.into_values().collect()
}

fn extracts(command: &ShellCommand, archive: &str) -> bool {
    let named = command.operands().any(|path| base_name(path) == archive);
    let letters = |word: &&str| word.strip_prefix('-').is_some_and(|rest| rest.contains('x'));
    let bundled = command.arguments.first().is_some_and(|word| !word.starts_with('-') && word.contains('x'));
    match command.name.as_str() {
        "tar" => {
            let words = || command.arguments.iter().map(String::as_str);
            let long = command.has_argument(&["--extract", "--get"]);
            named && (long || bundled || words().any(|word| letters(&word)))
        }
        "unzip" | "gunzip" | "bunzip2" | "unlzma" | "unxz" | "zgz" | "uncompress" | "zcat" | "gzcat" => named,
        _ => false,
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// DL3020
pub(super) fn add(file: &File<'_>) -> Vec<Hit> {
    let needs_add =
        |path: &str| is_archive(path) || path.starts_with("http://") || path.starts_with("https://");
    each_plain(file, "ADD does more than copying: COPY says what is meant", |placed| {
        match &placed.instruction.kind {
            Kind::Add(add) => !sources(&add.transfer).all(needs_add),
            _ => false,
        }
    })
}

/// DL3021
pub(super) fn folder(file: &File<'_>) -> Vec<Hit> {
    each_plain(file, "several sources want a destination that ends with a slash", |placed| {
        copy(placed).is_some_and(|copy| {
            let target = unquoted(&copy.transfer.destination.text);
            copy.transfer.sources.len() > 1 && !target.ends_with(['/', '\\'])
        })
    })
}

/// DL3022
pub(super) fn from_unknown(file: &File<'_>) -> Vec<Hit> {
    let mut names = BTreeSet::new();
    let mut hits = Vec::new();
    for placed in plain(file) {
        if let Kind::From { name: Some(name), .. } = &placed.instruction.kind {
            names.insert(name.text.as_str());
        }
        let Some(from) = copy(placed).and_then(|copy| copy.from.as_ref()) else { continue };
        let from = unquoted(&from.text);
        let numbered = from.parse::<usize>().is_ok_and(|number| number < placed.stage);
        if !numbered && !from.contains(':') && !names.contains(from) {
            hits.push(placed.hit(format!("no stage above is called {from}")));
        }
    }
    hits
}

/// DL3023
pub(super) fn from_itself(file: &File<'_>) -> Vec<Hit> {
    let mut name = None;
    let mut hits = Vec::new();
    for placed in plain(file) {
        if let Kind::From { name: own, .. } = &placed.instruction.kind {
            name = own.as_ref().map(|own| own.text.as_str());
        }
        let from = copy(placed).and_then(|copy| copy.from.as_ref());
        if from.is_some_and(|from| Some(from.text.as_str()) == name) {
            hits.push(placed.hit("the stage copies from itself"));
        }
    }
    hits
}

/// DL3045. A stage that starts from another has its WORKDIR.
pub(super) fn relative(file: &File<'_>) -> Vec<Hit> {
    let mut stages: BTreeMap<&str, bool> = BTreeMap::new();
    let mut current = "";
    let mut hits = Vec::new();
    for placed in plain(file) {
        match &placed.instruction.kind {
            Kind::From { image, name, .. } => {
                let inherited = stages.get(image.text.as_str()).copied().unwrap_or_default();
                current = name.as_ref().map_or(&image.text, |name| &name.text);
                stages.insert(current, inherited);
            }
            Kind::Workdir(_) => {
                stages.insert(current, true);
            }
            Kind::Copy(copy) => {
                let set = stages.get(current).copied().unwrap_or_default();
                if !set && !is_absolute(unquoted(&copy.transfer.destination.text)) {
                    hits.push(
                        placed.hit("the destination depends on the base image's directory: set WORKDIR"),
                    );
                }
            }
            _ => {}
        }
    }
    hits
}

/// DL3067
pub(super) fn whole(file: &File<'_>) -> Vec<Hit> {
    each_plain(file, "what the stage left behind is copied too: name what is needed", |placed| {
        copy(placed).is_some_and(|copy| {
            copy.from.is_some()
                && unquoted(&copy.transfer.destination.text) == "/"
                && sources(&copy.transfer).any(|path| path == "/")
        })
    })
}
