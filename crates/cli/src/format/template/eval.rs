//! Filling a template in.

use serde_json::Value;

use super::{Node, Pipeline, TemplateError, Term, error};

pub(super) fn render(
    nodes: &[Node],
    dot: &Value,
    root: &Value,
    out: &mut String,
) -> Result<(), TemplateError> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Print(value) => out.push_str(&print(&pipeline(value, dot, root)?)),
            Node::If { condition, then, otherwise } => {
                let holds = is_true(&pipeline(condition, dot, root)?);
                render(if holds { then } else { otherwise }, dot, root, out)?;
            }
            Node::With { value, then, otherwise } => {
                let value = pipeline(value, dot, root)?;
                match is_true(&value) {
                    true => render(then, &value, root, out)?,
                    false => render(otherwise, dot, root, out)?,
                }
            }
            Node::Range { list, each, otherwise } => {
                let items = match pipeline(list, dot, root)? {
                    Value::Array(items) => items,
                    Value::Object(map) => sorted(map).into_iter().map(|(_, value)| value).collect(),
                    Value::Null => Vec::new(),
                    other => return Err(error(format!("range can't iterate over {}", print(&other)))),
                };
                if items.is_empty() {
                    render(otherwise, dot, root, out)?;
                }
                for item in items {
                    render(each, &item, root, out)?;
                }
            }
        }
    }
    Ok(())
}

/// Go goes through maps in the order of their keys.
fn sorted(map: serde_json::Map<String, Value>) -> Vec<(String, Value)> {
    let mut pairs: Vec<(String, Value)> = map.into_iter().collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs
}

fn pipeline(commands: &Pipeline, dot: &Value, root: &Value) -> Result<Value, TemplateError> {
    let mut piped = None;
    for command in commands {
        piped = Some(run(command, piped, dot, root)?);
    }
    piped.ok_or_else(|| error("an action is empty"))
}

fn run(command: &[Term], piped: Option<Value>, dot: &Value, root: &Value) -> Result<Value, TemplateError> {
    let Some((first, rest)) = command.split_first() else { return Err(error("an action is empty")) };
    let Term::Function(name) = first else {
        if !rest.is_empty() || piped.is_some() {
            return Err(error("only functions take arguments"));
        }
        return term(first, dot, root);
    };
    let mut arguments = rest.iter().map(|one| term(one, dot, root)).collect::<Result<Vec<_>, _>>()?;
    arguments.extend(piped);
    call(name, &arguments)
}

fn term(term: &Term, dot: &Value, root: &Value) -> Result<Value, TemplateError> {
    match term {
        Term::Literal(value) => Ok(value.clone()),
        Term::Field(path) => walk(dot, path, root),
        Term::Root(path) => walk(root, path, root),
        Term::Function(name) => call(name, &[]),
        Term::Group(commands, path) => walk(&pipeline(commands, dot, root)?, path, root),
    }
}

/// Follows fields. A name that the top does not have is a mistake; deeper down it may be a map's.
fn walk(from: &Value, path: &[String], root: &Value) -> Result<Value, TemplateError> {
    let mut value = from;
    for name in path {
        value = match value {
            Value::Object(map) => match map.get(name) {
                Some(value) => value,
                None if std::ptr::eq(value, root) => {
                    let known: Vec<&str> = map.keys().map(String::as_str).collect();
                    return Err(error(format!("no field \"{name}\"; there are {}", known.join(", "))));
                }
                None => return Ok(Value::String("<no value>".to_owned())),
            },
            Value::Null => return Ok(Value::String("<no value>".to_owned())),
            other => return Err(error(format!("can't take field \"{name}\" of {}", print(other)))),
        };
    }
    Ok(value.clone())
}

/// The functions: docker's, and Go's own as far as they make sense without variables.
fn call(name: &str, arguments: &[Value]) -> Result<Value, TemplateError> {
    let wrong = || error(format!("wrong arguments for \"{name}\""));
    let text = |at: usize| match arguments.get(at) {
        Some(Value::String(text)) => Ok(text.as_str()),
        _ => Err(wrong()),
    };
    let printed = || arguments.iter().map(print).collect::<Vec<_>>();
    Ok(match (name, arguments) {
        ("json", [value]) => value.to_string().into(),
        ("upper", [_]) => text(0)?.to_uppercase().into(),
        ("lower", [_]) => text(0)?.to_lowercase().into(),
        ("title", [_]) => title(text(0)?).into(),
        ("split", [_, _]) => text(0)?.split(text(1)?).map(Value::from).collect(),
        ("join", [Value::Array(items), _]) => {
            items.iter().map(print).collect::<Vec<_>>().join(text(1)?).into()
        }
        ("join", [Value::Null, _]) => "".into(),
        ("len", [value]) => length(value).ok_or_else(wrong)?.into(),
        ("index", [value, keys @ ..]) => index(value, keys).ok_or_else(wrong)?,
        ("truncate", [_, Value::Number(length)]) => {
            text(0)?.chars().take(length.as_u64().ok_or_else(wrong)? as usize).collect::<String>().into()
        }
        ("print", _) => printed().concat().into(),
        ("println", _) => (printed().join(" ") + "\n").into(),
        ("eq", [first, others @ ..]) if !others.is_empty() => others.contains(first).into(),
        ("ne", [a, b]) => (a != b).into(),
        ("not", [value]) => (!is_true(value)).into(),
        ("and", [first, others @ ..]) => {
            others.iter().fold(first, |left, right| if is_true(left) { right } else { left }).clone()
        }
        ("or", [first, others @ ..]) => {
            others.iter().fold(first, |left, right| if is_true(left) { left } else { right }).clone()
        }
        (
            "json" | "upper" | "lower" | "title" | "split" | "join" | "len" | "index" | "truncate" | "eq"
            | "ne",
            _,
        )
        | ("not" | "and" | "or", _) => return Err(wrong()),
        _ => return Err(error(format!("function \"{name}\" is not supported"))),
    })
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut start = true;
    for c in text.chars() {
        if start {
            out.extend(c.to_uppercase())
        } else {
            out.push(c)
        }
        start = c.is_whitespace();
    }
    out
}

fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::Object(map) => Some(map.len()),
        Value::String(text) => Some(text.len()),
        Value::Null => Some(0),
        _ => None,
    }
}

/// A key that a map does not have gives nothing, as in Go; a place outside a list is a mistake.
fn index(value: &Value, keys: &[Value]) -> Option<Value> {
    let mut value = value.clone();
    for key in keys {
        value = match (&value, key) {
            (Value::Object(map), Value::String(key)) => map.get(key).cloned().unwrap_or_else(|| "".into()),
            (Value::Array(items), Value::Number(at)) => {
                items.get(usize::try_from(at.as_u64()?).ok()?)?.clone()
            }
            (Value::Null, _) => "".into(),
            _ => return None,
        };
    }
    Some(value)
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && text != "<no value>",
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// Go's `%v`.
fn print(value: &Value) -> String {
    match value {
        Value::Null => "[]".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(print).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs =
                sorted(map.clone()).into_iter().map(|(key, value)| format!("{key}:{}", print(&value)));
            format!("map[{}]", pairs.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}
