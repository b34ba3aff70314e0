//! Layers on real overlays: what a mounted overlay shows, and what a command in it leaves behind.
//!
//! Needs the right to mount overlays, as root or in a user namespace.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::*;
use jettison_fs::Dir;
use jettison_layer::{
    Content, DiffOptions, DirContent, Index, Kind, NoContent, Ownership, Timestamp, Tree, TreeContent,
    Unpacked, diff, diff_directory, fix_up, materialize, prepare_upper, unpack,
};

/// A stack of unpacked layers.
struct Stack {
    base: tempfile::TempDir,
    layers: Vec<PathBuf>,
    tree: Tree,
    content: TreeContent,
}

fn options() -> DiffOptions {
    // Everything made by hand is far older than what a test makes now.
    DiffOptions { started: Timestamp { seconds: 1_700_000_000, nanoseconds: 0 }, ownership: ownership() }
}

impl Stack {
    fn new() -> Stack {
        Stack {
            base: tempfile::tempdir().unwrap(),
            layers: Vec::new(),
            tree: Tree::default(),
            content: TreeContent::default(),
        }
    }

    fn directory(&self, name: &str) -> PathBuf {
        let path = self.base.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    }

    fn push_tar(self, tar: RawTar) -> Stack {
        let path = self.directory(&format!("layer{}", self.layers.len()));
        let unpacked = unpack(&mut tar.end().as_slice(), &open(&path), ownership()).unwrap();
        self.settle(path, unpacked)
    }

    fn settle(mut self, path: PathBuf, mut unpacked: Unpacked) -> Stack {
        fix_up(&open(&path), &mut unpacked, &self.tree, &self.content, ownership()).unwrap();
        self.add(path, unpacked.index);
        self
    }

    fn add(&mut self, path: PathBuf, index: Index) {
        self.tree.push(Arc::new(index));
        self.content.push(Arc::new(DirContent::new(open(&path))));
        self.layers.push(path);
    }

    /// Runs a script and returns the diff.
    fn run(&mut self, script: &str) -> Index {
        let upper = self.directory(&format!("layer{}", self.layers.len()));
        prepare_upper(&open(&upper), &self.tree, ownership()).unwrap();
        let lower: Vec<&Path> = self.layers.iter().map(PathBuf::as_path).collect();
        in_overlay(&lower, &upper, script);
        let index = diff(&open(&upper), &self.tree, &self.content, options()).unwrap();
        self.add(upper, index.clone());
        index
    }

    /// Returns what the kernel shows, in the form of [`line`].
    fn mounted(&self) -> Vec<String> {
        let upper = tempfile::tempdir_in(self.base.path()).unwrap();
        let lower: Vec<&Path> = self.layers.iter().map(PathBuf::as_path).collect();
        let script = r"find . -mindepth 1 -printf '%y\t%m\t%s\t%U\t%G\t%T@\t%P\t%l\n'";
        // A socket stays on disk, but is in no layer.
        let shown = in_overlay(&lower, upper.path(), script);
        shown.lines().filter(|line| !line.starts_with('s')).map(str::to_owned).collect()
    }

    /// Returns what the tree says the kernel should show. Link structure is left to other tests.
    fn expected(&self) -> Vec<String> {
        let nodes = self.tree.iter().filter(|node| !node.entry.path.is_empty());
        nodes.map(|node| find_line(&node)).collect()
    }

    fn check(&self) {
        let key = |line: &String| line.split('\t').nth(6).unwrap_or_default().to_owned();
        let by_path = |lines: Vec<String>| -> BTreeMap<String, String> {
            lines.into_iter().map(|line| (key(&line), strip(&line))).collect()
        };
        assert_eq!(by_path(self.mounted()), by_path(self.expected()));
    }
}

/// Sizes of directories are the file system's; find shows ten digits of a fraction.
fn strip(line: &str) -> String {
    let mut fields: Vec<&str> = line.split('\t').collect();
    if fields[0] == "d" {
        fields[2] = "";
    }
    fields[5] = fields[5].split('.').next().unwrap();
    fields.join(" ")
}

fn find_line(node: &jettison_layer::Node<'_>) -> String {
    let (entry, kind) = (node.entry, &node.content().1.kind);
    let (tag, size, target) = match kind {
        Kind::Directory { .. } => ("d", 0, String::new()),
        Kind::File { size, .. } => ("f", *size, String::new()),
        Kind::Symlink { target } => ("l", target.len() as u64, String::from_utf8(target.clone()).unwrap()),
        Kind::Fifo => ("p", 0, String::new()),
        other => panic!("{other:?}"),
    };
    let path = String::from_utf8(entry.path.clone()).unwrap();
    let (mode, uid, gid) = (entry.mode, entry.uid, entry.gid);
    let (uid, gid) = if has_ids() { (uid, gid) } else { (0, 0) };
    format!("{tag}\t{mode:o}\t{size}\t{uid}\t{gid}\t{}.0\t{path}\t{target}", entry.mtime.seconds)
}

fn base_layer() -> RawTar {
    RawTar::default()
        .dir("./")
        .dir("etc")
        .file("etc/passwd", "root:x:0:0::/:/bin/sh\n")
        .file("etc/group", "root:x:0:\n")
        .dir("usr")
        .dir("usr/lib")
        .file("usr/lib/libc.so", "not really")
        .link(b'1', "usr/lib/libc.so.6", "usr/lib/libc.so")
        .link(b'2', "lib", "usr/lib")
        .member(&RawMember { name: b"tmp", flag: b'5', mode: 0o1777, ..RawMember::default() })
        .member(&RawMember { name: b"su", mode: 0o4755, data: b"suid", ..RawMember::default() })
        .member(&RawMember { name: b"pipe", flag: b'6', mode: 0o600, ..RawMember::default() })
        .dir("old")
        .dir("old/deep")
        .file("old/deep/x", "x")
        .file("old/y", "y")
        .dir("secret")
        .member(&RawMember {
            name: b"locked",
            flag: b'5',
            mode: 0o500,
            mtime: 1_500_000_000,
            ..RawMember::default()
        })
        .file("locked/in", "in")
}

#[test]
fn unpacked_layers_look_like_the_tree() {
    let stack = Stack::new()
        .push_tar(base_layer())
        .push_tar(
            // Unlisted parents, a path through a lower link, whiteouts with and without anything below, an opaque directory.
            RawTar::default()
                .file("etc/new", "new")
                .file("lib/plugin", "plugin")
                .dir("lib/sub")
                .file("lib/sub/z", "z")
                .file("lib/.wh.libc.so.6", "")
                .file("old/deep/.wh.x", "")
                .file("old/.wh.never", "")
                .file("lib/.wh.never", "")
                .dir("secret")
                .file("secret/.wh..wh..opq", "")
                .file("locked/also", "also")
                .file("a/b/c/d", "d"),
        )
        .push_tar(RawTar::default().file(".wh.old", "").file("tmp/.wh..wh..opq", "").file("tmp/t", "t"))
        .push_tar(RawTar::default().dir("old").file("old/z", "z").link(b'1', "passwd2", "etc/passwd"));
    stack.check();
    assert!(
        stack.tree.get(b"tmp").is_some_and(|node| node.entry.mode == 0o1777),
        "an implied opaque directory"
    );
    assert_eq!(
        shell(&stack.layers[1], "ls; ls usr/lib"),
        "a\netc\nlocked\nold\nsecret\nusr\nlibc.so.6\nplugin\nsub\n"
    );
    assert_eq!(shell(&stack.layers[3], "cat passwd2"), "root:x:0:0::/:/bin/sh\n");
}

#[test]
fn a_hard_link_to_nothing_is_an_error() {
    let stack = Stack::new().push_tar(base_layer());
    let path = stack.directory("more");
    let tar = RawTar::default().link(b'1', "x", "no/such/file");
    let mut unpacked = unpack(&mut tar.end().as_slice(), &open(&path), ownership()).unwrap();
    let error = fix_up(&open(&path), &mut unpacked, &stack.tree, &stack.content, ownership()).unwrap_err();
    assert!(error.to_string().contains("/no/such/file, which does not exist"), "{error}");
}

#[test]
fn what_a_command_changes() {
    let cases: [(&str, &str, &[&str]); 24] = [
        ("nothing", "true", &[]),
        ("reading", "cat etc/passwd", &[]),
        ("a new file", "echo hi > etc/motd", &["d 755 /etc", "f 644 /etc/motd 3"]),
        ("a new file in the root", "echo hi > motd", &["f 644 /motd 3"]),
        ("a deleted file", "rm etc/group", &["d 755 /etc", "w etc/group"]),
        ("a deleted directory", "rm -r old", &["w old"]),
        ("a directory made anew", "rm -r old; mkdir old; touch old/n", &["o 755 /old", "f 644 /old/n 0"]),
        ("a directory becomes a file", "rm -r old; touch old", &["f 644 /old 0"]),
        ("a file becomes a directory", "rm su; mkdir su; touch su/x", &["d 755 /su", "f 644 /su/x 0"]),
        ("a link becomes a directory", "rm lib; mkdir lib; touch lib/x", &["d 755 /lib", "f 644 /lib/x 0"]),
        ("a changed mode", "chmod 600 etc/group", &["d 755 /etc", "f 600 /etc/group 10"]),
        ("a changed content", "echo x >> etc/group", &["d 755 /etc", "f 644 /etc/group 12"]),
        (
            "the same time and size, other content",
            "t=$(stat -c %y su); printf XXXX > su; chmod 4755 su; touch -d \"$t\" su",
            &["f 4755 /su 4"],
        ),
        ("copied up, but as it was", "chmod 600 etc/group; chmod 644 etc/group", &[]),
        ("a file that came and went", "touch tmp/x; rm tmp/x", &[]),
        ("a mode of a directory", "chmod 700 tmp", &["d 700 /tmp"]),
        ("an old time given to a directory", "touch -d 2001-01-01 tmp", &["d 1777 /tmp"]),
        ("a fresh time given to a file", "touch su", &["f 4755 /su 4"]),
        (
            "hard links",
            "echo x > a; ln a b; mkdir c; ln a c/d",
            &["f 644 /a 2", "h 644 /b -> a", "d 755 /c", "h 644 /c/d -> a"],
        ),
        ("a hard link to what was there", "ln su also", &["f 4755 /also 4", "h 4755 /su -> also"]),
        (
            "a file becomes a socket",
            "rm su; perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local=>q(su),Listen=>1) or die'",
            &["w su"],
        ),
        (
            "one of two hard links",
            "echo more >> usr/lib/libc.so",
            &["d 755 /usr", "d 755 /usr/lib", "f 644 /usr/lib/libc.so 15"],
        ),
        ("the root itself", "chmod 711 .", &["d 711 /"]),
        (
            "a link, a pipe, a socket",
            "ln -s a b; mkfifo p; perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local=>q(s),Listen=>1) or die'; test -S s",
            &["l 777 /b -> a", "p 644 /p"],
        ),
    ];
    for (name, script, expected) in cases {
        let mut stack = Stack::new().push_tar(base_layer());
        let index = stack.run(script);
        assert_eq!(lines(&index), expected, "{name}");
        stack.check();
    }
}

#[test]
fn a_step_on_a_step_on_a_step() {
    let mut stack = Stack::new().push_tar(base_layer());
    stack.run("mkdir app; echo 1 > app/a; echo 1 > app/b; ln app/a app/c");
    stack.run("rm app/b; echo 2 > app/a; mv old app/old");
    stack.check();
    let index = stack.run("rm -r app; mkdir app; echo 3 > app/b; cp -a usr app/");
    stack.check();
    assert!(index.get(b"app").is_some_and(|entry| entry.kind == (Kind::Directory { opaque: true })));
    let link = &index.get(b"app/usr/lib/libc.so.6").unwrap().kind;
    assert_eq!(*link, Kind::Hardlink { target: b"app/usr/lib/libc.so".to_vec() });
}

#[test]
fn what_is_fresh_shows_the_epoch() {
    let mut stack = Stack::new().push_tar(base_layer());
    // A layer of an earlier build: its file is fresh, though it is old.
    let context = Timestamp { seconds: 1_650_000_000, nanoseconds: 123_456_789 };
    let mut copied = index([dir("ctx"), file("ctx/f", 3)]);
    copied.entries.iter_mut().for_each(|entry| (entry.fresh, entry.mtime) = (true, context));
    let path = stack.directory("copied");
    let content = MapContent::new(&[("ctx/f", "abc")]);
    let unpacked = materialize(&copied, &content, &open(&path), ownership()).unwrap();
    stack = stack.settle(path, unpacked);
    let index = stack.run(
        "echo new > new; cp -p ctx/f kept; mkdir d; touch -d 2010-01-01 d/packaged; chmod 600 ctx/f; mv etc/group moved",
    );
    let fresh = |path: &str| index.get(path.as_bytes()).unwrap().fresh;
    assert!(fresh("new") && fresh("kept") && fresh("d") && fresh("ctx") && fresh("ctx/f"));
    assert!(!fresh("d/packaged") && !fresh("moved"));
}

#[test]
fn squashed_owners_live_in_the_index() {
    let tar = RawTar::default()
        .dir("home")
        .member(&RawMember { name: b"home/f", uid: 1234, data: b"x", ..RawMember::default() })
        .member(&RawMember { name: b"home/g", uid: 1234, data: b"x", ..RawMember::default() });
    let base = tempfile::tempdir().unwrap();
    let (lower, upper) = (base.path().join("lower"), base.path().join("upper"));
    std::fs::create_dir(&lower).unwrap();
    std::fs::create_dir(&upper).unwrap();
    let unpacked = unpack(&mut tar.end().as_slice(), &open(&lower), Ownership::Squashed).unwrap();
    let tree = tree([unpacked.index]);
    assert_eq!(tree.get(b"home/f").unwrap().entry.uid, 1234);
    in_overlay(&[&lower], &upper, "echo y > home/f; rm home/g; mkdir home/g; echo z > home/new");
    let squashed = DiffOptions { ownership: Ownership::Squashed, ..options() };
    let contents = TreeContent::new(vec![Arc::new(DirContent::new(open(&lower)))]);
    let index = diff(&open(&upper), &tree, &contents, squashed).unwrap();
    let uid = |path: &str| index.get(path.as_bytes()).unwrap().uid;
    assert_eq!([uid("home/f"), uid("home/g"), uid("home/new")], [1234, 0, 0]);
}

#[test]
fn attributes_survive() {
    let mut stack = Stack::new().push_tar(
        RawTar::default()
            .pax(&[("SCHILY.xattr.user.note", b"hello"), ("SCHILY.xattr.trusted.x", b"root's alone")])
            .file("f", "x")
            .pax(&[("SCHILY.xattr.user.note", b"dir")])
            .dir("d"),
    );
    assert_eq!(stack.tree.get(b"f").unwrap().entry.xattrs.len(), 2);
    let index = stack.run("chmod 600 f; touch d/x");
    assert_eq!(index.get(b"f").unwrap().xattrs.len(), 2);
    assert_eq!(index.get(b"d").unwrap().xattrs, [(b"user.note".to_vec(), b"dir".to_vec())]);
    let index = stack.run("perl -e 'exit(0)'; cp f g");
    assert!(index.get(b"g").unwrap().xattrs.is_empty());
}

#[test]
fn a_capability_outlives_the_change_of_owner() {
    // cap_net_raw+ep, as setcap writes it.
    let capability: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let stack = Stack::new().push_tar(
        RawTar::default().pax(&[("SCHILY.xattr.security.capability", capability)]).member(&RawMember {
            name: b"ping",
            mode: 0o4755,
            uid: some_id(1000),
            data: b"x",
            ..RawMember::default()
        }),
    );
    let on_disk = open(&stack.layers[0]).xattr(b"ping", b"security.capability").unwrap();
    assert!(on_disk.is_some() || !is_root());
    let mode = open(&stack.layers[0]).metadata(b"ping").unwrap().mode;
    assert_eq!(mode, 0o4755);
}

#[test]
fn a_copied_tree_gives_the_same_diff() {
    let scripts = [
        "echo hi > etc/motd",
        "rm etc/group; rm -r old",
        "rm -r old; touch old",
        "chmod 600 etc/group; echo x >> su; ln etc/passwd link",
        "t=$(stat -c %y su); printf XXXX > su; chmod 4755 su; touch -d \"$t\" su",
        "chmod 600 etc/group; chmod 644 etc/group; touch tmp/x; rm tmp/x",
        "mv old new; mkdir old; chmod 711 .",
    ];
    for script in scripts {
        let mut stack = Stack::new().push_tar(base_layer());
        let copy = stack.directory("copy");
        shell(stack.base.path(), "cp -a layer0/. copy/; sleep 0.02; touch mark; sleep 0.02");
        let copied = open(stack.base.path()).metadata(b"mark").unwrap().ctime;
        shell(&copy, script);
        let found = diff_directory(&open(&copy), &stack.tree, &stack.content, options(), copied).unwrap();
        let expected = stack.run(script);
        // A directory that was deleted and made anew cannot be told from one that was emptied.
        let plain = |index: &Index| -> Vec<String> {
            lines(index)
                .into_iter()
                .map(|line| line.replace("o 755", "d 755"))
                .filter(|line| !line.starts_with("w old/"))
                .collect()
        };
        assert_eq!(plain(&found), plain(&expected), "{script}");
    }
}

#[test]
fn sparse_and_large_content_is_copied() {
    let base = tempfile::tempdir().unwrap();
    let source = base.path().join("source");
    std::fs::create_dir(&source).unwrap();
    File::create(source.join("big")).unwrap().write_all_at(b"end", 5_000_000).unwrap();
    let target = base.path().join("target");
    std::fs::create_dir(&target).unwrap();
    let wanted = index([file("a/big", 5_000_003)]).below(b"");
    struct Renamed(Dir);
    impl Content for Renamed {
        fn open(&self, _: &jettison_layer::Entry) -> std::io::Result<Box<dyn std::io::Read + Send + '_>> {
            NoContent.open(&file("", 0))
        }
        fn open_file(&self, _: &jettison_layer::Entry) -> std::io::Result<Option<File>> {
            self.0.open_file(b"big").map(Some).map_err(std::io::Error::other)
        }
    }
    let unpacked = materialize(&wanted, &Renamed(open(&source)), &open(&target), ownership()).unwrap();
    assert_eq!(unpacked.implied, [b"a".to_vec()]);
    assert_eq!(
        shell(base.path(), "cmp source/big target/a/big && stat -c '%a %s %Y' target/a/big"),
        "644 5000003 1600000000\n"
    );
    let shorter = index([file("big", 7)]);
    let error = materialize(&shorter, &Renamed(open(&source)), &open(&target), ownership()).unwrap_err();
    assert!(error.to_string().contains("changed meanwhile"), "{error}");
}
