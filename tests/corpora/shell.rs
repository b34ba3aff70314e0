//! shell/: BuildKit's tables of variable expansion and word splitting.

use std::collections::{BTreeMap, BTreeSet};

use jettison_dockerfile::words::Expander;
use serde_json::Value;

use crate::support::{Tally, rows, same, text, texts};

fn env(row: &Value) -> BTreeMap<String, String> {
    let pair = |pair: String| match pair.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (pair, String::new()),
    };
    texts(row, "env").into_iter().map(pair).collect()
}

fn check_word(row: &Value) -> Result<(), String> {
    let env = env(row);
    let result = Expander::new('\\').expand(text(row, "word"), &|name| env.get(name).cloned());
    if row["error"].as_bool() == Some(true) {
        return same("an error", result.is_err(), true);
    }
    let expansion = result.map_err(|error| error.to_string())?;
    same("text", expansion.text.as_str(), text(row, "expected"))?;
    for (key, names) in [("matched", expansion.matched), ("unmatched", expansion.unmatched)] {
        if row[key].is_array() {
            same(key, names, texts(row, key).into_iter().collect::<BTreeSet<_>>())?;
        }
    }
    Ok(())
}

#[test]
fn corpora_process_word() {
    for kind in ["process_word", "process_word_matches"] {
        let mut tally = Tally::new(kind);
        for row in rows(&format!("shell/{kind}.jsonl")) {
            tally.case(text(&row, "id"), check_word(&row));
        }
        tally.finish();
    }
}

#[test]
fn corpora_process_words() {
    let mut tally = Tally::new("process_words");
    for row in rows("shell/process_words.jsonl") {
        let env = env(&row);
        let result = Expander::new('\\').expand_words(text(&row, "word"), &|name| env.get(name).cloned());
        let result = match row["error"].as_bool() {
            Some(true) => same("an error", result.is_err(), true),
            _ => result
                .map_err(|e| e.to_string())
                .and_then(|words| same("words", words, texts(&row, "expected"))),
        };
        tally.case(text(&row, "id"), result);
    }
    tally.finish();
}
