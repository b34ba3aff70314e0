//! lint/hadolint_specs.jsonl and dockerfiles/hadolint_dl.jsonl: hadolint's rules about Dockerfiles.

use std::collections::BTreeMap;
use std::fs;

use jettison_dockerfile::parse;
use jettison_report::lint::{CheckOptions, Request, Settings, all_checks};

use crate::build_checks::plan;
use crate::support::{folder, rows, say, text};

/// At least so many of a hundred findings made by either must be made by both: in all, and of each rule of which there
/// are at least [`MANY`].
const THRESHOLD: usize = 95;
const MANY: usize = 10;

/// What hadolint says where it cannot read a file.
const UNREADABLE: &str = "DL1000";

/// The findings of hadolint's rules: code and line.
fn findings(dockerfile: &[u8]) -> Vec<(String, u64)> {
    let parsed = parse(dockerfile);
    let plan = plan();
    let request = Request {
        dockerfile: &parsed,
        plan: &plan,
        every_stage: true,
        ignore: None,
        settings: Settings::NONE,
    };
    let options = CheckOptions::of(&request).unwrap_or_default();
    let checked = all_checks(&request, &options, &mut |_, _| Ok(None));
    let ours = checked.findings.iter().filter(|finding| finding.rule.name.starts_with("DL"));
    ours.map(|finding| (finding.rule.name.to_owned(), finding.lines.0 as u64)).collect()
}

#[test]
fn corpora_hadolint_specs() {
    let rows = rows("lint/hadolint_specs.jsonl");
    let total = rows.len();
    let mut wrong = 0;
    for row in rows {
        let fires =
            findings(text(&row, "dockerfile").as_bytes()).iter().any(|(code, _)| code == text(&row, "rule"));
        if Some(fires) != row["expect"].as_bool() {
            wrong += 1;
            say(&format!("{}: {} {:?}", text(&row, "id"), row["expect"], text(&row, "dockerfile")));
        }
    }
    say(&format!("{wrong} of {total} specs are not kept"));
    assert!(wrong * 100 <= total * (100 - THRESHOLD));
}

/// How often a rule was broken: by hadolint's judgement alone, by ours alone, by both.
#[derive(Default)]
struct Counts {
    theirs: usize,
    ours: usize,
    both: usize,
}

impl Counts {
    fn agree(&self) -> bool {
        self.both * 100 >= (self.theirs + self.ours + self.both) * THRESHOLD
    }

    fn are_many(&self) -> bool {
        self.theirs + self.ours + self.both >= MANY
    }
}

#[test]
fn corpora_hadolint_real_files() {
    let Some(folder) = folder() else { return };
    let mut rules: BTreeMap<String, Counts> = BTreeMap::new();
    for row in rows("dockerfiles/hadolint_dl.jsonl") {
        let id = text(&row, "id");
        let file = folder.join(format!("dockerfiles/files/{id}.Dockerfile"));
        let mut ours = findings(&fs::read(file).expect("the corpora are whole"));
        let theirs = row["findings"].as_array().expect("a list");
        if theirs.iter().any(|finding| finding["rule"] == UNREADABLE) {
            say(&format!("{id}: hadolint cannot read it; {} findings here", ours.len()));
            continue;
        }
        for finding in theirs {
            let finding = (text(finding, "rule").to_owned(), finding["line"].as_u64().unwrap_or_default());
            let counts = rules.entry(finding.0.clone()).or_default();
            match ours.iter().position(|own| *own == finding) {
                Some(at) => {
                    ours.swap_remove(at);
                    counts.both += 1;
                }
                None => {
                    counts.theirs += 1;
                    say(&format!("{id}:{} {} is theirs alone", finding.1, finding.0));
                }
            }
        }
        for (rule, line) in ours {
            say(&format!("{id}:{line} {rule} is ours alone"));
            rules.entry(rule).or_default().ours += 1;
        }
    }
    judge(&rules);
}

fn judge(rules: &BTreeMap<String, Counts>) {
    let mut all = Counts::default();
    let mut worse = Vec::new();
    for (rule, counts) in rules {
        say(&format!(
            "{rule}: ours alone {}, theirs alone {}, both {}",
            counts.ours, counts.theirs, counts.both
        ));
        all.ours += counts.ours;
        all.theirs += counts.theirs;
        all.both += counts.both;
        if counts.are_many() && !counts.agree() {
            worse.push(rule);
        }
    }
    say(&format!("all: ours alone {}, theirs alone {}, both {}", all.ours, all.theirs, all.both));
    assert!(all.agree());
    assert_eq!(worse, Vec::<&String>::new(), "too many disagreements");
}
