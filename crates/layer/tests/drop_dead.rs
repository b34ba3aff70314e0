//! Layers without what the final tree does not show.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::*;
use jettison_image::Digest;
use jettison_layer::{Change, Entry, Index, Kind, Tree, differences, drop_dead, settle};
use proptest::prelude::*;

fn content(path: &str, text: &str) -> Entry {
    let digest = Some(Digest::of(text.as_bytes()));
    at(path, Kind::File { size: text.len() as u64, digest }, 0o644)
}

fn with_mode(mode: u32, entry: Entry) -> Entry {
    Entry { mode, ..entry }
}

/// Drops from layer `first` on, holds that nothing that shows has changed, and returns what is left of those layers.
#[track_caller]
fn dropped(layers: &[Index], first: usize) -> Vec<Vec<String>> {
    let layers: Vec<Arc<Index>> = layers.iter().cloned().map(Arc::new).collect();
    let own = drop_dead(&layers, first);
    assert_eq!(own.len(), layers.len() - first);
    let lean: Vec<Arc<Index>> =
        layers[..first].iter().cloned().chain(own.iter().cloned().map(Arc::new)).collect();
    let (before, after) = (Tree::new(layers), Tree::new(lean));
    assert_eq!(differences(&before, &after), []);
    own.iter().map(lines).collect()
}

#[test]
fn what_is_overwritten_deleted_or_copied_goes() {
    let base = index([content("keep", "base")]);
    let layers = [
        base,
        index([
            content("big", "big"),
            content("deleted", "x"),
            content("over", "old"),
            dir("d"),
            file("d/f", 3),
        ]),
        index([whiteout("deleted"), content("over", "new"), whiteout("d")]),
        index([with_mode(0o600, content("big", "big"))]),
    ];
    assert_eq!(dropped(&layers, 1), [vec![], vec!["f 644 /over 3"], vec!["f 600 /big 3"]]);
    // Nothing of the base goes.
    assert_eq!(dropped(&layers, 4), [[""; 0]; 0]);
}

#[test]
fn what_hides_the_base_stays() {
    let base = index([
        content("gone", "base"),
        content("twice", "base"),
        dir("tree"),
        content("tree/a", "base"),
        content("tree/b", "base"),
    ]);
    let layers = [
        base,
        index([whiteout("gone"), content("twice", "dead"), opaque("tree"), content("tree/c", "c")]),
        index([whiteout("twice"), with_mode(0o700, dir("tree")), whiteout("tree/c")]),
    ];
    assert_eq!(dropped(&layers, 1), [vec!["w gone", "o 755 /tree"], vec!["d 700 /tree", "w twice"]]);
}

/// A dead file between two directories of one path hides what is in the lower one: a whiteout takes its place.
#[test]
fn a_dead_file_that_hides_becomes_a_whiteout() {
    let layers = [
        index([dir("p"), content("p/old", "base")]),
        index([content("p", "a file")]),
        index([dir("p"), content("p/new", "new")]),
    ];
    assert_eq!(dropped(&layers, 1), [vec!["w p"], vec!["d 755 /p", "f 644 /p/new 3"]]);
    // A link of the base must not lead a hider elsewhere.
    let layers = [
        index([dir("x"), content("x/c", "base"), symlink("d", "x")]),
        index([dir("d"), content("d/c", "dead")]),
        index([with_mode(0o700, dir("d")), content("d/c", "live")]),
    ];
    assert_eq!(dropped(&layers, 1), [vec![], vec!["d 700 /d", "f 644 /d/c 4"]]);
}

#[test]
fn directories_above_what_stays_keep_their_attributes() {
    let layers = [
        index([]),
        index([with_mode(0o711, dir("d")), content("d/live", "live"), dir("e"), file("e/dead", 3)]),
        index([with_mode(0o700, dir("d")), with_mode(0o700, dir("e")), whiteout("e/dead")]),
    ];
    assert_eq!(dropped(&layers, 1), [vec!["d 711 /d", "f 644 /d/live 4"], vec!["d 700 /d", "d 700 /e"]]);
}

#[test]
fn hard_links_keep_the_file_that_they_name() {
    // Within a layer, across layers, over a name that is gone, and to a file of the base.
    let layers = [
        index([content("base", "base")]),
        index([content("a", "one"), hardlink("b", "a"), hardlink("of-base", "base")]),
        index([whiteout("a"), hardlink("c", "b"), whiteout("base")]),
        index([whiteout("b")]),
    ];
    assert_eq!(
        dropped(&layers, 1),
        [
            vec!["f 644 /a 3", "h 644 /b -> a", "h 644 /of-base -> base"],
            vec!["w a", "w base", "h 644 /c -> b"],
            vec!["w b"],
        ]
    );
}

#[test]
fn attributes_that_stay_are_those_of_the_last() {
    let capability = (b"security.capability".to_vec(), vec![1, 2, 3]);
    let capable = Entry { xattrs: vec![capability], ..content("p", "program") };
    let layers = [index([]), index([content("p", "program")]), index([capable.clone()])];
    let layers: Vec<Arc<Index>> = layers.into_iter().map(Arc::new).collect();
    assert_eq!(drop_dead(&layers, 1), [index([]), index([capable])]);
}

#[test]
fn trees_are_compared_path_by_path() {
    let one = tree([index([
        content("same", "x"),
        content("a", "1"),
        file("gone", 7),
        dir("t"),
        content("l", "l"),
    ])]);
    let two = tree([index([
        content("same", "x"),
        with_mode(0o600, content("a", "22")),
        content("new", "333"),
        file("t", 0),
        content("l", "l"),
        hardlink("m", "l"),
    ])]);
    let found: Vec<(String, Change)> = differences(&one, &two)
        .into_iter()
        .map(|found| (String::from_utf8(found.path).unwrap(), found.change))
        .collect();
    let changed = |what: &[&'static str], from, to| Change::Changed { what: what.to_vec(), from, to };
    assert_eq!(
        found,
        [
            ("a".to_owned(), changed(&["content", "mode"], 1, 2)),
            ("gone".to_owned(), Change::Removed { size: 7 }),
            ("l".to_owned(), changed(&["links"], 1, 1)),
            ("m".to_owned(), Change::Added { size: 1 }),
            ("new".to_owned(), Change::Added { size: 3 }),
            ("t".to_owned(), changed(&["type", "mode"], 0, 0)),
        ]
    );
}

fn random_entry() -> impl Strategy<Value = Entry> {
    let path = prop::collection::vec("[a-c]", 1..4).prop_map(|names| names.join("/"));
    let kind = prop_oneof![
        3 => prop::bool::weighted(0.3).prop_map(|opaque| Kind::Directory { opaque }),
        5 => (1u64..4).prop_map(|size| Kind::File { size, digest: Some(Digest::of(&size.to_le_bytes())) }),
        2 => Just(Kind::Whiteout),
        1 => "[a-c]".prop_map(|target| Kind::Symlink { target: target.into_bytes() }),
        2 => prop::collection::vec("[a-c]", 1..4)
            .prop_map(|names| Kind::Hardlink { target: names.join("/").into_bytes() }),
    ];
    (path, kind, prop_oneof![Just(0o644), Just(0o755)])
        .prop_map(|(path, kind, mode)| Entry { mode, ..Entry::new(path, kind) })
}

/// Layers as a build has them: each fits on those below it.
fn settled(stack: Vec<Vec<Entry>>) -> Vec<Arc<Index>> {
    let mut tree = Tree::default();
    let mut layers = Vec::new();
    for entries in stack {
        let mut index = Index::from_entries(entries);
        // No reader gives a layer that hides what it has itself.
        let hides = index.clone();
        index.entries.retain(|entry| {
            !(1..entry.path.len()).any(|end| {
                let above = hides.get(&entry.path[..end]);
                entry.path[end] == b'/' && above.is_some_and(|above| !above.is_directory())
            })
        });
        let mut index = settle(&index, &tree).index.unwrap_or(index);
        // A layer with a link to nothing, or to a directory, cannot be unpacked.
        let mut above = tree.clone();
        above.push(Arc::new(index.clone()));
        let dangling: Vec<Vec<u8>> = above
            .iter()
            .zip(above.places())
            .filter(|(node, (_, file))| file.is_none() && matches!(node.entry.kind, Kind::Hardlink { .. }))
            .map(|(node, _)| node.entry.path.clone())
            .collect();
        index.entries.retain(|entry| !dangling.contains(&entry.path));
        let index = Arc::new(settle(&index, &tree).index.unwrap_or(index));
        tree.push(index.clone());
        layers.push(index);
    }
    layers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_final_tree_is_the_same_and_has_nothing_dead(
        stack in prop::collection::vec(prop::collection::vec(random_entry(), 0..12), 1..6),
        first in 0usize..4,
    ) {
        let layers = settled(stack);
        let first = first.min(layers.len());
        let own = drop_dead(&layers, first);
        let lean: Vec<Arc<Index>> =
            layers[..first].iter().cloned().chain(own.into_iter().map(Arc::new)).collect();
        let (before, after) = (Tree::new(layers.clone()), Tree::new(lean.clone()));
        prop_assert_eq!(differences(&before, &after), vec![]);
        // No layer needs settling: nothing moves, and no directory is implied.
        for (one, two) in lean.iter().zip(after.layers()) {
            prop_assert_eq!(one, two);
        }
        // Every file that is left shows, be it by another name.
        let shown: std::collections::BTreeSet<_> = after.places().filter_map(|(_, file)| file).collect();
        for (number, index) in after.layers().iter().enumerate().skip(first) {
            for (position, entry) in index.entries.iter().enumerate() {
                let file = matches!(entry.kind, Kind::File { .. });
                prop_assert!(!file || shown.contains(&(number, position)), "{}", line(entry));
            }
        }
        // Dropping is idempotent.
        prop_assert_eq!(drop_dead(&lean, first), lean[first..].iter().map(|index| (**index).clone()).collect::<Vec<_>>());
    }
}
