//! Paths as indexes hold them: bytes, no leading or trailing slash, empty for the root.

use std::cmp::Ordering;

/// The longest path that is read, written or stored, in bytes: Linux' `PATH_MAX`, beyond which no program could name
/// the file anyway.
pub const MAX_PATH: usize = 4096;

/// Orders paths so that a directory comes before what is in it and subtrees are contiguous: by component, bytewise.
pub fn compare_paths(a: &[u8], b: &[u8]) -> Ordering {
    // A slash ends a component, so it sorts before any byte that would continue it.
    let rank = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    match a.iter().zip(b).find(|(a, b)| a != b) {
        Some((a, b)) => rank(*a).cmp(&rank(*b)),
        None => a.len().cmp(&b.len()),
    }
}

/// Returns whether `path` is `directory` or below it.
pub fn is_below(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty()
        || path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Returns the directory that holds `path`; `None` for the root.
pub fn parent(path: &[u8]) -> Option<&[u8]> {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => Some(&path[..slash]),
        None if path.is_empty() => None,
        None => Some(b""),
    }
}

/// Returns the last component of `path`; empty for the root.
pub fn file_name(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => &path[slash + 1..],
        None => path,
    }
}

/// Joins two paths, either of which may be empty.
pub fn join(directory: &[u8], path: &[u8]) -> Vec<u8> {
    match (directory, path) {
        (b"", path) => path.to_vec(),
        (directory, b"") => directory.to_vec(),
        (directory, path) => [directory, b"/", path].concat(),
    }
}

/// Returns the number of components.
pub fn depth(path: &[u8]) -> usize {
    if path.is_empty() { 0 } else { 1 + path.iter().filter(|byte| **byte == b'/').count() }
}

/// Returns the directories above `path`, the topmost first, without the root.
pub(crate) fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(move |(slash, _)| &path[..slash])
}

/// Returns whether `path` has the form that [`crate::Entry::path`] promises.
pub(crate) fn is_normal(path: &[u8]) -> bool {
    let fine = |component: &[u8]| !component.is_empty() && component != b"." && component != b"..";
    path.is_empty() || (!path.contains(&0) && path.split(|byte| *byte == b'/').all(fine))
}

/// Shows a path in a message, with the leading slash that people write.
pub(crate) fn show(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_by_component() {
        let sorted: [&[u8]; 9] = [b"", b"a", b"a/\x01", b"a/b", b"a/b/c", b"a\x01", b"a-b", b"a.b", b"ab"];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(compare_paths(a, b), i.cmp(&j), "{a:?} {b:?}");
                let components = a.split(|byte| *byte == b'/').cmp(b.split(|byte| *byte == b'/'));
                assert_eq!(compare_paths(a, b), components, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn parts() {
        assert_eq!(parent(b"a/b/c"), Some(&b"a/b"[..]));
        assert_eq!(parent(b"a"), Some(&b""[..]));
        assert_eq!(parent(b""), None);
        assert_eq!(file_name(b"a/b"), b"b");
        assert_eq!(join(b"", b"a"), b"a");
        assert_eq!(join(b"a", b""), b"a");
        assert_eq!(join(b"a", b"b"), b"a/b");
        assert_eq!([depth(b""), depth(b"a"), depth(b"a/b")], [0, 1, 2]);
        assert!(
            is_below(b"a/b", b"a") && is_below(b"a", b"a") && is_below(b"x", b"") && !is_below(b"ab", b"a")
        );
        assert_eq!(ancestors(b"a/b/c").collect::<Vec<_>>(), [&b"a"[..], b"a/b"]);
    }
}
