//! What `--call=…,format=json` prints: the JSON of BuildKit's `frontend/subrequests`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jettison_dockerfile::LineIndex;
use serde_json::{Map, Value, json};

use super::{Checked, Outline, OutlineMount, Target};

/// The result of `--call=check`.
pub fn check_json(checked: &Checked, name: &str, text: &str) -> Value {
    let warning = |finding: &super::Finding| {
        let mut warning = json!({ "ruleName": finding.rule.name, "description": finding.rule.summary });
        if let Some(url) = finding.rule.url {
            warning["url"] = url.into();
        }
        warning["detail"] = finding.message.clone().into();
        warning["location"] = location(finding.lines);
        warning
    };
    let mut result = json!({
        "warnings": if checked.findings.is_empty() {
            Value::Null
        } else {
            checked.findings.iter().map(warning).collect()
        },
        "sources": [{
            "filename": name, "data": BASE64_STANDARD.encode(text), "language": "Dockerfile",
        }],
    });
    if let Some(error) = &checked.error {
        let place = match error.span.end > error.span.start {
            true => location(LineIndex::new(text).lines(error.span)),
            false => json!({}),
        };
        result["buildError"] = json!({ "message": error.message, "location": place });
    }
    result
}

/// The result of `--call=outline`.
pub fn outline_json(outline: &Outline, text: &str) -> Value {
    let mut result = Map::new();
    put(&mut result, "name", &outline.name);
    put(&mut result, "description", &outline.description);
    let args: Vec<Value> = outline
        .args
        .iter()
        .map(|arg| {
            let mut row = Map::new();
            row.insert("name".to_owned(), arg.name.clone().into());
            put(&mut row, "description", &arg.description);
            put(&mut row, "value", &arg.value);
            row.insert("location".to_owned(), location(arg.lines));
            row.into()
        })
        .collect();
    let lists = [("args", args), ("secrets", mounts(&outline.secrets)), ("ssh", mounts(&outline.ssh))];
    for (name, list) in lists {
        if !list.is_empty() {
            result.insert(name.to_owned(), list.into());
        }
    }
    result.insert("sources".to_owned(), json!([BASE64_STANDARD.encode(text)]));
    result.into()
}

fn mounts(mounts: &[OutlineMount]) -> Vec<Value> {
    let row = |mount: &OutlineMount| {
        let mut row = json!({ "name": mount.name });
        if mount.required {
            row["required"] = true.into();
        }
        row["location"] = location(mount.lines);
        row
    };
    mounts.iter().map(row).collect()
}

/// The result of `--call=targets`.
pub fn targets_json(targets: &[Target], text: &str) -> Value {
    let row = |target: &Target| -> Value {
        let mut row = Map::new();
        put(&mut row, "name", &target.name);
        if target.default {
            row.insert("default".to_owned(), true.into());
        }
        put(&mut row, "description", &target.description);
        put(&mut row, "base", &target.base);
        put(&mut row, "platform", &target.platform);
        row.insert("location".to_owned(), location(target.lines));
        row.into()
    };
    let rows: Vec<Value> = targets.iter().map(row).collect();
    json!({ "targets": rows, "sources": [BASE64_STANDARD.encode(text)] })
}

/// Adds a text, unless it is empty.
fn put(row: &mut Map<String, Value>, name: &str, text: &str) {
    if !text.is_empty() {
        row.insert(name.to_owned(), text.into());
    }
}

fn location((first, last): (usize, usize)) -> Value {
    json!({ "ranges": [{ "start": { "line": first }, "end": { "line": last } }] })
}
