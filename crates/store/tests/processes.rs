//! Several processes, some of which die.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells its parent that it is ready"
)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{OWNER, day, entry_of, image, layer, names, open, reference};
use jettison_image::Digest;
use jettison_store::{Download, Error, Object, Store};

const ROLE: &str = "STORE_TEST_ROLE";
const ROOT: &str = "STORE_TEST_ROOT";

/// The other process: this same test, told by the environment what to do.
#[test]
fn other_process() {
    let (Ok(role), Ok(root)) = (std::env::var(ROLE), std::env::var(ROOT)) else {
        return;
    };
    let store = open(Path::new(&root));
    match role.as_str() {
        "hold" => hold_everything(&store),
        "write" => write_for_ever(&store),
        other => panic!("no role {other}"),
    }
}

fn hold_everything(store: &Store) {
    let _layer = layer(store, "held");
    let draft = store.draft_layer().unwrap();
    fs::write(draft.fs().join("half"), "done").unwrap();
    let mut writer = store.blobs().writer().unwrap();
    writer.write_all(b"half").unwrap();
    let Download::Needed(mut partial) = store.blobs().partial(&Digest::of(b"a long download")).unwrap()
    else {
        panic!("nobody downloads it");
    };
    partial.write_all(b"a long ").unwrap();
    println!("\nready");
    std::thread::sleep(std::time::Duration::from_secs(600));
}

fn write_for_ever(store: &Store) {
    println!("\nready");
    for number in 0_u64.. {
        let layer = layer(store, &format!("layer-{number}"));
        let key = Digest::of(&number.to_le_bytes());
        store.records("step").put(&key, &number, &[Object::Layer(layer.id().clone())]).unwrap();
        let image = image(store, &number.to_string(), &[&layer]);
        store.tag(&reference("app"), &entry_of(&image)).unwrap();
    }
}

fn start(role: &str, root: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "other_process", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(ROOT, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap() == "ready"), "the other process failed");
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_dead_hold_nothing() {
    let root = tempfile::tempdir().unwrap();
    let child = start("hold", root.path());
    assert!(open(root.path()).collect().unwrap().layers.is_empty(), "it lives");
    assert_eq!(names(root.path(), "sessions").len(), 1);
    kill(child);
    let store = open(root.path());
    assert!(names(root.path(), "sessions").is_empty(), "drafts and temporary files are gone");
    assert_eq!(store.collect().unwrap().layers.len(), 1);
    let Download::Needed(partial) = store.blobs().partial(&Digest::of(b"a long download")).unwrap() else {
        panic!("it was not finished");
    };
    assert_eq!(partial.offset(), 7, "what was downloaded is not lost");
}

#[test]
fn a_killed_writer_leaves_whole_things() {
    let root = tempfile::tempdir().unwrap();
    for round in 0_u64..12 {
        let child = start("write", root.path());
        std::thread::sleep(std::time::Duration::from_millis(10 + round * 7 % 40));
        kill(child);
        let store = open(root.path());
        for record in store.images().unwrap() {
            let image = store.image(&record.config).unwrap().expect("a stored image is whole");
            store.config(&image).unwrap();
            for image_layer in &image.layers {
                let layer = store.layer(image_layer.layer.as_ref().unwrap()).unwrap().unwrap();
                assert_eq!(layer.index().unwrap().entries.len(), 2);
            }
        }
        let tags = store.tags().unwrap();
        assert!(tags.len() <= 1);
        assert!(tags.iter().all(|tag| store.image(&tag.entry.image).unwrap().is_some()));
        assert!(store.prune(&Default::default()).is_ok());
    }
    assert!(open(root.path()).resolve("app").is_ok(), "one of the rounds tagged something");
}

#[test]
fn prunes_run_beside_writers() {
    let root = tempfile::tempdir().unwrap();
    let writers: Vec<Child> = (0..3).map(|_| start("write", root.path())).collect();
    for _ in 0..20 {
        open(root.path()).prune(&Default::default()).unwrap();
        open(root.path()).usage().unwrap();
        open(root.path()).blobs().write(b"of a short session").unwrap();
    }
    for mut writer in writers {
        assert!(writer.try_wait().unwrap().is_none(), "a writer failed");
        kill(writer);
    }
}

#[test]
fn another_owner_is_refused() {
    let root = tempfile::tempdir().unwrap();
    open(root.path());
    let refused = Store::open(root.path(), "uid 1000", day(0)).unwrap_err();
    assert!(matches!(&refused, Error::Owner { found, .. } if found == OWNER), "{refused}");
    assert!(refused.to_string().contains("JETTISON_ROOT"));
}

#[test]
fn a_newer_version_is_refused() {
    let root = tempfile::tempdir().unwrap();
    open(root.path());
    fs::create_dir(root.path().join("v10")).unwrap();
    let refused = Store::open(root.path(), OWNER, day(0)).unwrap_err();
    assert!(matches!(&refused, Error::Newer { path } if path.ends_with("v10")), "{refused}");
}

#[test]
fn what_a_power_cut_may_have_torn_is_forgotten() {
    let root = tempfile::tempdir().unwrap();
    let (safe, torn) = {
        let store = open(root.path());
        let safe = store.blobs().write(b"synced").unwrap();
        store.sync().unwrap();
        let layer = layer(&store, "torn");
        store.records("step").put(&Digest::of(b"torn"), &1, &[Object::Layer(layer.id().clone())]).unwrap();
        image(&store, "torn", &[&layer]);
        (safe, layer.id().clone())
    };
    assert!(open(root.path()).layer(&torn).unwrap().is_some(), "the same boot sees its own writes");
    // The machine comes back with another boot ID.
    let unsynced = root.path().join("v1/unsynced");
    let boot = names(root.path(), "unsynced").remove(0);
    fs::rename(unsynced.join(&boot), unsynced.join("an-older-boot")).unwrap();
    let store = open(root.path());
    assert!(store.blobs().has(&safe).unwrap());
    assert!(store.layer(&torn).unwrap().is_none());
    assert_eq!(store.records("step").get::<u32>(&Digest::of(b"torn")).unwrap(), None);
    assert!(store.images().unwrap().is_empty());
    assert!(names(root.path(), "unsynced").is_empty());
    assert_eq!(names(root.path(), "blobs/sha256"), [safe.hex()]);
}

#[test]
fn a_tag_is_synced() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let image = image(&store, "a", &[&layer(&store, "one")]);
    let boot = format!("unsynced/{}", names(root.path(), "unsynced").remove(0));
    assert!(names(root.path(), &boot).len() > 1);
    store.tag(&reference("app"), &entry_of(&image)).unwrap();
    assert_eq!(names(root.path(), &boot), ["note"], "the file that notes are links to");
}
