//! The final tree as a tar and as files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use jettison_build::export::{ExportError, Place, write_local, write_tar};
use jettison_testkit::{Layer, tools};

use crate::fixture::{fixture, names};

fn tree() -> Vec<u8> {
    Layer::new()
        .owner(33, 33)
        .dir("bin", 0o755)
        .file("bin/app", 0o755, "program")
        .hard_link("bin/same", "bin/app")
        .symlink("bin/link", "app")
        .dir("etc", 0o700)
        .file("etc/conf", 0o4640, "new")
        .to_tar()
}

#[test]
fn a_tar_is_the_tree() {
    let fixture = fixture();
    let path = fixture.path("tree.tar");
    write_tar(&|out: &mut dyn Write| out.write_all(&tree()), Place::File(&path), fixture.context()).unwrap();
    assert_eq!(tools::run("tar", ["-xOf", path.to_str().unwrap(), "bin/app"]), "program");
}

#[test]
fn files_are_the_users() {
    let fixture = fixture();
    let target = fixture.path("deep/out");
    write_local(&|out: &mut dyn Write| out.write_all(&tree()), &target, fixture.context()).unwrap();
    assert_eq!(names(&target), ["bin", "etc"]);
    let app = fs::metadata(target.join("bin/app")).unwrap();
    let me = fs::metadata(fixture.folder.path()).unwrap();
    assert_eq!((app.uid(), app.gid()), (me.uid(), me.gid()));
    let conf = fs::metadata(target.join("etc/conf")).unwrap();
    assert_eq!(conf.permissions().mode() & 0o7777, 0o4640);
    assert_eq!(app.ino(), fs::metadata(target.join("bin/same")).unwrap().ino());
    assert_eq!(fs::read_link(target.join("bin/link")).unwrap().to_str(), Some("app"));
    assert_eq!(names(&fixture.path("deep")), ["out"], "nothing temporary is left");
}

#[test]
fn a_directory_keeps_what_is_not_in_the_way() {
    let fixture = fixture();
    let target = fixture.path("out");
    fs::create_dir_all(target.join("etc")).unwrap();
    fs::write(target.join("etc/conf"), "old").unwrap();
    fs::write(target.join("etc/mine"), "mine").unwrap();
    let outside = fixture.path("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, target.join("bin")).unwrap();
    write_local(&|out: &mut dyn Write| out.write_all(&tree()), &target, fixture.context()).unwrap();
    assert_eq!(fs::read_to_string(target.join("etc/conf")).unwrap(), "new");
    assert_eq!(fs::read_to_string(target.join("etc/mine")).unwrap(), "mine");
    assert!(fs::symlink_metadata(target.join("bin")).unwrap().is_dir(), "a link is replaced, not followed");
    assert!(names(&outside).is_empty());
}

#[test]
fn a_directory_in_place_of_a_file_is_not_removed() {
    let fixture = fixture();
    let target = fixture.path("out");
    fs::create_dir_all(target.join("etc/conf")).unwrap();
    let error =
        write_local(&|out: &mut dyn Write| out.write_all(&tree()), &target, fixture.context()).unwrap_err();
    assert!(matches!(&error, ExportError::InTheWay { path, .. } if path.ends_with("etc/conf")), "{error}");
}

#[test]
fn a_tree_that_breaks_off_leaves_nothing() {
    let fixture = fixture();
    let target = fixture.path("out");
    let broken = |out: &mut dyn Write| {
        out.write_all(&tree()[..1500])?;
        Err(std::io::Error::other("it broke off"))
    };
    let error = write_local(&broken, &target, fixture.context()).unwrap_err();
    assert!(error.to_string().contains("it broke off"), "{error}");
    let nonsense = |out: &mut dyn Write| out.write_all(&[b'x'; 2048]);
    assert!(matches!(write_local(&nonsense, &target, fixture.context()), Err(ExportError::Layer(_))));
    assert_eq!(names(fixture.folder.path()), ["store"]);
}
