//! Both ways of mounting, tried for real where the tests run as root; elsewhere the black-box tests cover the first.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::mount::MountPropagationFlags;
use rustix::thread::UnshareFlags;

use super::{Layers, OPTIONS};

/// A mount namespace is a property of a thread, so one thread can have its own and take its mounts with it.
fn in_private_mounts(work: impl FnOnce() + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: nothing to mount with");
        return;
    }
    let thread = thread::spawn(|| {
        crate::sys::unshare(UnshareFlags::NEWNS).expect("a mount namespace");
        let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", flags).expect("private mounts");
        work();
    });
    thread.join().expect("the checks inside the thread");
}

fn tree(directory: &Path, count: usize) -> Vec<PathBuf> {
    for name in ["upper", "work", "merged"] {
        fs::create_dir(directory.join(name)).unwrap();
    }
    let layer = |number: usize| {
        // A colon and a comma would end a path in the options of mount(2).
        let path =
            directory.join(format!("a layer: with, a rather long name so that a page is soon full {number}"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join(number.to_string()), "").unwrap();
        fs::write(path.join("top"), number.to_string()).unwrap();
        path
    };
    (0..count).map(layer).collect()
}

fn layers(directory: &Path, lower: &[PathBuf]) -> Layers {
    let (upper, work) = (directory.join("upper"), directory.join("work"));
    Layers::open(lower.iter().map(PathBuf::as_path), Some((&upper, &work))).unwrap()
}

fn check(merged: &Path, count: usize) {
    for number in 0..count {
        assert!(merged.join(number.to_string()).exists(), "layer {number} is in the tree");
    }
    assert_eq!(fs::read_to_string(merged.join("top")).unwrap(), (count - 1).to_string());
    fs::write(merged.join("top"), "changed").unwrap();
}

#[test]
fn new_mount_api_takes_300_layers() {
    in_private_mounts(|| {
        let directory = tempfile::tempdir().unwrap();
        let lower = tree(directory.path(), 300);
        let merged = directory.path().join("merged");
        let layers = layers(directory.path(), &lower);
        layers
            .mount_by_layer(&merged, OPTIONS[0])
            .or_else(|_| layers.mount_by_layer(&merged, OPTIONS[1]))
            .unwrap();
        check(&merged, 300);
        rustix::mount::unmount(&merged, rustix::mount::UnmountFlags::DETACH).unwrap();
        assert_eq!(fs::read_to_string(directory.path().join("upper/top")).unwrap(), "changed");
    });
}

#[test]
fn mount_2_takes_127_layers() {
    in_private_mounts(|| {
        let directory = tempfile::tempdir().unwrap();
        let lower = tree(directory.path(), 127);
        let merged = directory.path().join("merged");
        let layers = layers(directory.path(), &lower);
        layers
            .mount_by_line(&merged, OPTIONS[0])
            .or_else(|_| layers.mount_by_line(&merged, OPTIONS[1]))
            .unwrap();
        check(&merged, 127);
        rustix::mount::unmount(&merged, rustix::mount::UnmountFlags::DETACH).unwrap();
        assert_eq!(fs::read_to_string(directory.path().join("upper/top")).unwrap(), "changed");
    });
}
