//! Mirrors: their order, falling through to the registry, and mirrors that lie.

use jettison_registry::{Cancel, Error};
use jettison_testkit::{Fault, Proxy, Registry, Rule};

use crate::support::*;

/// Writes an entry for `up.example` with its registry and mirrors, all on loopback.
fn configure(home: &Home, upstream: &str, mirrors: &[&str]) {
    let mut text = format!("[[registry]]\nprefix = \"up.example\"\nlocation = \"{upstream}\"\n");
    for mirror in mirrors {
        text.push_str(&format!("[[registry.mirror]]\nlocation = \"{mirror}\"\n"));
    }
    home.write("registries.conf", text);
}

#[test]
fn the_first_that_has_it_serves_it() {
    let registries = [Registry::start(), Registry::start(), Registry::start()];
    let [first, second, upstream] = registries.each_ref().map(|registry| Proxy::start(&registry.address()));
    let home = Home::new();
    configure(&home, &upstream.address(), &[&first.address(), &format!("{}/cache", second.address())]);
    let client = home.client();
    let everywhere = noise(1, 1000);
    let only_upstream = noise(2, 1000);
    push_image(&stranger(), &reference(&registries[1].address(), "cache/a:1"), &everywhere).unwrap();
    push_image(&stranger(), &reference(&registries[2].address(), "a:1"), &everywhere).unwrap();
    push(&stranger(), &reference(&registries[2].address(), "a:1"), &only_upstream).unwrap();

    let name = reference("up.example", "a:1");
    manifest(&client, &name).unwrap();
    assert_eq!(fetch(&client, &name, &everywhere).unwrap(), everywhere);
    assert_eq!(upstream.requests().len(), 0);
    assert!(
        first.count("GET", "/v2/a/manifests/1") > 0 && second.count("GET", "/v2/cache/a/manifests/1") > 0
    );
    assert_eq!(fetch(&client, &name, &only_upstream).unwrap(), only_upstream);

    let error = manifest(&client, &reference("up.example", "b:1")).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }));
    for host in [&first, &second, &upstream] {
        assert!(error.to_string().contains(&host.address()), "{error}");
    }
}

#[test]
fn a_push_goes_to_the_registry_alone() {
    let (mirror, upstream) = (Registry::start(), Registry::start());
    let (mirror, upstream) = (Proxy::start(&mirror.address()), Proxy::start(&upstream.address()));
    let home = Home::new();
    configure(&home, &upstream.address(), &[&mirror.address()]);
    let _ = push(&home.client(), &reference("up.example", "a:1"), b"x");
    assert_eq!(mirror.requests().len(), 0);
    assert!(!upstream.requests().is_empty());
}

#[test]
fn a_mirror_that_is_down_costs_little() {
    let upstream = Registry::start();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let home = Home::new();
    configure(&home, &upstream.address(), &[&format!("127.0.0.1:{port}")]);
    push_image(&stranger(), &reference(&upstream.address(), "a:1"), b"x").unwrap();
    let start = std::time::Instant::now();
    manifest(&home.client(), &reference("up.example", "a:1")).unwrap();
    assert!(start.elapsed().as_millis() < 1000);
}

#[test]
fn a_lying_mirror_is_passed_over() {
    let (mirror, upstream) = (Registry::start(), Registry::start());
    let liar = Proxy::start(&mirror.address());
    let home = Home::new();
    configure(&home, &upstream.address(), &[&liar.address()]);
    let bytes = noise(3, 1 << 20);
    for registry in [&mirror, &upstream] {
        push_image(&stranger(), &reference(&registry.address(), "a:1"), &bytes).unwrap();
    }
    liar.add(Rule::new("GET", "/blobs/", Fault::Corrupt(500_000)));
    liar.add(Rule::new("GET", "/manifests/", Fault::Corrupt(20)));
    let client = home.client();
    let name = reference("up.example", "a:1");
    let good = manifest(&client, &name).unwrap();
    assert_eq!(
        good.digest(),
        manifest(&stranger(), &reference(&upstream.address(), "a:1")).unwrap().digest()
    );
    assert!(fetch(&client, &name, &bytes).unwrap() == bytes);
    assert!(liar.count("GET", "/blobs/") > 0);

    // It lies, then breaks off: what it left behind must not spoil what the registry sends.
    liar.clear();
    liar.add(Rule::new("GET", "/blobs/", Fault::Corrupt(10)));
    liar.add(Rule::new("GET", "/blobs/", Fault::CutAfter(50_000)));
    assert!(fetch(&client, &name, &bytes).unwrap() == bytes);
}

#[test]
fn a_lie_of_all_names_both_digests() {
    let registry = Registry::start();
    let liar = Proxy::start(&registry.address());
    let bytes = noise(4, 1000);
    let name = reference(&liar.address(), "a:1");
    push(&stranger(), &name, &bytes).unwrap();
    liar.add(Rule::new("GET", "/blobs/", Fault::Corrupt(7)));
    let mut lie = bytes.clone();
    lie[7] ^= 0xff;
    let mut sink = Vec::new();
    let error = stranger().fetch_blob(&name, &layer(&bytes), &mut sink, &|_| {}, &Cancel::new()).unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    for digest in [layer(&bytes).digest, layer(&lie).digest] {
        assert!(error.to_string().contains(&digest.to_string()), "{error}");
    }
    assert!(sink.is_empty(), "nothing of a lie is left behind");
}

#[test]
fn blocked_is_not_asked() {
    let registry = Registry::start();
    let proxy = Proxy::start(&registry.address());
    let home = Home::new();
    let address = proxy.address();
    let file = home.write(
        "registries.conf.d/1.conf",
        format!("[[registry]]\nlocation = \"{address}/bad\"\nblocked = true\n"),
    );
    let error = manifest(&home.client(), &reference(&address, "bad/a:1")).unwrap_err().to_string();
    assert!(error.contains("blocked") && error.contains(&file.display().to_string()), "{error}");
    assert!(push(&home.client(), &reference(&address, "bad/a:1"), b"x").is_err());
    assert_eq!(proxy.requests().len(), 0);
    push(&home.client(), &reference(&address, "good/a:1"), b"x").unwrap();
}
