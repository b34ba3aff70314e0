//! parser/ and dockerfiles/: what BuildKit's two passes make of a file.

use std::fs;

use jettison_dockerfile::{
    Diagnostic, HeredocWord, Kind, Severity, Word,
    nodes::{Node, Nodes, parse_nodes},
    parse,
};
use serde_json::{Value, json};

use crate::support::{self, Tally, cases, folder, rows, same, text};

/// Prints a node as BuildKit's `Node.Dump`.
fn dump(node: &Node) -> String {
    let mut text = node.keyword.text.to_lowercase();
    if !node.flags.is_empty() {
        let flags: Vec<String> = node.flags.iter().map(|flag| quote(&flag.text)).collect();
        text.push_str(&format!(" [{}]", flags.join(" ")));
    }
    if let Some(nested) = &node.nested {
        text.push_str(&format!(" ({})", dump(nested)));
    }
    for argument in arguments(node) {
        text.push_str(&format!(" {}", quote(&argument)));
    }
    text.trim().to_owned()
}

/// The arguments as BuildKit has them: a line it cannot read has one empty word.
fn arguments(node: &Node) -> Vec<String> {
    const KEYWORDS: &str = "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL \
                            STOPSIGNAL USER VOLUME WORKDIR";
    if !KEYWORDS.split(' ').any(|keyword| keyword.eq_ignore_ascii_case(&node.keyword.text)) {
        return vec![String::new()];
    }
    node.arguments.iter().map(|word| word.text.clone()).collect()
}

fn dump_all(nodes: &Nodes) -> String {
    nodes.nodes.iter().map(|node| format!("({})", dump(node))).collect::<Vec<_>>().join("\n")
}

/// Go's `strconv.Quote`.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\0'..='\u{1f}' | '\u{7f}' => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            '\u{80}'..='\u{a0}'
            | '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{feff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// A node in the corpora's form.
fn node_json(node: &Node) -> Value {
    let mut value = json!({
        "value": node.keyword.text, "start": node.lines.0, "end": node.lines.1, "original": node.original,
    });
    let args = match &node.nested {
        Some(nested) => vec![json!({"children": [node_json(nested)]})],
        None => arguments(node).into_iter().map(Value::String).collect(),
    };
    if !args.is_empty() {
        value["args"] = json!(args);
    }
    if !node.flags.is_empty() {
        value["flags"] = json!(node.flags.iter().map(|flag| &flag.text).collect::<Vec<_>>());
    }
    if node.json {
        value["attributes"] = json!({"json": true});
    }
    if !node.comments.is_empty() {
        value["prev_comment"] = json!(node.comments);
    }
    let heredocs: Vec<Value> = node
        .heredocs
        .iter()
        .map(|heredoc| {
            json!({
                "name": heredoc.name, "fd": heredoc.file_descriptor, "expand": heredoc.expand,
                "chomp": heredoc.chomp, "content": heredoc.raw_body,
            })
        })
        .collect();
    if !heredocs.is_empty() {
        value["heredocs"] = json!(heredocs);
    }
    value
}

/// Drops what is empty, and the key order.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let kept = keys.into_iter().filter(|key| !(key.as_str() == "args" && map[*key] == json!([])));
            Value::Object(kept.map(|key| (key.clone(), normal(&map[key]))).collect())
        }
        Value::Array(items) => items.iter().map(normal).collect(),
        other => other.clone(),
    }
}

fn first_error(diagnostics: &[Diagnostic]) -> Option<&Diagnostic> {
    diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error)
}

/// The first error as BuildKit words it.
fn error_text(diagnostic: Option<&Diagnostic>) -> String {
    let Some(diagnostic) = diagnostic else { return String::new() };
    match &diagnostic.help {
        Some(help) if help.starts_with("did you mean") => {
            format!("{} ({})", diagnostic.message, help.replace("--", ""))
        }
        _ => diagnostic.message.clone(),
    }
}

fn check_first_pass(row: &Value, nodes: &Nodes) -> Result<(), String> {
    let error = error_text(first_error(&nodes.diagnostics));
    same("parse error", error.as_str(), text(row, "error"))?;
    if row["parse_ok"] != json!(true) {
        return Ok(());
    }
    same("escape", nodes.escape.to_string().as_str(), text(row, "escape"))?;
    same("dump", dump_all(nodes).as_str(), text(row, "dump"))?;
    if let Some(expected) = row["nodes"].as_array() {
        for (got, expected) in nodes.nodes.iter().map(node_json).zip(expected) {
            same("node", normal(&got), normal(expected))?;
        }
        same("nodes", nodes.nodes.len(), expected.len())?;
    }
    if let Some(expected) = row["lines"].as_array() {
        let got: Vec<Value> =
            nodes.nodes.iter().map(|node| json!([node.keyword.text, node.lines.0, node.lines.1])).collect();
        same("lines", &got, expected)?;
    }
    let warnings = nodes.diagnostics.iter().filter(|d| d.code == "NoEmptyContinuation").count();
    same("warnings", warnings, row["warnings"].as_array().map_or(0, Vec::len))
}

fn check_second_pass(row: &Value, input: &str) -> Result<(), String> {
    let Some(ok) = row["instructions_ok"].as_bool() else { return Ok(()) };
    let parsed = parse(input.as_bytes());
    let errors: Vec<Diagnostic> = parsed.diagnostics.into_iter().filter(|d| d.code != "no-stages").collect();
    let error = error_text(first_error(&errors));
    let expected = text(row, "instructions_error");
    let expected =
        match expected.strip_prefix("dockerfile parse error on line ").and_then(|e| e.split_once(": ")) {
            Some((_, message)) => message,
            None => expected,
        };
    same("instruction error", error.as_str(), expected)?;
    same("instructions_ok", error.is_empty(), ok)?;
    if !ok || !row["stages"].is_array() {
        return Ok(());
    }
    let mut stages: Vec<Value> = Vec::new();
    let mut meta_args = 0;
    for instruction in &parsed.dockerfile.instructions {
        match (&instruction.kind, stages.last_mut()) {
            (Kind::From { platform, image, name }, _) => stages.push(json!({
                "base": image.text, "commands": 0, "name": name.as_ref().map_or(String::new(), |n| n.text.to_lowercase()),
                "platform": platform.as_ref().map_or("", |platform| platform.text.as_str()),
            })),
            (_, Some(stage)) => stage["commands"] = json!(stage["commands"].as_u64().unwrap_or(0) + 1),
            (_, None) => meta_args += 1,
        }
    }
    same("stages", normal(&json!(stages)), normal(&row["stages"]))?;
    same("meta_args", meta_args, row["meta_args"].as_u64().unwrap_or(0))
}

fn check(row: &Value, input: &str) -> Result<(), String> {
    check_first_pass(row, &parse_nodes(input)).and_then(|()| check_second_pass(row, input))
}

#[test]
fn corpora_parse() {
    let mut tally = Tally::new("parse");
    for row in rows("parser/parse.jsonl") {
        tally.case(text(&row, "id"), check(&row, text(&row, "dockerfile")));
    }
    tally.finish();
}

#[test]
fn corpora_real_dockerfiles() {
    let Some(folder) = folder() else { return };
    let mut tally = Tally::new("dockerfiles");
    for row in rows("dockerfiles/buildkit_parse.jsonl") {
        let id = text(&row, "id");
        let input =
            fs::read(folder.join(format!("dockerfiles/files/{id}.Dockerfile"))).expect("the file is there");
        tally.case(id, check(&row, &String::from_utf8_lossy(&input)));
    }
    tally.finish();
}

#[test]
fn corpora_ast_dumps() {
    let mut tally = Tally::new("ast");
    for (name, path) in cases("parser/ast") {
        let input = fs::read_to_string(path.join("Dockerfile")).expect("a Dockerfile");
        let expected = fs::read_to_string(path.join("result")).expect("a result");
        tally.case(&name, same("dump", dump_all(&parse_nodes(&input)).as_str(), expected.trim_end()));
    }
    tally.finish();
}

#[test]
fn corpora_negative() {
    let mut tally = Tally::new("negative");
    for (name, path) in cases("parser/negative") {
        let input = fs::read(path.join("Dockerfile")).expect("a Dockerfile");
        tally.case(&name, same("an error", parse(&input).has_errors(), true));
    }
    tally.finish();
}

#[test]
fn corpora_lines() {
    let mut tally = Tally::new("lines");
    if let Some(path) = folder().map(|folder| folder.join("parser/lines")).filter(|path| path.is_dir()) {
        let input = fs::read_to_string(path.join("Dockerfile")).expect("a Dockerfile");
        let expected = support::json(&path.join("expect.json"));
        let lines: Vec<(usize, usize)> = parse_nodes(&input).nodes.iter().map(|node| node.lines).collect();
        tally.case("children", same("lines", &json!(lines), &expected["children"]));
    }
    tally.finish();
}

#[test]
fn corpora_instruction_errors() {
    let mut tally = Tally::new("instruction_errors");
    for row in rows("parser/instruction_errors.jsonl") {
        let parsed = parse(text(&row, "dockerfile").as_bytes());
        let error = error_text(first_error(&parsed.diagnostics));
        let expected = text(&row, "error_contains");
        let result = if error.contains(expected) {
            Ok(())
        } else {
            Err(format!("got {error:?}, expected {expected:?}"))
        };
        tally.case(text(&row, "id"), result);
    }
    tally.finish();
}

#[test]
fn corpora_directives() {
    let mut tally = Tally::new("directives");
    for row in rows("parser/directives.jsonl") {
        let parsed = parse(text(&row, "text").as_bytes());
        let directives = parsed.dockerfile.directives;
        // The corpora have the first word only.
        let first = |word: &Word| word.text.split(' ').next().map(str::to_owned);
        let (got, line) = match text(&row, "directive") {
            "escape" => (Some(directives.escape.to_string()), None),
            "syntax" => (directives.syntax.as_ref().and_then(first), directives.syntax),
            _ => (directives.check.as_ref().and_then(first), directives.check),
        };
        let mut result = same("value", got.as_deref(), row["value"].as_str());
        if let (Some(word), Some(expected)) = (line, row["line"].as_u64()) {
            let line = parsed.text[..word.span.start].matches('\n').count() as u64 + 1;
            result = result.and_then(|()| same("line", line, expected));
        }
        tally.case(text(&row, "id"), result);
    }
    tally.finish();
}

#[test]
fn corpora_heredoc_tokens() {
    let mut tally = Tally::new("heredoc_tokens");
    for row in rows("parser/heredoc_tokens.jsonl") {
        let got = match HeredocWord::parse(text(&row, "text")) {
            Err(_) => json!({"kind": "error"}),
            Ok(None) => json!({"kind": "none"}),
            Ok(Some(word)) => {
                json!({"kind": "heredoc", "name": word.name, "expand": word.expand, "chomp": word.chomp})
            }
        };
        let mut expected = row.clone();
        if let Some(map) = expected.as_object_mut() {
            map.retain(|key, _| ["kind", "name", "expand", "chomp"].contains(&key.as_str()));
        }
        tally.case(text(&row, "id"), same("word", normal(&got), normal(&expected)));
    }
    tally.finish();
}

#[test]
fn corpora_exec_form() {
    let mut tally = Tally::new("exec_form");
    for row in rows("parser/exec_form_json.jsonl") {
        let nodes = parse_nodes(&format!("CMD {}", text(&row, "text"))).nodes;
        let json_node = nodes.first().filter(|node| node.json);
        let got =
            json_node.map(|node| node.arguments.iter().map(|word| json!(word.text)).collect::<Vec<_>>());
        let expected =
            row["expected"].as_array().cloned().or_else(|| (row["valid"] == json!(true)).then(Vec::new));
        tally.case(text(&row, "id"), same("strings", got, expected));
    }
    tally.finish();
}
