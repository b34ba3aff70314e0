//! `RUN --mount`: reading the flag, and resolving what it mounts (`instructions/commands_runmount.go`).

use jettison_dockerfile::{Span, Word, csv_fields};

use crate::error::{Error, invalid, invalid_with_help, unsupported};
use crate::graph::{Mount, MountKind, Origin, Sharing};
use crate::instructions::{clean, join};
use crate::scope::Words;
use crate::stages::{State, near};

/// A mount as written, with variables expanded.
pub(crate) struct MountSpec {
    pub(crate) span: Span,
    kind: Type,
    from: Option<String>,
    source: Option<String>,
    target: String,
    read_only: bool,
    size: Option<u64>,
    id: Option<String>,
    sharing: Sharing,
    mode: u32,
    uid: u32,
    gid: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Bind,
    Cache,
    Tmpfs,
}

const KEYS: &[&str] = &[
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "required",
    "size",
    "id",
    "sharing",
    "mode",
    "uid",
    "gid",
    "env",
];

/// Returns the `from` of a mount, unexpanded: variables are refused there.
pub(crate) fn from_of(word: &Word) -> Option<String> {
    csv_fields(&word.text).ok()?.into_iter().rev().find_map(|field| {
        let (key, value) = field.split_once('=')?;
        key.eq_ignore_ascii_case("from").then(|| value.to_owned())
    })
}

/// Reads a mount flag.
pub(crate) fn parse(word: &Word, words: Words, state: &State) -> Result<MountSpec, Error> {
    let span = word.span;
    let error = |message: String| invalid("mount", span, message);
    let mut spec = MountSpec {
        span,
        kind: Type::Bind,
        from: None,
        source: None,
        target: String::new(),
        read_only: false,
        size: None,
        id: None,
        sharing: Sharing::Shared,
        mode: 0o755,
        uid: 0,
        gid: 0,
    };
    let mut access = None;
    for field in csv_fields(&word.text).map_err(|why| error(why.to_string()))? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value.to_owned())),
            None => (field.to_ascii_lowercase(), None),
        };
        if !KEYS.contains(&key.as_str()) {
            let names: Vec<String> = KEYS.iter().map(ToString::to_string).collect();
            let help = near(&key, &names).map(|near| format!("did you mean \"{near}\"?"));
            return Err(invalid_with_help(
                "mount",
                span,
                format!("unexpected key '{key}' in '{field}'"),
                help,
            ));
        }
        if key == "from" && value.as_ref().is_some_and(|value| value.contains('$')) {
            return Err(error(
                "'from' doesn't support variable expansion, define alias stage instead".to_owned(),
            ));
        }
        let value = match value {
            Some(value) if key != "from" => Some(words.expand_text(&value, span, &state.env)?),
            value => value,
        };
        match (key.as_str(), value) {
            ("ro" | "readonly", None) => access = Some(true),
            ("rw" | "readwrite", None) => access = Some(false),
            ("ro" | "readonly", Some(value)) => access = Some(boolean(&key, &value, span)?),
            ("rw" | "readwrite", Some(value)) => access = Some(!boolean(&key, &value, span)?),
            (_, Some(value)) => set(&mut spec, &key, value)?,
            (_, None) => return Err(error(format!("invalid field '{field}' must be a key=value pair"))),
        }
    }
    spec.read_only = access.unwrap_or(spec.kind == Type::Bind);
    check(&mut spec, state)?;
    Ok(spec)
}

fn set(spec: &mut MountSpec, key: &str, value: String) -> Result<(), Error> {
    let span = spec.span;
    let error = |message: String| invalid("mount", span, message);
    let number = |value: &str, radix| {
        u32::from_str_radix(value, radix).map_err(|_| error(format!("invalid value {value} for {key}")))
    };
    let cache_only = |spec: &MountSpec| match spec.kind {
        Type::Cache => Ok(()),
        _ => Err(error(format!("unexpected key '{key}' for this mount type"))),
    };
    match key {
        "type" => {
            spec.kind = match value.to_ascii_lowercase().as_str() {
                "bind" => Type::Bind,
                "cache" => Type::Cache,
                "tmpfs" => Type::Tmpfs,
                "secret" | "ssh" => return Err(unsupported(span, format!("RUN --mount=type={value}"))),
                other => return Err(error(format!("unsupported mount type \"{other}\""))),
            }
        }
        "from" => spec.from = Some(value),
        "source" | "src" => spec.source = Some(value),
        "target" | "dst" | "destination" => spec.target = value,
        "size" if spec.kind != Type::Tmpfs => {
            return Err(error("unexpected key 'size' for this mount type".to_owned()));
        }
        "size" => {
            spec.size = Some(bytes(&value).ok_or_else(|| error(format!("invalid value {value} for size")))?)
        }
        "id" => spec.id = Some(value),
        "sharing" => {
            spec.sharing = match value.to_ascii_lowercase().as_str() {
                "shared" => Sharing::Shared,
                "private" => Sharing::Private,
                "locked" => Sharing::Locked,
                other => return Err(error(format!("unsupported sharing value \"{other}\""))),
            }
        }
        "mode" => {
            cache_only(spec)?;
            spec.mode = number(&value, 8)?;
        }
        "uid" => {
            cache_only(spec)?;
            spec.uid = number(&value, 10)?;
        }
        "gid" => {
            cache_only(spec)?;
            spec.gid = number(&value, 10)?;
        }
        other => return Err(error(format!("unexpected key '{other}' for this mount type"))),
    }
    Ok(())
}

fn check(spec: &mut MountSpec, state: &State) -> Result<(), Error> {
    let span = spec.span;
    let error = |message: &str| invalid("mount", span, message.to_owned());
    if spec.target.is_empty() && spec.kind != Type::Bind {
        return Err(error("target is required for this mount type"));
    }
    if spec.kind == Type::Tmpfs && (spec.from.is_some() || spec.source.is_some()) {
        return Err(error("a tmpfs mount has neither 'from' nor 'source'"));
    }
    spec.target = clean(&join(&state.config.config.working_dir, &spec.target));
    if spec.target == "/" {
        return Err(error("invalid mount target \"/\""));
    }
    Ok(())
}

/// Resolves what a mount mounts; `origin` says what a name stands for.
pub(crate) fn resolve(
    spec: MountSpec,
    origin: &mut dyn FnMut(&str) -> Result<Origin, Error>,
) -> Result<Mount, Error> {
    let from = spec.from.as_deref().map(origin).transpose()?;
    let source = clean(spec.source.as_deref().unwrap_or("/"));
    let kind = match spec.kind {
        Type::Bind => MountKind::Bind { from: from.unwrap_or(Origin::Context), source },
        Type::Cache => MountKind::Cache {
            id: spec.id.unwrap_or_else(|| spec.target.clone()),
            sharing: spec.sharing,
            from: from.map(|from| (from, source)),
            mode: spec.mode,
            uid: spec.uid,
            gid: spec.gid,
        },
        Type::Tmpfs => MountKind::Tmpfs { size: spec.size },
    };
    Ok(Mount { target: spec.target, read_only: spec.read_only, kind })
}

fn boolean(key: &str, value: &str, span: Span) -> Result<bool, Error> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(invalid("mount", span, format!("invalid value for {key}: {value}"))),
    }
}

/// Reads a size in bytes with a binary suffix: `128m`. docker/go-units, `RAMInBytes`.
fn bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
    let (number, shift) = match lower.char_indices().last()? {
        (at, 'k') => (&lower[..at], 10),
        (at, 'm') => (&lower[..at], 20),
        (at, 'g') => (&lower[..at], 30),
        (at, 't') => (&lower[..at], 40),
        _ => (lower, 0),
    };
    number.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("128m"), Some(128 << 20));
        assert_eq!(bytes("1GiB"), Some(1 << 30));
        assert_eq!(bytes("12"), Some(12));
        assert_eq!(bytes("x"), None);
    }
}
