//! Reading the flag. BuildKit: `instructions/commands_runmount.go`.

use jettison_dockerfile::{Span, Word, csv_fields};

use super::{MountSpec, Type};
use crate::error::{Error, invalid, invalid_with_help};
use crate::graph::Sharing;
use crate::names::near;
use crate::planner::State;
use crate::scope::Words;

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

/// Reads a mount flag.
pub(crate) fn parse(word: &Word, words: Words, state: &State) -> Result<MountSpec, Error> {
    let span = word.span;
    let error = |message: String| invalid("mount", span, message);
    let mut spec = nothing(span);
    let mut access = None;
    for field in csv_fields(&word.text).map_err(|why| error(why.to_string()))? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value.to_owned())),
            None => (field.to_ascii_lowercase(), None),
        };
        if !KEYS.contains(&key.as_str()) {
            return Err(unknown(&key, &field, span));
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
            ("ro" | "readonly", value) => access = Some(switch(&key, value, span)?),
            ("rw" | "readwrite", value) => access = Some(!switch(&key, value, span)?),
            ("required", value) => {
                if !matches!(spec.kind, Type::Secret | Type::Ssh) {
                    return Err(unexpected(&spec, &key));
                }
                spec.required = switch(&key, value, span)?;
            }
            (_, Some(value)) => set(&mut spec, &key, value)?,
            (_, None) => return Err(error(format!("invalid field '{field}' must be a key=value pair"))),
        }
    }
    spec.read_only = access.unwrap_or(spec.kind == Type::Bind);
    check(&spec)?;
    Ok(spec)
}

fn nothing(span: Span) -> MountSpec {
    MountSpec {
        span,
        kind: Type::Bind,
        from: None,
        source: None,
        target: String::new(),
        read_only: false,
        required: false,
        size: None,
        id: None,
        env: None,
        sharing: None,
        mode: None,
        uid: None,
        gid: None,
    }
}

fn unknown(key: &str, field: &str, span: Span) -> Error {
    let names: Vec<String> = KEYS.iter().map(ToString::to_string).collect();
    let help = near(key, &names).map(|near| format!("did you mean \"{near}\"?"));
    invalid_with_help("mount", span, format!("unexpected key '{key}' in '{field}'"), help)
}

/// `size` and `required` are known only behind the type they belong to, as in BuildKit.
fn unexpected(spec: &MountSpec, key: &str) -> Error {
    let kind = spec.kind.as_str();
    invalid("mount", spec.span, format!("unexpected key '{key}' for mount type '{kind}'"))
}

fn set(spec: &mut MountSpec, key: &str, value: String) -> Result<(), Error> {
    let span = spec.span;
    let bad = |value: &str| invalid("mount", span, format!("invalid value {value} for {key}"));
    let number = |value: &str, radix| u32::from_str_radix(value, radix).map_err(|_| bad(value));
    match key {
        "type" => {
            spec.kind = Type::parse(&value)
                .ok_or_else(|| invalid("mount", span, format!("unsupported mount type \"{value}\"")))?;
        }
        "from" => spec.from = Some(value).filter(|from| !from.is_empty()),
        "source" | "src" => spec.source = Some(value).filter(|source| !source.is_empty()),
        "size" if spec.kind != Type::Tmpfs => return Err(unexpected(spec, key)),
        "size" => spec.size = Some(ram_in_bytes(&value).ok_or_else(|| bad(&value))?),
        "id" => spec.id = Some(value).filter(|id| !id.is_empty()),
        "env" => spec.env = Some(value).filter(|name| !name.is_empty()),
        "sharing" => {
            spec.sharing = Some(match value.to_ascii_lowercase().as_str() {
                "shared" => Sharing::Shared,
                "private" => Sharing::Private,
                "locked" => Sharing::Locked,
                _ => {
                    return Err(invalid("mount", span, format!("unsupported sharing value \"{value}\"")));
                }
            });
        }
        "mode" => spec.mode = Some(number(&value, 8)?),
        "uid" => spec.uid = Some(number(&value, 10)?),
        "gid" => spec.gid = Some(number(&value, 10)?),
        _ => spec.target = value,
    }
    Ok(())
}

fn check(spec: &MountSpec) -> Result<(), Error> {
    let error = |message: String| Err(invalid("mount", spec.span, message));
    let kind = spec.kind.as_str();
    let fields = [("mode", spec.mode), ("uid", spec.uid), ("gid", spec.gid)];
    if matches!(spec.kind, Type::Bind | Type::Tmpfs)
        && let Some((field, _)) = fields.iter().find(|(_, value)| value.is_some())
    {
        return error(format!("{field} not allowed for \"{kind}\" type mounts"));
    }
    if spec.kind != Type::Cache && spec.sharing.is_some() {
        return error(format!("invalid cache sharing set for {kind} mount"));
    }
    if spec.kind != Type::Secret && spec.env.is_some() {
        return error(format!("env not allowed for \"{kind}\" type mounts"));
    }
    match spec.kind {
        Type::Secret if spec.from.is_some() => error("secret mount should not have a from".to_owned()),
        Type::Secret if spec.source.is_none() && spec.target.is_empty() && spec.id.is_none() => {
            error("invalid secret mount. one of source, target required".to_owned())
        }
        Type::Secret if spec.source.is_some() && spec.id.is_some() => {
            error("both source and id can't be set".to_owned())
        }
        Type::Ssh if spec.from.is_some() || spec.source.is_some() => {
            error("ssh mount should have neither from nor source".to_owned())
        }
        _ => Ok(()),
    }
}

impl Type {
    fn parse(text: &str) -> Option<Type> {
        let all = [Type::Bind, Type::Cache, Type::Tmpfs, Type::Secret, Type::Ssh];
        all.into_iter().find(|kind| text.eq_ignore_ascii_case(kind.as_str()))
    }

    fn as_str(self) -> &'static str {
        match self {
            Type::Bind => "bind",
            Type::Cache => "cache",
            Type::Tmpfs => "tmpfs",
            Type::Secret => "secret",
            Type::Ssh => "ssh",
        }
    }
}

/// A flag that may stand without a value. Go's `strconv.ParseBool`.
fn switch(key: &str, value: Option<String>, span: Span) -> Result<bool, Error> {
    match value.as_deref() {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(value) => Err(invalid("mount", span, format!("invalid value for {key}: {value}"))),
    }
}

/// Reads a size in bytes with a binary suffix: `128m`. docker/go-units, `RAMInBytes`.
pub fn ram_in_bytes(text: &str) -> Option<u64> {
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
        assert_eq!(ram_in_bytes("128m"), Some(128 << 20));
        assert_eq!(ram_in_bytes("1GiB"), Some(1 << 30));
        assert_eq!(ram_in_bytes("12"), Some(12));
        assert_eq!(ram_in_bytes("x"), None);
    }
}
