//! The fat images of `tests/fat`: contexts with a well-known mistake each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jettison_testkit::{Context, tools};

use crate::Bench;

/// Those that build on the test's own base image, without network.
pub const ON_BUSYBOX: [&str; 7] =
    ["archive", "chown-tree", "deleted-later", "env-copied", "git-copied", "no-dockerignore", "secret-arg"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fat")
}

/// Makes the context of a fat image.
pub fn context(name: &str) -> Context {
    let context = Context::copy_of(&folder().join(name));
    let prepare = context.path().join("prepare");
    if prepare.exists() {
        tools::checked(Command::new("sh").arg("prepare").current_dir(context.path()));
        fs::remove_file(prepare).unwrap();
    }
    context
}

#[test]
fn the_table_names_each_folder() {
    let table = fs::read_to_string(folder().join("README.md")).unwrap();
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap());
    let folders: Vec<_> = entries.filter(|entry| entry.path().is_dir()).collect();
    assert_eq!(folders.len(), 13);
    for entry in folders {
        let row = format!("| `{}` |", entry.file_name().display());
        assert!(table.contains(&row), "no row {row}");
    }
}

#[test]
fn those_on_busybox_build() {
    let bench = Bench::new();
    for name in ON_BUSYBOX {
        bench.build(&context(name), &["-t", name]);
        bench.jettison.ok(&["report", name]);
    }
}
