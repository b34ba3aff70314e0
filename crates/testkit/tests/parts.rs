//! The parts are real: skopeo, another project's client, pushes and pulls through each of them.
#![allow(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::process::Command;

use jettison_testkit::{Access, Fault, Image, Proxy, Registry, RegistryOptions, Rule, base, tools};

/// Tells whether skopeo can inspect `image` at `address` with more `flags`.
fn can_inspect(address: &str, image: &str, flags: &[&str]) -> bool {
    let reference = format!("docker://{address}/{image}");
    let mut command = Command::new(tools::require("skopeo"));
    command.args(["inspect", "--retry-times=0"]).args(flags).arg(reference);
    command.output().unwrap().status.success()
}

#[test]
fn an_open_registry_gives_back_what_was_pushed() {
    let (registry, layout) = (Registry::start(), base::busybox_image());
    registry.push(&layout.skopeo("busybox"), "library/busybox:latest");
    let folder = tempfile::tempdir().unwrap();
    registry.fetch("library/busybox:latest", &format!("oci:{}:back", folder.path().display()));
    let (there, back) =
        (Image::from_layout(layout.path(), "busybox"), Image::from_layout(folder.path(), "back"));
    assert_eq!(there.digest, back.digest);
    assert_eq!(back.tree().get("/bin/sh").link, "bin/busybox");
}

#[test]
fn access_is_checked() {
    let layout = base::busybox_image();
    let (user, password) = ("ann".to_owned(), "secret".to_owned());
    for (access, anonymous) in [
        (Access::Basic { user: user.clone(), password: password.clone() }, false),
        (Access::Token { user, password }, true),
    ] {
        let registry = Registry::with(RegistryOptions { tls: false, access });
        registry.push(&layout.skopeo("busybox"), "a/b:c");
        let inspect = |flags: &[&str]| {
            can_inspect(&registry.address(), "a/b:c", &[&["--tls-verify=false"], flags].concat())
        };
        assert_eq!(inspect(&["--no-creds"]), anonymous);
        assert!(inspect(&["--creds=ann:secret"]));
        assert!(!inspect(&["--creds=ann:wrong"]));
        assert_eq!(registry.tokens().is_some_and(|tokens| !tokens.requests().is_empty()), anonymous);
    }
}

#[test]
fn tls_needs_the_authority() {
    let (registry, layout) =
        (Registry::with(RegistryOptions { tls: true, access: Access::Open }), base::busybox_image());
    registry.push(&layout.skopeo("busybox"), "a/b:c");
    let certificates = registry.certificate().unwrap().folder().display().to_string();
    let trusting = tempfile::tempdir().unwrap();
    std::fs::copy(format!("{certificates}/ca.crt"), trusting.path().join("ca.crt")).unwrap();
    assert!(!can_inspect(&registry.address(), "a/b:c", &[]));
    assert!(can_inspect(
        &registry.address(),
        "a/b:c",
        &[&format!("--cert-dir={}", trusting.path().display())]
    ));
}

#[test]
fn faults_are_as_ordered() {
    let (registry, layout) = (Registry::start(), base::busybox_image());
    registry.push(&layout.skopeo("busybox"), "a/b:c");
    let proxy = Proxy::start(&registry.address());
    let pull = || {
        let folder = tempfile::tempdir().unwrap();
        let to = format!("dir:{}", folder.path().display());
        let from = format!("docker://{}/a/b:c", proxy.address());
        let mut command = Command::new(tools::require("skopeo"));
        command.args(["--insecure-policy", "copy", "--src-tls-verify=false", "--quiet", &from, &to]);
        command.output().unwrap().status.success()
    };
    assert!(pull());
    assert_eq!(proxy.count("GET", "/manifests/c"), 1);
    assert_eq!(proxy.count("GET", "/blobs/"), 2);
    for fault in [Fault::Corrupt(100), Fault::status(404), Fault::Body(b"{}".to_vec())] {
        proxy.add(Rule::new("GET", "/blobs/", fault.clone()));
        assert!(!pull(), "{fault:?}");
        proxy.clear();
    }
    proxy.forget();
    proxy.add(Rule::new("GET", "/manifests/c", Fault::too_many_requests("1")).times(1));
    assert!(pull());
    assert_eq!(proxy.count("GET", "/manifests/c"), 2);
}

#[test]
fn a_push_goes_through_the_proxy() {
    let (registry, layout) = (Registry::start(), base::busybox_image());
    let proxy = Proxy::start(&registry.address());
    let to = format!("docker://{}/a/b:c", proxy.address());
    let from = layout.skopeo("busybox");
    tools::run("skopeo", ["--insecure-policy", "copy", "--dest-tls-verify=false", "--quiet", &from, &to]);
    assert!(proxy.count("POST", "/blobs/uploads/") >= 2);
    assert!(can_inspect(&registry.address(), "a/b:c", &["--tls-verify=false"]));
}
