//! Rules about FROM: tags, names, platforms.

use std::collections::BTreeSet;

use jettison_dockerfile::Kind;

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
