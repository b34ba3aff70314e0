//! `--output`: buildx' exporter specifications.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jettison_ops::{Destination, Output, OutputKind};

use super::{annotations, csv};
use crate::failure::Failure;

/// Reads one `--output`: `type=…,dest=…`, or just a directory, or `-` for a tar on standard output.
///
/// buildx: `util/buildflags/export.go`.
pub fn output(text: &str) -> Result<Output, Failure> {
    let fields = csv::fields(text)?;
    if fields.len() == 1 && fields[0] == text && !text.starts_with("type=") {
        return short(text);
    }
    let mut kind = None;
    let mut destination = None;
    let mut attributes = BTreeMap::new();
    let mut annotations = Vec::new();
    for (name, value) in csv::pairs_as_written("--output", text)? {
        if let Some(annotation) = annotations::of_output(&name, &value)? {
            annotations.push(annotation);
            continue;
        }
        let key = name.to_ascii_lowercase();
        match key.as_str() {
            "type" => kind = Some(kind_of(&value)?),
            "dest" => destination = Some(value),
            _ => {
                check_attribute(&key, &value)?;
                attributes.insert(key, value);
            }
        }
    }
    let kind = kind.ok_or_else(|| Failure::usage(format!("--output \"{text}\": type is required")))?;
    Ok(Output { annotations, ..finish(text, kind, destination, attributes)? })
}

/// Attributes that are obeyed.
const OBEYED: [&str; 7] =
    ["compression", "compression-level", "drop-dead", "force-compression", "name", "push", "tar"];

/// Attributes of BuildKit's exporters that ask for what is done anyway, with the value that does so.
const ALWAYS: [(&str, &str); 4] =
    [("oci-mediatypes", "true"), ("rewrite-timestamp", "true"), ("store", "true"), ("unpack", "false")];

/// Refuses what would be silently ignored.
fn check_attribute(key: &str, value: &str) -> Result<(), Failure> {
    if OBEYED.contains(&key) || ALWAYS.contains(&(key, value)) {
        return Ok(());
    }
    if let Some((_, only)) = ALWAYS.iter().find(|(name, _)| *name == key) {
        return Err(Failure::usage(format!("--output: {key}={value} is not supported, only {key}={only}")));
    }
    let help = format!("attributes are type, dest, annotation.KEY, {}", OBEYED.join(", "));
    Err(Failure::usage(format!("--output: unknown attribute \"{key}\"")).help(help))
}

fn short(text: &str) -> Result<Output, Failure> {
    if text.is_empty() {
        return Err(Failure::usage("--output is empty: expected type=… or a directory"));
    }
    let kind = if text == "-" { OutputKind::Tar } else { OutputKind::Local };
    finish(text, kind, Some(text.to_owned()), BTreeMap::new())
}

fn kind_of(name: &str) -> Result<OutputKind, Failure> {
    Ok(match name {
        "image" => OutputKind::Image,
        "registry" => OutputKind::Registry,
        "oci" => OutputKind::Oci,
        "docker" => OutputKind::Docker,
        "tar" => OutputKind::Tar,
        "local" => OutputKind::Local,
        "cacheonly" => OutputKind::CacheOnly,
        other => {
            return Err(Failure::usage(format!("--output: unknown type \"{other}\""))
                .help("types are image, registry, oci, docker, tar, local and cacheonly"));
        }
    })
}

fn finish(
    text: &str,
    kind: OutputKind,
    destination: Option<String>,
    attributes: BTreeMap<String, String>,
) -> Result<Output, Failure> {
    let wrong = |why: &str| Err(Failure::usage(format!("--output \"{text}\": {why}")));
    let destination = match destination.as_deref() {
        None | Some("") => None,
        Some("-") => Some(Destination::Stdout),
        Some(path) => Some(Destination::Path(PathBuf::from(path))),
    };
    let unpacked = attributes.get("tar").is_some_and(|value| value == "false");
    let destination = match (kind, destination) {
        (OutputKind::Image | OutputKind::Registry | OutputKind::CacheOnly, Some(_)) => {
            return wrong("this type has no dest");
        }
        (OutputKind::Local, None | Some(Destination::Stdout)) => {
            return wrong("type=local needs dest=DIRECTORY");
        }
        (OutputKind::Oci | OutputKind::Docker, None | Some(Destination::Stdout)) if unpacked => {
            return wrong("tar=false needs dest=DIRECTORY");
        }
        (OutputKind::Oci | OutputKind::Tar, None) => Some(Destination::Stdout),
        (_, destination) => destination,
    };
    Ok(Output { destination, attributes, ..Output::of(kind) })
}
