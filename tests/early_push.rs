//! Layers that go up while later steps run. A step of each Dockerfile waits for a server of the test, which answers once it
//! has seen what it waits for.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jettison_testkit::{Context, Fault, Image, Jettison, Layout, Proxy, Registry, Rule, base};

use crate::BINARY;

/// How long a server waits for what it wants to see.
const PATIENCE: Duration = Duration::from_secs(60);

/// A registry, a proxy before it, a home that pushes through the proxy, and `busybox` as a named context.
struct Remote {
    registry: Registry,
    proxy: Proxy,
    jettison: Jettison,
    bases: Layout,
}

impl Remote {
    fn new() -> Remote {
        let registry = Registry::start();
        let proxy = Proxy::start(&registry.address());
        Remote { registry, proxy, jettison: Jettison::new(BINARY), bases: base::images() }
    }

    fn name(&self) -> String {
        format!("{}/app:1", self.proxy.address())
    }

    /// Builds on the host's network with `flags`, and returns the exit code.
    fn build(&self, context: &Context, flags: &[&str]) -> i32 {
        let busybox = format!("busybox={}", self.bases.named_context("busybox"));
        let fixed = ["build", "--network=host", "--build-context", &busybox, "-t", &self.name()];
        let output = self.jettison.run(&[&fixed, flags, &[context.argument()]].concat());
        eprintln!("{output}");
        output.code
    }

    fn push(&self, context: &Context) -> i32 {
        self.build(context, &["--push"])
    }

    fn pushed(&self) -> Image {
        let folder = tempfile::tempdir().unwrap();
        self.registry.fetch("app:1", &format!("oci:{}:x", folder.path().display()));
        Image::from_layout(folder.path(), "x")
    }

    fn repository(&self) -> PathBuf {
        self.registry.storage().join("docker/registry/v2/repositories/app")
    }
}

/// Has each caller wait until `seen`, and answers "go"; returns the command that calls. It waits for callers as long as the
/// tests run, so `seen` must not own what is to end before.
fn gate(seen: impl Fn() -> bool + Send + 'static) -> String {
    let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut caller in server.incoming().flatten() {
            let end = Instant::now() + PATIENCE;
            while !seen() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(10));
            }
            // Who does not hear "go" fails, and the test with it.
            let _ = caller.write_all(if seen() { b"go\n" } else { b"no\n" });
        }
    });
    format!("nc 127.0.0.1 {port} -w 100 </dev/null | grep go")
}

/// Bytes that compress to about half.
fn big() -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 & 0x0f
    };
    (0..3_000_000).map(|_| next()).collect()
}

#[test]
fn layers_are_in_the_registry_before_the_last_step_ends() {
    let remote = Remote::new();
    let repository = remote.repository();
    let wait = gate(move || {
        // The base's layer, that of COPY and that of RUN; a blob that is linked is whole.
        let layers = repository.join("_layers/sha256");
        let linked = std::fs::read_dir(layers)
            .map_or(0, |layers| layers.flatten().filter(|layer| layer.path().join("link").exists()).count());
        linked == 3 && !repository.join("_manifests").exists()
    });
    let text = format!("FROM busybox\nCOPY big /big\nRUN echo made >/made\nRUN {wait}\nRUN echo end >/end\n");
    let context = Context::of(&text).file("big", big());
    let trace = remote.jettison.path("work/trace.json");
    assert_eq!(remote.build(&context, &["--push", "--trace", trace.to_str().unwrap()]), 0);
    let image = remote.pushed();
    let tree = image.tree();
    assert_eq!((tree.get("/big").content.clone(), tree.text("/made")), (big(), "made\n".to_owned()));
    assert_eq!(remote.proxy.count("PUT", "/blobs/uploads/"), image.layer_count() + 1, "each goes up once");

    let trace: serde_json::Value = serde_json::from_slice(&std::fs::read(trace).unwrap()).unwrap();
    let spans = |name: &str| {
        let spans = trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "X");
        spans.filter(|event| event["name"].as_str().unwrap().starts_with(name)).count()
    };
    assert!(spans("compressing") >= 2 && spans("pushing ") > 3, "{trace}");
}

#[test]
fn what_went_up_early_is_what_a_push_after_the_build_sends() {
    let context = |wait: &str| {
        Context::of(&format!("FROM busybox\nCOPY big /big\nRUN echo made >/made; {wait}\n"))
            .file("big", big())
    };
    let layers = |remote: &Remote| {
        let image = remote.pushed();
        let blobs = image.manifest.layers.iter().map(|layer| (layer.digest, layer.size));
        (blobs.collect::<Vec<_>>(), image.config.rootfs.diff_ids.clone())
    };
    let (early, late) = (Remote::new(), Remote::new());
    assert_eq!(early.push(&context("true")), 0);
    assert_eq!(late.build(&context("true"), &[]), 0);
    assert_eq!(late.proxy.count("", "/v2/app/"), 0, "nothing goes up that nobody pushes");
    late.jettison.ok(&["push", &late.name()]);
    assert_eq!(layers(&early), layers(&late));
}

#[test]
fn a_later_step_that_fails_ends_uploads_and_nothing_is_named() {
    let remote = Arc::new(Remote::new());
    remote.proxy.add(Rule::new("PUT", "/blobs/uploads/", Fault::Delay(PATIENCE)));
    let seen = Arc::downgrade(&remote);
    let wait =
        gate(move || seen.upgrade().is_some_and(|remote| remote.proxy.count("PUT", "/blobs/uploads/") > 0));
    let context =
        Context::of(&format!("FROM busybox\nCOPY big /big\nRUN {wait} && false\n")).file("big", big());
    let began = Instant::now();
    assert_eq!(remote.push(&context), 1);
    assert!(began.elapsed() < PATIENCE / 2, "it waited for an upload that nobody wants any more");
    assert_eq!(remote.proxy.count("PUT", "/manifests/"), 0);
    assert!(!remote.repository().join("_manifests").exists());
}

#[test]
fn what_did_not_go_up_early_goes_up_at_the_end() {
    let remote = Arc::new(Remote::new());
    remote.proxy.add(Rule::new("POST", "/blobs/uploads/", Fault::status(403)).times(1));
    let seen = Arc::downgrade(&remote);
    let wait =
        gate(move || seen.upgrade().is_some_and(|remote| remote.proxy.count("POST", "/blobs/uploads/") > 0));
    let context = Context::of(&format!("FROM busybox\nCOPY big /big\nRUN {wait}\n")).file("big", big());
    assert_eq!(remote.push(&context), 0);
    assert_eq!(remote.pushed().tree().get("/big").content, big());
}

#[test]
fn an_upload_that_outlasts_the_steps_is_not_begun_again() {
    let remote = Remote::new();
    remote.proxy.add(Rule::new("PUT", "/blobs/uploads/", Fault::Delay(Duration::from_secs(2))));
    let context = Context::of("FROM busybox\nCOPY big /big\nRUN echo made >/made\n").file("big", big());
    assert_eq!(remote.push(&context), 0);
    let image = remote.pushed();
    assert_eq!(remote.proxy.count("PUT", "/blobs/uploads/"), image.layer_count() + 1);

    // With all in the cache there is nothing to gain: the registry is asked for each blob once.
    remote.proxy.forget();
    assert_eq!(remote.push(&context), 0);
    assert_eq!(remote.proxy.count("HEAD", "/blobs/"), image.layer_count() + 1);
}
