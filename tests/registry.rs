//! Bases from real registries and images to them: access, faults, mirrors, platforms.

use std::fs;

use jettison_image::Platform;
use jettison_testkit::{
    Access, Certificate, Context, Fault, Image, Jettison, Layer, Layout, Proxy, Registry, RegistryOptions,
    Rule, base, base64,
};

use crate::BINARY;

/// A registry with `library/busybox:latest`, a proxy before it that mirrors docker.io, and a home that knows both.
struct Remote {
    registry: Registry,
    proxy: Proxy,
    jettison: Jettison,
}

impl Remote {
    fn new() -> Remote {
        let registry = Registry::start();
        registry.push(&base::busybox_image().skopeo("busybox"), "library/busybox:latest");
        let proxy = Proxy::start(&registry.address());
        let jettison = Jettison::new(BINARY);
        jettison.mirror(&["docker.io"], &proxy.address());
        Remote { registry, proxy, jettison }
    }
}

fn user() -> (String, String) {
    ("ann".to_owned(), "pass:word".to_owned())
}

fn basic() -> Access {
    let (user, password) = user();
    Access::Basic { user, password }
}

fn token() -> Access {
    let (user, password) = user();
    Access::Token { user, password }
}

/// A registry with `app/base:1` for those who may use it.
fn guarded(tls: bool, access: Access) -> Registry {
    let registry = Registry::with(RegistryOptions { tls, access });
    registry.push(&base::busybox_image().skopeo("busybox"), "app/base:1");
    registry
}

fn credentials(registry: &str, password: &str) -> String {
    let auth = base64::encode(format!("ann:{password}").as_bytes());
    format!(r#"{{"auths":{{"{registry}":{{"auth":"{auth}"}}}}}}"#)
}

fn insecure(jettison: &Jettison, registry: &Registry) {
    jettison.registries(&format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", registry.address()));
}

fn on(registry: &Registry) -> Context {
    Context::of(&format!("FROM {}/app/base:1\nRUN echo text > /f\n", registry.address()))
}

const ON_BUSYBOX: &str = "FROM busybox\nRUN echo text > /f\n";

#[test]
fn a_short_name_comes_from_the_mirror_of_docker_hub() {
    let remote = Remote::new();
    let image = remote.jettison.image(&Context::of(ON_BUSYBOX), &[]);
    assert_eq!(image.tree().text("/f"), "text\n");
    assert!(remote.proxy.count("GET", "/v2/library/busybox/manifests/latest") >= 1);
    assert_eq!(remote.proxy.count("GET", "/v2/library/busybox/blobs/"), 2, "config and layer, each once");
}

#[test]
fn a_tag_in_the_store_is_not_asked_for_again_and_pull_asks() {
    let remote = Remote::new();
    let context = Context::of(ON_BUSYBOX);
    remote.jettison.build(&context, &[]);
    remote.proxy.forget();
    remote.jettison.build(&context, &[]);
    assert_eq!(remote.proxy.requests(), []);
    remote.jettison.build(&context, &["--pull"]);
    assert!(remote.proxy.count("", "/manifests/") >= 1);
    assert_eq!(remote.proxy.count("GET", "/blobs/"), 0, "what is stored is not fetched again");
}

#[test]
fn the_bases_layers_stay_as_they_were_pulled() {
    let remote = Remote::new();
    let layout = base::busybox_image();
    let image = remote.jettison.image(&Context::of(ON_BUSYBOX), &[]);
    assert_eq!(image.manifest.layers[0], Image::from_layout(layout.path(), "busybox").manifest.layers[0]);
}

#[test]
fn a_busy_registry_is_asked_again_after_the_time_it_names() {
    let remote = Remote::new();
    remote.proxy.add(Rule::new("GET", "/blobs/", Fault::too_many_requests("1")).times(1));
    let start = std::time::Instant::now();
    remote.jettison.build(&Context::of(ON_BUSYBOX), &[]);
    assert!(start.elapsed().as_millis() >= 1000, "Retry-After is a promise");
    assert_eq!(remote.proxy.count("GET", "/blobs/"), 3);
}

#[test]
fn a_failing_registry_is_asked_again() {
    let remote = Remote::new();
    remote.proxy.add(Rule::new("GET", "/manifests/", Fault::status(503)).times(1));
    remote.proxy.add(Rule::new("GET", "/blobs/", Fault::Refuse).times(1));
    remote.jettison.build(&Context::of(ON_BUSYBOX), &[]);
}

#[test]
fn a_cut_blob_is_resumed_where_it_ended() {
    let remote = Remote::new();
    let layout = base::busybox_image();
    let layer = Image::from_layout(layout.path(), "busybox").manifest.layers[0].digest;
    remote.proxy.add(Rule::new("GET", &layer.to_string(), Fault::CutAfter(100_000)).times(1));
    remote.jettison.build(&Context::of(ON_BUSYBOX), &[]);
    let requests = remote.proxy.requests();
    let ranges: Vec<_> = requests
        .iter()
        .filter(|r| r.path.contains(&layer.to_string()))
        .map(|r| r.header("range").map(str::to_owned))
        .collect();
    assert_eq!(ranges.len(), 2, "{ranges:?}");
    let resumed = ranges[1].as_deref().unwrap_or_default();
    let from: u64 = resumed
        .trim_start_matches("bytes=")
        .trim_end_matches('-')
        .split('-')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(from > 0 && from <= 100_000, "{resumed}");
}

#[test]
fn a_server_that_cannot_resume_sends_all_again() {
    let remote = Remote::new();
    remote.proxy.add(Rule::new("GET", "/blobs/", Fault::IgnoreRange));
    remote.proxy.add(Rule::new("GET", "/blobs/", Fault::CutAfter(50_000)).times(2));
    remote.jettison.build(&Context::of(ON_BUSYBOX), &[]);
}

#[test]
fn a_blob_that_is_not_what_its_digest_says_is_refused() {
    let remote = Remote::new();
    let layer = Image::from_layout(base::busybox_image().path(), "busybox").manifest.layers[0].digest;
    remote.proxy.add(Rule::new("GET", &layer.to_string(), Fault::Corrupt(1000)));
    let output = remote.jettison.build_fails(&Context::of(ON_BUSYBOX), &[]);
    output.says(&layer.to_string());
    // Nothing of it stays: the next build fetches it again.
    remote.proxy.clear();
    remote.jettison.build(&Context::of(ON_BUSYBOX), &[]);
}

#[test]
fn a_manifest_that_is_not_what_its_digest_says_is_refused() {
    let remote = Remote::new();
    let digest = Image::from_layout(base::busybox_image().path(), "busybox").digest;
    let other = Image::from_layout(base::images().path(), "alpine");
    let body = serde_json::to_vec(&other.manifest).unwrap();
    remote.proxy.add(Rule::new("GET", "/manifests/", Fault::Body(body)));
    let context = Context::of(&format!("FROM busybox@{digest}\nRUN true\n"));
    remote.jettison.build_fails(&context, &[]).says(&digest.to_string());
}

#[test]
fn a_base_by_digest_works() {
    let remote = Remote::new();
    let digest = Image::from_layout(base::busybox_image().path(), "busybox").digest;
    remote.jettison.build(&Context::of(&format!("FROM busybox:latest@{digest}\nRUN true\n")), &[]);
}

#[test]
fn no_such_image_is_told_with_its_line() {
    let remote = Remote::new();
    let output =
        remote.jettison.build_fails(&Context::of("FROM scratch\nFROM busybox:nosuch\nRUN true\n"), &[]);
    output.says("Dockerfile:2").says("busybox:nosuch").says("not found");
}

#[test]
fn a_certificate_must_be_trusted_and_certs_d_trusts_one() {
    let registry = guarded(true, Access::Open);
    let jettison = Jettison::new(BINARY);
    let trust = |certificate: &Certificate| {
        let authority = fs::read_to_string(certificate.authority()).unwrap();
        jettison.write(&format!(".config/containers/certs.d/{}/ca.crt", registry.address()), &authority);
    };
    trust(&Certificate::new());
    jettison.build_fails(&on(&registry), &[]).says("certificate");
    trust(registry.certificate().unwrap());
    jettison.build(&on(&registry), &[]);
}

#[test]
fn basic_authentication_takes_dockers_and_podmans_files() {
    let registry = guarded(false, basic());
    for file in ["docker/config.json", "auth.json"] {
        let mut jettison = Jettison::new(BINARY);
        insecure(&jettison, &registry);
        jettison.build_fails(&on(&registry), &[]).says(&registry.address());
        let path = jettison.write(file, &credentials(&registry.address(), "pass:word"));
        if file == "auth.json" {
            jettison.set("REGISTRY_AUTH_FILE", path.to_str().unwrap());
        }
        jettison.build(&on(&registry), &[]);
        jettison.write(file, &credentials(&registry.address(), "wrong"));
        jettison.build_fails(&on(&registry), &["--pull"]).says(&registry.address()).says_not("wrong");
    }
}

#[test]
fn login_checks_and_keeps_a_password_and_logout_forgets_it() {
    let registry = guarded(false, basic());
    let (jettison, address) = (Jettison::new(BINARY), registry.address());
    insecure(&jettison, &registry);
    let arguments = ["login", "-u", "ann", "--password-stdin", &address];
    let refused = jettison.run_with_input(&arguments, b"wrong\n");
    assert_eq!(refused.code, 1, "{refused}");
    refused.says_not("wrong");
    let output = jettison.run_with_input(&arguments, b"pass:word\n");
    assert_eq!((output.code, output.stdout.trim()), (0, "Login Succeeded"), "{output}");
    let file = jettison.path("docker/config.json");
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions()) & 0o777,
        0o600
    );
    jettison.build(&on(&registry), &[]);
    jettison.ok(&["logout", &address]);
    assert!(!fs::read_to_string(&file).unwrap_or_default().contains(&base64::encode(b"ann:pass:word")));
    jettison.build_fails(&on(&registry), &["--pull"]);
}

#[test]
fn a_token_server_is_asked_for_what_is_needed() {
    let registry = guarded(false, token());
    let jettison = Jettison::new(BINARY);
    insecure(&jettison, &registry);
    jettison.build(&on(&registry), &[]);
    let scopes = |registry: &Registry| -> Vec<String> {
        registry.tokens().unwrap().requests().iter().flat_map(|request| request.parameters("scope")).collect()
    };
    assert!(scopes(&registry).contains(&"repository:app/base:pull".to_owned()));
    let target = format!("{}/app/new:1", registry.address());
    jettison.build_fails(&on(&registry), &["-t", &target, "--push"]).says(&registry.address());
    jettison.docker_config(&credentials(&registry.address(), "pass:word"));
    jettison.build(&on(&registry), &["-t", &target, "--push"]);
    assert!(scopes(&registry).iter().any(|scope| scope.contains("app/new:") && scope.contains("push")));
}

#[test]
fn an_identity_token_stands_for_a_password() {
    let registry = guarded(false, token());
    let jettison = Jettison::new(BINARY);
    insecure(&jettison, &registry);
    let refresh = registry.tokens().unwrap().refresh_token();
    jettison.docker_config(&format!(
        r#"{{"auths":{{"{}":{{"auth":"","identitytoken":"{refresh}"}}}}}}"#,
        registry.address()
    ));
    let target = format!("{}/app/new:1", registry.address());
    jettison.build(&on(&registry), &["-t", &target, "--push"]);
}

#[test]
fn a_credential_helper_is_asked() {
    let registry = guarded(false, basic());
    let mut jettison = Jettison::new(BINARY);
    insecure(&jettison, &registry);
    jettison.docker_config(&format!(r#"{{"credHelpers":{{"{}":"test"}}}}"#, registry.address()));
    jettison.build_fails(&on(&registry), &[]).says("docker-credential-test");
    jettison.write_program(
        "docker-credential-test",
        "#!/bin/sh\nserver=$(cat)\n[ \"$1\" = get ] && \
         printf '{\"ServerURL\":\"%s\",\"Username\":\"ann\",\"Secret\":\"pass:word\"}' \"$server\"\n",
    );
    jettison.build(&on(&registry), &[]);
}

#[test]
fn a_blocked_registry_is_not_asked() {
    let remote = Remote::new();
    remote.jettison.registries(&format!(
        "[[registry]]\nprefix = \"docker.io\"\nlocation = \"{}\"\ninsecure = true\nblocked = true\n",
        remote.proxy.address()
    ));
    remote.jettison.build_fails(&Context::of(ON_BUSYBOX), &[]).says("blocked");
    assert_eq!(remote.proxy.requests(), []);
}

#[test]
fn a_mirror_that_lacks_an_image_is_passed_over() {
    let remote = Remote::new();
    let empty = Registry::start();
    remote.jettison.registries(&format!(
        "[[registry]]\nprefix = \"docker.io\"\nlocation = \"{}\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"127.0.0.1:1\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
        remote.proxy.address(),
        empty.address()
    ));
    remote.jettison.build(&Context::of(ON_BUSYBOX), &[]);
}

#[test]
fn a_push_never_goes_to_a_mirror() {
    let remote = Remote::new();
    let target = Registry::start();
    remote.jettison.registries(&format!(
        "[[registry]]\nprefix = \"docker.io\"\nlocation = \"{}\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
        target.address(),
        remote.proxy.address()
    ));
    remote.jettison.build(&Context::of(ON_BUSYBOX), &["-t", "me/app:1", "--push"]);
    assert!(remote.proxy.requests().iter().all(|request| ["GET", "HEAD"].contains(&request.method.as_str())));
    let folder = tempfile::tempdir().unwrap();
    target.fetch("me/app:1", &format!("oci:{}:x", folder.path().display()));
    assert_eq!(Image::from_layout(folder.path(), "x").tree().text("/f"), "text\n");
}

/// As BuildKit shows it: a step after the target's, and what is moved of how much.
#[test]
fn a_push_is_a_step_that_shows_what_it_moves() {
    let remote = Remote::new();
    remote.jettison.mirror(&["docker.io"], &remote.registry.address());
    let target = format!("{}/app:1", remote.registry.address());
    let context = Context::of(ON_BUSYBOX);
    let plain = remote.jettison.build(&context, &["-t", &target, "--push", "--progress=plain"]);
    plain.says("exporting to image\n").says(" pushing layers ").says("s done\n");

    let again = format!("{}/again:1", remote.registry.address());
    let raw = remote.jettison.build(&context, &["-t", &again, "--push", "--progress=rawjson"]);
    let steps = raw.steps();
    let export = steps.all().last().unwrap();
    assert_eq!((export.name.as_str(), export.completed), ("exporting to image", true));
    assert_eq!(export.inputs, [steps.instructions().last().unwrap().digest.clone()]);
    let lines = raw.stderr.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut statuses = lines.filter_map(|line| Some(line.get("statuses")?[0].clone()));
    let last = statuses.rfind(|status| status["id"] == "pushing layers").unwrap();
    assert_eq!((&last["vertex"], &last["current"]), (&export.digest.as_str().into(), &last["total"]));
    assert!(last["completed"].is_string() && last["total"].as_u64() > Some(0), "{last}");

    let nobody = ["-t", "127.0.0.1:1/app:1", "--push", "--progress=rawjson"];
    let failed = remote.jettison.build_fails(&context, &nobody).steps();
    assert!(failed.all().last().unwrap().error.contains("127.0.0.1:1"), "{failed:?}");
}

#[test]
fn a_pushed_image_is_whole_and_a_second_push_sends_nothing() {
    let remote = Remote::new();
    let target = format!("{}/app:1", remote.proxy.address());
    remote.jettison.mirror(&["docker.io"], &remote.proxy.address());
    let context = Context::of(ON_BUSYBOX);
    remote.jettison.build(&context, &["-t", &target, "--push"]);
    let folder = tempfile::tempdir().unwrap();
    remote.registry.fetch("app:1", &format!("oci:{}:x", folder.path().display()));
    let pushed = Image::from_layout(folder.path(), "x");
    assert_eq!(pushed.tree().text("/f"), "text\n");
    assert_eq!(pushed.id, remote.jettison.image(&context, &[]).id);
    remote.proxy.forget();
    remote.jettison.ok(&["push", &target]);
    assert_eq!(remote.proxy.count("PATCH", "") + remote.proxy.count("PUT", "/blobs/"), 0);
}

#[test]
fn a_bases_blobs_are_mounted_and_not_sent() {
    let remote = Remote::new();
    let address = remote.proxy.address();
    let context = Context::of(&format!("FROM {address}/library/busybox\nRUN echo text > /f\n"));
    remote.jettison.build(&context, &["-t", &format!("{address}/app:1"), "--push"]);
    let mounts: Vec<_> =
        remote.proxy.requests().into_iter().filter(|request| request.path.contains("mount=")).collect();
    assert!(
        mounts.iter().any(|request| request.path.contains("from=library%2Fbusybox")
            || request.path.contains("from=library/busybox")),
        "{mounts:?}"
    );
}

#[test]
fn docker_media_types_are_read() {
    let remote = Remote::new();
    let layout = base::busybox_image();
    jettison_testkit::tools::run(
        "skopeo",
        [
            "--insecure-policy",
            "copy",
            "--quiet",
            "--format=v2s2",
            "--dest-tls-verify=false",
            &layout.skopeo("busybox"),
            &format!("docker://{}/library/busybox:v2", remote.registry.address()),
        ],
    );
    remote.jettison.build(&Context::of("FROM busybox:v2\nRUN true\n"), &[]);
}

#[test]
fn an_index_gives_the_platform_that_is_asked_for() {
    let remote = Remote::new();
    let mut layout = Layout::new();
    let platforms =
        [Platform::host(), Platform::new("linux", "s390x", None), Platform::new("linux", "arm", Some("v7"))];
    let images: Vec<_> = platforms
        .iter()
        .map(|platform| {
            (platform.clone(), vec![Layer::new().file("arch", 0o644, platform.architecture.clone())])
        })
        .collect();
    layout.add_index("multi", &base::config("sh"), &images);
    remote.registry.push(&layout.skopeo("multi"), "library/multi:latest");
    let context = Context::of("FROM multi\nCOPY Dockerfile /d\n");
    for (flags, expected) in [
        (&[][..], platforms[0].architecture.as_str()),
        (&["--platform", "linux/s390x"], "s390x"),
        (&["--platform", "linux/arm/v7"], "arm"),
    ] {
        let image = remote.jettison.image(&context, flags);
        assert_eq!(image.tree().text("/arch"), expected);
        assert_eq!(image.config.architecture, expected);
    }
    let fixed = Context::of("FROM --platform=linux/s390x multi\nCOPY Dockerfile /d\n");
    assert_eq!(remote.jettison.image(&fixed, &[]).tree().text("/arch"), "s390x");
    let output = remote.jettison.build_fails(&context, &["--platform", "linux/riscv64"]);
    output.says("riscv64");
}

#[test]
fn a_named_context_can_be_an_image_of_a_registry() {
    let remote = Remote::new();
    remote.registry.push(&base::images().skopeo("alpine"), "library/other:1");
    let context = Context::of("FROM one\nCOPY --from=two /etc/group /g\n");
    let flags =
        ["--build-context", "one=docker-image://other:1", "--build-context", "two=docker-image://busybox"];
    let tree = remote.jettison.image(&context, &flags).tree();
    assert!(tree.has("/lib64") && tree.has("/g"));
}

#[test]
fn pull_and_push_are_commands_too() {
    let remote = Remote::new();
    let layer = Image::from_layout(base::busybox_image().path(), "busybox").manifest.layers[0].digest;
    remote.jettison.ok(&["pull", "busybox"]).says("pulling busybox:latest").says(&layer.short());
    let target = format!("{}/copy:1", remote.proxy.address());
    remote.jettison.ok(&["tag", "busybox", &target]);
    remote.jettison.ok(&["push", &target]).says("pushing");
    assert_eq!(remote.jettison.ok(&["pull", "-q", &target]).stderr, "");
    let folder = tempfile::tempdir().unwrap();
    remote.registry.fetch("copy:1", &format!("oci:{}:x", folder.path().display()));
    let digest = Image::from_layout(base::busybox_image().path(), "busybox").digest;
    assert_eq!(
        Image::from_layout(folder.path(), "x").digest,
        digest,
        "an image that was pulled is pushed as it was"
    );
}

#[test]
fn a_download_that_was_killed_goes_on_where_it_was() {
    let remote = Remote::new();
    remote.proxy.add(Rule::new("GET", "/blobs/", Fault::Slow(2000)).times(4));
    let context = Context::of(ON_BUSYBOX);
    let mut child = remote.jettison.spawn(&["build", context.argument()]);
    std::thread::sleep(std::time::Duration::from_millis(800));
    child.kill().unwrap();
    child.wait().unwrap();
    remote.proxy.clear();
    remote.jettison.build(&context, &[]);
}
