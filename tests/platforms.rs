//! Several platforms: one index, each image with its own arguments, shared stages built once, emulation.

use std::fs;
use std::process::Command;

use jettison_image::{Platform, Reference};
use jettison_testkit::{Context, Image, Jettison, Layer, Layout, Registry, Who, base, foreign, tools};

use crate::{BINARY, Bench, context_of};

const BOTH: &str = "linux/amd64,linux/arm64";

/// `once` does not ask for the target, `each` does.
const SEVERAL: &str = "\
FROM --platform=$BUILDPLATFORM busybox AS once
RUN head -c 16 /dev/urandom | od -x > /random
FROM --platform=$BUILDPLATFORM busybox AS each
ARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT BUILDPLATFORM
RUN echo $BUILDPLATFORM $TARGETPLATFORM $TARGETOS $TARGETARCH $TARGETVARIANT > /for
FROM scratch
COPY --from=once /random /
COPY --from=each /for /
";

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

/// Builds `context` for `platforms` and reads the images of the index.
fn images_of(bench: &Bench, context: &Context, platforms: &str, flags: &[&str]) -> Vec<(Platform, Image)> {
    let file = bench.jettison.path("work/index.tar");
    let output = format!("type=oci,dest={}", file.display());
    bench.build(context, &[&["--platform", platforms, "-o", &output], flags].concat());
    Image::index_of_oci_archive(&file).1
}

#[test]
fn an_index_holds_an_image_for_each_platform() {
    let platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7"];
    let images = images_of(&Bench::new(), &Context::of(SEVERAL), &platforms.join(","), &[]);
    assert_eq!(images.len(), 3);
    let host = Platform::host();
    for ((named, image), wanted) in images.iter().zip(platforms) {
        let wanted = platform(wanted);
        assert_eq!((named, &image.config.platform()), (&wanted, &wanted));
        let variant = wanted.variant.clone().unwrap_or_default();
        let words = format!("{host} {wanted} {} {} {variant}", wanted.os, wanted.architecture);
        assert_eq!(image.tree().text("/for").trim(), words.trim());
    }
}

#[test]
fn what_does_not_depend_on_the_target_is_done_once() {
    let bench = Bench::new();
    let output =
        bench.build(&Context::of(SEVERAL), &["--platform", BOTH, "--no-cache", "--progress", "rawjson"]);
    let steps = output.steps();
    let executed = steps.executed();
    let count = |part: &str| executed.iter().filter(|step| step.contains(part)).count();
    assert_eq!((count("urandom"), count("TARGETPLATFORM")), (1, 2), "{executed:?}");
    output.says("[linux/arm64 each 2/2] RUN").says("[once 2/2] RUN");
    let images = images_of(&bench, &Context::of(SEVERAL), BOTH, &["--no-cache"]);
    assert_eq!(images[0].1.tree().text("/random"), images[1].1.tree().text("/random"));
}

#[test]
fn each_platform_has_its_own_base() {
    let mut layout = Layout::new();
    let of = |name: &str| (platform(&format!("linux/{name}")), vec![Layer::new().file("for", 0o644, name)]);
    layout.add_index("base", &base::config("sh"), &[of("amd64"), of("arm64")]);
    let named = format!("base={}", layout.named_context("base"));
    let context = context_of("FROM base\nCOPY f /f\n", &[("f", "text")]);
    let bench = Bench::new();
    let images = images_of(&bench, &context, BOTH, &["--build-context", &named]);
    let read = |at: usize| images[at].1.tree().text("/for");
    assert_eq!((read(0), read(1)), ("amd64".to_owned(), "arm64".to_owned()));
    let error = bench.fails(&context, &["--platform", "linux/amd64,linux/s390x", "--build-context", &named]);
    error.says("for linux/s390x");
}

#[test]
fn a_platform_named_twice_counts_once_and_one_makes_no_index() {
    let bench = Bench::new();
    let context = context_of("FROM scratch\nCOPY f /f\n", &[("f", "text")]);
    let image = bench.image(&context, &["--platform", "linux/arm64", "--platform", "linux/arm64/v8"]);
    assert_eq!(image.config.platform(), platform("linux/arm64"));
}

#[test]
fn files_of_ids_and_metadata_name_the_index() {
    let bench = Bench::new();
    let (iid, metadata) = (bench.jettison.path("work/iid"), bench.jettison.path("work/metadata"));
    let file = bench.jettison.path("work/x.tar");
    let output = format!("type=oci,dest={}", file.display());
    let files = ["--iidfile", iid.to_str().unwrap(), "--metadata-file", metadata.to_str().unwrap()];
    let flags = [&["-q", "-t", "x:1", "--platform", BOTH, "-o", &output], files.as_slice()].concat();
    let printed = bench.build(&Context::of(SEVERAL), &flags).stdout;
    let index = Image::index_of_oci_archive(&file).0.to_string();
    assert_eq!(fs::read_to_string(iid).unwrap(), index);
    assert_eq!(printed.trim(), index);
    let metadata: serde_json::Value = serde_json::from_slice(&fs::read(metadata).unwrap()).unwrap();
    assert_eq!(metadata["containerimage.digest"], index);
    assert_eq!(metadata["containerimage.descriptor"]["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert!(metadata.get("containerimage.config.digest").is_none());
    assert_eq!(metadata["image.name"], "docker.io/library/x:1");
}

#[test]
fn skopeo_takes_the_archive_and_the_layout() {
    let bench = Bench::new();
    let (file, folder) = (bench.jettison.path("work/i.tar"), bench.jettison.path("work/i"));
    let outputs = [
        format!("type=oci,dest={}", file.display()),
        format!("type=oci,tar=false,dest={}", folder.display()),
    ];
    bench.build(
        &Context::of(SEVERAL),
        &["-t", "i:1", "--platform", BOTH, "-o", &outputs[0], "-o", &outputs[1]],
    );
    let copies = tempfile::tempdir().unwrap();
    for (at, source) in
        [format!("oci-archive:{}", file.display()), format!("oci:{}:1", folder.display())].iter().enumerate()
    {
        let copy = copies.path().join(at.to_string());
        let target = format!("dir:{}", copy.display());
        tools::run("skopeo", ["--insecure-policy", "copy", "--all", "--quiet", source, &target]);
        let index: serde_json::Value =
            serde_json::from_slice(&fs::read(copy.join("manifest.json")).unwrap()).unwrap();
        assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
        assert_eq!(index["manifests"][1]["platform"]["architecture"], "arm64");
    }
}

#[test]
fn a_push_takes_the_index_and_all_images_there() {
    let registry = Registry::start();
    let bench = Bench::new();
    let insecure = format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", registry.address());
    bench.jettison.registries(&insecure);
    let name = |tag: &str| format!("{}/app:{tag}", registry.address());
    // Once by the build, once by `push` of what a build left in the store, once under another name.
    bench.build(&Context::of(SEVERAL), &["--platform", BOTH, "-t", &name("one"), "--push"]).says("pushed ");
    bench.build(&Context::of(SEVERAL), &["--platform", BOTH, "-t", &name("two")]);
    bench.jettison.ok(&["push", &name("two")]);
    bench.jettison.ok(&["tag", &name("two"), &name("three")]);
    bench.jettison.ok(&["push", &name("three")]);
    let digest = |tag: &str| {
        let copy = tempfile::tempdir().unwrap();
        let target = format!("dir:{}", copy.path().display());
        let source = format!("docker://{}", name(tag));
        let flags = ["--insecure-policy", "copy", "--all", "--quiet", "--src-tls-verify=false"];
        tools::run("skopeo", [&flags[..], &[&source, &target]].concat());
        let raw = fs::read(copy.path().join("manifest.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&raw).unwrap();
        assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
        jettison_image::Digest::of(&raw)
    };
    let one = digest("one");
    assert_eq!((one, one), (digest("two"), digest("three")));
    // A base of this index is found for each platform, in the store and in the registry.
    let on = Context::of(&format!("FROM {}\n", name("one")));
    assert_eq!(images_of(&bench, &on, BOTH, &["--pull"]).len(), 2);
    assert_eq!(images_of(&bench, &on, BOTH, &[]).len(), 2);
    assert!(Reference::parse(&name("one")).is_ok());
}

#[test]
fn the_store_lists_and_removes_all_images_of_a_name() {
    let bench = Bench::new();
    bench.build(&Context::of(SEVERAL), &["--platform", BOTH, "-t", "app:1"]);
    let listed = bench.jettison.ok(&["images", "-q", "app"]).stdout;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    bench.jettison.ok(&["rmi", "app:1"]);
    assert_eq!(bench.jettison.ok(&["images", "-q"]).stdout, "");
}

#[test]
fn files_of_each_platform_have_a_folder() {
    let bench = Bench::new();
    let (folder, tar) = (bench.jettison.path("work/files"), bench.jettison.path("work/files.tar"));
    let outputs =
        [format!("type=local,dest={}", folder.display()), format!("type=tar,dest={}", tar.display())];
    bench.build(&Context::of(SEVERAL), &["--platform", BOTH, "-o", &outputs[0], "-o", &outputs[1]]);
    for name in ["amd64", "arm64"] {
        let text = fs::read_to_string(folder.join(format!("linux_{name}/for"))).unwrap();
        assert!(text.contains(&format!(" linux/{name} ")), "{text}");
        let file = format!("linux_{name}/for");
        let listed = tools::checked(Command::new("tar").args(["-xOf", tar.to_str().unwrap(), &file]));
        assert_eq!(listed, text);
    }
}

#[test]
fn docker_takes_one_platform_only() {
    let bench = Bench::new();
    let context = Context::of(SEVERAL);
    for output in ["type=docker", "type=docker,dest=x.tar"] {
        let error = bench.fails(&context, &["--platform", BOTH, "-o", output]);
        error.says("docker exporter does not currently support exporting manifest lists").says_not("RUN");
    }
}

/// A base for arm64 whose one program writes `/out`.
fn arm_base() -> Layout {
    let mut layout = Layout::new();
    let program = foreign::program_for_arm64();
    let layer = Layer::new().dir("dev", 0o755).dir("proc", 0o755).dir("sys", 0o755).dir("etc", 0o755);
    let arm = layer.file("program", 0o755, program);
    let native = base::busybox().file("program", 0o755, "#!/bin/sh\necho native > /out\n");
    layout.add_index(
        "base",
        &base::config("sh"),
        &[(Platform::host(), vec![native]), (platform("linux/arm64"), vec![arm])],
    );
    layout
}

const RUN_PROGRAM: &str = "FROM base\nRUN [\"/program\"]\n";

#[test]
fn a_program_for_another_processor_needs_emulation_and_the_error_says_so() {
    if fs::read_dir("/proc/sys/fs/binfmt_misc").is_ok_and(|entries| entries.count() > 2) {
        eprintln!("skipped: this machine's kernel emulates processors");
        return;
    }
    let layout = arm_base();
    let named = format!("base={}", layout.named_context("base"));
    let flags = ["--build-context", &named, "--platform", "linux/arm64"];
    let error = Bench::new().fails(&Context::of(RUN_PROGRAM), &flags);
    error.says("/program is a program for linux/arm64").says("no emulator").says("qemu-user-static");
    error.says("Dockerfile:2");
}

/// Builds for both platforms where the kernel was told to emulate arm64 with `flags`.
fn emulated(flags: &str) -> Option<(Jettison, Context, Vec<String>, Layout)> {
    if let Some(why) = foreign::no_emulation() {
        eprintln!("skipped: {why}");
        return None;
    }
    let mut jettison = Jettison::of(BINARY, Who::Emulating);
    jettison.set("BINFMT", &foreign::registration(flags));
    let layout = arm_base();
    let file = jettison.path("work/index.tar");
    let arguments = [
        "build".to_owned(),
        "--build-context".to_owned(),
        format!("base={}", layout.named_context("base")),
        format!("--platform={},linux/arm64", Platform::host()),
        format!("--output=type=oci,dest={}", file.display()),
    ];
    Some((jettison, Context::of(RUN_PROGRAM), arguments.to_vec(), layout))
}

#[test]
fn run_for_another_platform_works_where_the_kernel_emulates_it() {
    let Some((jettison, context, mut arguments, _layout)) = emulated("F") else { return };
    arguments.push(context.argument().to_owned());
    jettison.ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let images = Image::index_of_oci_archive(&jettison.path("work/index.tar")).1;
    let arm = images.iter().find(|(found, _)| *found == platform("linux/arm64")).unwrap();
    assert_eq!(arm.1.tree().text("/out"), foreign::GREETING);
    assert_eq!(images.len(), 2);
}

#[test]
fn an_emulator_that_is_not_in_the_image_is_named() {
    let Some((jettison, context, mut arguments, _layout)) = emulated("") else { return };
    arguments.push(context.argument().to_owned());
    let error = jettison.fails(1, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    error.says("the emulator for it is not in the image").says("flag F");
}
