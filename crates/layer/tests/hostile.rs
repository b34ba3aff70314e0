//! Tars that mean harm, or only look odd.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::*;
use jettison_layer::{Error, Kind, Ownership, unpack};

#[test]
fn what_is_refused() {
    let overlay = |name: &str| RawTar::default().pax(&[(&format!("SCHILY.xattr.{name}"), b"y")]).dir("d");
    let cases: Vec<(&str, RawTar, &str)> = vec![
        ("leads out", RawTar::default().file("../x", ""), "leads out"),
        ("leads out later", RawTar::default().file("a/../../x", ""), "leads out"),
        ("hard link leads out", RawTar::default().link(b'1', "x", "../../etc/passwd"), "leads out"),
        ("overlay attribute", overlay("user.overlay.opaque"), "user.overlay.opaque"),
        ("trusted overlay attribute", overlay("trusted.overlay.redirect"), "trusted.overlay.redirect"),
        ("below a file", RawTar::default().file("a", "").file("a/b", ""), "used as a directory"),
        ("hard link to a directory", RawTar::default().dir("a").link(b'1', "b", "a"), "to a directory"),
        ("hard link to itself", RawTar::default().link(b'1', "b", "b"), "to itself"),
        ("symlink loop", RawTar::default().link(b'2', "a", "a").file("a/b", ""), "too many symbolic links"),
        ("whiteout of nothing", RawTar::default().file(".wh.", ""), "whiteout of nothing"),
        ("whiteout of the parent", RawTar::default().file("a/.wh...", ""), "whiteout of nothing"),
        ("all is hidden", RawTar::default().file(".wh..wh..opq", ""), "hides the whole image"),
        ("whiteout device", RawTar::default().link(b'3', "a", ""), "device 0/0"),
        ("unknown type", RawTar::default().link(b'M', "a", ""), "unknown type"),
        ("root is a file", RawTar::default().file("./", ""), "root"),
        (
            "huge PAX",
            RawTar::default().pax(&[("comment", &vec![b'x'; 1 << 20])]).file("a", ""),
            "longer than 1 MiB",
        ),
        ("broken PAX", RawTar::default().member(&pax_text(b"12 a=b\n")).file("a", ""), "PAX record"),
        (
            "long path",
            RawTar::default().pax(&[("path", &vec![b'x'; 5000])]).file("a", ""),
            "longer than 4096",
        ),
        ("uid too large", RawTar::default().pax(&[("uid", b"4294967296")]).file("a", ""), "uid is wrong"),
        ("zero in a name", RawTar::default().pax(&[("path", b"a\0b")]).file("a", ""), "zero byte"),
        ("sparse bomb", sparse(b"1152921504606846976", b"0,0"), "sparse map"),
        ("sparse overlap", sparse(b"100", b"0,3,1,2"), "sparse map"),
    ];
    for (name, tar, expected) in cases {
        let error = tar.clone().list().expect_err(name).to_string();
        assert!(error.contains(expected), "{name}: {error}");
        let temporary = tempfile::tempdir().unwrap();
        let target = temporary.path().join("in");
        std::fs::create_dir(&target).unwrap();
        unpack(&mut tar.end().as_slice(), &open(&target), Ownership::Squashed).expect_err(name);
        assert_eq!(shell(temporary.path(), "ls"), "in\n", "{name}");
    }
}

fn pax_text(text: &[u8]) -> RawMember<'_> {
    RawMember { name: b"pax", flag: b'x', data: text, ..RawMember::default() }
}

fn sparse(size: &[u8], map: &[u8]) -> RawTar {
    RawTar::default().pax(&[("GNU.sparse.realsize", size), ("GNU.sparse.map", map)]).file("a", "12345")
}

#[test]
fn what_is_damaged_is_an_error() {
    let tar = RawTar::default().file("a", "content").file("b", &"x".repeat(2000));
    let good = tar.end();
    let list = |bytes: &[u8]| jettison_layer::read_layer(&mut &*bytes, &mut jettison_layer::NoSink);
    for end in 1..good.len() - 1024 {
        // Between members and in the padding between them an archive may end, as Go allows.
        let content = [512..519, 1536..3536].iter().any(|range| range.contains(&end));
        let header = [1..512, 1025..1536].iter().any(|range| range.contains(&end));
        assert_eq!(list(&good[..end]).is_err(), content || header, "cut at {end}");
    }
    let mut bad = good.clone();
    bad[3] ^= 1;
    assert!(matches!(list(&bad), Err(Error::Malformed { offset: 0, .. })));
    assert!(list(b"not a tar at all").is_err());
}

#[test]
fn links_of_the_same_layer_stay_inside() {
    let tar = RawTar::default()
        .dir("real")
        .link(b'2', "abs", "/real")
        .link(b'2', "out", "../../../../etc")
        .link(b'2', "host", "/etc")
        .file("abs/one", "1")
        .file("out/two", "2")
        .file("host/three", "3")
        .link(b'1', "hard", "abs/one")
        .link(b'1', "foreign", "host/passwd");
    let temporary = tempfile::tempdir().unwrap();
    let unpacked = unpack(&mut tar.end().as_slice(), &open(temporary.path()), Ownership::Squashed).unwrap();
    assert_eq!(
        lines(&unpacked.index),
        [
            "l 777 /abs -> /real",
            "f 644 /etc/three 1",
            "f 644 /etc/two 1",
            "h 644 /foreign -> etc/passwd",
            "f 644 /hard 1",
            "l 777 /host -> /etc",
            "l 777 /out -> ../../../../etc",
            "d 755 /real",
            "h 644 /real/one -> hard",
        ]
    );
    assert_eq!(unpacked.implied, [b"etc".to_vec()]);
    assert_eq!(unpacked.foreign_links, [(b"foreign".to_vec(), b"etc/passwd".to_vec())]);
    assert_eq!(
        shell(temporary.path(), "find . -type f | LC_ALL=C sort"),
        "./etc/three\n./etc/two\n./hard\n./real/one\n"
    );
}

#[test]
fn duplicates_the_last_wins() {
    let tar = RawTar::default()
        .file("a", "first")
        .link(b'1', "b", "a")
        .link(b'1', "c", "a")
        .file("a", "second!")
        .dir("d")
        .file("d/x", "")
        .dir("d/y")
        .file("d", "no more directory")
        .file("e", "")
        .dir("e")
        .file("e/f", "")
        .dir("e");
    let temporary = tempfile::tempdir().unwrap();
    let unpacked = unpack(&mut tar.end().as_slice(), &open(temporary.path()), Ownership::Squashed).unwrap();
    assert_eq!(
        lines(&unpacked.index),
        ["f 644 /a 7", "f 644 /b 5", "h 644 /c -> b", "f 644 /d 17", "d 755 /e", "f 644 /e/f 0"]
    );
    assert_eq!(shell(temporary.path(), "cat a b c; stat -c %h a b c; ls e"), "second!firstfirst1\n2\n2\nf\n");
}

#[test]
fn whiteouts_and_the_same_layer() {
    let listing = RawTar::default()
        .file("d/.wh..wh..opq", "")
        .dir("d")
        .file("d/new", "")
        .file(".wh.gone", "")
        .dir("again")
        .file(".wh.again", "")
        .file(".wh.later", "")
        .dir("later")
        .file(".wh.implied", "")
        .file("implied/x", "")
        .file("kept", "")
        .file(".wh.kept", "")
        .file(".wh..wh.aufs", "")
        .list()
        .unwrap();
    assert_eq!(
        lines(&listing.index),
        [
            "o 755 /again",
            "o 755 /d",
            "f 644 /d/new 0",
            "w gone",
            "o 755 /implied",
            "f 644 /implied/x 0",
            "f 644 /kept 0",
            "o 755 /later",
        ]
    );
    assert_eq!(listing.implied, [b"implied".to_vec()]);
}

#[test]
fn a_pax_size_is_for_the_member_not_for_what_is_between() {
    // A reader that gave the long name's header the size of the file would lose its place.
    let name = vec![b'n'; 300];
    let listing = RawTar::default()
        .pax(&[("size", b"600")])
        .member(&RawMember { name: b"././@LongLink", flag: b'L', data: &name, ..RawMember::default() })
        .member(&RawMember { name: b"short", data: &[b'x'; 600], ..RawMember::default() })
        .file("after", "y")
        .list()
        .unwrap();
    assert_eq!(listing.index.entries.len(), 2);
    assert!(listing.index.get(&name).is_some_and(|entry| entry.size() == 600));
    assert!(matches!(listing.index.get(b"after").unwrap().kind, Kind::File { size: 1, .. }));
}

#[test]
fn names_cost_no_more_than_they_should() {
    // Many links to a file that is replaced again and again would be quadratic.
    let mut tar = RawTar::default().file("f0", "");
    for number in 0..3000 {
        tar = tar.link(b'1', &format!("l{number:04}"), "f0");
    }
    for number in 0..3000 {
        tar = tar.file(&format!("l{number:04}"), "");
    }
    assert_eq!(tar.list().unwrap().index.entries.len(), 3001);
}
