//! Packages in `node_modules` folders (npm: "folders", "package.json").

use std::collections::BTreeMap;

use jettison_layer::{Kind, join};
use serde_json::Value;

use super::Inventory;
use crate::files::Files;

const FOLDER: &[u8] = b"node_modules/";

/// Finds Node packages: of each, what is in its folder but not in a package within.
pub(super) fn find(files: &Files<'_>, found: &mut Inventory) {
    let mut packages: BTreeMap<&[u8], Vec<Vec<u8>>> = BTreeMap::new();
    for node in files.tree.iter() {
        if let (Some(root), Kind::File { .. }) = (root(&node.entry.path), &node.entry.kind) {
            packages.entry(root).or_default().push(node.entry.path.clone());
        }
    }
    for (root, paths) in packages {
        let Some(text) = files.database(&join(root, b"package.json"), found) else { continue };
        let Ok(manifest) = serde_json::from_slice::<Value>(&text) else { continue };
        let text = |key: &str| manifest.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (name, version) = (text("name"), text("version"));
        if !name.is_empty() && !version.is_empty() {
            found.add("node", &name, &version, root, paths);
        }
    }
}

/// Returns the folder of the innermost package that a path belongs to: up to the name, with its scope, behind the last
/// `node_modules`.
fn root(path: &[u8]) -> Option<&[u8]> {
    let mut starts = (0..path.len().saturating_sub(FOLDER.len())).rev();
    let start = starts.find(|at| path[*at..].starts_with(FOLDER) && (*at == 0 || path[at - 1] == b'/'))?;
    let rest = &path[start + FOLDER.len()..];
    let parts = if rest.starts_with(b"@") { 2 } else { 1 };
    let mut slashes = rest.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let end = slashes.nth(parts - 1)?;
    (!rest.starts_with(b".")).then(|| &path[..start + FOLDER.len() + end])
}

#[cfg(test)]
mod tests {
    use super::root;

    #[test]
    fn a_file_belongs_to_the_innermost_package() {
        for (path, expected) in [
            ("app/node_modules/a/index.js", Some("app/node_modules/a")),
            ("app/node_modules/a/node_modules/@s/b/lib/x.js", Some("app/node_modules/a/node_modules/@s/b")),
            ("node_modules/a/x", Some("node_modules/a")),
            ("app/node_modules/.bin/a", None),
            ("app/node_modules/.package-lock.json", None),
            ("app/my_node_modules/a/x", None),
            ("node_modules/a", None),
        ] {
            assert_eq!(root(path.as_bytes()), expected.map(str::as_bytes), "{path}");
        }
    }
}
