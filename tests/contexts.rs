//! Build contexts that are no directories: git repositories, web servers, standard input.

use std::process::Command;

use jettison_testkit::{GitServer, Image, Layer, Served, WebServer, tools};

use crate::{Bench, context_of};

/// Builds `context` and reads the image.
#[track_caller]
fn image(bench: &Bench, context: &str, flags: &[&str], input: &[u8]) -> Image {
    let out = bench.jettison.path("image.tar");
    let output = format!("type=oci,dest={}", out.display());
    let flags = bench.flags(&[&["-o", &output], flags].concat());
    let mut arguments = vec!["build"];
    arguments.extend(flags.iter().map(String::as_str));
    arguments.push(context);
    let output = bench.jettison.run_with_input(&arguments, input);
    assert_eq!(output.code, 0, "{output}");
    Image::from_oci_archive(&out)
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    std::fs::write(&path, bytes).unwrap();
    Command::new(tools::require("gzip")).args(["-n", "-c"]).arg(path).output().unwrap().stdout
}

const DOCKERFILE: &str = "FROM scratch\nCOPY . /to/\n";

fn repository() -> GitServer {
    let server = GitServer::start();
    server.init("r");
    let files = [
        ("Dockerfile", DOCKERFILE),
        ("a", "one"),
        (".dockerignore", "a\n"),
        ("sub/Other", DOCKERFILE),
        ("sub/b", "b"),
    ];
    server.commit("r", &files);
    server
}

#[test]
fn a_repository_is_a_context_without_ignore_file() {
    let server = repository();
    let url = server.url("r");
    let tree = image(&Bench::new(), &url, &[], b"").tree();
    assert_eq!(tree.below("/to"), [".dockerignore", "Dockerfile", "a", "sub", "sub/Other", "sub/b"]);
    let tree = image(&Bench::new(), &format!("{url}#main:sub"), &["-f", "Other"], b"").tree();
    assert_eq!(tree.below("/to"), ["Other", "b"]);
    let tree = image(&Bench::new(), &url, &["-f", "-"], b"FROM scratch\nCOPY sub/b /only\n").tree();
    assert_eq!(tree.text("/only"), "b");
}

#[test]
fn a_dockerfile_that_leads_out_of_its_repository_is_not_read() {
    let server = repository();
    std::os::unix::fs::symlink("/etc/passwd", server.path("r").join("evil")).unwrap();
    server.commit("r", &[]);
    let output = Bench::new().jettison.fails(1, &["build", "-f", "evil", &server.url("r")]);
    output.says_not("root:");
}

#[test]
fn an_archive_on_a_web_server_is_a_context_and_anything_else_is_the_dockerfile() {
    let web = WebServer::start();
    let tar = Layer::new().file("Dockerfile", 0o644, DOCKERFILE).file("a", 0o644, "one").to_tar();
    web.serve("/plain", Served::new(&tar));
    web.serve("/packed.tgz", Served::new(gzipped(&tar)));
    web.serve("/Dockerfile", Served::new("FROM scratch\nCOPY <<EOF /f\ntext\nEOF\n"));
    for path in ["/plain", "/packed.tgz"] {
        assert_eq!(image(&Bench::new(), &web.url(path), &[], b"").tree().text("/to/a"), "one");
    }
    assert_eq!(image(&Bench::new(), &web.url("/Dockerfile"), &[], b"").tree().text("/f"), "text\n");
    let output = Bench::new().jettison.fails(1, &["build", &web.url("/missing")]);
    output.says(&web.url("/missing")).says("404");
}

#[test]
fn an_archive_on_standard_input_is_a_context() {
    let tar = Layer::new().file("in/Dockerfile", 0o644, DOCKERFILE).file("a", 0o644, "one").to_tar();
    for input in [tar.clone(), gzipped(&tar)] {
        let tree = image(&Bench::new(), "-", &["-f", "in/Dockerfile"], &input).tree();
        assert_eq!(tree.text("/to/a"), "one");
    }
}

#[test]
fn named_contexts_are_repositories_and_files_and_fetched_only_if_used() {
    let server = repository();
    let web = WebServer::start();
    web.serve("/x", Served::new("far"));
    let dockerfile = "FROM busybox AS first\nCOPY --from=repo sub/b /b\nCOPY --from=file context /f\n\
        RUN --mount=type=bind,from=repo,target=/m cp /m/a /a\nFROM repo AS based\nFROM first\nCOPY --from=based a /c\n";
    let context = context_of(dockerfile, &[]);
    let flags = [
        format!("--build-context=repo={}", server.url("r")),
        format!("--build-context=file={}", web.url("/x")),
        "--build-context=unused=git://127.0.0.1:1/r".to_owned(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let tree = Bench::new().image(&context, &flags).tree();
    assert_eq!(["/a", "/b", "/c", "/f"].map(|path| tree.text(path)), ["one", "b", "one", "far"]);
}

#[test]
fn targets_of_bake_files_are_refused_by_name() {
    let context = context_of("FROM scratch\n", &[]);
    let arguments = ["build", "--build-context", "x=target:y", context.argument()];
    Bench::new().jettison.fails(2, &arguments).says("target of a bake file").says("COPY --from=STAGE");
}
