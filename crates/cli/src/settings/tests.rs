//! Settings: what the user typed, and what is refused.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use jettison_ops::*;

use super::hosts::extra_host;
use super::output::output;
use crate::args::{self, Command};
use crate::environment::Environment;
use crate::failure::{Failure, code};

fn verb(line: &str) -> Command {
    let line: Vec<OsString> =
        std::iter::once("jettison").chain(line.split_whitespace()).map(Into::into).collect();
    args::parse(&line).unwrap().verb()
}

fn build(line: &str) -> Result<BuildSettings, Failure> {
    let Command::Build(args) = verb(&format!("build {line}")) else { panic!("not build") };
    let environment = Environment {
        root: "/store".into(),
        no_color: false,
        epoch: Some(7),
        cache_limit: None,
        docker_host: None,
    };
    super::build(&args, &environment, &|name| (name == "FROM_ENV").then(|| "value".to_owned()))
}

fn run(line: &str) -> Result<RunSettings, Failure> {
    let Command::Run(args) = verb(&format!("run {line}")) else { panic!("not run") };
    super::run(&args, &|name| (name == "FROM_ENV").then(|| "value".to_owned())).map(|(settings, _)| settings)
}

#[test]
fn build_takes_dockers_flags() {
    let settings = build(
        "-f Other -t me/app:1 -t app --target prod --build-arg A=b=c --build-arg FROM_ENV --build-arg UNSET \
         --label k=v --label empty --platform linux/arm64 --network none --add-host db:10.0.0.1 --add-host six=[::1] dir",
    )
    .unwrap();
    assert_eq!(settings.context, Context::Directory("dir".into()));
    assert_eq!(settings.dockerfile, DockerfileSource::Path("Other".into()));
    assert_eq!(
        settings.tags.iter().map(|tag| tag.familiar()).collect::<Vec<_>>(),
        ["me/app:1", "app:latest"]
    );
    assert_eq!(settings.build_args, [("A".into(), "b=c".into()), ("FROM_ENV".into(), "value".into())]);
    assert_eq!(settings.labels["k"], "v");
    assert_eq!(settings.labels["empty"], "");
    assert_eq!(settings.platforms[0].to_string(), "linux/arm64");
    assert_eq!(settings.network, Network::None);
    assert_eq!(settings.extra_hosts, [("db".into(), "10.0.0.1".into()), ("six".into(), "::1".into())]);
    assert_eq!(settings.epoch, Some(7));
}

#[test]
fn named_contexts_have_three_forms() {
    let settings = build(
        "--build-context a=dir --build-context docker.io/library/alpine:latest=docker-image://x:1 \
         --build-context c=oci-layout://./d:tag --build-context e=oci-layout:///f@sha256:00 --build-context g=oci-layout://h .",
    )
    .unwrap();
    let layout = |directory: &str, selector: Option<&str>| NamedContext::Layout {
        directory: directory.into(),
        selector: selector.map(str::to_owned),
    };
    assert_eq!(settings.named_contexts[0], ("a".to_owned(), NamedContext::Directory("dir".into())));
    assert_eq!(settings.named_contexts[1].0, "alpine");
    assert!(matches!(&settings.named_contexts[1].1, NamedContext::Image(image) if image.familiar() == "x:1"));
    assert_eq!(settings.named_contexts[2], ("c".to_owned(), layout("./d", Some("tag"))));
    assert_eq!(settings.named_contexts[3], ("e".to_owned(), layout("/f", Some("sha256:00"))));
    assert_eq!(settings.named_contexts[4], ("g".to_owned(), layout("h", None)));
}

#[test]
fn nonsense_is_a_usage_error() {
    for (line, message) in [
        ("--build-arg =x .", "--build-arg"),
        ("--label =x .", "--label"),
        ("--platform linux/amd64,toaster .", "--platform"),
        ("--platform toaster .", "--platform"),
        ("--network mynet .", "--network"),
        ("--add-host nope .", "--add-host"),
        ("--add-host a:host-gateway .", "host-gateway"),
        ("--build-context x .", "--build-context"),
        ("--build-context x=target:y .", "bake file"),
        ("-t Upper .", "lower-case"),
        ("-t a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 .", "digest"),
        ("-f - -", "standard input"),
        ("https://github.com/a/b.git?depth=1", "unexpected query"),
        ("--push .", "tag is needed"),
        ("--timestamp soon .", "seconds since 1970"),
        ("--timestamps=keep -o type=oci,rewrite-timestamp=true .", "exclude each other"),
        ("-o type=oci -o - .", "only one"),
    ] {
        let failure = build(line).unwrap_err();
        assert!(failure.message.contains(message), "{line}: {}", failure.message);
        assert_eq!(failure.code, code::USAGE);
    }
}

#[test]
fn outputs_are_read_as_buildx_reads_them() {
    for (text, kind, destination) in [
        ("out", OutputKind::Local, Some(Destination::Path("out".into()))),
        ("-", OutputKind::Tar, Some(Destination::Stdout)),
        ("type=tar", OutputKind::Tar, Some(Destination::Stdout)),
        ("type=local,dest=d", OutputKind::Local, Some(Destination::Path("d".into()))),
        ("type=oci,dest=a.tar", OutputKind::Oci, Some(Destination::Path("a.tar".into()))),
        ("type=docker", OutputKind::Docker, None),
        ("type=docker,dest=-", OutputKind::Docker, Some(Destination::Stdout)),
        ("type=registry", OutputKind::Registry, None),
        ("type=image,push=true", OutputKind::Image, None),
        ("type=cacheonly", OutputKind::CacheOnly, None),
        ("\"type=oci\",\"dest=a,b\"", OutputKind::Oci, Some(Destination::Path("a,b".into()))),
    ] {
        let output = output(text).unwrap();
        assert_eq!((output.kind, output.destination), (kind, destination), "{text}");
    }
    for bad in [
        "",
        "type=",
        "type=ftp",
        "type=local",
        "type=local,dest=-",
        "type=image,dest=x",
        "type=oci,x",
        "type=oci,tar=false",
        "type=oci,dest=\"a\"",
    ] {
        assert_eq!(super::output::output(bad).unwrap_err().code, code::USAGE, "{bad}");
    }
}

#[test]
fn push_and_load_are_short_forms() {
    let kinds =
        |line: &str| build(line).unwrap().outputs.iter().map(|output| output.kind).collect::<Vec<_>>();
    assert_eq!(kinds("-t a --push ."), [OutputKind::Registry]);
    assert_eq!(kinds("-t a --load ."), [OutputKind::Docker]);
    assert_eq!(kinds("-t a -o type=registry --push ."), [OutputKind::Registry]);
    assert_eq!(kinds("."), []);
}

#[test]
fn hosts_have_two_separators() {
    for (text, host, address) in [
        ("a:1.2.3.4", "a", "1.2.3.4"),
        ("a=1.2.3.4", "a", "1.2.3.4"),
        ("a:::1", "a", "::1"),
        ("a:[fe80::1]", "a", "fe80::1"),
    ] {
        assert_eq!(extra_host(text).unwrap(), (host.to_owned(), address.to_owned()));
    }
}

#[test]
fn run_takes_dockers_flags() {
    let settings =
        run("-e A=1 -e FROM_ENV -e UNSET -v ./data:/data:ro -w /w -u 1:2 --network none image cmd").unwrap();
    assert_eq!(settings.env, ["A=1", "FROM_ENV=value"]);
    assert_eq!(settings.volumes[0].target, "/data");
    assert!(settings.volumes[0].read_only && settings.volumes[0].source.is_absolute());
    assert_eq!(settings.network, Network::None);
    assert_eq!(run("image").unwrap().network, Network::Host);
    for bad in [
        "-v name:/x image",
        "-v /x image",
        "-v /a:b image",
        "-v /a:/ image",
        "-v /a:/b:weird image",
        "-w rel image",
        "-e =x image",
    ] {
        assert!(run(bad).is_err(), "{bad}");
    }
}

#[test]
fn prune_counts_back_from_now() {
    let now = UNIX_EPOCH + Duration::from_secs(100_000);
    let prune = |line: &str| {
        let Command::Prune(args) = verb(line) else { panic!("not prune") };
        super::prune(&args, now)
    };
    let settings = prune("builder prune --filter until=24h --keep-storage 1GB").unwrap();
    assert_eq!(
        settings,
        PruneSettings {
            images: false,
            cache: true,
            all: false,
            until: Some(std::time::Duration::from_secs(86_400)),
            keep_storage: Some(1_000_000_000)
        }
    );
    assert!(prune("image prune -a").unwrap().images);
    assert!(prune("prune --filter label=x").is_err());
    assert!(prune("prune --keep-storage lots").is_err());
}

#[test]
fn env_files_skip_comments() {
    let directory = std::env::temp_dir().join(format!("jettison-env-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file: PathBuf = directory.join("env");
    std::fs::write(&file, "# comment\n\nA=1 2\n  B=\nFROM_ENV\n").unwrap();
    let settings = run(&format!("--env-file {} image", file.display())).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(settings.env, ["A=1 2", "B=", "FROM_ENV=value"]);
}

#[test]
fn a_parent_of_cgroups_is_a_path_or_a_slice() {
    let read = |text: &str| super::resources::cgroup_parent(text).map_err(|failure| failure.message);
    for (text, path) in [
        ("/a/b", "/a/b"),
        ("a//b/./../c/", "/a/c"),
        ("/../..", ""),
        ("a.slice", "/a.slice"),
        ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
        ("-.slice", ""),
        ("/x/a-b.slice", "/x/a-b.slice"),
    ] {
        assert_eq!(read(text), Ok(Some(path.to_owned())), "{text}");
    }
    assert_eq!(read(""), Ok(None));
    for text in ["a--b.slice", "-a.slice", ".slice", "system.slice:buildkit:"] {
        assert!(read(text).unwrap_err().contains(text), "{text}");
    }
}
