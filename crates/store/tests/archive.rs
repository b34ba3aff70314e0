//! Images in files: what skopeo and tar make is read, what is wrong is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use common::open;
use flate2::Compression;
use flate2::write::GzEncoder;
use jettison_image::{Config, Digest, Platform, RunConfig, media_type};
use jettison_store::{Archive, ArchiveError, ImageRecord, Store};
use jettison_testkit::{Layer, Layout, tools};

struct Fixture {
    folder: tempfile::TempDir,
    layout: Layout,
    store: Store,
    /// The manifest of `app`.
    app: Digest,
}

fn layers() -> [Layer; 2] {
    [
        Layer::new().dir("bin", 0o755).file("bin/app", 0o755, "first"),
        Layer::new().file("bin/app", 0o755, "second"),
    ]
}

/// A layout with the images `app` and `other`, and an empty store.
fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Layout::new();
    let config = RunConfig { cmd: Some(vec!["/bin/app".into()]), ..RunConfig::default() };
    let app = layout.add("app", &config, &layers());
    layout.add("other", &RunConfig::default(), &layers()[..1]);
    let store = open(&folder.path().join("store"));
    Fixture { folder, layout, store, app }
}

impl Fixture {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Packs the layout with the system's tar.
    fn tar(&self, name: &str, options: &[&str]) -> PathBuf {
        let path = self.path(name);
        let layout = self.layout.path().to_str().unwrap();
        let arguments = [&["-cf", path.to_str().unwrap(), "-C", layout], options, &["."]].concat();
        tools::run("tar", arguments);
        path
    }

    fn import(&self, path: &Path, tag: Option<&str>) -> Result<ImageRecord, ArchiveError> {
        let archive = Archive::open(&self.store, path)?;
        let image = archive.select(tag, None, &Platform::host())?;
        archive.import(&self.store, &image)
    }
}

fn assert_is_app(store: &Store, image: &ImageRecord) {
    let config: Config = store.config(image).unwrap();
    assert_eq!(config.config.cmd.as_deref(), Some(&["/bin/app".to_owned()][..]));
    let diff_ids: Vec<Digest> = layers().iter().map(|layer| Digest::of(&layer.to_tar())).collect();
    assert_eq!(image.layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>(), diff_ids);
    for layer in &image.layers {
        let blob = layer.blob.as_ref().unwrap();
        assert_eq!(store.blobs().size(&blob.digest).unwrap(), Some(blob.size));
    }
    store.put_image(image).unwrap();
    assert_eq!(store.image(&image.config).unwrap().as_ref(), Some(image));
}

#[test]
fn a_layout_is_read_as_directory_tar_and_compressed() {
    let fixture = fixture();
    for path in [
        fixture.layout.path().to_owned(),
        fixture.tar("plain.tar", &[]),
        fixture.tar("gnu.tar", &["--format=gnu"]),
        fixture.tar("v7.tar", &["--format=v7"]),
        fixture.tar("layout.tar.gz", &["-z"]),
    ] {
        let image =
            fixture.import(&path, Some("app")).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(image.manifest.as_ref().unwrap().digest, fixture.app);
        assert_eq!(image.layers[0].blob.as_ref().unwrap().media_type, media_type::OCI_LAYER_GZIP);
        assert_is_app(&fixture.store, &image);
    }
}

#[test]
fn images_are_selected_by_tag_and_digest() {
    let fixture = fixture();
    let archive = Archive::open(&fixture.store, fixture.layout.path()).unwrap();
    let select = |tag, digest| archive.select(tag, digest, &Platform::host());
    assert_eq!(select(Some("app"), None).unwrap().digest, Some(fixture.app));
    assert_eq!(select(None, Some(fixture.app)).unwrap().digest, Some(fixture.app));
    assert_eq!(select(Some("app"), Some(fixture.app)).unwrap().digest, Some(fixture.app));
    for (tag, digest) in [(Some("other"), Some(fixture.app)), (Some("absent"), None), (None, None)] {
        let error = select(tag, digest).unwrap_err();
        assert!(
            matches!(&error, ArchiveError::NoImage { there, .. } if there == &["app", "other"]),
            "{error}"
        );
    }
    let foreign = archive.select(Some("app"), None, &"linux/s390x".parse().unwrap()).unwrap_err();
    assert!(foreign.to_string().contains("none for this platform"), "{foreign}");
}

#[test]
fn an_only_image_needs_no_name() {
    let fixture = fixture();
    let mut layout = Layout::new();
    let digest = layout.add("whatever", &RunConfig::default(), &layers()[..1]);
    let image = fixture.import(layout.path(), None).unwrap();
    assert_eq!(image.manifest.unwrap().digest, digest);
}

#[test]
fn the_platform_is_found_in_nested_indexes() {
    let fixture = fixture();
    let mut layout = Layout::new();
    let platform = |text: &str| text.parse::<Platform>().unwrap();
    let images = [
        (platform("linux/amd64"), layers().into_iter().take(1).collect()),
        (platform("linux/arm64"), layers().into()),
    ];
    let index = layout.add_index("multi", &RunConfig::default(), &images);
    let archive = Archive::open(&fixture.store, layout.path()).unwrap();
    for (name, count) in [("linux/amd64", 1), ("linux/arm64", 2)] {
        let image = archive.select(Some("multi"), Some(index), &platform(name)).unwrap();
        let image = archive.import(&fixture.store, &image).unwrap();
        assert_eq!((image.layers.len(), image.platform), (count, platform(name)));
    }
}

#[test]
fn skopeos_docker_archives_are_read() {
    let fixture = fixture();
    let path = fixture.path("docker.tar");
    let target = format!("docker-archive:{}:registry.example/team/app:1", path.display());
    tools::run("skopeo", ["copy", "--quiet", &fixture.layout.skopeo("app"), &target]);
    let archive = Archive::open(&fixture.store, &path).unwrap();
    let loaded = archive.load(&fixture.store, &Platform::host()).unwrap();
    assert_eq!(loaded.len(), 1);
    assert_eq!(loaded[0].names[0].familiar(), "registry.example/team/app:1");
    let image = fixture.store.resolve("registry.example/team/app:1").unwrap().image;
    assert_eq!(image.config, loaded[0].image);
    assert_eq!(image.layers[0].blob.as_ref().unwrap().media_type, media_type::OCI_LAYER);
    assert_is_app(&fixture.store, &image);
}

#[test]
fn a_stream_is_read_to_its_end() {
    let fixture = fixture();
    let path = fixture.tar("layout.tar", &[]);
    let mut stream = File::open(&path).unwrap();
    let archive = Archive::read(&fixture.store, &mut stream, Path::new("standard input")).unwrap();
    let loaded = archive.load(&fixture.store, &Platform::host()).unwrap();
    assert_eq!(loaded.len(), 2);
    assert!(loaded.iter().all(|loaded| loaded.names.is_empty()), "a bare tag is no name");
    assert_eq!(fixture.store.images().unwrap().len(), 2);
}

/// Packs a docker archive of the old form by hand.
struct OldArchive {
    tar: tar::Builder<Vec<u8>>,
}

impl OldArchive {
    fn new() -> OldArchive {
        OldArchive { tar: tar::Builder::new(Vec::new()) }
    }

    fn file(mut self, name: &str, content: &[u8]) -> OldArchive {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        self.tar.append_data(&mut header, name, content).unwrap();
        self
    }

    fn symlink(mut self, name: &str, target: &str) -> OldArchive {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        self.tar.append_link(&mut header, name, target).unwrap();
        self
    }

    fn write(self, path: &Path) {
        fs::write(path, self.tar.into_inner().unwrap()).unwrap();
    }
}

fn config_of(layers: &[&Layer]) -> Vec<u8> {
    let mut config = Config::scratch(&Platform::host());
    config.rootfs.diff_ids = layers.iter().map(|layer| Digest::of(&layer.to_tar())).collect();
    config.to_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn old_docker_archives_share_and_compress_layers() {
    let fixture = fixture();
    let [first, second] = layers();
    let path = fixture.path("old.tar");
    let manifest =
        br#"[{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar","b/layer.tar","c/layer.tar"]}]"#;
    OldArchive::new()
        .file("c.json", &config_of(&[&first, &second, &first]))
        .file("a/layer.tar", &first.to_tar())
        .file("b/layer.tar", &gzip(&second.to_tar()))
        .symlink("c/layer.tar", "../a/layer.tar")
        .file("manifest.json", manifest)
        .write(&path);
    let image = fixture.import(&path, None).unwrap();
    let blobs: Vec<_> = image.layers.iter().map(|layer| layer.blob.clone().unwrap()).collect();
    assert_eq!(blobs[0], blobs[2]);
    assert_eq!(blobs[0].digest, Digest::of(&first.to_tar()));
    assert_eq!(blobs[1].media_type, media_type::OCI_LAYER_GZIP);
    assert_eq!(blobs[1].digest, Digest::of(&gzip(&second.to_tar())));
}

#[test]
fn lies_are_found_out() {
    let fixture = fixture();
    let [first, second] = layers();
    let archive = |manifest: &str, layer: &[u8]| {
        let path = fixture.path("bad.tar");
        OldArchive::new()
            .file("c.json", &config_of(&[&first]))
            .file("l.tar", layer)
            .symlink("out", "../../../../etc/passwd")
            .file("manifest.json", manifest.as_bytes())
            .write(&path);
        fixture.import(&path, None).unwrap_err()
    };
    let of = |layers: &str| format!(r#"[{{"Config":"c.json","RepoTags":[],"Layers":[{layers}]}}]"#);
    let good = of(r#""l.tar""#);
    assert!(matches!(archive(&good, &second.to_tar()), ArchiveError::Digest { .. }));
    assert!(matches!(archive(&good, &gzip(&second.to_tar())), ArchiveError::Digest { .. }));
    assert!(matches!(archive(&good, b"\x1f\x8b\x08nonsense"), ArchiveError::Io { .. }));
    let tar = first.to_tar();
    for (layers, name) in [(r#""absent""#, "absent"), (r#""../l.tar""#, "../l.tar"), (r#""out""#, "out")] {
        let error = archive(&of(layers), &tar);
        assert!(matches!(&error, ArchiveError::Missing { name: missing, .. } if missing == name), "{error}");
    }
    assert!(matches!(archive(&of(""), &tar), ArchiveError::Invalid { .. }), "too few layers");
    assert!(matches!(archive("[", &tar), ArchiveError::Invalid { .. }));
    let bad_name = good.replace("[]", r#"["Bad Name"]"#);
    assert!(matches!(archive(&bad_name, &tar), ArchiveError::Invalid { .. }));
}

#[test]
fn a_changed_blob_of_a_layout_is_refused() {
    let fixture = fixture();
    let folder = fixture.layout.path().join("blobs/sha256");
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let original = fs::read(&path).unwrap();
        let mut changed = original.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(&path, changed).unwrap();
        let fresh = open(&fixture.path(&format!("store-{}", path.file_name().unwrap().to_str().unwrap())));
        let import = |tag| {
            let archive = Archive::open(&fresh, fixture.layout.path())?;
            let image = archive.select(Some(tag), None, &Platform::host())?;
            archive.import(&fresh, &image)
        };
        assert!(import("app").is_err() || import("other").is_err(), "{}", path.display());
        fs::write(&path, original).unwrap();
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    let fixture = fixture();
    let open = |path: &Path| Archive::open(&fixture.store, path).unwrap_err();
    let empty = fixture.path("empty");
    fs::create_dir(&empty).unwrap();
    assert!(matches!(open(&empty), ArchiveError::Unknown { .. }));
    assert!(matches!(open(&fixture.path("absent")), ArchiveError::Io { .. }));
    let text = fixture.path("text");
    fs::write(&text, "FROM scratch\n").unwrap();
    assert!(matches!(open(&text), ArchiveError::Io { .. } | ArchiveError::Unknown { .. }));
    let other = fixture.path("other.tar");
    OldArchive::new().file("README", b"hello").write(&other);
    assert!(matches!(open(&other), ArchiveError::Unknown { .. }));
}
