//! A registry on a bad day: limits, cuts, errors, lies, and an impatient user.

use std::thread;
use std::time::{Duration, Instant};

use jettison_image::Reference;
use jettison_registry::{BlobSink, Cancel, Error};
use jettison_testkit::{Fault, Proxy, Registry, Rule};

use crate::support::*;

/// A registry with a blob, a proxy before it.
fn with_blob(bytes: &[u8]) -> (Registry, Proxy, Reference) {
    let registry = Registry::start();
    let proxy = Proxy::start(&registry.address());
    let name = reference(&proxy.address(), "a:1");
    push_image(&stranger(), &name, bytes).unwrap();
    proxy.forget();
    (registry, proxy, name)
}

#[test]
fn a_rate_limit_is_waited_for() {
    let (_registry, proxy, name) = with_blob(b"x");
    proxy.add(Rule::new("GET", "/manifests/", Fault::too_many_requests("1")).times(2));
    let start = Instant::now();
    manifest(&stranger(), &name).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(proxy.count("GET", "/manifests/"), 3);
}

#[test]
fn a_rate_limit_of_an_hour_is_an_error() {
    let (_registry, proxy, name) = with_blob(b"x");
    proxy.add(Rule::new("GET", "/manifests/", Fault::too_many_requests("3600")));
    let error = manifest(&stranger(), &name).unwrap_err();
    assert!(matches!(error, Error::RateLimited { retry_after: Some(_), .. }), "{error}");
    assert!(error.to_string().contains("slow down"), "{error}");
    assert_eq!(proxy.requests().len(), 1);
}

#[test]
fn an_error_of_the_moment_is_tried_again() {
    let (_registry, proxy, name) = with_blob(b"x");
    proxy.add(Rule::new("GET", "/manifests/", Fault::status(500)).times(1));
    proxy.add(Rule::new("GET", "/blobs/", Fault::Refuse).times(1));
    proxy.add(Rule::new("GET", "/blobs/", Fault::status(503)).after(1).times(1));
    manifest(&stranger(), &name).unwrap();
    assert_eq!(fetch(&stranger(), &name, b"x").unwrap(), b"x");
    assert_eq!((proxy.count("GET", "/manifests/"), proxy.count("GET", "/blobs/")), (2, 3));
}

#[test]
fn a_cut_blob_goes_on_where_it_was_cut() {
    let bytes = noise(1, 3 << 20);
    let (_registry, proxy, name) = with_blob(&bytes);
    proxy.add(Rule::new("GET", "/blobs/", Fault::CutAfter(1_000_000)).times(2));
    assert!(fetch(&stranger(), &name, &bytes).unwrap() == bytes);
    let ranges: Vec<_> =
        proxy.requests().iter().map(|request| request.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges.len(), 3);
    assert_eq!(ranges[0], None);
    for range in &ranges[1..] {
        let start: u64 =
            range.as_ref().unwrap().strip_prefix("bytes=").unwrap().trim_end_matches('-').parse().unwrap();
        assert!(start >= 500_000, "{start}");
    }
}

#[test]
fn what_an_earlier_process_left_is_used() {
    let bytes = noise(2, 2 << 20);
    let (_registry, proxy, name) = with_blob(&bytes);
    let mut sink = bytes[..1_500_000].to_vec();
    stranger().fetch_blob(&name, &layer(&bytes), &mut sink, &|_| {}, &Cancel::new()).unwrap();
    assert!(sink == bytes);
    assert_eq!(proxy.requests()[0].header("range"), Some("bytes=1500000-"));
    // All of it is there: nobody is asked.
    proxy.forget();
    stranger().fetch_blob(&name, &layer(&bytes), &mut sink, &|_| {}, &Cancel::new()).unwrap();
    assert_eq!(proxy.requests().len(), 0);
    // What is there is wrong, or too much: it starts again.
    for mut sink in [vec![7; 1_500_000], vec![7; 2 << 20], vec![7; 3 << 20]] {
        stranger().fetch_blob(&name, &layer(&bytes), &mut sink, &|_| {}, &Cancel::new()).unwrap();
        assert!(sink == bytes);
    }
}

#[test]
fn a_server_without_ranges_starts_again() {
    let bytes = noise(3, 2 << 20);
    let (_registry, proxy, name) = with_blob(&bytes);
    proxy.add(Rule::new("GET", "/blobs/", Fault::IgnoreRange));
    proxy.add(Rule::new("GET", "/blobs/", Fault::CutAfter(1_000_000)).times(1));
    assert!(fetch(&stranger(), &name, &bytes).unwrap() == bytes);
    assert_eq!(proxy.count("GET", "/blobs/"), 2);
    // One that never gets to the end is not asked forever.
    proxy.forget();
    proxy.add(Rule::new("GET", "/blobs/", Fault::CutAfter(1_000_000)));
    let error = fetch(&stranger(), &name, &bytes).unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error}");
    assert!(proxy.requests().len() < 10);
}

#[test]
fn a_blob_of_another_length_is_refused() {
    let bytes = noise(4, 100_000);
    let (_registry, proxy, name) = with_blob(&bytes);
    for body in [noise(4, 99_999), noise(4, 200_000)] {
        proxy.clear();
        proxy.add(Rule::new("GET", "/blobs/", Fault::Body(body)));
        let error = fetch(&stranger(), &name, &bytes).unwrap_err();
        assert!(matches!(error, Error::SizeMismatch { .. }), "{error}");
    }
}

#[test]
fn a_cancel_ends_everything_at_once() {
    let bytes = noise(5, 4 << 20);
    let (_registry, proxy, name) = with_blob(&bytes);
    proxy.add(Rule::new("GET", "/blobs/", Fault::Slow(1000)));
    proxy.add(Rule::new("GET", "/manifests/", Fault::Delay(Duration::from_secs(20))));
    let client = stranger();
    let cancel = Cancel::new();
    let start = Instant::now();
    thread::scope(|scope| {
        let blob = scope.spawn(|| {
            let mut sink = Vec::new();
            client.fetch_blob(&name, &layer(&bytes), &mut sink, &|_| {}, &cancel)
        });
        let manifest = scope.spawn(|| client.manifest(&name, &cancel));
        thread::sleep(Duration::from_millis(300));
        cancel.cancel();
        assert!(matches!(blob.join().unwrap(), Err(Error::Cancelled)));
        assert!(matches!(manifest.join().unwrap(), Err(Error::Cancelled)));
    });
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(matches!(client.manifest(&name, &cancel), Err(Error::Cancelled)));
    // Another token, the same client: it still works.
    assert!(client.head(&name, &Cancel::new()).is_ok());
}

#[test]
fn a_full_disk_is_the_sinks_error() {
    struct Full;
    impl BlobSink for Full {
        fn resume(&mut self) -> std::io::Result<(u64, jettison_image::Digester)> {
            Ok((0, jettison_image::Digester::new()))
        }
        fn write(&mut self, _: &[u8]) -> std::io::Result<()> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn restart(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (_registry, proxy, name) = with_blob(b"x");
    let error = stranger().fetch_blob(&name, &layer(b"x"), &mut Full, &|_| {}, &Cancel::new()).unwrap_err();
    assert!(matches!(error, Error::Blob { .. }), "{error}");
    assert_eq!(proxy.count("GET", "/blobs/"), 1);
}
