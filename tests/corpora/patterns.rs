//! patterns/: moby/patternmatcher's tables, and real ignore files with a tree.

use std::collections::{BTreeMap, BTreeSet};

use jettison_dockerfile::ignore::{ParentMatch, Patterns, read_ignore_file};
use serde_json::Value;

use crate::support::{Tally, rows, same, text, texts};

#[test]
fn corpora_patterns_matches() {
    let mut tally = Tally::new("matches");
    for row in rows("patterns/matches.jsonl") {
        let path = text(&row, "text");
        // moby's package function Matches never matches the root itself.
        let root = text(&row, "function") == "Matches" && path == ".";
        let got = Patterns::new(texts(&row, "patterns")).map(|p| !root && p.matches_or_parent_matches(path));
        let expected = row["expected"].as_bool();
        let id = format!("{} {:?} {path:?}", text(&row, "id"), texts(&row, "patterns"));
        tally.case(&id, same("match", got.ok(), expected));
    }
    tally.finish();
}

#[test]
fn corpora_ignore_files_are_read() {
    let mut tally = Tally::new("ignorefile");
    for row in rows("patterns/ignorefile.jsonl") {
        let got = read_ignore_file(text(&row, "text").as_bytes()).map_err(|error| error.to_string());
        tally.case(text(&row, "id"), got.and_then(|got| same("patterns", got, texts(&row, "expected"))));
    }
    tally.finish();
}

/// Walks the tree from the top down, and asks for each path alone as well.
fn check_tree(row: &Value) -> Result<(), String> {
    let patterns = Patterns::parse(text(row, "ignore").as_bytes()).map_err(|error| error.to_string())?;
    let read = read_ignore_file(text(row, "ignore").as_bytes()).map_err(|error| error.to_string())?;
    same("patterns", read, texts(row, "patterns"))?;
    let excluded: BTreeSet<String> = texts(row, "excluded").into_iter().collect();
    let included: BTreeSet<String> = texts(row, "included").into_iter().collect();
    let mut states: BTreeMap<String, (bool, ParentMatch)> = BTreeMap::new();
    for path in excluded.iter().chain(&included) {
        let mut parent = (false, ParentMatch::default());
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let directory = &path[..end];
            let state = states.entry(directory.to_owned()).or_insert_with(|| {
                assert!(
                    !(included.contains(path)
                        && parent.0
                        && !patterns.may_include_below(&directory[..directory.rfind('/').unwrap_or(0)])),
                    "{path} is included below an ignored directory that a walk would have skipped"
                );
                patterns.matches_below(directory, &parent.1)
            });
            parent = state.clone();
        }
        same(path, parent.0, excluded.contains(path))?;
    }
    Ok(())
}

#[test]
fn corpora_dockerignore() {
    let mut tally = Tally::new("dockerignore");
    for row in rows("patterns/dockerignore.jsonl") {
        tally.case(&format!("{} {}", text(&row, "id"), text(&row, "repo")), check_tree(&row));
    }
    tally.finish();
}
