//! Cache records and the memory of compression.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;

use common::{layer, names, open, pulled};
use jettison_image::{Descriptor, Digest, media_type};
use jettison_store::Object;

#[test]
fn a_record_is_found_under_its_key() {
    let root = tempfile::tempdir().unwrap();
    let key = Digest::of(b"key");
    let id = {
        let store = open(root.path());
        let id = layer(&store, "hello").id().clone();
        store.records("step").put(&key, &("value", 3), &[Object::Layer(id.clone())]).unwrap();
        id
    };
    let store = open(root.path());
    assert_eq!(store.records("step").get(&key).unwrap(), Some(("value".to_owned(), 3)));
    assert_eq!(store.records("other").get::<(String, u32)>(&key).unwrap(), None);
    fs::remove_dir_all(root.path().join(format!("v1/layers/{id}"))).unwrap();
    assert_eq!(store.records("step").get::<(String, u32)>(&key).unwrap(), None, "its layer is gone");
    assert!(names(root.path(), &format!("records/step/{}", &key.hex()[..2])).is_empty());
}

#[test]
fn a_damaged_record_is_absent() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let key = Digest::of(b"key");
    let records = store.records("step");
    records.put(&key, &1, &[]).unwrap();
    let hex = key.hex();
    let path = root.path().join(format!("v1/records/step/{}/{hex}", &hex[..2]));
    for damage in ["", "{", r#"{"value":"of another type"}"#] {
        fs::write(&path, damage).unwrap();
        assert_eq!(records.get::<u32>(&key).unwrap(), None);
        assert!(!path.exists());
    }
    records.put(&key, &1, &[]).unwrap();
    records.put(&key, &2, &[]).unwrap();
    assert_eq!(records.get(&key).unwrap(), Some(2));
    records.remove(&key).unwrap();
    assert_eq!(records.get::<u32>(&key).unwrap(), None);
}

#[test]
fn a_memo_needs_its_blob() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let diff_id = Digest::of(b"tar");
    let blob = pulled(&store, b"compressed");
    store.memo().put(&diff_id, "gzip-6", &blob).unwrap();
    assert_eq!(store.memo().get(&diff_id, "gzip-6").unwrap(), Some(blob));
    assert_eq!(store.memo().get(&diff_id, "zstd-3").unwrap(), None);
    let absent = Descriptor::of(media_type::OCI_LAYER_ZSTD, b"absent");
    store.memo().put(&diff_id, "zstd-3", &absent).unwrap();
    assert_eq!(store.memo().get(&diff_id, "zstd-3").unwrap(), None);
}
