//! Reads images back: OCI layouts, OCI archives and docker archives, with every digest checked.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use jettison_image::{Config, Descriptor, Digest, Index, Manifest, Platform, RawManifest};

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of a file; content and attributes are that file's.
    HardLink,
    /// A device, a pipe or something else.
    Other,
}

/// One path of a layer or a tree.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Where a link points to.
    pub link: String,
    /// The bytes of a file.
    pub content: Vec<u8>,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// The files of an image: what a container of it would see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

/// An image with its layers.
pub struct Image {
    /// The digest of its manifest; of its config, in a docker archive.
    pub digest: Digest,
    /// The manifest; empty in a docker archive.
    pub manifest: Manifest,
    /// The config.
    pub config: Config,
    /// The digest of the config: the image ID.
    pub id: Digest,
    /// The names it has in its archive, or the tag in its layout.
    pub names: Vec<String>,
    layers: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Entry { kind, mode, uid, gid, link, content, .. } = self;
        write!(f, "{kind:?} {mode:o} {uid}:{gid} {} bytes", content.len())?;
        if link.is_empty() { Ok(()) } else { write!(f, " -> {link}") }
    }
}

impl Image {
    /// Reads image `tag` of the OCI layout in folder `layout`; its only image, if `tag` is empty.
    pub fn from_layout(layout: &Path, tag: &str) -> Image {
        read_layout(tag, &|path| {
            fs::read(layout.join(path))
                .unwrap_or_else(|error| panic!("{}: {error}", layout.join(path).display()))
        })
    }

    /// Reads the only image of the OCI layout in tar file `archive`.
    pub fn from_oci_archive(archive: &Path) -> Image {
        let files = read_archive(archive);
        read_layout("", &|path| find(&files, path, archive))
    }

    /// Reads the only index of the OCI archive `archive`: its digest, and its images with the platforms that the index
    /// gives them.
    pub fn index_of_oci_archive(archive: &Path) -> (Digest, Vec<(Platform, Image)>) {
        let files = read_archive(archive);
        let read = |path: &str| find(&files, path, archive);
        let top = top(&read, "");
        assert!(top.1.is_index(), "{}: one image and no index", archive.display());
        let manifests = top.1.index().unwrap().manifests;
        let image = |descriptor: &Descriptor| {
            let raw =
                RawManifest { media_type: descriptor.media_type.clone(), bytes: blob(&read, descriptor) };
            let platform = descriptor.platform.clone().expect("an index names platforms");
            (platform, read_image(&read, &raw, top.0.clone()))
        };
        (top.1.digest(), manifests.iter().map(image).collect())
    }

    /// Reads the only image of the docker archive `archive`: manifest.json, config, layers.
    pub fn from_docker_archive(archive: &Path) -> Image {
        let files = read_archive(archive);
        let manifest: serde_json::Value =
            serde_json::from_slice(&find(&files, "manifest.json", archive)).unwrap();
        let image = &manifest[0];
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let texts =
            |value: &serde_json::Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        let config = find(&files, &text(&image["Config"]), archive);
        let layers =
            texts(&image["Layers"]).iter().map(|path| unpacked(&find(&files, path, archive))).collect();
        let id = Digest::of(&config);
        let config = Config::parse(&config).unwrap();
        let manifest = Manifest::oci(Descriptor::new("", id, 0), Vec::new());
        Image { digest: id, manifest, config, id, names: texts(&image["RepoTags"]), layers }.checked()
    }

    /// Returns the files of layer `number` (the lowest is 0) as they stand in its tar.
    pub fn layer(&self, number: usize) -> Vec<(String, Entry)> {
        read_tar(&self.layers[number])
    }

    /// Returns how many layers there are.
    pub fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// Returns what a container of the image would see.
    pub fn tree(&self) -> Tree {
        let mut tree = Tree::default();
        for number in 0..self.layers.len() {
            tree.apply(self.layer(number));
        }
        tree
    }

    /// Returns the layer that holds `path`, the uppermost if several do.
    pub fn layer_of(&self, path: &str) -> Option<usize> {
        let path = path.trim_start_matches('/');
        (0..self.layers.len()).rev().find(|&number| self.layer(number).iter().any(|(name, _)| name == path))
    }

    fn checked(self) -> Image {
        let found: Vec<Digest> = self.layers.iter().map(|layer| Digest::of(layer)).collect();
        assert_eq!(self.config.rootfs.diff_ids, found, "the config's diff IDs are not those of the layers");
        self
    }
}

impl Tree {
    /// Returns what is at `path`, with or without a leading slash. Symbolic links are not followed.
    pub fn get(&self, path: &str) -> &Entry {
        self.entries.get(path.trim_matches('/')).unwrap_or_else(|| {
            panic!(
                "there is no {path}, but {:?}",
                self.entries.keys().filter(|key| !key.starts_with("bin/")).collect::<Vec<_>>()
            )
        })
    }

    /// Tells whether there is something at `path`.
    pub fn has(&self, path: &str) -> bool {
        self.entries.contains_key(path.trim_matches('/'))
    }

    /// Returns the content of the file at `path` as text.
    pub fn text(&self, path: &str) -> String {
        String::from_utf8_lossy(&self.get(path).content).into_owned()
    }

    /// Returns all paths below folder `path`, relative to it.
    pub fn below(&self, path: &str) -> Vec<&str> {
        let prefix = format!("{}/", path.trim_matches('/'));
        let prefix = prefix.trim_start_matches('/');
        self.entries
            .keys()
            .filter_map(|key| key.strip_prefix(prefix))
            .filter(|rest| !rest.is_empty())
            .collect()
    }

    /// Returns all paths and what is there.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Lays a layer on the tree: OCI image spec, layer.md, "Applying Changesets".
    fn apply(&mut self, layer: Vec<(String, Entry)>) {
        for (path, _) in &layer {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let join =
                |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            match name.strip_prefix(".wh.") {
                Some(".wh..opq") => self.remove_below(folder),
                Some(hidden) => self.remove(&join(hidden)),
                None => {}
            }
        }
        for (path, mut entry) in layer {
            if path.rsplit('/').next().is_some_and(|name| name.starts_with(".wh.")) {
                continue;
            }
            if entry.kind == Kind::HardLink {
                let link = entry.link.trim_start_matches("./").trim_start_matches('/');
                let target = self.get(link);
                entry = Entry { kind: Kind::HardLink, link: link.to_owned(), ..target.clone() };
            }
            if entry.kind != Kind::Directory {
                self.remove_below(&path);
            }
            self.entries.insert(path, entry);
        }
    }

    fn remove(&mut self, path: &str) {
        self.entries.remove(path);
        self.remove_below(path);
    }

    fn remove_below(&mut self, path: &str) {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        self.entries.retain(|key, _| !key.starts_with(&prefix));
    }
}

/// Reads a file of a layout by its path.
type ReadFile<'a> = dyn Fn(&str) -> Vec<u8> + 'a;

fn read_layout(tag: &str, read: &ReadFile<'_>) -> Image {
    let (name, mut raw) = top(read, tag);
    if raw.is_index() {
        let index = raw.index().unwrap();
        let inner = index.select(&Platform::host()).expect("the index has an image for this machine");
        raw = RawManifest { media_type: inner.media_type.clone(), bytes: blob(read, inner) };
    }
    read_image(read, &raw, name)
}

/// Returns the name and the manifest or index of `tag`, or of the only one in the layout.
fn top(read: &ReadFile<'_>, tag: &str) -> (String, RawManifest) {
    let name = |descriptor: &Descriptor| {
        descriptor.annotations.get("org.opencontainers.image.ref.name").cloned().unwrap_or_default()
    };
    let index: Index = serde_json::from_slice(&read("index.json")).unwrap();
    let named =
        index.manifests.iter().filter(|found| tag.is_empty() || name(found) == tag).collect::<Vec<_>>();
    let [top] = named[..] else { panic!("not one image for tag \"{tag}\": {:?}", index.manifests) };
    (name(top), RawManifest { media_type: top.media_type.clone(), bytes: blob(read, top) })
}

fn blob(read: &ReadFile<'_>, descriptor: &Descriptor) -> Vec<u8> {
    let bytes = read(&format!("blobs/sha256/{}", descriptor.digest.hex()));
    assert_eq!(Digest::of(&bytes), descriptor.digest, "a blob's content is not what its name says");
    assert_eq!(bytes.len() as u64, descriptor.size, "size of {}", descriptor.digest);
    bytes
}

fn read_image(read: &ReadFile<'_>, raw: &RawManifest, name: String) -> Image {
    let manifest = raw.manifest().unwrap();
    let config = Config::parse(&blob(read, &manifest.config)).unwrap();
    let layers = manifest.layers.iter().map(|layer| unpacked(&blob(read, layer))).collect();
    let id = manifest.config.digest;
    Image { digest: raw.digest(), manifest, config, id, names: vec![name], layers }.checked()
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    const GZIP: &[u8] = &[0x1f, 0x8b];
    if !bytes.starts_with(GZIP) {
        return bytes.to_vec();
    }
    let mut tar = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut tar).expect("a layer is one gzip member");
    tar
}

fn read_archive(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(archive).and_then(|mut file| file.read_to_end(&mut bytes));
    read.unwrap_or_else(|error| panic!("{}: {error}", archive.display()));
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (path, entry) in read_tar(&bytes) {
        let content = match entry.kind {
            Kind::File => entry.content,
            // Docker's older archives name one layer by several links.
            Kind::Symlink => files.get(entry.link.trim_start_matches("../")).cloned().unwrap_or_default(),
            Kind::HardLink => files.get(&entry.link).cloned().unwrap_or_default(),
            Kind::Directory | Kind::Other => continue,
        };
        files.insert(path, content);
    }
    files
}

fn find(files: &BTreeMap<String, Vec<u8>>, path: &str, archive: &Path) -> Vec<u8> {
    files
        .get(path)
        .unwrap_or_else(|| panic!("{}: no {path}, but {:?}", archive.display(), files.keys()))
        .clone()
}

/// Reads a tar with the `tar` crate, which knows nothing of our own reader and writer.
pub(crate) fn read_tar(bytes: &[u8]) -> Vec<(String, Entry)> {
    let mut archive = tar::Archive::new(bytes);
    let mut entries = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes())
            .trim_start_matches("./")
            .trim_matches('/')
            .to_owned();
        let link = entry
            .link_name_bytes()
            .map(|link| String::from_utf8_lossy(&link).into_owned())
            .unwrap_or_default();
        let mut xattrs = BTreeMap::new();
        for extension in entry.pax_extensions().unwrap().into_iter().flatten().flatten() {
            if let Some(name) = extension.key().ok().and_then(|key| key.strip_prefix("SCHILY.xattr.")) {
                xattrs.insert(name.to_owned(), extension.value_bytes().to_vec());
            }
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let header = entry.header();
        let kind = match header.entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => Kind::File,
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Symlink,
            tar::EntryType::Link => Kind::HardLink,
            _ => Kind::Other,
        };
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        let (mode, mtime) = (header.mode().unwrap() & 0o7777, header.mtime().unwrap());
        entries.push((path, Entry { kind, mode, uid, gid, mtime, link, content, xattrs }));
    }
    entries
}
