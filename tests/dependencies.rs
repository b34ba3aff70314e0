//! The crates use only those below them: the edges of ARCHITECTURE.md, spelled out.

use std::collections::BTreeMap;
use std::process::Command;

/// Each crate, lowest first, with the crates of the workspace that it may use.
const EDGES: &[(&str, &[&str])] = &[
    ("dockerfile", &[]),
    ("image", &[]),
    ("fs", &[]),
    ("layer", &["image", "fs"]),
    ("store", &["image", "fs", "layer"]),
    ("registry", &["image"]),
    ("sandbox", &["fs"]),
    ("plan", &["dockerfile", "image"]),
    ("build", &["dockerfile", "image", "fs", "layer", "store", "registry", "sandbox", "plan"]),
    ("report", &["dockerfile", "image", "layer", "plan"]),
    (
        "ops",
        &["dockerfile", "image", "fs", "layer", "store", "registry", "sandbox", "plan", "build", "report"],
    ),
    ("cli", &["build", "image", "ops", "sandbox"]),
    ("testkit", &["image"]),
];

#[test]
fn the_crates_use_only_those_below_them() {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let metadata: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(packages.len(), EDGES.len(), "a crate is missing in the list");
    for package in packages {
        let name = package["name"].as_str().unwrap().trim_start_matches("jettison-");
        for dependency in package["dependencies"].as_array().unwrap() {
            let Some(used) = dependency["name"].as_str().unwrap().strip_prefix("jettison-") else { continue };
            if dependency["kind"] == "dev" {
                continue;
            }
            assert!(allowed[name].contains(&used), "{name} must not use {used}");
        }
    }
}

#[test]
fn only_the_registry_crate_is_asynchronous_and_only_two_crates_are_unsafe() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for (name, _) in EDGES {
        let manifest = std::fs::read_to_string(format!("{root}/{name}/Cargo.toml")).unwrap();
        assert_eq!(manifest.contains("tokio"), *name == "registry", "{name} and tokio");
        let allows = grep(&format!("{root}/{name}/src"), "allow(unsafe_code");
        assert!(!allows || ["fs", "sandbox"].contains(name), "{name} allows unsafe code");
    }
}

fn grep(folder: &str, text: &str) -> bool {
    Command::new("grep").args(["-rqF", text, folder]).status().unwrap().success()
}
