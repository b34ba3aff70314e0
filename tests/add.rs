//! ADD of local files: archives are unpacked, everything else is as COPY.

use std::io::Write;
use std::process::{Command, Stdio};

use jettison_testkit::{Context, Kind, Layer, tools};

use crate::{Bench, image_of};

/// A tar with a file, a directory, links and a foreign owner.
fn archive() -> Vec<u8> {
    Layer::new()
        .dir("d", 0o750)
        .owner(3, 4)
        .file("d/f", 0o640, "text")
        .owner(0, 0)
        .symlink("d/l", "f")
        .hard_link("d/h", "d/f")
        .to_tar()
}

/// Pipes `bytes` through `program`.
fn piped(program: &str, arguments: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(tools::require(program))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn archives_are_unpacked_whatever_their_name() {
    let plain = archive();
    for (name, bytes) in [
        ("plain", plain.clone()),
        ("a.tar", plain.clone()),
        ("a.tar.gz", piped("gzip", &["-n"], &plain)),
        ("odd.name", piped("gzip", &["-n"], &plain)),
        ("a.tar.bz2", piped("bzip2", &[], &plain)),
        ("a.tar.xz", piped("xz", &[], &plain)),
    ] {
        let context = Context::of(&format!("FROM busybox\nADD {name} /to/\n")).file(name, bytes);
        let tree = Bench::new().image(&context, &[]).tree();
        let file = tree.get("/to/d/f");
        assert_eq!(
            (file.content.as_slice(), file.mode, file.uid, file.gid),
            (&b"text"[..], 0o640, 3, 4),
            "{name}"
        );
        assert_eq!(tree.get("/to/d").mode, 0o750);
        assert_eq!(tree.get("/to/d/l").link, "f");
        assert!([Kind::HardLink, Kind::File].contains(&tree.get("/to/d/h").kind));
        assert_eq!(tree.text("/to/d/h"), "text");
    }
}

#[test]
fn chown_applies_to_what_was_unpacked() {
    let context = Context::of("FROM busybox\nADD --chown=node a.tar /to\n").file("a.tar", archive());
    let tree = Bench::new().image(&context, &[]).tree();
    assert_eq!((tree.get("/to/d/f").uid, tree.get("/to/d/f").gid), (1000, 1000));
}

#[test]
fn chmod_and_exclude_say_nothing_about_archives() {
    let context =
        Context::of("FROM busybox\nADD --chmod=777 --exclude=d a.tar /to/\n").file("a.tar", archive());
    let tree = Bench::new().image(&context, &[]).tree();
    assert_eq!((tree.get("/to/d").mode, tree.get("/to/d/f").mode), (0o750, 0o640));
}

#[test]
fn entries_of_an_archive_take_the_place_of_what_is_there() {
    let archive = Layer::new()
        .file("full", 0o600, "now a file")
        .dir("file", 0o711)
        .dir("link", 0o755)
        .file("link/f", 0o644, "")
        .file("through/f", 0o644, "text")
        .to_tar();
    let dockerfile = "FROM busybox\n\
        RUN mkdir -p /full/of/files /real && echo 1 >/file && ln -s real /link && ln -s real /through\n\
        ADD a.tar /\n";
    let context = Context::of(dockerfile).file("a.tar", archive);
    let tree = Bench::new().image(&context, &[]).tree();
    assert_eq!(tree.text("/full"), "now a file");
    assert_eq!((tree.get("/file").kind, tree.get("/file").mode), (Kind::Directory, 0o711));
    // A directory that the archive lists replaces a link; one that it only uses is looked for through it.
    assert_eq!(tree.get("/link").kind, Kind::Directory);
    assert_eq!(tree.get("/through").kind, Kind::Symlink);
    assert_eq!(tree.below("/real"), ["f"]);
}

#[test]
fn a_directory_that_two_archives_remove_and_make_again_is_empty() {
    let file = Layer::new().file("d", 0o644, "").to_tar();
    let directory = Layer::new().dir("d", 0o755).file("d/new", 0o644, "").to_tar();
    let dockerfile = "FROM busybox\nRUN mkdir /d && echo 1 >/d/old\nADD a.tar b.tar /\n";
    let context = Context::of(dockerfile).file("a.tar", file).file("b.tar", directory);
    assert_eq!(Bench::new().image(&context, &[]).tree().below("/d"), ["new"]);
}

#[test]
fn unpack_false_and_copy_leave_an_archive_as_it_is() {
    let context = Context::of("FROM scratch\nADD --unpack=false a.tar /added\nCOPY a.tar /copied\n")
        .file("a.tar", archive());
    let tree = Bench::new().image(&context, &[]).tree();
    assert_eq!(tree.get("/added").content, archive());
    assert_eq!(tree.get("/copied").content, archive());
}

#[test]
fn what_is_no_archive_is_copied() {
    let tree = image_of("FROM scratch\nADD a d /to/\n", &[("a", "text"), ("d/b", "2")]).tree();
    assert_eq!(tree.below("/to"), ["a", "b"]);
}

#[test]
fn an_archive_cannot_write_outside() {
    let evil = Layer::new().symlink("out", "/etc").file("out/passwd", 0o644, "evil").to_tar();
    let context = Context::of("FROM busybox\nADD a.tar /to/\n").file("a.tar", evil);
    let bench = Bench::new();
    let flags = bench.flags(&["-q", context.argument()]);
    let flags: Vec<&str> = std::iter::once("build").chain(flags.iter().map(String::as_str)).collect();
    // Refusing the archive and resolving its link inside the image are both right; writing the host's file is not.
    assert!(bench.jettison.run(&flags).code < 2);
    assert!(!std::fs::read_to_string("/etc/passwd").unwrap().contains("evil"));
}
