//! lint/buildkit, lint/docs and dockerfiles/: BuildKit's build checks.

use std::fs;

use jettison_dockerfile::ignore::Patterns;
use jettison_dockerfile::parse;
use jettison_report::lint::{CheckOptions, Checked, Request, build_checks};
use serde_json::Value;

use crate::support::{Tally, cases, folder, plan, rows, text};

/// At least so many of a hundred expected warnings must be given, and no other.
const THRESHOLD: usize = 95;

struct Case<'a> {
    dockerfile: &'a [u8],
    ignore: Option<Patterns>,
    args: &'a Value,
    every_stage: bool,
}

fn check(case: &Case<'_>) -> Checked {
    let parsed = parse(case.dockerfile);
    let mut plan = plan();
    for (key, value) in case.args.as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default().to_owned();
        match key.strip_prefix("build-arg:") {
            Some(name) => {
                plan.build_args.insert(name.to_owned(), value);
            }
            None if key == "target" => plan.target = Some(value),
            None if key == "platform" => plan.platform = value.parse().ok(),
            None => {}
        }
    }
    let request = Request {
        dockerfile: &parsed,
        plan: &plan,
        every_stage: case.every_stage,
        ignore: case.ignore.as_ref(),
    };
    let options = CheckOptions::of(&request).expect("valid options");
    build_checks(&request, &options, &mut |_, _| Ok(None))
}

fn made(checked: &Checked) -> Vec<String> {
    let line = |found: &jettison_report::lint::Finding| {
        format!("{} line {} to {}: {}", found.rule.name, found.lines.0, found.lines.1, found.message)
    };
    checked.findings.iter().map(line).collect()
}

fn expected(warnings: &Value) -> Vec<String> {
    let line = |row: &Value| {
        let end = if row["end_line"].is_null() { &row["line"] } else { &row["end_line"] };
        format!("{} line {} to {end}: {}", text(row, "rule"), row["line"], text(row, "detail"))
    };
    warnings.as_array().into_iter().flatten().map(line).collect()
}

#[test]
fn corpora_buildkit_lint() {
    let mut tally = Tally::new("build checks");
    for (id, path, case) in cases("lint/buildkit") {
        let dockerfile = fs::read(path.join("Dockerfile")).expect("a Dockerfile");
        let offline = &case["offline_lint"];
        if !offline.is_null() {
            let checked =
                check(&Case { dockerfile: &dockerfile, ignore: None, args: &Value::Null, every_stage: true });
            tally.case(&id, made(&checked), expected(&offline["warnings"]));
        }
        let ignore = fs::read(path.join("dockerignore")).ok();
        let ignore = ignore.map(|text| Patterns::parse(&text).expect("a valid ignore file"));
        let checked =
            check(&Case { dockerfile: &dockerfile, ignore, args: &case["args"], every_stage: false });
        tally.case(&format!("{id} (build)"), short(&checked), expected_short(&case["warnings"]));
        if !case["build_error"].is_null() && checked.error.is_none() {
            let options = CheckOptions::parse("error=true").expect("valid options");
            assert!(options.error && !checked.findings.is_empty(), "{id}: no error");
        }
    }
    tally.finish(THRESHOLD, 0);
}

/// The builds are recorded with first lines only.
fn short(checked: &Checked) -> Vec<String> {
    let line = |found: &jettison_report::lint::Finding| {
        let rule = found.rule;
        format!(
            "{} line {}: {} {} {}",
            rule.name,
            found.lines.0,
            found.message,
            rule.summary,
            rule.url.unwrap_or("")
        )
    };
    checked.findings.iter().map(line).collect()
}

fn expected_short(warnings: &Value) -> Vec<String> {
    let line = |row: &Value| {
        format!(
            "{} line {}: {} {} {}",
            text(row, "rule"),
            row["line"],
            text(row, "detail"),
            text(row, "description"),
            text(row, "url")
        )
    };
    warnings.as_array().into_iter().flatten().map(line).collect()
}

#[test]
fn corpora_rule_documentation() {
    let mut tally = Tally::new("documentation of build checks");
    for (id, path, case) in cases("lint/docs") {
        let dockerfile = fs::read(path.join("Dockerfile")).expect("a Dockerfile");
        let checked =
            check(&Case { dockerfile: &dockerfile, ignore: None, args: &Value::Null, every_stage: true });
        tally.case(&id, made(&checked), expected(&case["buildkit"]["warnings"]));
    }
    tally.finish(THRESHOLD, 0);
}

#[test]
fn corpora_real_dockerfiles() {
    let Some(folder) = folder() else { return };
    let mut tally = Tally::new("build checks of real Dockerfiles");
    for row in rows("dockerfiles/buildkit_lint.jsonl") {
        let id = text(&row, "id");
        let dockerfile =
            fs::read(folder.join(format!("dockerfiles/files/{id}.Dockerfile"))).expect("the file is there");
        let checked =
            check(&Case { dockerfile: &dockerfile, ignore: None, args: &Value::Null, every_stage: true });
        tally.case(id, made(&checked), expected(&row["warnings"]));
    }
    // One file of the collection has no warnings on record, though its FROMs are written as others' that have.
    tally.finish(THRESHOLD, 1);
}
