//! Every byte has one owner: by cases, and on random stacks of layers.

use std::collections::BTreeMap;

use jettison_layer::{Times, tar_size};
use proptest::prelude::*;

use super::*;

fn file(path: &str, size: u64, content: &str) -> Entry {
    let digest = Some(Digest::of(format!("{size} {content}").as_bytes()));
    Entry { mode: 0o644, ..Entry::new(path, Kind::File { size, digest }) }
}

fn dir(path: &str, opaque: bool) -> Entry {
    Entry { mode: 0o755, ..Entry::new(path, Kind::Directory { opaque }) }
}

fn link(path: &str, target: &str) -> Entry {
    Entry::new(path, Kind::Hardlink { target: target.into() })
}

fn layers(entries: Vec<Vec<Entry>>, base: usize) -> Vec<Layer> {
    let layer = |(number, entries): (usize, Vec<Entry>)| {
        let index = Arc::new(Index::from_entries(entries));
        let tar = tar_size(&index, Times::Epoch(0)).unwrap();
        Layer {
            index,
            diff_id: Digest::of(&[number as u8]),
            base: number < base,
            tar,
            compressed: Some(tar / 3),
        }
    };
    entries.into_iter().enumerate().map(layer).collect()
}

fn fates(accounts: &Accounts) -> Vec<String> {
    let show = |file: &CountedFile| {
        let fate = match file.fate {
            Fate::Live if file.duplicate => "duplicate".to_owned(),
            Fate::Live => "live".to_owned(),
            Fate::Dead { cause, by } => format!("{cause:?} by {by}").to_lowercase(),
        };
        format!("{} of {}: {fate}", String::from_utf8_lossy(&file.path), file.layer)
    };
    accounts.files.iter().map(show).collect()
}

#[test]
fn each_death_has_its_cause() {
    let touched = Entry { mode: 0o755, ..file("a", 10, "x") };
    let cases: Vec<(Vec<Vec<Entry>>, Vec<&str>)> = vec![
        (vec![vec![file("a", 10, "x")]], vec!["a of 0: live"]),
        (
            vec![vec![file("a", 10, "x")], vec![file("a", 12, "y")]],
            vec!["a of 0: overwritten by 1", "a of 1: live"],
        ),
        (vec![vec![file("a", 10, "x")], vec![Entry::whiteout("a")]], vec!["a of 0: deleted by 1"]),
        (
            vec![vec![dir("d", false), file("d/a", 10, "x")], vec![Entry::whiteout("d")]],
            vec!["d/a of 0: deleted by 1"],
        ),
        (
            vec![vec![dir("d", false), file("d/a", 10, "x")], vec![dir("d", true)]],
            vec!["d/a of 0: deleted by 1"],
        ),
        (
            vec![vec![dir("d", false), file("d/a", 10, "x")], vec![file("d", 1, "f")]],
            vec!["d/a of 0: deleted by 1", "d of 1: live"],
        ),
        (
            vec![vec![file("a", 10, "x")], vec![touched.clone()], vec![touched.clone()]],
            vec!["a of 0: metadata by 1", "a of 1: identical by 2", "a of 2: live"],
        ),
        // A file lives while one of its names does.
        (vec![vec![file("a", 10, "x"), link("b", "a")], vec![Entry::whiteout("a")]], vec!["b of 0: live"]),
        (
            vec![
                vec![file("a", 10, "x"), link("b", "a")],
                vec![Entry::whiteout("a")],
                vec![file("b", 3, "y")],
            ],
            vec!["a of 0: overwritten by 2", "b of 2: live"],
        ),
        // A link to a file below keeps that one.
        (
            vec![vec![file("a", 10, "x")], vec![link("b", "a")], vec![Entry::whiteout("a")]],
            vec!["b of 0: live"],
        ),
        (
            vec![vec![file("a", 10, "x"), file("b", 10, "x")], vec![file("c", 10, "x"), file("e", 0, "")]],
            vec!["a of 0: live", "b of 0: duplicate", "c of 1: duplicate", "e of 1: live"],
        ),
    ];
    for (entries, expected) in cases {
        let accounts = Accounts::new(&layers(entries, 0));
        assert_eq!(fates(&accounts), expected);
    }
}

#[test]
fn what_is_built_on_a_base_shadows_it() {
    let entries = vec![
        vec![file("a", 100, "x"), file("b", 20, "x")],
        vec![Entry::whiteout("b")],
        vec![file("a", 7, "x")],
    ];
    let accounts = Accounts::new(&layers(entries, 2));
    let base = accounts.layers[0];
    assert_eq!((base.stored, base.live, base.dead, base.shadowed), (120, 0, 120, 100));
    assert_eq!((base.overwritten, base.deleted), (100, 20));
    assert_eq!(base.tar as i64, base.stored as i64 + base.overhead);
}

/// Digests are asked for where two files are equally long, and only there.
#[test]
fn digests_are_wanted_of_possible_copies() {
    let plain = |path: &str, size| Entry::new(path, Kind::File { size, digest: None });
    let one = Index::from_entries(vec![plain("a", 5), plain("b", 6), plain("empty", 0)]);
    let two = Index::from_entries(vec![file("a", 5, "x"), plain("c", 7), plain("d", 0)]);
    assert_eq!(wanted_digests(&[Arc::new(one), Arc::new(two)]), [vec![0], vec![]]);
}

fn random_entry() -> impl Strategy<Value = Entry> {
    let path = prop::collection::vec("[a-c]", 1..4).prop_map(|names| names.join("/"));
    let kind = prop_oneof![
        2 => any::<bool>().prop_map(|opaque| Kind::Directory { opaque }),
        5 => (0u64..4, 0u8..3).prop_map(|(size, content)| Kind::File {
            size: size * 300,
            digest: Some(Digest::of(&[content, size as u8])),
        }),
        2 => Just(Kind::Whiteout),
        1 => "[a-c]".prop_map(|target| Kind::Symlink { target: target.into_bytes() }),
        2 => prop::collection::vec("[a-c]", 1..4)
            .prop_map(|names| Kind::Hardlink { target: names.join("/").into_bytes() }),
    ];
    (path, kind, prop_oneof![Just(0o644), Just(0o755)], any::<bool>())
        .prop_map(|(path, kind, mode, fresh)| Entry { mode, fresh, ..Entry::new(path, kind) })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_sums_make_up_the_tars(
        stack in prop::collection::vec(prop::collection::vec(random_entry(), 0..12), 1..6),
        base in 0usize..6,
    ) {
        let layers = layers(stack, base);
        let accounts = Accounts::new(&layers);
        let mut by_path: BTreeMap<&[u8], u64> = BTreeMap::new();
        for (number, sums) in accounts.layers.iter().enumerate() {
            let settled = &accounts.tree.layers()[number];
            prop_assert_eq!(sums.stored, settled.entries.iter().map(Entry::size).sum::<u64>());
            prop_assert_eq!(sums.stored, sums.live + sums.dead);
            prop_assert_eq!(sums.dead, sums.overwritten + sums.deleted + sums.metadata + sums.identical);
            prop_assert_eq!(sums.tar as i64, sums.stored as i64 + sums.overhead);
            prop_assert!(sums.shadowed <= sums.dead && sums.duplicate <= sums.live);
            prop_assert!(sums.shadowed == 0 || layers[number].base);
        }
        for file in &accounts.files {
            *by_path.entry(&file.path).or_default() += file.size;
            if let Fate::Dead { by, .. } = file.fate {
                prop_assert!(by >= file.layer && by < layers.len());
            }
        }
        let total = Sums::total(&accounts.layers);
        // What the merged tree shows is counted by other code.
        prop_assert_eq!(total.live, accounts.tree.unpacked_size());
        prop_assert_eq!(total.stored, by_path.values().sum::<u64>());
        prop_assert_eq!(total.tar, layers.iter().map(|layer| layer.tar).sum::<u64>());
        prop_assert_eq!(total.compressed.exact, layers.iter().map(|layer| layer.compressed).sum::<Option<u64>>());
    }
}
