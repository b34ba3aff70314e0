//! Images out: each form, judged by other people's programs.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use jettison_testkit::{Context, Docker, Image, Podman, tools};

use crate::{Bench, context_of};

fn sample() -> Context {
    context_of(
        "FROM busybox\nCOPY --chown=node f /f\nRUN echo run > /r && chmod 600 /r && ln -s r /l && rm /etc/group\nUSER node\nCMD [\"cat\", \"/f\"]\n",
        &[("f", "text\n")],
    )
}

/// Builds `sample` to a file of `kind` and returns its path.
fn built(bench: &Bench, kind: &str) -> String {
    let file = bench.jettison.path(&format!("work/{kind}.out")).display().to_string();
    bench.build(&sample(), &["-t", "sample:1", "-o", &format!("type={kind},dest={file}")]);
    file
}

#[test]
fn skopeo_takes_the_oci_archive_and_turns_it_into_a_docker_archive() {
    let bench = Bench::new();
    let oci = built(&bench, "oci");
    let folder = tempfile::tempdir().unwrap();
    let docker = folder.path().join("docker.tar");
    tools::run(
        "skopeo",
        [
            "--insecure-policy",
            "copy",
            "--quiet",
            &format!("oci-archive:{oci}"),
            &format!("docker-archive:{}:x:1", docker.display()),
        ],
    );
    let (one, two) = (Image::from_oci_archive(oci.as_ref()), Image::from_docker_archive(&docker));
    assert_eq!(one.id, two.id);
    assert_eq!(one.tree(), two.tree());
}

#[test]
fn skopeo_takes_the_docker_archive() {
    let bench = Bench::new();
    let docker = built(&bench, "docker");
    let image = Image::from_docker_archive(docker.as_ref());
    assert_eq!(image.names, ["sample:1"]);
    assert_eq!(image.id, Image::from_oci_archive(built(&bench, "oci").as_ref()).id);
    let config = tools::run("skopeo", ["inspect", "--config", "--raw", &format!("docker-archive:{docker}")]);
    assert!(config.contains("\"User\":\"node\""), "{config}");
}

#[test]
fn umoci_unpacks_the_layout() {
    let bench = Bench::new();
    let folder = bench.jettison.path("work/layout");
    bench.build(&sample(), &["-o", &format!("type=oci,tar=false,name=sample:1,dest={}", folder.display())]);
    let bundle = tempfile::tempdir().unwrap();
    let rootless: &[&str] = if tools::is_root() { &[] } else { &["--rootless"] };
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap();
    let name = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
        .as_str()
        .unwrap()
        .to_owned();
    let image = format!("{}:{name}", folder.display());
    let target = bundle.path().join("b").display().to_string();
    tools::run("umoci", [&["unpack"], rootless, &["--image", &image, &target]].concat());
    let root = bundle.path().join("b/rootfs");
    assert_eq!(fs::read_to_string(root.join("f")).unwrap(), "text\n");
    assert_eq!(fs::metadata(root.join("r")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!root.join("etc/group").exists());
    if tools::is_root() {
        assert_eq!(fs::metadata(root.join("f")).unwrap().uid(), 1000);
    }
}

#[test]
fn podman_loads_and_runs_the_image() {
    let bench = Bench::new();
    let archive = built(&bench, "docker");
    let podman = Podman::new();
    assert!(tools::checked(&mut podman.command(&["load", "-q", "-i", &archive])).contains("sample:1"));
    assert_eq!(tools::checked(&mut podman.run(&[], &["sample:1"])), "text\n");
    assert_eq!(tools::checked(&mut podman.run(&[], &["sample:1", "id", "-u"])), "1000\n");
}

#[test]
fn docker_loads_the_image_and_load_sends_it_there() {
    let mut bench = Bench::new();
    let docker = Docker::start();
    let archive = built(&bench, "docker");
    docker.run(&["load", "-q", "-i", &archive]);
    let id = Image::from_docker_archive(archive.as_ref()).id.to_string();
    assert_eq!(docker.run(&["image", "inspect", "-f", "{{.Id}}", "sample:1"]).trim(), id);
    docker.run(&["rmi", "sample:1"]);
    bench.jettison.set("DOCKER_HOST", &docker.host());
    let output = bench.build(&sample(), &["-t", "sent:1", "--load", "--progress=plain"]);
    output.says("exporting to docker image format\n").says(" importing to docker ");
    assert_eq!(docker.run(&["image", "inspect", "-f", "{{.Id}}", "sent:1"]).trim(), id);
}

#[test]
fn load_without_a_socket_is_an_error() {
    let mut bench = Bench::new();
    bench.jettison.set("DOCKER_HOST", "unix:///no/such/docker.sock");
    bench.fails(&sample(), &["--load"]).says("/no/such/docker.sock");
}

#[test]
fn tar_and_local_are_the_files_of_the_image() {
    let bench = Bench::new();
    let tar = built(&bench, "tar");
    let names = tools::checked(Command::new("tar").args(["-tf", &tar]));
    assert!(names.lines().any(|name| name.trim_start_matches("./") == "f"), "{names}");
    assert!(!names.contains(".wh."), "{names}");
    let folder = bench.jettison.path("work/local");
    bench.build(&sample(), &["-o", folder.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(folder.join("f")).unwrap(), "text\n");
    assert_eq!(fs::read_link(folder.join("l")).unwrap().to_str(), Some("r"));
    assert!(folder.join("bin/busybox").exists() && !folder.join("etc/group").exists());
}

#[test]
fn a_dash_is_standard_output() {
    let bench = Bench::new();
    let output = bench.build(&context_of("FROM scratch\nCOPY f /f\n", &[("f", "text")]), &["-o", "-"]);
    assert!(output.stdout.contains("ustar"));
}

#[test]
fn each_form_has_the_same_image_each_time() {
    let bench = Bench::new();
    for kind in ["oci", "docker", "tar"] {
        let one = fs::read(built(&bench, kind)).unwrap();
        bench.jettison.ok(&["prune", "-a", "-f"]);
        assert!(one == fs::read(built(&bench, kind)).unwrap(), "{kind}");
    }
}

#[test]
fn files_of_ids_and_metadata_name_the_image() {
    let bench = Bench::new();
    let (iid, metadata) = (bench.jettison.path("work/iid"), bench.jettison.path("work/metadata"));
    let file = bench.jettison.path("work/x.tar");
    let output = bench.build(
        &sample(),
        &[
            "-t",
            "sample:1",
            "-q",
            "--iidfile",
            iid.to_str().unwrap(),
            "--metadata-file",
            metadata.to_str().unwrap(),
            "-o",
            &format!("type=oci,dest={}", file.display()),
        ],
    );
    let image = Image::from_oci_archive(&file);
    let metadata: serde_json::Value = serde_json::from_slice(&fs::read(metadata).unwrap()).unwrap();
    assert_eq!(metadata["containerimage.config.digest"], image.id.to_string());
    assert_eq!(metadata["containerimage.digest"], image.digest.to_string());
    let id = fs::read_to_string(iid).unwrap();
    assert!(id == image.id.to_string() || id == image.digest.to_string(), "{id}");
    assert_eq!(output.stdout.trim(), id);
    // Nothing but the metadata asks for a manifest here.
    let alone = bench.jettison.path("work/alone");
    bench.build(&sample(), &["--metadata-file", alone.to_str().unwrap()]);
    let alone: serde_json::Value = serde_json::from_slice(&fs::read(alone).unwrap()).unwrap();
    assert_eq!(alone["containerimage.digest"], image.digest.to_string());
}

/// Reads a document of the layout in `folder`.
fn document(folder: &std::path::Path, path: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(folder.join(path)).unwrap()).unwrap()
}

/// Reads the blob that a descriptor names.
fn named(folder: &std::path::Path, descriptor: &serde_json::Value) -> serde_json::Value {
    let digest = descriptor["digest"].as_str().unwrap();
    document(folder, &format!("blobs/{}", digest.replace(':', "/")))
}

#[test]
fn annotations_stand_where_they_are_asked_for() {
    let bench = Bench::new();
    let folder = bench.jettison.path("work/annotated");
    let output = format!("type=oci,tar=false,dest={}", folder.display());
    let context = context_of("FROM scratch\nCOPY f /\n", &[("f", "")]);
    let flags = ["--annotation", "a=1", "--annotation", "manifest-descriptor:d=x=y"];
    let both = ["--annotation", "manifest,manifest-descriptor[local]:both=3", "-t", "x:1", "-o", &output];
    bench.build(&context, &[&flags[..], &both].concat());
    let descriptor = &document(&folder, "index.json")["manifests"][0];
    assert_eq!(named(&folder, descriptor)["annotations"], serde_json::json!({"a": "1", "both": "3"}));
    assert_eq!(
        (&descriptor["annotations"]["d"], &descriptor["annotations"]["both"]),
        (&"x=y".into(), &"3".into())
    );
    assert_eq!(descriptor["annotations"]["org.opencontainers.image.ref.name"], "1");

    let saved = bench.jettison.path("work/saved.tar");
    bench.jettison.ok(&["save", "-o", saved.to_str().unwrap(), "x:1"]);
    let manifest = Image::from_oci_archive(&saved).manifest;
    assert_eq!(manifest.annotations.len(), 2, "a later export has them too");
    let plain = bench.image(&context, &[]);
    assert!(plain.manifest.annotations.is_empty());
}

#[test]
fn an_index_and_each_of_its_images_have_annotations() {
    let bench = Bench::new();
    let folder = bench.jettison.path("work/annotated");
    let output = format!("type=oci,tar=false,dest={}", folder.display());
    let flags = [
        "index:i=1",
        "index-descriptor:o=2",
        "manifest[linux/arm64]:m=3",
        "all=4",
        "manifest-descriptor:d=5",
    ];
    let flags = flags.iter().flat_map(|text| ["--annotation", text]);
    let flags: Vec<&str> = flags.chain(["--platform", "linux/amd64,linux/arm64", "-o", &output]).collect();
    bench.build(&context_of("FROM scratch\nCOPY f /\n", &[("f", "")]), &flags);
    let top = &document(&folder, "index.json")["manifests"][0];
    assert_eq!(top["annotations"], serde_json::json!({"o": "2"}));
    let index = named(&folder, top);
    assert_eq!(index["annotations"], serde_json::json!({"i": "1"}));
    for (number, annotations) in
        [serde_json::json!({"all": "4"}), serde_json::json!({"all": "4", "m": "3"})].iter().enumerate()
    {
        let descriptor = &index["manifests"][number];
        assert_eq!(descriptor["annotations"], serde_json::json!({"d": "5"}));
        assert_eq!(&named(&folder, descriptor)["annotations"], annotations);
    }
}

/// What an output says of itself is in it alone, and gives way to the command line.
#[test]
fn an_output_has_annotations_of_its_own() {
    let bench = Bench::new();
    let [one, two] = ["one", "two"].map(|name| bench.jettison.path(&format!("work/{name}")));
    let attributes = "annotation.Key.A=1,annotation-manifest.b=2,annotation-manifest[linux/arm64].m=3,\
        annotation-manifest-descriptor.d=4,\"annotation-index.i=5,6\",annotation-index-descriptor.o=7";
    let outputs = [
        format!("type=oci,tar=false,dest={},{attributes}", one.display()),
        format!("type=oci,tar=false,dest={}", two.display()),
    ];
    let flags = ["--platform", "linux/amd64,linux/arm64", "--annotation", "b=stronger"];
    let outputs = ["-o", &outputs[0], "-o", &outputs[1]];
    bench.build(&context_of("FROM scratch\nCOPY f /\n", &[("f", "")]), &[flags, outputs].concat());
    let top = &document(&one, "index.json")["manifests"][0];
    assert_eq!(top["annotations"], serde_json::json!({"o": "7"}));
    let index = named(&one, top);
    assert_eq!(index["annotations"], serde_json::json!({"i": "5,6"}));
    let both = serde_json::json!({"Key.A": "1", "b": "stronger"});
    let arm = serde_json::json!({"Key.A": "1", "b": "stronger", "m": "3"});
    for (descriptor, annotations) in index["manifests"].as_array().unwrap().iter().zip([both, arm]) {
        assert_eq!(descriptor["annotations"], serde_json::json!({"d": "4"}));
        assert_eq!(named(&one, descriptor)["annotations"], annotations);
    }
    let plain = named(&two, &document(&two, "index.json")["manifests"][0]);
    assert_eq!(plain["annotations"], serde_json::Value::Null);
    assert_eq!(named(&two, &plain["manifests"][0])["annotations"], serde_json::json!({"b": "stronger"}));

    let stays = context_of("FROM scratch\nCOPY f /\n", &[("f", "x")]);
    bench.build(&stays, &["-o", "type=image,name=kept:1,annotation.k=v"]);
    let saved = bench.jettison.path("work/saved.tar");
    bench.jettison.ok(&["save", "-o", saved.to_str().unwrap(), "kept:1"]);
    assert_eq!(Image::from_oci_archive(&saved).manifest.annotations["k"], "v");
}

#[test]
fn annotations_that_would_be_lost_are_refused() {
    let bench = Bench::new();
    for (code, output, message) in [
        (1, "type=local,dest=x,annotation.a=b", "annotation a: no output has a place for it"),
        (1, "type=image,annotation-manifest-descriptor.a=b", "no output has a place for it"),
        (
            1,
            "type=oci,dest=x,annotation-index.a=b",
            "index annotations not supported for single platform export",
        ),
        (1, "type=oci,dest=x,annotation[linux/s390x].a=b", "linux/s390x is not built"),
        (2, "type=oci,dest=x,annotation-layer.a=b", "unknown annotation type \"layer\""),
        (2, "type=oci,dest=x,annotation.=b", "expected annotation.KEY=VALUE"),
        (2, "type=oci,dest=x,annotations=b", "unknown attribute \"annotations\""),
    ] {
        bench
            .jettison
            .fails(code, &["build", "-o", output, Context::of("FROM scratch\n").argument()])
            .says(message);
    }
    let context = context_of("FROM scratch\nCOPY f /\n", &[("f", "")]);
    for (code, annotation, message) in [
        (1, "index:a=b", "index annotations not supported for single platform export"),
        (1, "manifest-descriptor:a=b", "no output has a place for it"),
        (1, "manifest[linux/s390x]:a=b", "linux/s390x is not built"),
        (2, "layer:a=b", "unknown annotation type \"layer\""),
        (2, "index[linux/amd64]:a=b", "an index is for all platforms"),
        (2, "a", "expected KEY=VALUE"),
    ] {
        let arguments = ["build", "--annotation", annotation, context.argument()];
        bench.jettison.fails(code, &arguments).says(message);
    }
}
