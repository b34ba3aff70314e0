//! Files from the network, each as a layer: fetched once, and asked for again only if they have changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use jettison_image::{Digest, Digester};
use jettison_layer::{Entry, Index, Kind, Timestamp};
use jettison_plan::{Remote, RemoteFile};
use jettison_registry::{BlobSink, Cancel, Client, Fetched, Version, WebFile};
use jettison_store::{Layer, LayerFacts, LayerId, Object, Store};
use serde::{Deserialize, Serialize};

use crate::SecretSource;
use crate::secrets::{SecretError, read_secret};

/// The kind of records that remember files of web servers.
const DOWNLOADS: &str = "downloads";

/// The mode of a downloaded file. BuildKit: `source/http`.
const FILE_MODE: u32 = 0o600;

/// What fetching works with.
pub struct Fetcher<'a> {
    /// Where everything is kept.
    pub store: &'a Store,
    /// The way to web servers.
    pub client: &'a Client,
    /// Ends it from outside.
    pub cancel: &'a Cancel,
    /// `--secret`: some are credentials for web servers and repositories.
    pub secrets: &'a BTreeMap<String, SecretSource>,
    /// `--ssh`: the socket of each agent.
    pub agents: &'a BTreeMap<String, PathBuf>,
    /// When the build started: what is younger came to be during the build.
    pub started: Timestamp,
    /// Told how many bytes of a file came, and of how many where that is known.
    pub progress: &'a dyn Fn(u64, Option<u64>),
}

/// Why files could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The web server or the way to it failed.
    #[error(transparent)]
    Web(#[from] jettison_registry::Error),
    /// The file is not the one that was asked for.
    #[error("digest mismatch: {found} (expected: {expected})")]
    Checksum {
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// There is no program to talk to repositories with.
    #[error("the program git is not installed, or not in PATH")]
    NoGit,
    /// git failed.
    #[error("git {command}: {said}")]
    Git {
        /// Its command.
        command: String,
        /// Its words.
        said: String,
    },
    /// The repository has no such ref.
    #[error("repository does not contain ref {reference}")]
    NoRef {
        /// The ref.
        reference: String,
    },
    /// The commit is not the one that was asked for.
    #[error("expected checksum to match {expected}, got {found}")]
    Commit {
        /// What was asked for.
        expected: String,
        /// What the ref names.
        found: String,
    },
    /// The commit has no such directory.
    #[error("there is no directory {subdir} in commit {commit}")]
    NoSubdir {
        /// The directory.
        subdir: String,
        /// The commit.
        commit: String,
    },
    /// A credential could not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] jettison_store::Error),
    /// A file could not be written.
    #[error("failed to keep what was fetched: {0}")]
    Io(#[from] io::Error),
}

impl FetchError {
    /// Returns what to do about the error, where that is known.
    pub fn help(&self) -> Option<&str> {
        let FetchError::Git { said, .. } = self else { return None };
        let refused = "an agent with the key is given by --ssh default";
        let unknown = "compare the host's key with what its owner says, and add it to ~/.ssh/known_hosts";
        [("Permission denied (", refused), ("Host key verification failed", unknown)]
            .into_iter()
            .find_map(|(words, help)| said.contains(words).then_some(help))
    }
}

/// What is known of a file that was downloaded.
#[derive(Serialize, Deserialize)]
struct Download {
    etag: Option<String>,
    last_modified: Option<String>,
    settled: bool,
    digest: Digest,
    /// The time of the file, in seconds since 1970.
    mtime: i64,
    /// The layer that holds it.
    layer: LayerId,
}

impl Fetcher<'_> {
    /// Returns the layer that holds the files, and whether it was there already.
    pub fn fetch(&self, remote: &Remote) -> Result<(LayerId, bool), FetchError> {
        match remote {
            Remote::File(file) => self.file(file),
            Remote::Git(git) => self.git(git),
        }
    }

    fn file(&self, file: &RemoteFile) -> Result<(LayerId, bool), FetchError> {
        let records = self.store.records(DOWNLOADS);
        let key = key(file);
        let known: Option<Download> = records.get(&key)?;
        // What its digest names cannot change.
        if let Some(known) = &known
            && file.checksum == Some(known.digest)
        {
            return Ok((known.layer.clone(), true));
        }
        let draft = self.store.draft_layer()?;
        let path = draft.fs().join(&file.name);
        let new = File::options().read(true).write(true).create_new(true).mode(FILE_MODE).open(&path)?;
        let mut sink = FileSink { file: new, digester: Digester::new(), size: 0 };
        let version = known.as_ref().map(Download::version);
        let authorization = self.authorization(&file.url)?;
        let asked = WebFile {
            url: &file.url,
            authorization: authorization.as_deref(),
            known: version.as_ref(),
            verified: file.checksum.is_some(),
        };
        let fetched = self.client.fetch_file(asked, &mut sink, self.progress, self.cancel)?;
        let version = match (fetched, known) {
            (Fetched::Unchanged, Some(known)) => return Ok((known.layer, true)),
            (Fetched::Unchanged, None) => Version::default(),
            (Fetched::New(version), _) => version,
        };
        let digest = sink.digester.finish();
        if let Some(expected) = file.checksum.filter(|expected| *expected != digest) {
            return Err(FetchError::Checksum { expected, found: digest });
        }
        // BuildKit: a file of unknown age is of 1970.
        let mtime = version.modified.unwrap_or(0);
        set_time(&sink.file, mtime)?;
        let index = Index { entries: vec![self.entry(file, sink.size, digest, mtime)] };
        let layer = draft.commit(LayerFacts::default(), &index)?;
        self.remember(&key, version, digest, mtime, &layer)?;
        Ok((layer.id().clone(), false))
    }

    fn entry(&self, file: &RemoteFile, size: u64, digest: Digest, mtime: i64) -> Entry {
        let kind = Kind::File { size, digest: Some(digest) };
        Entry {
            mode: FILE_MODE,
            mtime: Timestamp { seconds: mtime, nanoseconds: 0 },
            // A server that makes its file on request dates it so.
            fresh: mtime >= self.started.seconds,
            ..Entry::new(file.name.clone().into_bytes(), kind)
        }
    }

    fn remember(
        &self,
        key: &Digest,
        version: Version,
        digest: Digest,
        mtime: i64,
        layer: &Layer,
    ) -> Result<(), FetchError> {
        let Version { etag, last_modified, settled, .. } = version;
        let layer = layer.id().clone();
        let needs = [Object::Layer(layer.clone())];
        let download = Download { etag, last_modified, settled, digest, mtime, layer };
        Ok(self.store.records(DOWNLOADS).put(key, &download, &needs)?)
    }

    /// Returns the `Authorization` header that a secret holds for the host of a URL: `HTTP_AUTH_HEADER_HOST` whole, or
    /// `HTTP_AUTH_TOKEN_HOST` as a bearer token, which wins. BuildKit: `source/http`.
    fn authorization(&self, url: &str) -> Result<Option<String>, FetchError> {
        let host = host_of(url);
        if let Some(token) = self.text_secret(&format!("HTTP_AUTH_TOKEN_{host}"))? {
            return Ok(Some(format!("Bearer {token}")));
        }
        self.text_secret(&format!("HTTP_AUTH_HEADER_{host}"))
    }

    /// Returns a secret that is a line of text.
    pub(crate) fn text_secret(&self, id: &str) -> Result<Option<String>, FetchError> {
        let secret = read_secret(self.secrets, id)?;
        Ok(secret.map(|secret| String::from_utf8_lossy(&secret.0).trim_end_matches(['\r', '\n']).to_owned()))
    }
}

impl Download {
    fn version(&self) -> Version {
        Version {
            etag: self.etag.clone(),
            last_modified: self.last_modified.clone(),
            modified: Some(self.mtime),
            settled: self.settled,
        }
    }
}

/// The host of a URL, without user and port.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.split_once(']') {
        Some((address, _)) => address.trim_start_matches('['),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn key(file: &RemoteFile) -> Digest {
    let mut key = Digester::new();
    key.field(b"download v1").field(file.url.as_bytes()).field(file.name.as_bytes());
    key.finish()
}

fn set_time(file: &File, seconds: i64) -> io::Result<()> {
    let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    file.set_permissions(std::fs::Permissions::from_mode(FILE_MODE))?;
    file.set_modified(time)
}

/// Takes a file as it comes.
struct FileSink {
    file: File,
    digester: Digester,
    size: u64,
}

impl BlobSink for FileSink {
    fn resume(&mut self) -> io::Result<(u64, Digester)> {
        Ok((self.size, self.digester.clone()))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.digester.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        (self.digester, self.size) = (Digester::new(), 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn hosts_are_without_user_and_port() {
        for (url, host) in [
            ("https://me:x@example.com:8080/a@b:c", "example.com"),
            ("http://[::1]:80/a", "::1"),
            ("http://localhost?x", "localhost"),
        ] {
            assert_eq!(host_of(url), host);
        }
    }
}
