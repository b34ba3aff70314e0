//! behaviour/: builds, and what must be in the images. The corpora's own runner calls the binary and compares.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use jettison_testkit::{Jettison, Registry};
use serde_json::Value;

use crate::support::{Tally, folder, say, text, texts};

/// Cases whose expectation is not met on purpose: `docs/compatibility.md` says why, case by case.
const DIFFERENT: &[&str] = &[];

/// The binary under test, built by cargo before the tests run.
const BINARY: &str = env!("CARGO_BIN_EXE_jettison");

/// Builds at once.
const JOBS: &str = "2";

/// The base images that the corpora make, with their tags.
const BASES: &[(&str, &[&str])] =
    &[("busybox", &["latest", "stable-musl"]), ("alpine", &["latest", "3", "3.22"])];

#[test]
fn corpora_behaviour() {
    let Some(folder) = folder() else { return };
    let corpora = folder.parent().expect("a part of the corpora lies beside its runner");
    let work = tempfile::tempdir().unwrap();
    let registry = base_images(corpora, work.path());
    let home = Jettison::new(BINARY);
    home.mirror(&["docker.io"], &registry.address());
    let report = work.path().join("report");
    let status = Command::new("python3")
        .arg(corpora.join("run_behaviour.py"))
        .args(["-q", "--skip-needs", "", "--jobs", JOBS, "--cmd", &command_line(&home)])
        .arg("--cases")
        .arg(folder.join("behaviour"))
        .arg("--report")
        .arg(&report)
        .arg("--tmp")
        .arg(work.path())
        .stdout(Stdio::null())
        .status();
    status.expect("python3 runs");
    let report = fs::read_to_string(&report).expect("the runner wrote its report");
    judge(report.lines().map(|line| serde_json::from_str(line).unwrap()));
}

/// Makes the base images and puts them into a registry.
fn base_images(corpora: &Path, work: &Path) -> Registry {
    let bases = work.join("bases");
    let mut make = Command::new("python3");
    let output = make.arg(corpora.join("bases/make_bases.py")).arg(&bases).output().expect("python3 runs");
    assert!(output.status.success(), "{make:?}: {}", String::from_utf8_lossy(&output.stderr));
    let registry = Registry::start();
    for (name, tags) in BASES {
        for tag in *tags {
            registry.push(&format!("oci:{}/{name}:{tag}", bases.display()), &format!("library/{name}:{tag}"));
        }
    }
    registry
}

/// The command line of one build, in the form of the runner: each case has a store of its own.
fn command_line(home: &Jettison) -> String {
    format!(
        "env JETTISON_ROOT={{state}} CONTAINERS_REGISTRIES_CONF={} {} build -q --network host \
         -f {{dockerfile}} {{flags}} -o type=oci,dest={{out}} {{context}}",
        home.path("registries.conf").display(),
        home.path("jettison").display()
    )
}

fn judge(results: impl Iterator<Item = Value>) {
    let mut tally = Tally::new("behaviour");
    let mut different: BTreeSet<&str> = DIFFERENT.iter().copied().collect();
    for result in results {
        let (name, problems) = (text(&result, "name"), texts(&result, "problems"));
        if different.remove(name) {
            assert!(!problems.is_empty(), "{name} is as expected: it is no difference any more");
            say(&format!("behaviour: {name} differs on purpose"));
            continue;
        }
        tally.case(name, if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) });
    }
    tally.finish();
}
