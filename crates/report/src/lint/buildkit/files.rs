//! Paths and ports: WORKDIR, COPY and ADD against the ignore file, EXPOSE.

use jettison_dockerfile::Kind;
use jettison_dockerfile::ignore::Patterns;

use super::CHECK;
use crate::lint::file::File;
use crate::lint::finding::{Hit, Rule};

/// A name that only patterns for every name match.
const ANY_ENTRY: &str = "any entry of the context";

pub(super) const WORKDIR_RELATIVE_PATH: Rule = Rule {
    name: "WorkdirRelativePath",
    summary: "Relative workdir without an absolute workdir declared within the build can have unexpected results if \
              the base image changes",
    url: Some("https://docs.docker.com/go/dockerfile/rule/workdir-relative-path/"),
    check: workdir_relative_path,
    ..CHECK
};

fn workdir_relative_path(file: &File<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for visit in &file.visits {
        let (Kind::Workdir(_), Some(path)) = (&visit.instruction.kind, visit.words.first()) else { continue };
        if !visit.workdir && !path.starts_with('/') {
            hits.push(visit.hit(format!(
                "Relative workdir {path:?} can have unexpected results if the base image changes"
            )));
        }
    }
    hits
}

pub(super) const COPY_IGNORED_FILE: Rule = Rule {
    name: "CopyIgnoredFile",
    summary: "Attempting to Copy file that is excluded by .dockerignore",
    url: Some("https://docs.docker.com/go/dockerfile/rule/copy-ignored-file/"),
    check: copy_ignored_file,
    ..CHECK
};

fn copy_ignored_file(file: &File<'_>) -> Vec<Hit> {
    let Some(patterns) = file.ignore.filter(|patterns| !patterns.is_empty()) else { return Vec::new() };
    let mut hits = Vec::new();
    for visit in &file.visits {
        let verb = match &visit.instruction.kind {
            Kind::Copy(_) => "Copy",
            Kind::Add(_) => "Add",
            _ => continue,
        };
        for source in visit.words.iter().filter(|source| !is_remote(source)).map(|source| clean(source)) {
            if is_ignored(&source, patterns) {
                hits.push(
                    visit.hit(format!(
                        "Attempting to {verb} file {source:?} that is excluded by .dockerignore"
                    )),
                );
            }
        }
    }
    hits
}

fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "git@", "ssh://"].iter().any(|scheme| source.starts_with(scheme))
}

/// The root counts as ignored only where everything in it is. A pattern that may bring something back at or below a
/// source leaves open what is left of it, so such a source is let pass.
fn is_ignored(source: &str, patterns: &Patterns) -> bool {
    let is_root = source == "." || source == "/";
    if is_root && !patterns.matches_or_parent_matches(ANY_ENTRY) {
        return false;
    }
    let below = if is_root { "" } else { source.trim_start_matches('/') };
    !patterns.may_include_below(below) && patterns.matches_or_parent_matches(source)
}

/// Go's `filepath.Clean`.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let rooted = path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

pub(super) const EXPOSE_PROTO_CASING: Rule = Rule {
    name: "ExposeProtoCasing",
    summary: "Protocol in EXPOSE instruction should be lowercase",
    url: Some("https://docs.docker.com/go/dockerfile/rule/expose-proto-casing/"),
    check: expose_proto_casing,
    ..CHECK
};

fn expose_proto_casing(file: &File<'_>) -> Vec<Hit> {
    ports(file, |port| {
        let protocol = port.split_once('/')?.1;
        let message = format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
        (protocol != protocol.to_lowercase()).then_some(message)
    })
}

pub(super) const EXPOSE_INVALID_FORMAT: Rule = Rule {
    name: "ExposeInvalidFormat",
    summary: "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in \
              a future release",
    url: Some("https://docs.docker.com/go/dockerfile/rule/expose-invalid-format/"),
    check: expose_invalid_format,
    ..CHECK
};

fn expose_invalid_format(file: &File<'_>) -> Vec<Hit> {
    ports(file, |port| {
        let message = format!(
            "EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
        );
        port.contains(':').then_some(message)
    })
}

fn ports(file: &File<'_>, check: impl Fn(&str) -> Option<String>) -> Vec<Hit> {
    let exposes = file.visits.iter().filter(|visit| matches!(visit.instruction.kind, Kind::Expose(_)));
    exposes
        .flat_map(|visit| visit.words.iter().filter_map(|port| check(port)).map(|message| visit.hit(message)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (path, clean_path) in
            [("./a//b/", "a/b"), ("", "."), ("/", "/"), ("/../a", "/a"), ("../a/..", ".."), ("a/../..", "..")]
        {
            assert_eq!(clean(path), clean_path, "{path}");
        }
    }

    #[test]
    fn ignored_sources() {
        for (patterns, source, ignored) in [
            (&[".*"][..], ".", false),
            (&["*"], ".", true),
            (&["a"], "a", true),
            (&["a"], "a/b", true),
            (&["a", "!a/keep"], "a", false),
            (&["a", "!b"], "a", true),
            (&["a", "!*/keep"], "a", false),
            (&["b"], "a", false),
        ] {
            let compiled = Patterns::new(patterns).expect("valid patterns");
            assert_eq!(is_ignored(source, &compiled), ignored, "{source} {patterns:?}");
        }
    }
}
