//! Configuration folders, references and blobs for the tests.

use std::fs;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jettison_image::{Descriptor, Manifest, RawManifest, Reference, media_type};
use jettison_registry::{Cancel, Client, Error, Pushed, RegistriesConfPaths, Settings};
use tempfile::TempDir;

/// A home folder with nothing in it but what a test puts there.
pub struct Home(TempDir);

impl Home {
    pub fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Settings that read nothing outside this folder.
    pub fn settings(&self) -> Settings {
        Settings {
            docker_config: Some(self.path().join("docker")),
            auth_files: vec![self.path().join("auth.json")],
            registries_conf: RegistriesConfPaths {
                system: Some(self.path().join("registries.conf")),
                ..RegistriesConfPaths::default()
            },
            certs_dirs: vec![self.path().join("certs.d")],
            path: Some(format!("{}:/usr/bin:/bin", self.path().join("bin").display()).into()),
            ..Settings::default()
        }
    }

    pub fn client(&self) -> Client {
        Client::new(self.settings())
    }

    /// Writes a file and the folders above it.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let file = self.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        file
    }

    /// Writes user and password for a registry into docker's `config.json`.
    pub fn know(&self, registry: &str, user: &str, password: &str) {
        let auth = jettison_testkit::base64::encode(format!("{user}:{password}").as_bytes());
        self.write("docker/config.json", format!(r#"{{"auths":{{"{registry}":{{"auth":"{auth}"}}}}}}"#));
    }

    /// Makes a credential helper of a shell script.
    pub fn helper(&self, name: &str, script: &str) {
        let file = self.write(&format!("bin/docker-credential-{name}"), format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// A client that knows nothing.
pub fn stranger() -> Client {
    Client::new(Settings::default())
}

pub fn reference(registry: &str, rest: &str) -> Reference {
    Reference::parse(&format!("{registry}/{rest}")).unwrap()
}

/// Bytes that do not repeat, the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub fn layer(bytes: &[u8]) -> Descriptor {
    Descriptor::of(media_type::OCI_LAYER, bytes)
}

/// Opens bytes of memory as [`Client::push_blob`] wants them.
pub fn source(bytes: &[u8]) -> impl Fn() -> io::Result<Box<dyn Read + Send>> {
    let bytes = bytes.to_vec();
    move || Ok(Box::new(Cursor::new(bytes.clone())) as Box<dyn Read + Send>)
}

pub fn push(client: &Client, reference: &Reference, bytes: &[u8]) -> Result<Pushed, Error> {
    client.push_blob(reference, &layer(bytes), &source(bytes), None, &|_| {}, &Cancel::new())
}

pub fn mount(client: &Client, reference: &Reference, bytes: &[u8], from: &str) -> Result<Pushed, Error> {
    client.push_blob(reference, &layer(bytes), &source(bytes), Some(from), &|_| {}, &Cancel::new())
}

pub fn fetch(client: &Client, reference: &Reference, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut sink = Vec::new();
    client.fetch_blob(reference, &layer(bytes), &mut sink, &|_| {}, &Cancel::new())?;
    Ok(sink)
}

pub fn manifest(client: &Client, reference: &Reference) -> Result<RawManifest, Error> {
    client.manifest(reference, &Cancel::new())
}

/// Pushes an image of one layer and returns its manifest.
pub fn push_image(client: &Client, reference: &Reference, bytes: &[u8]) -> Result<RawManifest, Error> {
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let descriptor = Descriptor::of(media_type::OCI_CONFIG, config);
    client.push_blob(reference, &descriptor, &source(config), None, &|_| {}, &Cancel::new())?;
    push(client, reference, bytes)?;
    let manifest = Manifest::oci(descriptor, vec![layer(bytes)]).to_raw();
    client.push_manifest(reference, &manifest, &Cancel::new())?;
    Ok(manifest)
}
