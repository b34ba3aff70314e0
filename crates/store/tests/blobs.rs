//! Blobs and downloads.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{names, open};
use jettison_image::Digest;
use jettison_store::{Download, Error, Partial, Store};

#[test]
fn a_blob_is_found_by_its_digest() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let digest = store.blobs().write(b"hello").unwrap();
    assert_eq!(digest, Digest::of(b"hello"));
    assert_eq!(store.blobs().size(&digest).unwrap(), Some(5));
    assert_eq!(store.blobs().read_small(&digest, 5).unwrap(), b"hello");
    assert!(matches!(store.blobs().read_small(&digest, 4), Err(Error::TooLarge { limit: 4, .. })));
    let absent = Digest::of(b"other");
    assert!(!store.blobs().has(&absent).unwrap());
    assert!(matches!(store.blobs().open(&absent), Err(Error::NoSuchBlob(digest)) if digest == absent));
}

#[test]
fn a_damaged_blob_is_not_believed() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let digest = store.blobs().write(b"hello").unwrap();
    std::fs::write(store.blobs().path(&digest), b"hellO").unwrap();
    assert!(matches!(store.blobs().read_small(&digest, 100), Err(Error::Digest { .. })));
}

#[test]
fn what_is_not_committed_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let mut writer = store.blobs().writer().unwrap();
    writer.write_all(b"bytes").unwrap();
    let wrong = writer.commit(Some(Digest::of(b"promised"))).unwrap_err();
    assert!(matches!(wrong, Error::Digest { found, .. } if found == Digest::of(b"bytes")));
    drop(store.blobs().writer().unwrap());
    assert!(names(root.path(), "blobs/sha256").is_empty());
    drop(store);
    assert!(names(root.path(), "sessions").is_empty());
}

fn needed(store: &Store, digest: &Digest) -> Partial {
    match store.blobs().partial(digest).unwrap() {
        Download::Needed(partial) => partial,
        Download::Present => panic!("the blob is there"),
    }
}

#[test]
fn a_download_goes_on_where_it_stopped() {
    let root = tempfile::tempdir().unwrap();
    let digest = Digest::of(b"first second");
    {
        let store = open(root.path());
        needed(&store, &digest).write_all(b"first ").unwrap();
    }
    let store = open(root.path());
    let mut partial = needed(&store, &digest);
    assert_eq!(partial.offset(), 6);
    assert_eq!(partial.digester().clone().finish(), Digest::of(b"first "));
    partial.write_all(b"second").unwrap();
    assert_eq!(partial.commit().unwrap(), 12);
    assert!(matches!(store.blobs().partial(&digest).unwrap(), Download::Present));
    assert!(names(root.path(), "partial").is_empty());
}

#[test]
fn wrong_bytes_are_thrown_away() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let digest = Digest::of(b"right");
    let mut partial = needed(&store, &digest);
    partial.write_all(b"wrong").unwrap();
    assert!(matches!(partial.commit(), Err(Error::Digest { .. })));
    assert!(names(root.path(), "partial").is_empty());
    let mut partial = needed(&store, &digest);
    partial.write_all(b"wro").unwrap();
    partial.restart().unwrap();
    partial.write_all(b"right").unwrap();
    partial.commit().unwrap();
    assert!(store.blobs().has(&digest).unwrap());
}

#[test]
fn an_empty_blob_can_be_downloaded() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let digest = Digest::of(b"");
    assert_eq!(needed(&store, &digest).commit().unwrap(), 0);
    assert!(store.blobs().has(&digest).unwrap());
}

#[test]
fn the_same_blob_is_downloaded_once() {
    let root = tempfile::tempdir().unwrap();
    let digest = Digest::of(b"shared");
    let downloads = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = open(root.path());
                if let Download::Needed(mut partial) = store.blobs().partial(&digest).unwrap() {
                    downloads.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    partial.write_all(b"shared").unwrap();
                    partial.commit().unwrap();
                }
                assert!(store.blobs().has(&digest).unwrap());
            });
        }
    });
    assert_eq!(downloads.load(Ordering::SeqCst), 1);
}

#[test]
fn a_wait_for_another_download_can_be_stopped() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let digest = Digest::of(b"shared");
    let _under_way = needed(&store, &digest);
    let asked = AtomicU32::new(0);
    let stopped = || asked.fetch_add(1, Ordering::SeqCst) == 2;
    assert!(store.blobs().partial_unless(&digest, &stopped).unwrap().is_none());
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}
