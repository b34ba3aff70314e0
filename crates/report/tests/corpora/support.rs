//! Reading the corpora and counting.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jettison_image::Platform;
use jettison_plan::NetworkMode;
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

/// Lists the cases of a folder that has a Dockerfile and an `expect.json` for each.
pub fn cases(path: &str) -> Vec<(String, PathBuf, Value)> {
    let Some(entries) = folder().and_then(|folder| fs::read_dir(folder.join(path)).ok()) else {
        return Vec::new();
    };
    let read = |path: PathBuf| {
        let expected = fs::read(path.join("expect.json")).ok()?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some((name, path, serde_json::from_slice(&expected).expect("valid JSON")))
    };
    let mut cases: Vec<_> = entries.filter_map(|entry| read(entry.ok()?.path())).collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}

/// The settings of a plain build for linux/amd64.
pub fn plan() -> jettison_plan::Request {
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

/// Counts expected findings that are made, that are missing, and findings that are not expected; prints the last two.
pub struct Tally {
    kind: &'static str,
    made: usize,
    missing: usize,
    extra: usize,
}

impl Tally {
    pub fn new(kind: &'static str) -> Tally {
        Tally { kind, made: 0, missing: 0, extra: 0 }
    }

    /// Adds a case: both lists as multisets.
    pub fn case(&mut self, id: &str, mut got: Vec<String>, expected: Vec<String>) {
        for finding in expected {
            match got.iter().position(|made| *made == finding) {
                Some(at) => {
                    got.swap_remove(at);
                    self.made += 1;
                }
                None => {
                    self.missing += 1;
                    println!("{} {id}: missing {finding}", self.kind);
                }
            }
        }
        for finding in got {
            self.extra += 1;
            println!("{} {id}: not expected: {finding}", self.kind);
        }
    }

    /// Prints the total; panics where less than `percent` of the expected findings are made, or more than `100 -
    /// percent` of those made are not expected.
    pub fn finish(self, percent: usize, extra_percent: usize) {
        let Tally { kind, made, missing, extra } = self;
        println!("{kind}: {made} of {} expected findings, {extra} others", made + missing);
        assert!(made * 100 >= (made + missing) * percent, "{kind}: {missing} expected findings are missing");
        assert!(extra * 100 <= (made + extra) * extra_percent, "{kind}: {extra} findings are not expected");
    }
}

/// Returns a text of a row, empty if it is not there.
pub fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}
