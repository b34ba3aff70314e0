//! What the tar writer writes, judged by GNU tar and Python; and what these write, read by us.
//!
//! Needs GNU tar (`apt-get install tar`) and Python 3 (`apt-get install python3`).
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use common::*;
use jettison_image::Digest;
use jettison_layer::{
    Entry, Error, Index, Kind, NoSink, Times, Timestamp, read_archive, read_layer, unpack, write_layer,
};

const EPOCH: i64 = 315_619_200;

fn sample() -> (Index, MapContent) {
    let long_dir = "d".repeat(99);
    let long_file = format!("{long_dir}/{}", "f".repeat(60));
    let deep_link = "t".repeat(150);
    let device = |major, minor| Kind::CharacterDevice { major, minor };
    let mut index = index([
        dir("bin"),
        at("bin/su", Kind::File { size: 5, digest: None }, 0o4755),
        hardlink("bin/sudo", "bin/su"),
        symlink("sbin", "bin"),
        symlink("far", &deep_link),
        dir(&long_dir),
        file(&long_file, 1),
        file("größe", 1),
        file("empty", 0),
        file("block", 512),
        at("null", device(1, 3), 0o666),
        at("disk", Kind::BlockDevice { major: 259, minor: 1_048_575 }, 0o660),
        at("pipe", Kind::Fifo, 0o600),
        opaque("hidden"),
        file("hidden/new", 1),
        whiteout("gone"),
        whiteout("bin/gone"),
        Entry { mtime: Timestamp { seconds: -7, nanoseconds: 1 }, ..file("before1970", 1) },
        Entry { mtime: Timestamp { seconds: 1 << 33, nanoseconds: 0 }, ..file("after2242", 1) },
        Entry { mtime: Timestamp { seconds: 5, nanoseconds: 999_999_999 }, ..file("late", 1) },
        Entry { fresh: true, ..file("fresh", 1) },
        Entry { uid: 2_097_151, gid: 2_097_152, ..file("owner", 1) },
        Entry { uid: u32::MAX - 1, gid: 5, ..file("owner2", 1) },
        Entry {
            xattrs: vec![
                (b"security.capability".to_vec(), b"\x01\0\0\x02\0\n=".to_vec()),
                (b"user.x".to_vec(), b"".to_vec()),
            ],
            ..file("attributes", 1)
        },
    ]);
    // Owners as they are, whoever runs this test.
    index.entries.iter_mut().filter(|entry| entry.uid == some_id(0)).for_each(|entry| entry.uid = 0);
    index.entries.iter_mut().filter(|entry| entry.gid == some_id(0)).for_each(|entry| entry.gid = 0);
    let mut content = MapContent::default();
    for entry in &index.entries {
        content.0.insert(entry.path.clone(), vec![b'x'; entry.size() as usize]);
    }
    (index, content)
}

fn written() -> Vec<u8> {
    let (index, content) = sample();
    let mut tar = Vec::new();
    write_layer(&index, &content, Times::Epoch(EPOCH), &mut tar).unwrap();
    tar
}

/// The bytes are a contract. Should this test fail, then digests of all images change: the writer is wrong, not the test.
#[test]
fn the_bytes_never_change() {
    let digest = Digest::of(&written()).to_string();
    assert_eq!(digest, "sha256:650a2c3485fabbc941ee128c8bcb34f3b1b5be45e617daaf24767c6100e947b4");
}

fn run(program: &str, args: &[&str], input: &[u8]) -> String {
    use std::io::Write;
    use std::process::Stdio;
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn gnu_tar_reads_what_we_wrote() {
    let listing =
        run("tar", &["--numeric-owner", "--full-time", "--quoting-style=literal", "-tvf", "-"], &written());
    let squeezed: Vec<String> =
        listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let long_dir = "d".repeat(99);
    let expected = [
        "-rw-r--r-- 0/0 1 2242-03-16 12:56:32 after2242".to_owned(),
        "-rw-r--r-- 0/0 1 2020-09-13 12:26:40 attributes".into(),
        "-rw-r--r-- 0/0 1 1969-12-31 23:59:53 before1970".into(),
        "drwxr-xr-x 0/0 0 2020-09-13 12:26:40 bin/".into(),
        "---------- 0/0 0 1980-01-02 00:00:00 bin/.wh.gone".into(),
        "-rwsr-xr-x 0/0 5 2020-09-13 12:26:40 bin/su".into(),
        "hrw-r--r-- 0/0 0 2020-09-13 12:26:40 bin/sudo link to bin/su".into(),
        "-rw-r--r-- 0/0 512 2020-09-13 12:26:40 block".into(),
        format!("drwxr-xr-x 0/0 0 2020-09-13 12:26:40 {long_dir}/"),
        format!("-rw-r--r-- 0/0 1 2020-09-13 12:26:40 {long_dir}/{}", "f".repeat(60)),
        "brw-rw---- 0/0 259,1048575 2020-09-13 12:26:40 disk".into(),
        "-rw-r--r-- 0/0 0 2020-09-13 12:26:40 empty".into(),
        format!("lrwxrwxrwx 0/0 0 2020-09-13 12:26:40 far -> {}", "t".repeat(150)),
        "-rw-r--r-- 0/0 1 1980-01-02 00:00:00 fresh".into(),
        "---------- 0/0 0 1980-01-02 00:00:00 .wh.gone".into(),
        "-rw-r--r-- 0/0 1 2020-09-13 12:26:40 größe".into(),
        "drwxr-xr-x 0/0 0 2020-09-13 12:26:40 hidden/".into(),
        "---------- 0/0 0 1980-01-02 00:00:00 hidden/.wh..wh..opq".into(),
        "-rw-r--r-- 0/0 1 2020-09-13 12:26:40 hidden/new".into(),
        "-rw-r--r-- 0/0 1 1970-01-01 00:00:05 late".into(),
        "crw-rw-rw- 0/0 1,3 2020-09-13 12:26:40 null".into(),
        "-rw-r--r-- 2097151/2097152 1 2020-09-13 12:26:40 owner".into(),
        "-rw-r--r-- 4294967294/5 1 2020-09-13 12:26:40 owner2".into(),
        "prw------- 0/0 0 2020-09-13 12:26:40 pipe".into(),
        "lrwxrwxrwx 0/0 0 2020-09-13 12:26:40 sbin -> bin".into(),
    ];
    assert_eq!(squeezed, expected);
}

#[test]
fn python_reads_what_we_wrote() {
    let script = "
import sys, tarfile
for member in tarfile.open(fileobj=sys.stdin.buffer, mode='r|'):
    print(member.name, member.type, oct(member.mode), member.uid, member.gid, member.size, member.mtime,
          member.linkname[:8], member.uname + member.gname, sorted(member.pax_headers))
";
    let listing = run("python3", &["-c", script], &written());
    assert_eq!(listing.lines().count(), 25);
    for expected in [
        "attributes b'0' 0o644 0 0 1 1600000000  ['SCHILY.xattr.security.capability', 'SCHILY.xattr.user.x']",
        "before1970 b'0' 0o644 0 0 1 -7.0  ['mtime']",
        "bin b'5' 0o755 0 0 0 1600000000  []",
        "größe b'0' 0o644 0 0 1 1600000000  ['path']",
        "owner2 b'0' 0o644 4294967294 5 1 1600000000  ['uid']",
        "far b'2' 0o777 0 0 0 1600000000 tttttttt ['linkpath']",
    ] {
        let squeezed: Vec<String> =
            listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let expected = expected.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed.contains(&expected), "{expected} in {listing}");
    }
}

#[test]
fn other_tars_read_the_same_by_us() {
    let base = tempfile::tempdir().unwrap();
    let name = "n".repeat(130);
    shell(
        base.path(),
        &format!(
            "mkdir -p tree/a/b; cd tree; echo one > a/one; ln a/one a/b/link; ln -s ../one a/b/soft; mkfifo pipe
             echo long > {name}; truncate -s 300000 sparse; printf data | dd of=sparse bs=1 seek=100000 conv=notrunc status=none
             printf end | dd of=sparse bs=1 seek=250000 conv=notrunc status=none
             chmod 4711 a/one; touch -d @1500000000.5 {name}"
        ),
    );
    let formats = [
        ("gnu", "--format=gnu"),
        ("posix", "--format=posix"),
        ("ustar", "--format=ustar"),
        ("oldgnu", "--format=oldgnu"),
        ("gnu sparse", "--format=gnu -S"),
        ("posix sparse 0.0", "--format=posix -S --sparse-version=0.0"),
        ("posix sparse 0.1", "--format=posix -S --sparse-version=0.1"),
        ("posix sparse 1.0", "--format=posix -S --sparse-version=1.0"),
    ];
    for (name, flags) in formats {
        // The name of 130 bytes fits into no ustar header.
        let exclude = if name == "ustar" { "--exclude=nnn*" } else { "" };
        shell(base.path(), &format!("tar {flags} {exclude} --sort=name -cf out.tar -C tree ."));
        let tar = std::fs::read(base.path().join("out.tar")).unwrap();
        let target = tempfile::tempdir().unwrap();
        let unpacked = unpack(&mut tar.as_slice(), &open(target.path()), ownership()).unwrap();
        let files =
            unpacked.index.entries.iter().filter(|entry| matches!(entry.kind, Kind::File { .. })).count();
        assert_eq!(files, if name == "ustar" { 2 } else { 3 }, "{name}");
        let differences = compare(&base.path().join("tree"), target.path());
        assert_eq!(differences.trim(), if name == "ustar" { "only: nnn" } else { "" }, "{name}");
        assert_eq!(
            unpacked.index.get(b"a/one").unwrap().kind,
            Kind::Hardlink { target: b"a/b/link".to_vec() }
        );
    }
}

fn compare(a: &Path, b: &Path) -> String {
    let script = r"
        list() { (cd $1; find . -type f -o -type l -o -type d -o -type p | LC_ALL=C sort | xargs stat -c '%n %F %a %h %u' | sed 's/^\(.*directory.*\) [0-9]* \([0-9]*\)$/\1 \2/'; find . -type f | LC_ALL=C sort | xargs cksum); }
        list $A > $T/a; list $B > $T/b; diff $T/a $T/b > $T/d || { grep -q nnn $T/d && echo 'only: nnn' || cat $T/d; }";
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", script])
        .envs([("A", a), ("B", b), ("T", temporary.path())])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn times_keep_their_fractions_on_the_way_in() {
    let listing = RawTar::default().pax(&[("mtime", b"1500000000.25")]).file("a", "").list().unwrap();
    assert_eq!(
        listing.index.entries[0].mtime,
        Timestamp { seconds: 1_500_000_000, nanoseconds: 250_000_000 }
    );
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let write = |entry: Entry, content: &str| {
        let text = String::from_utf8(entry.path.clone()).unwrap();
        write_layer(&index([entry]), &MapContent::new(&[(&text, content)]), Times::Epoch(0), &mut Vec::new())
    };
    let message = |result: Result<(), Error>| result.unwrap_err().to_string();
    assert_eq!(
        message(write(file("a", 3), "ab")),
        "/a was 3 bytes long, but 2 were read: it changed meanwhile"
    );
    assert_eq!(
        message(write(file("a", 3), "abcd")),
        "/a was 3 bytes long, but 4 were read: it changed meanwhile"
    );
    assert!(message(write(file("d/.wh.x", 0), "")).contains("would mean that a file is deleted"));
    let odd = Entry { xattrs: vec![(b"user.a=b".to_vec(), vec![])], ..file("a", 0) };
    assert!(message(write(odd, "")).contains("no tar can hold"));
    assert!(
        message(write_layer(
            &index([file("gone", 1)]),
            &MapContent::default(),
            Times::Epoch(0),
            &mut Vec::new()
        ))
        .contains("/gone")
    );
}

#[test]
fn the_root_is_written_only_if_listed() {
    let mut tar = Vec::new();
    write_layer(&index([dir(""), dir("a")]), &MapContent::default(), Times::Epoch(0), &mut tar).unwrap();
    assert_eq!(&tar[..3], b"./\0");
    let listing = read_layer(&mut tar.as_slice(), &mut NoSink).unwrap();
    assert_eq!(lines(&listing.index), ["d 755 /", "d 755 /a"]);
    let mut empty = Vec::new();
    write_layer(&Index::default(), &MapContent::default(), Times::Epoch(0), &mut empty).unwrap();
    assert_eq!(empty, [0; 1024]);
}

#[test]
fn archives_of_all_compressions() {
    let base = tempfile::tempdir().unwrap();
    shell(
        base.path(),
        "mkdir -p t/d; echo x > t/d/f; ln t/d/f t/a; echo y > t/d/.wh.plain; chmod 750 t/d
         tar -cf a.tar --owner=7 --group=8 -C t .; for c in gzip bzip2 xz zstd; do $c -k -c a.tar > a.tar.$c; done
         cp a.tar.gzip cut.gz; truncate -s -20 cut.gz; head -c 2000 /dev/zero > zeros; : > empty; echo text > text; gzip -k text",
    );
    let open_file = |name: &str| std::fs::File::open(base.path().join(name)).unwrap();
    for name in ["a.tar", "a.tar.gzip", "a.tar.bzip2", "a.tar.xz", "a.tar.zstd"] {
        assert!(jettison_layer::is_archive(&open_file(name)), "{name}");
        let archive = read_archive(open_file(name), tempfile::tempfile().unwrap()).unwrap();
        let expected = ["f 644 /a 2", "d 750 /d", "f 644 /d/.wh.plain 2", "h 644 /d/f -> a"];
        assert_eq!(lines(&archive.index), expected, "{name}");
        assert_eq!((archive.index.entries[0].uid, archive.index.entries[0].gid), (7, 8), "{name}");
        let mut text = String::new();
        let content: &dyn jettison_layer::Content = &archive.content;
        content.open(&archive.index.entries[0]).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "x\n", "{name}");
        assert_eq!(lines(&archive.index.below(b"opt"))[3], "h 644 /opt/d/f -> opt/a");
    }
    for name in ["zeros", "empty", "text", "text.gz"] {
        assert!(!jettison_layer::is_archive(&open_file(name)), "{name}");
    }
    assert!(jettison_layer::is_archive(&open_file("cut.gz")));
    assert!(read_archive(open_file("cut.gz"), tempfile::tempfile().unwrap()).is_err());
    std::fs::write(
        base.path().join("broken.tar"),
        &std::fs::read(base.path().join("a.tar")).unwrap()[..1025],
    )
    .unwrap();
    assert!(read_archive(open_file("broken.tar"), tempfile::tempfile().unwrap()).is_err());
}
