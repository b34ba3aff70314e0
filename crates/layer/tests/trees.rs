//! Indexes and the trees they stack to.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::*;
use jettison_layer::{Index, Kind, ResolveError, Tree, settle};

fn paths(tree: &Tree) -> Vec<String> {
    tree.iter().map(|node| format!("{}:{}", node.layer, line(node.entry))).collect()
}

#[test]
fn the_last_entry_of_a_path_wins() {
    let index = index([file("b", 1), dir("a"), file("b", 2), file("a/x", 3)]);
    assert_eq!(lines(&index), ["d 755 /a", "f 644 /a/x 3", "f 644 /b 2"]);
    assert_eq!(index.get(b"b").unwrap().size(), 2);
    assert_eq!(index.get(b"c"), None);
}

#[test]
fn subtrees_and_children_of_an_index() {
    let index = index(["a", "a/b", "a/b/c", "a-b", "ab"].map(|path| file(path, 0)));
    let names = |entries: Vec<&jettison_layer::Entry>| -> Vec<String> {
        entries.iter().map(|entry| String::from_utf8(entry.path.clone()).unwrap()).collect()
    };
    assert_eq!(names(index.subtree(b"a").iter().collect()), ["a", "a/b", "a/b/c"]);
    assert_eq!(names(index.subtree(b"").iter().collect()), ["a", "a/b", "a/b/c", "a-b", "ab"]);
    assert_eq!(names(index.subtree(b"x").iter().collect()), [""; 0]);
    assert_eq!(names(index.children(b"").collect()), ["a", "a-b", "ab"]);
    assert_eq!(names(index.children(b"a").collect()), ["a/b"]);
    assert_eq!(names(index.below(b"p/q").children(b"p/q").collect()), ["p/q/a", "p/q/a-b", "p/q/ab"]);
}

#[test]
fn layers_stack_as_overlays_do() {
    // Layers, the lowest first, and what shows.
    let cases: [(&str, Vec<Index>, &[&str]); 6] = [
        ("add", vec![index([file("a", 1)]), index([file("b", 2)])], &["0:f 644 /a 1", "1:f 644 /b 2"]),
        ("replace", vec![index([file("a", 1)]), index([file("a", 2)])], &["1:f 644 /a 2"]),
        (
            "delete",
            vec![index([dir("a"), file("a/b", 1), file("a-b", 1), file("b", 1)]), index([whiteout("a")])],
            &["0:f 644 /a-b 1", "0:f 644 /b 1"],
        ),
        (
            "merge",
            vec![
                index([dir("a"), file("a/b", 1), file("a/d", 1)]),
                index([at("a", Kind::Directory { opaque: false }, 0o700), file("a/c", 2)]),
            ],
            &["1:d 700 /a", "0:f 644 /a/b 1", "1:f 644 /a/c 2", "0:f 644 /a/d 1"],
        ),
        (
            "opaque",
            vec![index([dir("a"), file("a/b", 1), file("a/d", 1)]), index([opaque("a"), file("a/c", 2)])],
            &["1:o 755 /a", "1:f 644 /a/c 2"],
        ),
        (
            "a file hides a directory",
            vec![index([dir("a"), file("a/b", 1), file("c", 1)]), index([file("a", 2)])],
            &["1:f 644 /a 2", "0:f 644 /c 1"],
        ),
    ];
    for (name, layers, expected) in cases {
        assert_eq!(paths(&tree(layers)), expected, "{name}");
    }
}

#[test]
fn directories_come_back_and_come_unlisted() {
    let cases: [(&str, Vec<Index>, &[&str]); 3] = [
        (
            "a directory replaces a file",
            vec![index([file("a", 1)]), index([dir("a"), file("a/b", 1)])],
            &["1:d 755 /a", "1:f 644 /a/b 1"],
        ),
        (
            "deleted, then made again",
            vec![
                index([dir("a"), file("a/b", 1)]),
                index([whiteout("a")]),
                index([dir("a"), file("a/c", 1)]),
            ],
            &["2:d 755 /a", "2:f 644 /a/c 1"],
        ),
        (
            "unlisted parents",
            vec![index([dir("a"), file("a/b", 1)]), index([file("a/c", 1), file("x/y/z", 1)])],
            &[
                "0:d 755 /a",
                "0:f 644 /a/b 1",
                "1:f 644 /a/c 1",
                "1:d 755 /x",
                "1:d 755 /x/y",
                "1:f 644 /x/y/z 1",
            ],
        ),
    ];
    for (name, layers, expected) in cases {
        assert_eq!(paths(&tree(layers)), expected, "{name}");
    }
}

#[test]
fn what_lies_behind_a_lower_link_goes_where_it_points() {
    let lower =
        index([dir("usr"), dir("usr/lib"), symlink("lib", "usr/lib"), symlink("abs", "/lib"), dir("d")]);
    let upper = index([
        file("lib/x", 1),
        dir("lib/sub"),
        file("lib/sub/y", 1),
        file("abs/z", 1),
        hardlink("l", "lib/old"),
        whiteout("lib/gone"),
    ]);
    let below =
        tree([index(lower.entries.iter().cloned().chain([file("usr/lib/old", 3), file("usr/lib/gone", 3)]))]);
    let settled = settle(&upper, &below);
    assert_eq!(
        lines(settled.index.as_ref().unwrap()),
        [
            "h 644 /l -> usr/lib/old",
            "w usr/lib/gone",
            "d 755 /usr/lib/sub",
            "f 644 /usr/lib/sub/y 1",
            "f 644 /usr/lib/x 1",
            "f 644 /usr/lib/z 1",
        ]
    );
    // Settling is idempotent.
    assert!(settle(settled.index.as_ref().unwrap(), &below).index.is_none());
    // A link that the layer itself replaces is not followed.
    let replaced = index([dir("lib"), file("lib/x", 1)]);
    assert!(settle(&replaced, &below).index.is_none());
}

#[test]
fn whiteouts_of_nothing_go() {
    let below = tree([index([dir("a"), file("a/b", 1)])]);
    let settled = settle(&index([whiteout("x"), opaque("a"), whiteout("a/b")]), &below);
    assert_eq!(lines(&settled.index.unwrap()), ["o 755 /a"]);
    assert_eq!(settled.dropped, [b"a/b".to_vec(), b"x".to_vec()]);
}

#[test]
fn hard_links_know_their_file() {
    let tree = tree([
        index([file("a", 10), hardlink("b", "a"), file("keep", 5)]),
        index([hardlink("c", "b"), file("a", 100), hardlink("dangling", "nothing")]),
    ]);
    let file_of =
        |path: &str| tree.get(path.as_bytes()).unwrap().file.map(|(layer, entry)| (layer, entry.size()));
    assert_eq!(file_of("a"), None);
    assert_eq!(file_of("b"), Some((0, 10)));
    assert_eq!(file_of("c"), Some((0, 10)));
    assert_eq!(file_of("dangling"), None);
    // b and c are one file that no longer shows by its own name.
    assert_eq!(tree.unpacked_size(), 100 + 10 + 5);
}

#[test]
fn children_and_subtrees_of_a_tree() {
    let tree = tree([
        index([dir("a"), file("a/x", 1), dir("a/y"), file("a/y/z", 1), file("a-b", 1)]),
        index([file("a/w", 1), file("b", 1)]),
    ]);
    let names = |nodes: Vec<jettison_layer::Node<'_>>| -> Vec<String> {
        nodes.iter().map(|node| String::from_utf8(node.entry.path.clone()).unwrap()).collect()
    };
    assert_eq!(names(tree.children(b"").collect()), ["a", "a-b", "b"]);
    assert_eq!(names(tree.children(b"a").collect()), ["a/w", "a/x", "a/y"]);
    assert_eq!(names(tree.subtree(b"a/y").collect()), ["a/y", "a/y/z"]);
    assert_eq!(names(tree.children(b"nothing").collect()), [""; 0]);
    assert_eq!(tree.len(), 7);
}

#[test]
fn paths_resolve_inside_the_root() {
    let tree = tree([index([
        dir("usr"),
        dir("usr/bin"),
        file("usr/bin/sh", 1),
        symlink("bin", "usr/bin"),
        symlink("abs", "/usr"),
        symlink("up", "../../../usr"),
        symlink("usr/self", "."),
        symlink("loop", "loop"),
        symlink("dangling", "no/where"),
        symlink("a", "b"),
        symlink("b", "bin/sh"),
    ])]);
    let cases: [(&str, bool, Result<&str, &str>); 17] = [
        ("", true, Ok("")),
        ("/", true, Ok("")),
        ("/bin/sh", true, Ok("usr/bin/sh")),
        ("bin", true, Ok("usr/bin")),
        ("bin", false, Ok("bin")),
        ("bin/", false, Ok("bin")),
        ("abs/bin/../bin/sh", true, Ok("usr/bin/sh")),
        ("up/bin", true, Ok("usr/bin")),
        ("usr/self/self/self/bin", true, Ok("usr/bin")),
        ("../../bin/x/../y", true, Ok("usr/bin/y")),
        ("dangling", true, Ok("no/where")),
        ("dangling/x", false, Ok("no/where/x")),
        ("new/../other", true, Ok("other")),
        ("a", true, Ok("usr/bin/sh")),
        ("a", false, Ok("a")),
        ("loop/x", true, Err("loop")),
        ("bin/sh/x", true, Err("not a directory")),
    ];
    for (path, follow, expected) in cases {
        let resolved = tree.resolve(path.as_bytes(), follow).map(|path| String::from_utf8(path).unwrap());
        let resolved = resolved.map_err(|error| match error {
            ResolveError::Loop(_) => "loop",
            ResolveError::NotADirectory(_) => "not a directory",
        });
        assert_eq!(resolved.as_deref(), expected.as_ref().map(|path| *path), "{path}");
    }
}

#[test]
fn a_hundred_thousand_entries_are_quick() {
    let layer = |name: &str| {
        let mut entries = Vec::new();
        for top in 0..100 {
            entries.push(dir(&format!("{name}{top:03}")));
            entries.extend((0..1000).map(|number| file(&format!("{name}{top:03}/file{number:04}"), 1)));
        }
        index(entries)
    };
    let big = std::sync::Arc::new(layer("a"));
    let start = std::time::Instant::now();
    let mut tree = Tree::new([std::sync::Arc::clone(&big)]);
    for number in 0..126 {
        tree.push(std::sync::Arc::new(index([file(&format!("a{:03}/file0000", number % 100), 2)])));
    }
    for entry in &big.entries {
        assert!(tree.get(&entry.path).is_some());
    }
    assert_eq!(tree.len(), 100_100);
    // Some hundred milliseconds unoptimised; quadratic behaviour would take minutes.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
