//! Rules about FROM: tags, names, platforms.

use std::collections::BTreeSet;

use jettison_dockerfile::{Kind, csv_fields};

use super::placed::{Placed, each_plain, plain, unquoted};
use crate::lint::file::File;
use crate::lint::finding::Hit;

/// What FROM says.
struct From<'a> {
    image: &'a str,
    name: Option<&'a str>,
    platform: Option<&'a str>,
}

fn from<'a>(placed: &Placed<'a>) -> Option<From<'a>> {
    let Kind::From { image, name, platform } = &placed.instruction.kind else { return None };
    Some(From {
        image: unquoted(&image.text),
        name: name.as_ref().map(|name| name.text.as_str()),
        platform: platform.as_ref().map(|word| word.text.as_str()),
    })
}

/// Splits an image's name into what names it and its tag; a port is no tag, nor is the default of a variable.
fn split_tag(image: &str) -> (&str, Option<&str>) {
    let mut depth = 0;
    let mut colon = None;
    for (at, c) in image.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            '/' if depth == 0 => colon = None,
            ':' if depth == 0 => colon = Some(at),
            _ => {}
        }
    }
    colon.map_or((image, None), |colon| (&image[..colon], Some(&image[colon + 1..])))
}

/// A FROM as hadolint's rules about several stages see it.
pub(super) struct Origin<'f, 'a> {
    pub(super) placed: &'f Placed<'a>,
    /// What it starts from, without registry and tag.
    pub(super) base: &'a str,
    /// The stage's name.
    pub(super) name: Option<&'a str>,
}

impl<'a> Origin<'_, 'a> {
    /// A stage without a name is called like what it starts from.
    pub(super) fn called(&self) -> &'a str {
        self.name.unwrap_or(self.base)
    }
}

pub(super) fn origin<'f, 'a>(placed: &'f Placed<'a>) -> Option<Origin<'f, 'a>> {
    let from = from(placed)?;
    let (_, base) = registry(without_tag(from.image));
    Some(Origin { placed, base, name: from.name })
}

/// An image's name without tag and digest.
fn without_tag(image: &str) -> &str {
    split_tag(image.split('@').next().unwrap_or(image)).0
}

/// Splits the registry off an image's name: what stands before the first slash, if it has a dot or a port or is
/// `localhost`, as docker has it.
fn registry(image: &str) -> (Option<&str>, &str) {
    match image.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        _ => (None, image),
    }
}

/// DL3026, of FROM, COPY and the mounts of RUN. What is a stage is not looked at.
pub(super) fn untrusted(file: &File<'_>) -> Vec<Hit> {
    let trusted = &file.settings.trusted;
    let is_trusted = |registry: &str| {
        trusted.iter().any(|known| match (known.strip_prefix('*'), known.strip_suffix('*')) {
            (Some(end), _) => registry.ends_with(end),
            (_, Some(start)) => registry.starts_with(start),
            _ => registry == known,
        })
    };
    let mut stages: BTreeSet<String> = BTreeSet::new();
    let is_allowed = |stages: &BTreeSet<String>, image: &str| {
        let name = without_tag(image);
        let is_stage = stages.contains(name) || name.parse::<usize>().is_ok();
        is_stage
            || match registry(name) {
                (Some(registry), _) => is_trusted(registry),
                (None, image) => {
                    image == "scratch" || is_trusted("docker.io") || is_trusted("hub.docker.com")
                }
            }
    };
    let mut hits = Vec::new();
    for placed in plain(file).filter(|_| !trusted.is_empty()) {
        let images: Vec<String> = match &placed.instruction.kind {
            Kind::From { image, .. } => vec![unquoted(&image.text).to_owned()],
            Kind::Copy(copy) => copy.from.iter().map(|from| unquoted(&from.text).to_owned()).collect(),
            Kind::Run(run) => run.mounts.iter().filter_map(|mount| mounted(&mount.text)).collect(),
            _ => continue,
        };
        if images.iter().any(|image| !is_allowed(&stages, image)) {
            hits.push(placed.hit("the image comes from a registry that is not trusted"));
        }
        stages.extend(from(placed).and_then(|from| from.name).map(str::to_owned));
    }
    hits
}

/// The image that a mount of RUN takes files from.
fn mounted(mount: &str) -> Option<String> {
    let fields = csv_fields(mount).ok()?;
    fields.iter().find_map(|field| field.strip_prefix("from=")).map(str::to_owned)
}

/// DL3006. What a variable names may have a tag.
pub(super) fn untagged(file: &File<'_>) -> Vec<Hit> {
    let mut names = BTreeSet::new();
    let mut hits = Vec::new();
    for placed in plain(file) {
        let Some(from) = from(placed) else { continue };
        let (name, tag) = split_tag(from.image);
        let known = name == "scratch" || name.starts_with('$') || names.contains(name);
        if tag.is_none() && !from.image.contains('@') && !known {
            hits.push(placed.hit(format!("{name} has no tag: it is `latest`, another image another day")));
        }
        names.extend(from.name);
    }
    hits
}

/// DL3007
pub(super) fn latest(file: &File<'_>) -> Vec<Hit> {
    let message = "`latest` is another image another day: name a version";
    each_plain(file, message, |placed| {
        from(placed).is_some_and(|from| split_tag(from.image).1 == Some("latest"))
    })
}

/// DL3024
pub(super) fn duplicate(file: &File<'_>) -> Vec<Hit> {
    let mut names = BTreeSet::new();
    let mut hits = Vec::new();
    for placed in plain(file) {
        let Some(name) = from(placed).and_then(|from| from.name) else { continue };
        if !names.insert(name) {
            hits.push(placed.hit(format!("another stage is called {name}")));
        }
    }
    hits
}

/// DL3029
pub(super) fn platform(file: &File<'_>) -> Vec<Hit> {
    let variables = ["BUILDPLATFORM", "TARGETPLATFORM"];
    let fixed = |platform: &str| !variables.iter().any(|name| platform.contains(name));
    each_plain(file, "the stage is for one platform only", |placed| {
        from(placed).and_then(|from| from.platform).is_some_and(fixed)
    })
}

/// DL3061
pub(super) fn order(file: &File<'_>) -> Vec<Hit> {
    each_plain(file, "only ARG can stand before FROM", |placed| {
        placed.stage == 0 && !matches!(placed.instruction.kind, Kind::Arg(_))
    })
}

/// DL3063
pub(super) fn reserved(file: &File<'_>) -> Vec<Hit> {
    each_plain(file, "the name of the stage is a reserved word", |placed| {
        from(placed).and_then(|from| from.name).is_some_and(|name| ["scratch", "context"].contains(&name))
    })
}

/// DL3065
pub(super) fn target_platform(file: &File<'_>) -> Vec<Hit> {
    each_plain(file, "the target's platform is the default", |placed| {
        let platform = from(placed).and_then(|from| from.platform);
        platform.is_some_and(|text| ["$TARGETPLATFORM", "${TARGETPLATFORM}"].contains(&unquoted(text)))
    })
}
