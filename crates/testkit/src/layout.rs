//! Writes OCI image layouts: base images for tests, the same bytes each time.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use jettison_image::{
    Config, Descriptor, Digest, History, Index, Manifest, Platform, RawManifest, RootFs, RunConfig,
    media_type,
};
use tempfile::TempDir;

/// The time of every file and image, so that the bytes are the same each time: 2023-11-14T22:13:20Z.
pub const TIME: u64 = 1_700_000_000;

/// A layer in the making. Entries stand in the tar in the order in which they were added.
#[derive(Default)]
pub struct Layer {
    tar: Vec<u8>,
    owner: (u64, u64),
    /// Mode and owner of each file, which its hard links repeat.
    files: BTreeMap<String, (u32, (u64, u64))>,
}

impl Layer {
    /// Starts an empty layer, whose entries belong to root.
    pub fn new() -> Layer {
        Layer::default()
    }

    /// Sets whom the entries added from now on belong to.
    #[must_use]
    pub fn owner(mut self, uid: u64, gid: u64) -> Layer {
        self.owner = (uid, gid);
        self
    }

    /// Adds a directory.
    #[must_use]
    pub fn dir(self, path: &str, mode: u32) -> Layer {
        self.entry(tar::EntryType::Directory, path, mode, "", &[])
    }

    /// Adds a regular file.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Layer {
        self.files.insert(path.to_owned(), (mode, self.owner));
        self.entry(tar::EntryType::Regular, path, mode, "", content.as_ref())
    }

    /// Adds a symbolic link at `path` that points to `target`.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Layer {
        self.entry(tar::EntryType::Symlink, path, 0o777, target, &[])
    }

    /// Adds another name for the file at `target`, a path in this layer.
    #[must_use]
    pub fn hard_link(mut self, path: &str, target: &str) -> Layer {
        let (mode, owner) = *self.files.get(target).unwrap_or_else(|| panic!("{path}: there is no {target}"));
        let current = std::mem::replace(&mut self.owner, owner);
        let layer = self.entry(tar::EntryType::Link, path, mode, target, &[]);
        Layer { owner: current, ..layer }
    }

    /// Adds a whiteout: hides `path` of the layers below. OCI image spec, layer.md, "Whiteouts".
    #[must_use]
    pub fn whiteout(self, path: &str) -> Layer {
        let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
        let marker = if folder.is_empty() { format!(".wh.{name}") } else { format!("{folder}/.wh.{name}") };
        self.file(&marker, 0o644, [])
    }

    fn entry(mut self, kind: tar::EntryType, path: &str, mode: u32, link: &str, content: &[u8]) -> Layer {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(TIME);
        header.set_size(content.len() as u64);
        header.set_path(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        if !link.is_empty() {
            header.set_link_name(link).unwrap_or_else(|error| panic!("{link}: {error}"));
        }
        header.set_cksum();
        self.tar.extend_from_slice(header.as_bytes());
        self.tar.extend_from_slice(content);
        self.tar.resize(self.tar.len().next_multiple_of(512), 0);
        self
    }

    /// Returns the tar: the entries and two blocks of zeros.
    pub fn to_tar(&self) -> Vec<u8> {
        let mut tar = self.tar.clone();
        tar.resize(tar.len() + 1024, 0);
        tar
    }
}

/// An OCI image layout in a folder of its own, removed when dropped.
pub struct Layout {
    folder: TempDir,
    index: Vec<Descriptor>,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout::new()
    }
}

impl Layout {
    /// Makes an empty layout that every user of the machine may read.
    pub fn new() -> Layout {
        let folder = tempfile::tempdir().unwrap();
        crate::context::open_to_all(folder.path());
        fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let layout = Layout { folder, index: Vec::new() };
        layout.write_index();
        layout
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns image `tag` as skopeo names it.
    pub fn skopeo(&self, tag: &str) -> String {
        format!("oci:{}:{tag}", self.path().display())
    }

    /// Returns image `tag` as `--build-context` names it.
    pub fn named_context(&self, tag: &str) -> String {
        format!("oci-layout://{}:{tag}", self.path().display())
    }

    /// Adds an image for this machine's platform under `tag`; returns its manifest's digest.
    pub fn add(&mut self, tag: &str, config: &RunConfig, layers: &[Layer]) -> Digest {
        self.add_for(tag, &Platform::host(), config, layers)
    }

    /// Adds an image for `platform` under `tag`; returns its manifest's digest.
    pub fn add_for(
        &mut self,
        tag: &str,
        platform: &Platform,
        config: &RunConfig,
        layers: &[Layer],
    ) -> Digest {
        let manifest = self.image(platform, config, layers);
        self.publish(tag, manifest)
    }

    /// Adds an image of several platforms, each with its own layers, under `tag`; returns the index's digest.
    pub fn add_index(&mut self, tag: &str, config: &RunConfig, images: &[(Platform, Vec<Layer>)]) -> Digest {
        let manifests = images
            .iter()
            .map(|(platform, layers)| Descriptor {
                platform: Some(platform.clone()),
                ..self.image(platform, config, layers).descriptor()
            })
            .collect();
        let index = Index::oci(manifests).to_raw();
        self.blob(&index.media_type, &index.bytes);
        self.publish(tag, index)
    }

    fn image(&self, platform: &Platform, config: &RunConfig, layers: &[Layer]) -> RawManifest {
        let (diff_ids, blobs): (Vec<Digest>, Vec<Descriptor>) = layers
            .iter()
            .map(|layer| {
                let tar = layer.to_tar();
                (Digest::of(&tar), self.blob(media_type::OCI_LAYER_GZIP, &gzip(&tar)))
            })
            .unzip();
        let created = Some(jettison_image::rfc3339(TIME as i64));
        let history = History {
            created: created.clone(),
            created_by: Some("testkit".to_owned()),
            ..History::default()
        };
        let config = Config {
            config: config.clone(),
            created,
            history: vec![history; layers.len()],
            rootfs: RootFs { diff_ids, ..RootFs::default() },
            ..Config::scratch(platform)
        };
        let config = self.blob(media_type::OCI_CONFIG, &config.to_bytes());
        let manifest = Manifest::oci(config, blobs).to_raw();
        self.blob(&manifest.media_type, &manifest.bytes);
        manifest
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of(media_type, bytes);
        fs::write(self.path().join("blobs/sha256").join(descriptor.digest.hex()), bytes).unwrap();
        descriptor
    }

    fn publish(&mut self, tag: &str, manifest: RawManifest) -> Digest {
        let mut descriptor = manifest.descriptor();
        descriptor.annotations.insert("org.opencontainers.image.ref.name".to_owned(), tag.to_owned());
        let digest = descriptor.digest;
        self.index.push(descriptor);
        self.write_index();
        digest
    }

    fn write_index(&self) {
        fs::write(self.path().join("index.json"), Index::oci(self.index.clone()).to_raw().bytes).unwrap();
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
