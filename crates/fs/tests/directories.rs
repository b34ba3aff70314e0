//! Directories, walks, removals and copies on a real file system.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use jettison_fs::{Dir, Error, FileKind, Flow, Timestamp, Visited, copy_data, walk, walk_on_threads};

fn temporary() -> (tempfile::TempDir, Dir) {
    let directory = tempfile::tempdir().unwrap();
    let dir = Dir::open(directory.path()).unwrap();
    (directory, dir)
}

fn write(path: impl AsRef<Path>, text: &str) {
    fs::write(path, text).unwrap();
}

fn read(mut file: fs::File) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn nothing_leads_out() {
    let (base, _) = temporary();
    let inside = base.path().join("inside");
    fs::create_dir_all(inside.join("real")).unwrap();
    write(base.path().join("secret"), "secret");
    write(inside.join("secret"), "inner");
    write(inside.join("real/file"), "text");
    symlink("../secret", inside.join("up")).unwrap();
    symlink("/secret", inside.join("absolute")).unwrap();
    symlink("real", inside.join("link")).unwrap();
    symlink(base.path(), inside.join("out")).unwrap();
    let dir = Dir::open(&inside).unwrap();
    for path in ["../secret", "/secret", "up", "absolute", "link/file", "out", "real/../../secret"] {
        assert!(dir.open_file(path.as_bytes()).is_err(), "{path}");
    }
    for path in ["..", "link", "out", "/"] {
        assert!(dir.open_dir(path.as_bytes()).is_err(), "{path}");
    }
    assert_eq!(read(dir.open_file(b"real/file").unwrap()), "text");
    // As if the directory were the root, all of it stays inside.
    for path in ["up", "absolute", "../../secret", "link/../secret"] {
        assert_eq!(read(dir.open_file_in_root(path.as_bytes()).unwrap()), "inner", "{path}");
    }
    assert!(dir.open_dir_in_root(b"link").unwrap().find(b"file").unwrap().is_some());
}

#[test]
fn names_are_one_component() {
    let (_base, dir) = temporary();
    for name in [&b""[..], b"..", b"a/b", b"/"] {
        let results: [Result<(), Error>; 8] = [
            dir.metadata(name).map(drop),
            dir.create_file(name, 0o600).map(drop),
            dir.make_dir(name, 0o700),
            dir.symlink(b"x", name),
            dir.set_mode(name, 0o700),
            dir.set_owner(name, 0, 0),
            dir.set_xattr(name, b"user.x", b""),
            dir.remove_tree(name),
        ];
        assert!(results.iter().all(Result::is_err), "{name:?}");
    }
}

#[test]
fn only_regular_files_are_opened() {
    let (_base, dir) = temporary();
    dir.make_node(b"pipe", FileKind::Fifo, 0o600, (0, 0)).unwrap();
    dir.make_dir(b"dir", 0o700).unwrap();
    assert!(dir.open_file(b"pipe").unwrap_err().to_string().contains("pipe"));
    assert!(dir.open_file(b"dir").is_err());
    let error = dir.open_file(b"nothing").unwrap_err();
    assert!(error.is_not_found() && error.path().ends_with("nothing"), "{error}");
}

#[test]
fn attributes_round_trip_without_following_links() {
    let (base, dir) = temporary();
    write(base.path().join("target"), "untouched");
    symlink("target", base.path().join("link")).unwrap();
    let before = dir.metadata(b"target").unwrap();
    let time = Timestamp { seconds: 1_234_567_890, nanoseconds: 987_654_321 };
    dir.set_mtime(b"link", time).unwrap();
    assert!(dir.set_mode(b"link", 0o600).is_err());
    assert!(dir.set_xattr(b"link", b"user.x", b"").is_err());
    assert_eq!(dir.metadata(b"target").unwrap(), before);
    let link = dir.metadata(b"link").unwrap();
    assert_eq!((link.kind, link.mtime), (FileKind::Symlink, time));
    assert_eq!(dir.read_link(b"link").unwrap(), b"target");

    dir.set_mode(b"target", 0o4750).unwrap();
    dir.set_mtime(b"target", Timestamp { seconds: -1, nanoseconds: 5 }).unwrap();
    let value = vec![b'v'; 1000];
    dir.set_xattr(b"target", b"user.b", &value).unwrap();
    dir.set_xattr(b"target", b"user.a", b"").unwrap();
    let target = dir.metadata(b"target").unwrap();
    assert_eq!((target.mode, target.size, target.nlink), (0o4750, 9, 1));
    assert_eq!(target.mtime, Timestamp { seconds: -1, nanoseconds: 5 });
    let ours = |(name, _): &(Vec<u8>, Vec<u8>)| name.starts_with(b"user.");
    let attributes: Vec<_> = dir.xattrs(b"target").unwrap().into_iter().filter(ours).collect();
    assert_eq!(attributes, [(b"user.a".to_vec(), vec![]), (b"user.b".to_vec(), value)]);
    dir.remove_xattr(b"target", b"user.a").unwrap();
    assert_eq!(dir.xattr(b"target", b"user.a").unwrap(), None);
}

#[test]
fn whiteouts_need_no_rights() {
    let (_base, dir) = temporary();
    dir.make_node(b"gone", FileKind::CharacterDevice, 0, (0, 0)).unwrap();
    assert!(dir.metadata(b"gone").unwrap().is_whiteout());
}

#[test]
fn walks_are_in_order_and_can_skip() {
    let (base, dir) = temporary();
    for path in ["a/x", "a/y/z", "a-b", "b/skipped/deep"] {
        let path = base.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(path, "");
    }
    symlink("a", base.path().join("ab")).unwrap();
    let mut seen = Vec::new();
    walk(&dir, |visited| {
        assert_eq!(visited.dir.metadata(visited.name)?, visited.metadata);
        seen.push(String::from_utf8(visited.path.to_vec()).unwrap());
        Ok::<_, Error>(if visited.name == b"skipped" { Flow::Skip } else { Flow::Descend })
    })
    .unwrap();
    assert_eq!(seen, ["a", "a/x", "a/y", "a/y/z", "a-b", "ab", "b", "b/skipped"]);
}

/// What a walk on threads sees, in the order of its parts.
fn seen_on_threads(dir: &Dir, threads: usize, flow: fn(&Visited<'_>) -> Flow) -> Vec<(Vec<u8>, u64)> {
    let parts = walk_on_threads(dir, threads, &|seen: &mut Vec<(Vec<u8>, u64)>, visited| {
        seen.push((visited.path.to_vec(), visited.metadata.ino));
        Ok::<_, Error>(flow(visited))
    });
    parts.unwrap().into_iter().flat_map(|part| part.made).collect()
}

#[test]
fn a_walk_on_threads_sees_the_same() {
    let (base, dir) = temporary();
    for number in 0..300 {
        let path = base.path().join(format!("{}/{}/{number}", number % 7, number % 5));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(path, "");
    }
    let flow = |visited: &Visited<'_>| if visited.path == b"3" { Flow::Skip } else { Flow::Descend };
    let mut expected = Vec::new();
    walk(&dir, |visited| {
        expected.push((visited.path.to_vec(), visited.metadata.ino));
        Ok::<_, Error>(flow(visited))
    })
    .unwrap();
    expected.sort();
    for threads in [1, 2, 8] {
        let mut seen = seen_on_threads(&dir, threads, flow);
        seen.sort();
        assert_eq!(seen, expected);
    }
    let failed = walk_on_threads(&dir, 3, &|_: &mut (), visited| match visited.path.ends_with(b"/77") {
        true => Err(dir.open_dir(b"absent").unwrap_err()),
        false => Ok(Flow::Descend),
    });
    assert!(failed.is_err());
}

/// One thread would be slow, and the order must not depend on their number.
#[test]
fn a_large_directory_is_walked_in_parts() {
    let (base, dir) = temporary();
    let large = base.path().join("large");
    fs::create_dir(&large).unwrap();
    for number in 0..2000 {
        match number % 100 {
            0 => fs::create_dir(large.join(number.to_string())).unwrap(),
            _ => write(large.join(number.to_string()), ""),
        }
        if number % 200 == 0 {
            write(large.join(number.to_string()).join("in"), "");
        }
    }
    let parts = walk_on_threads(&dir, 2, &|(): &mut (), _| Ok::<_, Error>(Flow::Descend)).unwrap();
    let large = parts.iter().filter(|part| part.directory == b"large").map(|part| part.start);
    assert_eq!(large.collect::<Vec<_>>(), [0, 512, 1024, 1536]);
    let one = seen_on_threads(&dir, 1, |_| Flow::Descend);
    assert_eq!(one.len(), 1 + 2000 + 10);
    for threads in [2, 8] {
        assert_eq!(seen_on_threads(&dir, threads, |_| Flow::Descend), one);
    }
}

/// Deeper than a process may have open files, and than a path may be long.
#[test]
fn depth_has_no_limit() {
    let (base, dir) = temporary();
    let depth = 3000;
    dir.make_dir(b"top", 0o700).unwrap();
    let mut deepest = dir.open_dir(b"top").unwrap();
    for _ in 0..depth {
        deepest.make_dir(b"d", 0o700).unwrap();
        deepest.create_file(b"f", 0o600).unwrap();
        deepest = deepest.open_dir(b"d").unwrap();
    }
    drop(deepest);
    let mut count = 0;
    walk(&dir, |_| {
        count += 1;
        Ok::<_, Error>(Flow::Descend)
    })
    .unwrap();
    assert_eq!(count, 1 + 2 * depth);
    assert_eq!(seen_on_threads(&dir, 2, |_| Flow::Descend).len(), 1 + 2 * depth);
    dir.remove_tree(b"top").unwrap();
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
}

#[test]
fn removal_minds_neither_modes_nor_links() {
    let (base, dir) = temporary();
    fs::create_dir_all(base.path().join("tree/locked/inner")).unwrap();
    write(base.path().join("tree/locked/file"), "");
    write(base.path().join("kept"), "");
    symlink(base.path().join("kept"), base.path().join("tree/link")).unwrap();
    symlink(base.path(), base.path().join("tree/dirlink")).unwrap();
    for locked in ["tree/locked/inner", "tree/locked"] {
        fs::set_permissions(base.path().join(locked), fs::Permissions::from_mode(0o0)).unwrap();
    }
    dir.remove_tree(b"tree").unwrap();
    dir.remove_tree(b"tree").unwrap();
    assert_eq!(dir.entries().unwrap().len(), 1);
    dir.remove_contents().unwrap();
    assert_eq!(dir.entries().unwrap(), []);
}

#[test]
fn content_is_copied_whole() {
    let (base, dir) = temporary();
    for size in [0usize, 1, 300_000, 1 << 20] {
        let bytes: Vec<u8> = (0..size).map(|number| (number % 251) as u8).collect();
        let name = format!("copy{size}");
        fs::write(base.path().join("source"), &bytes).unwrap();
        let target = dir.create_file(name.as_bytes(), 0o600).unwrap();
        assert_eq!(
            copy_data(&dir.open_file(b"source").unwrap(), target.file(), size as u64).unwrap(),
            size as u64
        );
        assert!(fs::read(base.path().join(&name)).unwrap() == bytes);
        // A source that is shorter than thought shows.
        let target = dir.create_file(format!("short{size}").as_bytes(), 0o600).unwrap();
        let copied = copy_data(&dir.open_file(b"source").unwrap(), target.file(), size as u64 + 9).unwrap();
        assert_eq!(copied, size as u64);
    }
    // The kernel cannot copy from here itself: it says that the file is empty.
    let source = fs::File::open("/proc/self/status").unwrap();
    let target = dir.create_file(b"status", 0o600).unwrap();
    assert_eq!(copy_data(&source, target.file(), 20).unwrap(), 20);
}

#[test]
fn new_files_are_new() {
    let (base, dir) = temporary();
    symlink(base.path().join("elsewhere"), base.path().join("link")).unwrap();
    assert!(dir.create_file(b"link", 0o600).is_err());
    let mut file = dir.create_file(b"file", 0o600).unwrap();
    file.write_all(b"text").unwrap();
    file.set_mode(0o6755).unwrap();
    file.set_mtime(Timestamp { seconds: 7, nanoseconds: 0 }).unwrap();
    file.set_xattr(b"user.x", b"y").unwrap();
    assert!(dir.create_file(b"file", 0o600).is_err());
    let metadata = dir.metadata(b"file").unwrap();
    assert_eq!((metadata.mode, metadata.mtime.seconds, metadata.size), (0o6755, 7, 4));
    dir.make_dir(b"d", 0o700).unwrap();
    let inner = dir.open_dir(b"d").unwrap();
    inner.hard_link(&dir, b"file", b"again").unwrap();
    assert_eq!(dir.metadata(b"file").unwrap().nlink, 2);
    dir.rename(b"file", &inner, b"moved").unwrap();
    assert_eq!(dir.find(b"file").unwrap(), None);
    assert_eq!(inner.metadata(b"moved").unwrap().ino, metadata.ino);
}
