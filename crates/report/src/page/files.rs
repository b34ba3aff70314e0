//! The files of a report in columns, each directory's name once: a third of the bytes, and quick to read.

use std::collections::HashMap;

use serde::Serialize;

use crate::{Cause, FileReport};

/// Directories, parents first; the first is the root.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Directories<'a> {
    parent: Vec<usize>,
    name: Vec<&'a str>,
}

/// Files in columns of equal length.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Files<'a> {
    directory: Vec<usize>,
    name: Vec<&'a str>,
    size: Vec<u64>,
    layer: Vec<usize>,
    /// 0 live, 1 a duplicate, 2 overwritten, 3 deleted, 4 metadata, 5 identical.
    fate: Vec<u8>,
    /// The layer that made it dead, or -1.
    by: Vec<i64>,
    /// The number of its package, or -1.
    package: Vec<i64>,
}

/// Turns a list of files into columns.
pub(super) fn columns(list: &[FileReport]) -> (Directories<'_>, Files<'_>) {
    let mut directories = Directories { parent: vec![0], name: vec![""] };
    let mut known: HashMap<&str, usize> = HashMap::from([("", 0)]);
    let mut files = Files::default();
    for file in list {
        let (directory, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        files.directory.push(number(directory, &mut directories, &mut known));
        files.name.push(name);
        files.size.push(file.size);
        files.layer.push(file.layer);
        files.fate.push(fate(file));
        files.by.push(signed(file.by));
        files.package.push(signed(file.package));
    }
    (directories, files)
}

/// Returns the number of a directory, entering it and all above it where they are new.
fn number<'a>(
    path: &'a str,
    directories: &mut Directories<'a>,
    known: &mut HashMap<&'a str, usize>,
) -> usize {
    if let Some(number) = known.get(path) {
        return *number;
    }
    // From the root down, so that a path of any depth takes no stack.
    let mut parent = 0;
    for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
        let part = &path[..end];
        parent = *known.entry(part).or_insert_with(|| {
            directories.parent.push(parent);
            directories.name.push(part.rsplit('/').next().unwrap_or_default());
            directories.name.len() - 1
        });
    }
    parent
}

fn fate(file: &FileReport) -> u8 {
    match file.dead {
        None => u8::from(file.duplicate),
        Some(Cause::Overwritten) => 2,
        Some(Cause::Deleted) => 3,
        Some(Cause::Metadata) => 4,
        Some(Cause::Identical) => 5,
    }
}

fn signed(number: Option<usize>) -> i64 {
    number.and_then(|number| i64::try_from(number).ok()).unwrap_or(-1)
}
