//! What the documents name must be there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every `module::test` of the sources, where a module is a file.
fn tests() -> BTreeSet<String> {
    let mut command = Command::new("grep");
    command.args(["-rA4", "^ *#\\[test\\]", "--include=*.rs", "tests", "crates"]).current_dir(root());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let Some((file, code)) = line.split_once(".rs-") else { continue };
        let Some(name) = code.trim_start().strip_prefix("fn ").and_then(|rest| rest.split('(').next()) else {
            continue;
        };
        let path: Vec<&str> = file.split('/').collect();
        let module = match path[..] {
            [.., folder, "mod"] => folder,
            [.., file] => file,
            [] => continue,
        };
        found.insert(format!("{module}::{name}"));
    }
    found
}

#[test]
fn tests_that_the_table_of_compatibility_names_exist() {
    let tests = tests();
    let text = std::fs::read_to_string(root().join("docs/compatibility.md")).unwrap();
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|code| code.contains("::")).collect();
    let missing: Vec<&&str> =
        named.iter().filter(|name| !tests.contains(**name) && **name != "copy::a").collect();
    assert!(named.len() > 100 && missing.is_empty(), "no such tests: {missing:?}");
}
