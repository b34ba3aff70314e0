//! lint/buildkit, lint/docs and dockerfiles/: BuildKit's build checks.

use std::collections::BTreeMap;
use std::fs;

use jettison_dockerfile::ignore::Patterns;
use jettison_dockerfile::parse;
use jettison_image::Platform;
use jettison_plan::NetworkMode;
use jettison_report::lint::{CheckOptions, Checked, Finding, Request, Settings, build_checks};
use serde_json::Value;

use crate::support::{cases, folder, json, rows, say, text};

/// At least so many of a hundred expected warnings must be given, and no other.
const THRESHOLD: usize = 95;

/// A file whose record is empty although others with the same FROMs have warnings in theirs.
const WITHOUT_RECORD: &str = "eacbe8b1-NVIDIA-NeMo";

/// Counts expected findings that are made, that are missing, and findings that are not expected; prints the last two.
struct Tally {
    kind: &'static str,
    made: usize,
    missing: usize,
    extra: usize,
}

impl Tally {
    fn new(kind: &'static str) -> Tally {
        Tally { kind, made: 0, missing: 0, extra: 0 }
    }

    /// Adds a case: both lists as multisets.
    fn case(&mut self, id: &str, mut got: Vec<String>, expected: Vec<String>) {
        for finding in expected {
            match got.iter().position(|made| *made == finding) {
                Some(at) => {
                    got.swap_remove(at);
                    self.made += 1;
                }
                None => {
                    self.missing += 1;
                    say(&format!("{} FAIL {id}: missing {finding}", self.kind));
                }
            }
        }
        for finding in got {
            self.extra += 1;
            say(&format!("{} FAIL {id}: not expected: {finding}", self.kind));
        }
    }

    /// Prints the total; panics where less than [`THRESHOLD`] of the expected findings are made, or others are.
    fn finish(self) {
        let Tally { kind, made, missing, extra } = self;
        if folder().is_none() {
            return;
        }
        let all = made + missing;
        say(&format!("{kind}: {made} of {all} expected findings, {extra} others"));
        assert!(made * 100 >= all * THRESHOLD, "{kind}: {missing} expected findings are missing");
        assert_eq!(extra, 0, "{kind}: {extra} findings are not expected");
    }
}

/// The settings of a plain build for linux/amd64.
pub(crate) fn plan() -> jettison_plan::Request {
    jettison_plan::Request {
        target: None,
        build_args: BTreeMap::new(),
        labels: Vec::new(),
        platform: Some(Platform::new("linux", "amd64", None)),
        build_platform: Platform::new("linux", "amd64", None),
        contexts: BTreeMap::new(),
        network: NetworkMode::Default,
        extra_hosts: Vec::new(),
        run: jettison_plan::RunOptions::default(),
    }
}

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
        settings: Settings::NONE,
        ignore: case.ignore.as_ref(),
    };
    let options = CheckOptions::of(&request).expect("valid options");
    build_checks(&request, &options, &mut |_, _| Ok(None))
}

fn made(checked: &Checked) -> Vec<String> {
    let line = |found: &Finding| {
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
    for (id, path) in cases("lint/buildkit") {
        let case = json(&path.join("expect.json"));
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
    tally.finish();
}

/// The builds are recorded with first lines only.
fn short(checked: &Checked) -> Vec<String> {
    let line = |found: &Finding| {
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
    for (id, path) in cases("lint/docs") {
        let case = json(&path.join("expect.json"));
        let dockerfile = fs::read(path.join("Dockerfile")).expect("a Dockerfile");
        let checked =
            check(&Case { dockerfile: &dockerfile, ignore: None, args: &Value::Null, every_stage: true });
        tally.case(&id, made(&checked), expected(&case["buildkit"]["warnings"]));
    }
    tally.finish();
}

#[test]
fn corpora_build_checks_of_real_dockerfiles() {
    let Some(folder) = folder() else { return };
    let mut tally = Tally::new("build checks of real Dockerfiles");
    for row in rows("dockerfiles/buildkit_lint.jsonl") {
        let id = text(&row, "id");
        if id == WITHOUT_RECORD {
            continue;
        }
        let dockerfile =
            fs::read(folder.join(format!("dockerfiles/files/{id}.Dockerfile"))).expect("the file is there");
        let checked =
            check(&Case { dockerfile: &dockerfile, ignore: None, args: &Value::Null, every_stage: true });
        tally.case(id, made(&checked), expected(&row["warnings"]));
    }
    tally.finish();
}
