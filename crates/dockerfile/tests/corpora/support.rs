//! Reading the corpora and counting.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// Finds the corpora; says so where there are none.
pub fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("JETTISON_CORPORA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora/public"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    println!("no corpora");
    None
}

/// Reads a file of one JSON object a line; empty where there are no corpora or no such file.
pub fn rows(path: &str) -> Vec<Value> {
    let Some(text) = folder().and_then(|folder| fs::read_to_string(folder.join(path)).ok()) else {
        return Vec::new();
    };
    text.lines().map(|line| serde_json::from_str(line).expect("corpora are JSON lines")).collect()
}

/// Counts the cases of a kind and prints the failing ones.
pub struct Tally {
    kind: &'static str,
    cases: usize,
    failures: usize,
}

impl Tally {
    pub fn new(kind: &'static str) -> Tally {
        Tally { kind, cases: 0, failures: 0 }
    }

    /// Adds a case.
    pub fn case(&mut self, id: &str, result: Result<(), String>) {
        self.cases += 1;
        if let Err(reason) = result {
            self.failures += 1;
            println!("{} {id}: {reason}", self.kind);
        }
    }

    /// Prints the total; panics if anything failed.
    pub fn finish(self) {
        println!("{}: {} of {} as expected", self.kind, self.cases - self.failures, self.cases);
        assert_eq!(self.failures, 0, "{}: {} of {} cases differ", self.kind, self.failures, self.cases);
    }
}

/// Compares two values.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{what}: got {got:?}, expected {expected:?}")) }
}

/// Returns a text of a row, empty if it is not there.
pub fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

/// Returns a list of texts of a row, empty if it is not there.
pub fn texts(row: &Value, key: &str) -> Vec<String> {
    let items = row[key].as_array().cloned().unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
