//! Python's installed distributions (PyPA: "Recording installed projects"; setuptools' older `egg-info`).

use jettison_layer::{file_name, join, parent};

use super::{Inventory, field};
use crate::files::Files;

/// Finds Python distributions.
pub(super) fn find(files: &Files<'_>, found: &mut Inventory) {
    let folders: Vec<Vec<u8>> = files
        .tree
        .iter()
        .filter(|node| node.entry.is_directory())
        .map(|node| node.entry.path.clone())
        .filter(|path| path.ends_with(b".dist-info") || path.ends_with(b".egg-info"))
        .collect();
    for folder in folders {
        let (metadata, record) = match folder.ends_with(b".dist-info") {
            true => ("METADATA", "RECORD"),
            false => ("PKG-INFO", "installed-files.txt"),
        };
        let Some(text) = files.database(&join(&folder, metadata.as_bytes()), found) else { continue };
        let text = String::from_utf8_lossy(&text).into_owned();
        let head = text.split("\n\n").next().unwrap_or_default();
        let Some(name) = field(head, "Name") else { continue };
        let record_path = join(&folder, record.as_bytes());
        let list = files.database(&record_path, found).unwrap_or_default();
        // RECORD is relative to the folder of the distribution, the older list to the `egg-info` itself.
        let root = if record == "RECORD" { parent(&folder).unwrap_or_default() } else { &folder };
        let mut paths: Vec<Vec<u8>> = String::from_utf8_lossy(&list)
            .lines()
            .filter_map(|line| files.real(&join(root, first_column(line).as_bytes())))
            .collect();
        paths.extend(bytecode(files, &paths));
        paths.extend(files.tree.subtree(&folder).map(|node| node.entry.path.clone()));
        found.add("python", name, field(head, "Version").unwrap_or_default(), &folder, paths);
    }
}

/// The first field of a line of CSV.
fn first_column(line: &str) -> String {
    match line.strip_prefix('"') {
        None => line.split(',').next().unwrap_or_default().to_owned(),
        Some(quoted) => quoted.split("\",").next().unwrap_or_default().replace("\"\"", "\""),
    }
}

/// Compiled forms of modules, which RECORD lists only if the installer made them.
fn bytecode(files: &Files<'_>, paths: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for path in paths {
        let Some(stem) = file_name(path).strip_suffix(b".py") else { continue };
        let cache = join(parent(path).unwrap_or_default(), b"__pycache__");
        let start = [stem, b"."].concat();
        let mine = files.tree.children(&cache).map(|node| &node.entry.path);
        found.extend(mine.filter(|path| file_name(path).starts_with(&start)).cloned());
    }
    found
}
