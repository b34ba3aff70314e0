//! Layers and their drafts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{index_of, layer, names, open, pulled};
use jettison_image::Digest;
use jettison_layer::{Kind, Times};
use jettison_store::{LayerFacts, LayerId, PulledBlob};

#[test]
fn a_built_layer_is_found_again() {
    let root = tempfile::tempdir().unwrap();
    let id = layer(&open(root.path()), "hello").id().clone();
    let store = open(root.path());
    let found = store.layer(&id).unwrap().unwrap();
    assert_eq!(found.index().unwrap(), index_of("hello", 5));
    assert_eq!(fs::read(found.fs().unwrap().join("hello")).unwrap(), b"hello");
    assert_eq!(found.meta().facts.created_by, "RUN touch hello");
    assert_eq!((found.meta().unpacked_size, found.meta().disk_size), (5, 8192));
    assert!(store.layer(&LayerId::random()).unwrap().is_none());
}

#[test]
fn a_dropped_draft_is_removed_whatever_is_in_it() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let draft = store.draft_layer().unwrap();
    // What overlayfs leaves in its work directory, and what a step may leave in its layer.
    fs::create_dir_all(draft.work().join("work/incompat/volatile")).unwrap();
    fs::create_dir(draft.fs().join("closed")).unwrap();
    fs::write(draft.fs().join("closed/file"), "").unwrap();
    if rustix::process::geteuid().is_root() {
        let strange = |path| std::os::unix::fs::chown(path, Some(1234), Some(1234)).unwrap();
        strange(draft.fs().join("closed/file"));
        strange(draft.fs().join("closed"));
    }
    for shut in [draft.fs().join("closed"), draft.work().join("work")] {
        fs::set_permissions(shut, fs::Permissions::from_mode(0o000)).unwrap();
    }
    drop(draft);
    drop(store);
    assert!(names(root.path(), "sessions").is_empty());
    assert!(names(root.path(), "layers").is_empty());
}

#[test]
fn what_a_step_leaves_goes_with_the_next_process() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let mut draft = store.draft_layer().unwrap();
    fs::create_dir_all(draft.work().join("work/incompat/volatile")).unwrap();
    draft.leave_work();
    let id = draft.commit(LayerFacts::default(), &index_of("file", 4)).unwrap().id().clone();
    drop(store);
    assert_eq!(names(root.path(), "sessions").len(), 1);
    let store = open(root.path());
    assert!(names(root.path(), "sessions").is_empty());
    let start = std::time::Instant::now();
    while !names(root.path(), "trash").is_empty() {
        assert!(start.elapsed().as_secs() < 20, "the trash is not emptied");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(store.layer(&id).unwrap().is_some());
}

#[test]
fn a_pulled_layer_is_unpacked_later() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let descriptor = pulled(&store, b"gzip");
    let id = LayerId::chain(&Digest::of(b"chain"));
    let facts = || LayerFacts {
        pulled: Some(PulledBlob { descriptor: descriptor.clone(), diff_id: Digest::of(b"tar") }),
        ..LayerFacts::default()
    };
    let found = store.add_layer(id.clone(), facts(), &index_of("file", 4)).unwrap();
    assert_eq!(found.fs(), None);

    let draft = store.draft_layer().unwrap();
    fs::write(draft.fs().join("file"), "once").unwrap();
    found.add_fs(draft).unwrap();
    // Another one unpacks it too, too late, in either way.
    let late = store.draft_layer().unwrap();
    fs::write(late.fs().join("file"), "late").unwrap();
    found.add_fs(late).unwrap();
    let later = store.draft_layer().unwrap();
    fs::write(later.fs().join("file"), "late").unwrap();
    let same = later.commit_as(id.clone(), facts(), &index_of("file", 4)).unwrap();
    assert_eq!(fs::read(same.fs().unwrap().join("file")).unwrap(), b"once");
    assert_eq!(names(root.path(), "layers"), [id.to_string()]);
}

#[test]
fn a_draft_gives_its_content_to_a_layer_without() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let id = LayerId::chain(&Digest::of(b"chain"));
    store.add_layer(id.clone(), LayerFacts::default(), &index_of("file", 4)).unwrap();
    let draft = store.draft_layer().unwrap();
    fs::write(draft.fs().join("file"), "here").unwrap();
    let layer = draft.commit_as(id, LayerFacts::default(), &index_of("file", 4)).unwrap();
    assert_eq!(fs::read(layer.fs().unwrap().join("file")).unwrap(), b"here");
}

#[test]
fn a_layer_needs_its_blobs() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let facts = LayerFacts { tar: Some(Digest::of(b"absent")), ..LayerFacts::default() };
    assert!(store.add_layer(LayerId::random(), facts, &index_of("file", 4)).is_err());
    assert!(names(root.path(), "layers").is_empty());
}

#[test]
fn what_is_learnt_later_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let mut first = layer(&store, "hello");
    let mut second = store.layer(first.id()).unwrap().unwrap();
    first.remember_diff_id(Times::Epoch(0), Digest::of(b"zero")).unwrap();
    second.remember_diff_id(Times::Epoch(1), Digest::of(b"one")).unwrap();
    second.remember_diff_id(Times::True, Digest::of(b"true")).unwrap();
    let mut index = index_of("hello", 5);
    index.entries[1].kind = Kind::File { size: 5, digest: Some(Digest::of(b"hello")) };
    first.update_index(&index).unwrap();
    let found = open(root.path()).layer(first.id()).unwrap().unwrap();
    assert_eq!(found.index().unwrap(), index);
    let facts = &found.meta().facts;
    for (times, tar) in [(Times::Epoch(0), "zero"), (Times::Epoch(1), "one"), (Times::True, "true")] {
        assert_eq!(facts.diff_id(times), Some(Digest::of(tar.as_bytes())));
        assert_eq!(facts.times_of(Digest::of(tar.as_bytes())), Some(times));
    }
    assert_eq!((facts.diff_id(Times::Epoch(2)), facts.times_of(Digest::of(b"two"))), (None, None));
}

#[test]
fn a_damaged_layer_says_so() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let layer = layer(&store, "hello");
    fs::write(root.path().join(format!("v1/layers/{}/index", layer.id())), "no index").unwrap();
    assert!(layer.index().unwrap_err().to_string().contains("damaged"));
}
