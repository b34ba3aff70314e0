//! What the tests of the store share.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jettison_image::{Config, Descriptor, Digest, Platform, Reference, media_type};
use jettison_layer::{Entry, Index, Kind};
use jettison_store::{ImageLayer, ImageRecord, Layer, LayerFacts, Store, TagEntry};

pub const OWNER: &str = "uid 0; 0 0 4294967295";

/// The time by which stores are opened: a fixed day, so that ages can be told.
pub fn day(number: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + number * 86_400)
}

pub fn open(root: &Path) -> Store {
    open_on(root, 0)
}

pub fn open_on(root: &Path, number: u64) -> Store {
    Store::open(root, OWNER, day(number)).unwrap()
}

pub fn index_of(path: &str, size: u64) -> Index {
    let entry = |path: &str, kind| Entry { mode: 0o644, fresh: true, ..Entry::new(path, kind) };
    Index {
        entries: vec![
            entry("", Kind::Directory { opaque: false }),
            entry(path, Kind::File { size, digest: None }),
        ],
    }
}

/// Makes a layer of one file.
pub fn layer(store: &Store, name: &str) -> Layer {
    layer_that_took(store, name, 0.5)
}

/// Makes a layer of one file that took so many seconds to make.
pub fn layer_that_took(store: &Store, name: &str, seconds: f64) -> Layer {
    let draft = store.draft_layer().unwrap();
    std::fs::write(draft.fs().join(name), name).unwrap();
    let facts = LayerFacts { created_by: format!("RUN touch {name}"), seconds, ..LayerFacts::default() };
    draft.commit(facts, &index_of(name, name.len() as u64)).unwrap()
}

pub fn amd64() -> Platform {
    "linux/amd64".parse().unwrap()
}

pub fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

/// Makes an image without a name; `author` tells images apart.
pub fn image(store: &Store, author: &str, layers: &[&Layer]) -> ImageRecord {
    let layers: Vec<ImageLayer> = layers
        .iter()
        .map(|layer| ImageLayer {
            diff_id: Digest::of(layer.id().as_str().as_bytes()),
            layer: Some(layer.id().clone()),
            blob: None,
        })
        .collect();
    let mut config = Config { author: Some(author.to_owned()), ..Config::scratch(&amd64()) };
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    let image = ImageRecord {
        config: store.blobs().write(&config.to_bytes()).unwrap(),
        layers,
        manifest: None,
        platform: amd64(),
        stored: 1_700_000_000,
        build: None,
    };
    store.put_image(&image).unwrap();
    image
}

/// Adds a pulled layer blob to the store.
pub fn pulled(store: &Store, bytes: &[u8]) -> Descriptor {
    let mut writer = store.blobs().writer().unwrap();
    writer.write_all(bytes).unwrap();
    let (digest, size) = writer.commit(None).unwrap();
    Descriptor::new(media_type::OCI_LAYER_GZIP, digest, size)
}

pub fn entry_of(image: &ImageRecord) -> TagEntry {
    TagEntry {
        image: image.config,
        platform: image.platform.clone(),
        manifest: None,
        repo_digest: None,
        index: None,
    }
}

/// Returns the names in a folder of the store, which may not be there.
pub fn names(root: &Path, folder: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root.join("v1").join(folder)) else {
        return vec![];
    };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
