//! An image to export: one layer as pulled, one that was made here.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use flate2::write::GzEncoder;
use jettison_build::export::{
    Annotations, CompressionOptions, Context, ExportError, ImageSource, Prepared, SourceLayer, prepare,
};
use jettison_image::{Config, Descriptor, Digest, Platform, Reference, media_type};
use jettison_registry::Cancel;
use jettison_store::Store;
use jettison_testkit::Layer;

pub struct Fixture {
    pub folder: tempfile::TempDir,
    pub store: Store,
    pub cancel: Cancel,
    /// How often the layer that was made here was written.
    pub written: AtomicUsize,
    base: Vec<u8>,
    base_blob: Descriptor,
    made: Vec<u8>,
}

pub fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store"), "tester", SystemTime::UNIX_EPOCH).unwrap();
    let base =
        Layer::new().dir("etc", 0o755).file("etc/name", 0o644, "base").file("etc/gone", 0o644, "x").to_tar();
    let made = Layer::new()
        .dir("app", 0o755)
        .file("app/run", 0o755, vec![b'x'; 3_000_000])
        .symlink("app/link", "run")
        .whiteout("etc/gone");
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&base).unwrap();
    let gzip = gzip.finish().unwrap();
    store.blobs().write(&gzip).unwrap();
    Fixture {
        folder,
        store,
        cancel: Cancel::new(),
        written: AtomicUsize::new(0),
        base,
        // As docker's registries have it: our manifests must say it in OCI's words.
        base_blob: Descriptor::of(media_type::DOCKER_LAYER_GZIP, &gzip),
        made: made.to_tar(),
    }
}

impl Fixture {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn context(&self) -> Context<'_> {
        Context { store: &self.store, cancel: &self.cancel, threads: 2, progress: &|_, _, _| {} }
    }

    pub fn config(&self) -> Vec<u8> {
        let mut config = Config::scratch(&Platform::host());
        config.config.cmd = Some(vec!["/app/run".to_owned()]);
        config.created = Some("1980-01-02T00:00:00Z".to_owned());
        config.rootfs.diff_ids = vec![Digest::of(&self.base), Digest::of(&self.made)];
        config.to_bytes()
    }

    pub fn source(&self, names: &[&str]) -> ImageSource<'_> {
        let base = SourceLayer {
            diff_id: Digest::of(&self.base),
            blob: Some(self.base_blob.clone()),
            fetch: None,
            tar: None,
            origin: None,
        };
        let write = |out: &mut dyn Write| -> io::Result<()> {
            self.written.fetch_add(1, Ordering::SeqCst);
            out.write_all(&self.made)
        };
        let made = SourceLayer {
            diff_id: Digest::of(&self.made),
            blob: None,
            fetch: None,
            tar: Some(Box::new(write)),
            origin: None,
        };
        ImageSource {
            config: self.config(),
            layers: vec![base, made],
            names: names.iter().map(|name| Reference::parse(name).unwrap()).collect(),
            manifest: None,
            annotations: Annotations::default(),
        }
    }

    pub fn prepared(&self, names: &[&str], options: &CompressionOptions) -> Prepared<'_> {
        prepare(self.source(names), options, self.context()).unwrap()
    }

    pub fn gzip(&self, names: &[&str]) -> Prepared<'_> {
        self.prepared(names, &CompressionOptions::GZIP)
    }

    pub fn try_prepare(&self, source: ImageSource<'_>) -> Result<(), ExportError> {
        prepare(source, &CompressionOptions::GZIP, self.context()).map(drop)
    }

    /// Returns the tar of the layer that was made here.
    pub fn made(&self) -> &[u8] {
        &self.made
    }
}

/// Returns the names in a directory, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
