//! What differs between two lists of files.

use jettison_image::Digest;
use jettison_layer::{Entry, Index, Kind, side_by_side};

/// How many files are named.
const MAX_NAMED: usize = 20;

/// Says of each file what is different, as far as the list is not too long.
pub(super) fn differences(old: &Index, new: &Index) -> Vec<String> {
    let pairs = side_by_side(old.entries.iter(), new.entries.iter(), |entry| &entry.path);
    let mut found: Vec<String> = pairs.filter_map(difference).collect();
    if found.is_empty() {
        return vec!["the same files in another order, or of another time".to_owned()];
    }
    let more = found.len().saturating_sub(MAX_NAMED);
    found.truncate(MAX_NAMED);
    found.extend((more > 0).then(|| format!("and {more} more files")));
    found
}

fn difference(pair: (Option<&Entry>, Option<&Entry>)) -> Option<String> {
    match pair {
        (Some(old), Some(new)) => {
            let what = attributes(old, new);
            (!what.is_empty()).then(|| format!("{}: {}", path(new), what.join(", ")))
        }
        (None, Some(new)) => Some(format!("{}: added", path(new))),
        (Some(old), None) => Some(format!("{}: removed", path(old))),
        (None, None) => None,
    }
}

fn attributes(old: &Entry, new: &Entry) -> Vec<String> {
    let mut found = Vec::new();
    match (&old.kind, &new.kind) {
        (Kind::File { size: before, digest: a }, Kind::File { size: after, digest: b }) if a != b => {
            found.push(format!("content {} -> {}", short(a.as_ref()), short(b.as_ref())));
            if before != after {
                found.push(format!("size {before} -> {after}"));
            }
        }
        (Kind::File { .. }, Kind::File { .. }) => {}
        (Kind::Symlink { target: a }, Kind::Symlink { target: b }) if a != b => {
            found.push(format!("target {} -> {}", lossy(a), lossy(b)));
        }
        (a, b) if name(a) != name(b) => found.push(format!("{} -> {}", name(a), name(b))),
        (a, b) if a != b => found.push(format!("another {}", name(b))),
        _ => {}
    }
    if old.mode != new.mode {
        found.push(format!("mode {:o} -> {:o}", old.mode, new.mode));
    }
    if (old.uid, old.gid) != (new.uid, new.gid) {
        found.push(format!("owner {}:{} -> {}:{}", old.uid, old.gid, new.uid, new.gid));
    }
    if old.xattrs != new.xattrs {
        found.push("extended attributes".to_owned());
    }
    found
}

fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory { .. } => "directory",
        Kind::File { .. } => "file",
        Kind::Hardlink { .. } => "hard link",
        Kind::Symlink { .. } => "symbolic link",
        Kind::CharacterDevice { .. } | Kind::BlockDevice { .. } => "device",
        Kind::Fifo => "pipe",
        Kind::Whiteout => "whiteout",
    }
}

fn short(digest: Option<&Digest>) -> String {
    digest.map_or_else(|| "unknown".to_owned(), |digest| format!("sha256:{}", digest.short()))
}

fn path(entry: &Entry) -> String {
    lossy(&entry.path)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str, mode: u32) -> Entry {
        let kind = Kind::File { size: content.len() as u64, digest: Some(Digest::of(content.as_bytes())) };
        Entry { mode, ..Entry::new(path, kind) }
    }

    #[test]
    fn each_attribute_is_named() {
        let link = |target: &str| Entry::new("link", Kind::Symlink { target: target.into() });
        let old = vec![file("a", "1", 0o644), file("b", "x", 0o644), file("gone", "", 0o644), link("a")];
        let mut owned = file("b", "x", 0o755);
        owned.uid = 7;
        let new = vec![file("a", "22", 0o644), owned, link("b"), file("new", "", 0o644)];
        let found = differences(&Index::from_entries(old), &Index::from_entries(new));
        let (one, two) = (Digest::of(b"1").short(), Digest::of(b"22").short());
        assert_eq!(
            found,
            [
                &format!("a: content sha256:{one} -> sha256:{two}, size 1 -> 2"),
                "b: mode 644 -> 755, owner 0:0 -> 7:0",
                "gone: removed",
                "link: target a -> b",
                "new: added",
            ]
        );
    }

    #[test]
    fn a_long_list_is_cut() {
        let all = |content: &str| (0..50).map(|n| file(&n.to_string(), content, 0o644)).collect();
        let found = differences(&Index::from_entries(all("1")), &Index::from_entries(all("2")));
        assert_eq!((found.len(), found[20].as_str()), (21, "and 30 more files"));
    }
}
