//! Reading the corpora and counting.

use std::fmt::Debug;
use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

/// Returns the folder of the corpora; `None`, which is said once, where there are none. A folder that was named must be
/// there.
pub fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        if let Some(named) = std::env::var_os("JETTISON_CORPORA") {
            let named = PathBuf::from(named);
            assert!(named.is_dir(), "JETTISON_CORPORA names {}, which is no folder", named.display());
            return Some(named);
        }
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora/public");
        if beside.is_dir() {
            return Some(beside);
        }
        say(
            "there are no corpora at ../shared/corpora/public and JETTISON_CORPORA names none: nothing is judged",
        );
        None
    };
    FOLDER.get_or_init(find).as_deref()
}

/// Prints a line that the test harness does not keep to itself when the test passes.
pub fn say(line: &str) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(stderr(), "corpora: {line}");
}

/// Reads a file of one JSON object a line; empty where there are no corpora or no such file.
pub fn rows(path: &str) -> Vec<Value> {
    let Some(text) = folder().and_then(|folder| fs::read_to_string(folder.join(path)).ok()) else {
        return Vec::new();
    };
    text.lines().map(|line| serde_json::from_str(line).expect("corpora are JSON lines")).collect()
}

/// Lists the folders of the cases in a folder, by name; empty where there are no corpora or no such folder.
pub fn cases(path: &str) -> Vec<(String, PathBuf)> {
    let Some(entries) = folder().and_then(|folder| fs::read_dir(folder.join(path)).ok()) else {
        return Vec::new();
    };
    let mut cases: Vec<(String, PathBuf)> = entries
        .map(|entry| entry.expect("a readable folder"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    cases.sort();
    cases
}

/// Reads a JSON file of a case.
pub fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
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
            say(&format!("{} FAIL {id}: {reason}", self.kind));
        }
    }

    /// Prints the total; panics if anything failed.
    pub fn finish(self) {
        let Tally { kind, cases, failures } = self;
        if folder().is_none() {
            return;
        }
        say(&format!("{kind}: {} of {cases} as expected", cases - failures));
        assert_eq!(failures, 0, "{kind}: {failures} of {cases} cases differ");
    }
}

/// Compares two values.
pub fn same<T: PartialEq + Debug>(what: &str, got: T, expected: T) -> Result<(), String> {
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
