//! Layouts and docker archives.

use std::fs;
use std::io::Write;

use jettison_build::export::{
    CompressionOptions, ExportError, Place, write_docker_archive, write_oci_archive, write_oci_layout,
};
use jettison_image::{Digest, Platform, media_type};
use jettison_store::Archive;
use jettison_testkit::{Image, tools};

use crate::fixture::{fixture, names};

fn check_tree(image: &Image) {
    let tree = image.tree();
    assert_eq!(tree.text("etc/name"), "base");
    assert_eq!(tree.get("app/run").content.len(), 3_000_000);
    assert!(!tree.has("etc/gone"));
}

#[test]
fn an_oci_archive_is_what_skopeo_reads() {
    let fixture = fixture();
    let path = fixture.path("app.tar");
    let image = fixture.gzip(&["app:1"]);
    write_oci_archive(&[image], Place::File(&path), fixture.context()).unwrap();
    let read = Image::from_oci_archive(&path);
    check_tree(&read);
    assert!(read.manifest.layers.iter().all(|layer| layer.media_type == media_type::OCI_LAYER_GZIP));
    let inspected = tools::run("skopeo", ["inspect", &format!("oci-archive:{}:1", path.display())]);
    assert!(inspected.contains(&read.digest.to_string()), "{inspected}");
    let copy = format!("docker-archive:{}:copy:1", fixture.path("copy.tar").display());
    tools::run("skopeo", ["copy", "--quiet", &format!("oci-archive:{}:1", path.display()), &copy]);
    assert_eq!(names(fixture.folder.path()), ["app.tar", "copy.tar", "store"], "nothing temporary is left");
}

#[test]
fn the_same_image_gives_the_same_bytes() {
    let [a, b] = [fixture(), fixture()].map(|fixture| {
        let (oci, docker) = (fixture.path("oci.tar"), fixture.path("docker.tar"));
        write_oci_archive(&[fixture.gzip(&["app", "b:2"])], Place::File(&oci), fixture.context()).unwrap();
        let image = fixture.prepared(&["app", "b:2"], &CompressionOptions::UNCOMPRESSED);
        write_docker_archive(&[image], Place::File(&docker), fixture.context()).unwrap();
        [fs::read(oci).unwrap(), fs::read(docker).unwrap()].map(|bytes| Digest::of(&bytes))
    });
    assert_eq!(a, b);
}

#[test]
fn a_layout_is_unpacked_by_umoci() {
    let fixture = fixture();
    let layout = fixture.path("layout");
    write_oci_layout(&[fixture.gzip(&["app:1"])], &layout, fixture.context()).unwrap();
    check_tree(&Image::from_layout(&layout, "1"));
    let bundle = fixture.path("bundle");
    let image = format!("{}:1", layout.display());
    tools::run("umoci", ["unpack", "--rootless", "--image", &image, bundle.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(bundle.join("rootfs/etc/name")).unwrap(), "base");
    assert!(!bundle.join("rootfs/etc/gone").exists());
}

#[test]
fn a_layout_keeps_its_other_images() {
    let fixture = fixture();
    let layout = fixture.path("layout");
    let write = |names: &[&str], options: CompressionOptions| {
        write_oci_layout(&[fixture.prepared(names, &options)], &layout, fixture.context()).unwrap();
        let archive = Archive::open(&fixture.store, &layout).unwrap();
        let images = archive.images(&Platform::host()).unwrap();
        images.iter().flat_map(|image| image.names.iter().map(|name| name.familiar())).collect::<Vec<_>>()
    };
    let zstd = CompressionOptions::GZIP.with(Some("zstd"), None, None).unwrap();
    assert_eq!(write(&["app:1", "app:2"], CompressionOptions::GZIP), ["app:1", "app:2"]);
    assert_eq!(write(&["app:3"], zstd), ["app:1", "app:2", "app:3"]);
    assert_eq!(write(&["app:1"], zstd), ["app:2", "app:3", "app:1"], "a name moves to the new image");
    assert_eq!(names(&layout), ["blobs", "index.json", "oci-layout"]);
}

#[test]
fn what_is_there_already_is_not_destroyed() {
    let fixture = fixture();
    let layout = fixture.path("layout");
    fs::create_dir(&layout).unwrap();
    fs::write(layout.join("index.json"), "{").unwrap();
    let error = write_oci_layout(&[fixture.gzip(&[])], &layout, fixture.context()).unwrap_err();
    assert!(matches!(error, ExportError::InTheWay { .. }), "{error}");
    let error = write_oci_archive(&[fixture.gzip(&[])], Place::File(&layout), fixture.context()).unwrap_err();
    assert!(matches!(error, ExportError::InTheWay { .. }), "{error}");
}

#[test]
fn a_docker_archive_is_read_in_both_its_forms() {
    let fixture = fixture();
    for (name, options) in [("plain", CompressionOptions::UNCOMPRESSED), ("gzip", CompressionOptions::GZIP)] {
        let path = fixture.path(name);
        let image = fixture.prepared(&["app:1", "registry.example/app:2"], &options);
        write_docker_archive(&[image], Place::File(&path), fixture.context()).unwrap();
        check_tree(&Image::from_docker_archive(&path));
        let as_layout = format!("oci-archive:{}:2", path.display());
        tools::run(
            "skopeo",
            ["copy", "--quiet", &as_layout, &format!("oci:{}:{name}", fixture.path("other").display())],
        );
        check_tree(&Image::from_layout(&fixture.path("other"), name));
        for reference in ["docker.io/library/app:1", "registry.example/app:2"] {
            let source = format!("docker-archive:{}:{reference}", path.display());
            let target = format!("oci:{}:{name}", fixture.path("copied").display());
            tools::run("skopeo", ["copy", "--quiet", &source, &target]);
        }
        check_tree(&Image::from_layout(&fixture.path("copied"), name));
    }
}

#[test]
fn several_images_share_their_layers() {
    let fixture = fixture();
    let path = fixture.path("both.tar");
    let images = [fixture.gzip(&["app:1"]), fixture.gzip(&["app:2"])];
    write_docker_archive(&images, Place::File(&path), fixture.context()).unwrap();
    let listing = tools::run("tar", ["-tf", path.to_str().unwrap()]);
    let mut lines: Vec<&str> = listing.lines().collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), count, "no member is there twice:\n{listing}");
    let archive = Archive::open(&fixture.store, &path).unwrap();
    let loaded = archive.load(&fixture.store, &Platform::host()).unwrap();
    let names: Vec<String> =
        loaded.iter().flat_map(|loaded| loaded.names.iter().map(|name| name.familiar())).collect();
    assert_eq!(names, ["app:1", "app:2"]);
}

#[test]
fn a_stream_gets_the_same_bytes_as_a_file() {
    let fixture = fixture();
    let path = fixture.path("app.tar");
    write_oci_archive(&[fixture.gzip(&["app"])], Place::File(&path), fixture.context()).unwrap();
    let mut stream = Vec::new();
    write_oci_archive(&[fixture.gzip(&["app"])], Place::Stream(&mut stream), fixture.context()).unwrap();
    assert!(stream == fs::read(&path).unwrap());
    let pipe = fixture.path("pipe");
    tools::run("mkfifo", [&pipe]);
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    write_oci_archive(&[fixture.gzip(&["app"])], Place::File(&pipe), fixture.context()).unwrap();
    assert!(stream == reader.join().unwrap());
    assert!(!pipe.metadata().unwrap().is_file(), "the pipe is still a pipe");
}

#[test]
fn nothing_half_written_has_a_name() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let fixture = fixture();
    let image = fixture.gzip(&["app"]);
    let error = write_oci_archive(&[image], Place::Stream(&mut Full), fixture.context()).unwrap_err();
    assert!(matches!(error, ExportError::Stream(_)), "{error}");
    // A layer that is damaged in the store is noticed in the middle of the archive.
    let image = fixture.gzip(&["app"]);
    let blob = fixture.store.blobs().path(&image.layers[1].digest());
    fs::write(&blob, "short").unwrap();
    let path = fixture.path("app.tar");
    let error = write_oci_archive(&[image], Place::File(&path), fixture.context()).unwrap_err();
    assert!(matches!(error, ExportError::Blob { .. }), "{error}");
    assert_eq!(names(fixture.folder.path()), ["store"]);
}
