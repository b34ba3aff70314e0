//! What is pushed comes back, and nothing is sent twice.

use std::sync::Mutex;
use std::thread;

use jettison_image::{Descriptor, Digest, Index, media_type};
use jettison_registry::{Cancel, Error, Pushed};
use jettison_testkit::{Fault, Image, Proxy, Registry, Rule, base};

use crate::support::*;

#[test]
fn an_image_goes_up_and_comes_back() {
    let registry = Registry::start();
    let client = stranger();
    let name = reference(&registry.address(), "team/app:1");
    let bytes = noise(1, 3 << 20);
    let pushed = push_image(&client, &name, &bytes).unwrap();

    assert_eq!(manifest(&client, &name).unwrap(), pushed);
    let by_digest = name.with_digest(pushed.digest());
    assert_eq!(manifest(&client, &by_digest).unwrap(), pushed);
    assert_eq!(client.head(&name, &Cancel::new()).unwrap(), pushed.descriptor());
    assert_eq!(fetch(&client, &name, &bytes).unwrap(), bytes);

    let index = Index::oci(vec![pushed.descriptor()]).to_raw();
    let tagged = reference(&registry.address(), "team/app:all");
    assert_eq!(client.push_manifest(&tagged, &index, &Cancel::new()).unwrap(), index.digest());
    assert!(manifest(&client, &tagged).unwrap().is_index());
}

#[test]
fn skopeo_writes_what_is_copied_and_reads_the_copy() {
    let (from, to) = (Registry::start(), Registry::start());
    let layout = base::images();
    from.push(&layout.skopeo("deep"), "deep:1");
    let client = stranger();
    let (old, new) = (reference(&from.address(), "deep:1"), reference(&to.address(), "copy/deep:1"));
    let raw = manifest(&client, &old).unwrap();
    let image = raw.manifest().unwrap();
    for blob in image.layers.iter().chain([&image.config]) {
        let mut bytes = Vec::new();
        client.fetch_blob(&old, blob, &mut bytes, &|_| {}, &Cancel::new()).unwrap();
        client.push_blob(&new, blob, &source(&bytes), None, &|_| {}, &Cancel::new()).unwrap();
    }
    client.push_manifest(&new, &raw, &Cancel::new()).unwrap();
    let copy = tempfile::tempdir().unwrap();
    to.fetch("copy/deep:1", &format!("oci:{}:deep", copy.path().display()));
    assert_eq!(Image::from_layout(copy.path(), "deep").digest, raw.digest());
}

#[test]
fn a_manifest_may_go_up_by_digest_alone() {
    let registry = Registry::start();
    let client = stranger();
    let first = push_image(&client, &reference(&registry.address(), "a:1"), b"x").unwrap();
    let index = Index::oci(vec![first.descriptor()]).to_raw();
    let name = reference(&registry.address(), "a").with_digest(index.digest());
    client.push_manifest(&name, &index, &Cancel::new()).unwrap();
    assert_eq!(manifest(&client, &name).unwrap(), index);
    let other = name.with_digest(Digest::of(b"other"));
    assert!(matches!(client.push_manifest(&other, &index, &Cancel::new()), Err(Error::Source { .. })));
}

#[test]
fn a_blob_that_is_there_is_not_sent() {
    let registry = Registry::start();
    let proxy = Proxy::start(&registry.address());
    let client = stranger();
    let name = reference(&proxy.address(), "a:1");
    assert_eq!(push(&client, &name, b"bytes").unwrap(), Pushed::Uploaded);
    proxy.forget();
    assert_eq!(push(&client, &name, b"bytes").unwrap(), Pushed::Existed);
    assert_eq!((proxy.count("HEAD", ""), proxy.requests().len()), (1, 1));
}

#[test]
fn a_blob_next_door_is_mounted() {
    let registry = Registry::start();
    let proxy = Proxy::start(&registry.address());
    let client = stranger();
    push(&client, &reference(&proxy.address(), "base/image:1"), b"bytes").unwrap();
    proxy.forget();
    let name = reference(&proxy.address(), "app:1");
    assert_eq!(mount(&client, &name, b"bytes", "base/image").unwrap(), Pushed::Mounted);
    assert_eq!(proxy.count("PUT", ""), 0);
    assert_eq!(fetch(&client, &name, b"bytes").unwrap(), b"bytes");
    // Where there is nothing to mount the answer is an upload, which is used.
    proxy.forget();
    assert_eq!(mount(&client, &name, b"others", "base/image").unwrap(), Pushed::Uploaded);
    assert_eq!((proxy.count("POST", ""), proxy.count("PUT", "")), (1, 1));
}

#[test]
fn a_refused_put_goes_in_pieces() {
    let registry = Registry::start();
    let proxy = Proxy::start(&registry.address());
    proxy.add(Rule::new("PUT", "/blobs/uploads/", Fault::status(413)).times(1));
    let client = stranger();
    let name = reference(&proxy.address(), "a:1");
    let bytes = noise(2, (20 << 20) + 5);
    assert_eq!(push(&client, &name, &bytes).unwrap(), Pushed::Uploaded);
    assert_eq!((proxy.count("PATCH", ""), proxy.count("PUT", "")), (2, 2));
    assert!(fetch(&client, &name, &bytes).unwrap() == bytes);
}

#[test]
fn an_upload_that_fails_starts_again() {
    let registry = Registry::start();
    let proxy = Proxy::start(&registry.address());
    proxy.add(Rule::new("PUT", "/blobs/uploads/", Fault::status(503)).times(1));
    proxy.add(Rule::new("PUT", "/manifests/", Fault::status(500)).times(1));
    let client = stranger();
    let name = reference(&proxy.address(), "a:1");
    let seen = Mutex::new(Vec::new());
    let bytes = noise(3, 1 << 20);
    let progress = |at: u64| seen.lock().unwrap().push(at);
    let pushed = client.push_blob(&name, &layer(&bytes), &source(&bytes), None, &progress, &Cancel::new());
    assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    assert_eq!((proxy.count("POST", ""), proxy.count("PUT", "")), (2, 2));
    assert_eq!(seen.lock().unwrap().last(), Some(&(1 << 20)));
    push_image(&client, &name, b"x").unwrap();
    assert_eq!(proxy.count("PUT", "/manifests/"), 2);
}

#[test]
fn a_source_that_is_not_what_it_says_is_refused() {
    let registry = Registry::start();
    let client = stranger();
    let name = reference(&registry.address(), "a:1");
    let push = |descriptor: &Descriptor, bytes: &[u8]| {
        client.push_blob(&name, descriptor, &source(bytes), None, &|_| {}, &Cancel::new())
    };
    assert!(matches!(push(&layer(b"longer"), b"short"), Err(Error::Source { .. })));
    let error = push(&layer(b"these bytes"), b"other bytes").unwrap_err().to_string();
    assert!(error.contains("400") && error.contains("digest"), "{error}");
    let failing = || Err(std::io::Error::other("no such layer"));
    let error = client.push_blob(&name, &layer(b"x"), &failing, None, &|_| {}, &Cancel::new()).unwrap_err();
    assert!(error.to_string().contains("no such layer"), "{error}");
}

#[test]
fn an_empty_blob_is_a_blob() {
    let registry = Registry::start();
    let client = stranger();
    let name = reference(&registry.address(), "a:1");
    push(&client, &name, b"").unwrap();
    assert_eq!(fetch(&client, &name, b"").unwrap(), b"");
}

#[test]
fn many_threads_share_one_client() {
    let registry = Registry::start();
    let client = stranger();
    let name = reference(&registry.address(), "a:1");
    thread::scope(|scope| {
        for seed in 0..12 {
            let (client, name) = (client.clone(), &name);
            scope.spawn(move || {
                let bytes = noise(seed, 300_000);
                push(&client, name, &bytes).unwrap();
                assert!(fetch(&client, name, &bytes).unwrap() == bytes);
            });
        }
    });
}

#[test]
fn what_is_not_there_is_named() {
    let registry = Registry::start();
    let client = stranger();
    let name = reference(&registry.address(), "no/such:1");
    let error = manifest(&client, &name).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }));
    let text = error.to_string();
    assert!(text.contains("no/such:1") && text.contains(&registry.address()), "{text}");
    assert!(matches!(client.head(&name, &Cancel::new()), Err(Error::NotFound { .. })));
    assert!(matches!(fetch(&client, &name, b"x"), Err(Error::NotFound { .. })));
}

#[test]
fn manifests_of_other_kinds_are_refused() {
    let registry = Registry::start();
    let proxy = Proxy::start(&registry.address());
    let client = stranger();
    let name = reference(&proxy.address(), "a:1");
    push_image(&client, &name, b"x").unwrap();
    for (content_type, body, word) in [
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", r#"{"schemaVersion":1}"#, "schema 1"),
        ("application/json", r#"{"mediaType":"application/vnd.cncf.helm.chart.v1"}"#, "helm"),
        (
            media_type::OCI_MANIFEST,
            r#"{"mediaType":"application/vnd.oci.image.index.v1+json"}"#,
            "calls itself",
        ),
        (media_type::OCI_MANIFEST, "<html>", "not JSON"),
    ] {
        proxy.clear();
        proxy.add(Rule::new("GET", "/manifests/", Fault::Body(body.into())));
        proxy.add(Rule::new("GET", "/manifests/", Fault::Header("Content-Type".into(), content_type.into())));
        let digest = Digest::of(body.as_bytes()).to_string();
        proxy.add(Rule::new("GET", "/manifests/", Fault::Header("Docker-Content-Digest".into(), digest)));
        let error = manifest(&client, &name).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    proxy.clear();
    proxy.add(Rule::new("GET", "/manifests/", Fault::Body(vec![b' '; 5 << 20])));
    let error = manifest(&client, &name).unwrap_err().to_string();
    assert!(error.contains("longer than"), "{error}");
}
