//! Images, tags, and what users call them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{entry_of, image, layer, names, open, reference};
use jettison_image::Digest;
use jettison_store::{Error, ImageRecord, Removed, Store, TagEntry};

fn tag(store: &Store, name: &str, image: &ImageRecord) {
    store.tag(&reference(name), &entry_of(image)).unwrap();
}

fn listed(store: &Store) -> Vec<String> {
    store.tags().unwrap().iter().map(|tag| tag.reference.familiar()).collect()
}

#[test]
fn an_image_needs_what_it_names() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let image = image(&store, "a", &[&layer(&store, "one")]);
    assert_eq!(store.image(&image.config).unwrap().as_ref(), Some(&image));
    assert_eq!(store.config(&image).unwrap().author.as_deref(), Some("a"));
    std::fs::remove_file(store.blobs().path(&image.config)).unwrap();
    assert_eq!(store.image(&image.config).unwrap(), None);
    assert!(matches!(store.put_image(&image), Err(Error::NoSuchBlob(_))));
}

#[test]
fn what_is_there_already_leaves_nothing_to_sync() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let first = image(&store, "a", &[&layer(&store, "one")]);
    store.sync().unwrap();
    let again = ImageRecord { stored: first.stored + 1, ..first.clone() };
    store.put_image(&again).unwrap();
    store.blobs().write(&store.config_bytes(&first).unwrap()).unwrap();
    let unsynced = std::fs::read_dir(root.path().join("v1/unsynced")).unwrap().next().unwrap().unwrap();
    assert_eq!(
        std::fs::read_dir(unsynced.path()).unwrap().count(),
        1,
        "only the file that notes are links to"
    );
    assert_eq!(store.image(&first.config).unwrap(), Some(first.clone()), "it came only once");
    let other = ImageRecord { build: Some("of another build".into()), ..again };
    store.put_image(&other).unwrap();
    assert_eq!(store.image(&first.config).unwrap(), Some(other));
}

#[test]
fn names_of_all_kinds_round_trip() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let image = image(&store, "a", &[]);
    let digest = Digest::of(b"manifest");
    let long = format!("{}/{}", "r".repeat(100), "p".repeat(143));
    let names = ["alpine:latest", "gcr.io/a/b/c:1", "localhost:5000/x_y/z--1:V.2", "[::1]:5000/a:b", &long];
    for name in names {
        tag(&store, name, &image);
    }
    store.tag(&reference("alpine").with_digest(digest), &entry_of(&image)).unwrap();
    let mut expected: Vec<String> = names.iter().map(|name| reference(name).familiar()).collect();
    expected.push(format!("alpine@{digest}"));
    expected.sort();
    let mut found = listed(&store);
    found.sort();
    assert_eq!(found, expected);
    assert!(store.untag(&reference("alpine")).unwrap());
    assert!(!store.untag(&reference("alpine")).unwrap());
    assert!(store.find(&reference("alpine"), None).unwrap().is_none());
    assert!(store.find(&reference("alpine").with_digest(digest), None).unwrap().is_some());
}

#[test]
fn an_image_is_found_by_name_and_by_id() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let images: Vec<_> = (0..20).map(|n| image(&store, &n.to_string(), &[])).collect();
    tag(&store, "app", &images[0]);
    let id = |text: &str| store.resolve(text).map(|resolved| resolved.image.config);
    let hex = images[1].config.hex();
    assert_eq!(id("app").unwrap(), images[0].config);
    assert_eq!(id("docker.io/library/app:latest").unwrap(), images[0].config);
    assert_eq!(id(&hex).unwrap(), images[1].config);
    assert_eq!(id(&format!("sha256:{hex}")).unwrap(), images[1].config);
    assert_eq!(id(&hex[..12]).unwrap(), images[1].config);
    // A name wins over the beginning of an ID.
    let short = &images[2].config.hex()[..6];
    tag(&store, short, &images[3]);
    assert_eq!(id(short).unwrap(), images[3].config);
    // Of twenty IDs two begin with the same of sixteen digits.
    let digits = "0123456789abcdef".chars().map(|c| c.to_string());
    let ambiguous = digits.filter(|digit| matches!(id(digit), Err(Error::Ambiguous { .. }))).count();
    assert!(ambiguous > 0);
    assert!(matches!(id("app:2"), Err(Error::NoSuchImage(name)) if name == "app:2"));
    assert!(matches!(id("App"), Err(Error::Reference(_))));
    assert!(matches!(id(&Digest::of(b"none").hex()), Err(Error::NoSuchImage(_))));
}

#[test]
fn a_name_holds_the_platforms_of_one_index() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let (intel, arm) = (image(&store, "intel", &[]), image(&store, "arm", &[]));
    let platform = |text: &str| text.parse().unwrap();
    let entry = |image: &ImageRecord, text: &str, index: &[u8]| TagEntry {
        platform: platform(text),
        repo_digest: Some(Digest::of(index)),
        ..entry_of(image)
    };
    let name = reference("alpine");
    store.tag(&name, &entry(&intel, "linux/amd64", b"index")).unwrap();
    store.tag(&name, &entry(&arm, "linux/arm64", b"index")).unwrap();
    let find = |text: &str| store.find(&name, Some(&platform(text))).unwrap().map(|(_, image)| image.config);
    assert_eq!(find("linux/amd64"), Some(intel.config));
    assert_eq!(find("linux/arm64"), Some(arm.config));
    assert_eq!(find("linux/s390x"), None);
    assert_eq!(store.resolve("alpine").unwrap().image.config, arm.config, "what was named last");
    let by_digest = name.with_digest(Digest::of(b"index"));
    assert_eq!(
        store.find(&by_digest, Some(&platform("linux/amd64"))).unwrap().unwrap().1.config,
        intel.config
    );
    // A newer index takes the name for all platforms.
    store.tag(&name, &entry(&arm, "linux/arm64", b"newer")).unwrap();
    assert_eq!(find("linux/amd64"), None);
}

#[test]
fn the_last_name_takes_the_image_along() {
    let root = tempfile::tempdir().unwrap();
    {
        let store = open(root.path());
        let image = image(&store, "a", &[&layer(&store, "one")]);
        tag(&store, "app:1", &image);
        tag(&store, "app:2", &image);
    }
    let store = open(root.path());
    let id = store.resolve("app:1").unwrap().image.config;
    assert_eq!(store.remove("app:1", false).unwrap(), [Removed::Untagged("app:1".into())]);
    drop(store);
    let store = open(root.path());
    let removed = store.remove("app:2", false).unwrap();
    assert_eq!(removed, [Removed::Untagged("app:2".into()), Removed::Deleted(id)]);
    assert!(names(root.path(), "images").is_empty());
    assert!(names(root.path(), "tags").is_empty());
    drop(store);
    open(root.path()).collect().unwrap();
    assert!(names(root.path(), "layers").is_empty());
    assert!(names(root.path(), "blobs/sha256").is_empty());
}

#[test]
fn an_image_of_several_repositories_is_not_removed_by_id() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let image = image(&store, "a", &[]);
    tag(&store, "app", &image);
    tag(&store, "localhost/app", &image);
    let id = image.config.short();
    assert!(matches!(store.remove(&id, false), Err(Error::StillTagged { names, .. }) if names.len() == 2));
    let removed = store.remove(&id, true).unwrap();
    assert_eq!(removed.len(), 3);
    assert_eq!(removed[2], Removed::Deleted(image.config));
    assert!(matches!(store.remove(&id, true), Err(Error::NoSuchImage(_))));
}

#[test]
fn a_pulled_name_is_untagged_with_its_digest() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let image = image(&store, "a", &[]);
    let digest = Digest::of(b"manifest");
    let entry = TagEntry { repo_digest: Some(digest), ..entry_of(&image) };
    store.tag(&reference("app:1"), &entry).unwrap();
    store.tag(&reference("app:2"), &entry).unwrap();
    assert_eq!(store.remove("app:1", false).unwrap(), [Removed::Untagged("app:1".into())]);
    let removed = store.remove(&format!("app@{digest}"), false).unwrap();
    let untagged = [Removed::Untagged("app:2".into()), Removed::Untagged(format!("app@{digest}"))];
    assert_eq!(removed[..2], untagged);
    assert_eq!(removed[2], Removed::Deleted(image.config));
}

#[test]
fn a_name_without_its_image_is_no_name() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let image = image(&store, "a", &[]);
    tag(&store, "app", &image);
    std::fs::remove_file(root.path().join(format!("v1/images/{}.json", image.config.hex()))).unwrap();
    assert!(listed(&store).is_empty());
    assert!(matches!(store.resolve("app"), Err(Error::NoSuchImage(_))));
}
