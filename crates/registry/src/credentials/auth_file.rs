//! docker's `config.json` and podman's `auth.json`: two names of one format.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::Credential;
use crate::Error;

/// One file, as far as it concerns credentials.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AuthFile {
    #[serde(skip)]
    path: PathBuf,
    #[serde(default)]
    auths: Option<BTreeMap<String, Entry>>,
    #[serde(default, rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

/// One entry of `auths`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry(…)")
    }
}

impl AuthFile {
    /// Reads a file; `None` if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<AuthFile>, Error> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => return Err(Error::File { path: path.to_owned(), source }),
        };
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        let mut file: AuthFile = serde_json::from_slice(&text).map_err(|error| bad_json(path, &error))?;
        file.path = path.to_owned();
        Ok(Some(file))
    }

    /// Returns the name of the helper that knows `repository`: of the most precise entry, else the general one.
    pub(super) fn helper_for(&self, registry: &str, repository: &str) -> Option<String> {
        let helpers = self.helpers.iter().flatten().map(|(key, helper)| (key.as_str(), helper));
        best(helpers, registry, repository)
            .map(|(_, helper)| helper.clone())
            .or_else(|| self.store.clone())
            .filter(|name| !name.is_empty())
    }

    /// Returns the name of the helper that login uses for `registry`.
    pub(super) fn helper_for_login(&self, registry: &str) -> Option<String> {
        self.helper_for(registry, "")
    }

    /// Tells whether `auths` has an entry for the registry as a whole.
    pub(super) fn knows(&self, registry: &str) -> bool {
        self.auths.iter().flatten().any(|(key, _)| host_of(key) == registry)
    }

    /// Returns the credential of the most precise entry for `repository`.
    pub(super) fn credential(&self, registry: &str, repository: &str) -> Result<Option<Credential>, Error> {
        // An entry without anything in it only says that a helper knows the rest.
        let entries = self.auths.iter().flatten().map(|(key, entry)| (key.as_str(), entry));
        let filled = entries.filter(|(_, entry)| !entry.is_empty());
        let Some((key, entry)) = best(filled, registry, repository) else { return Ok(None) };
        let bad = |why: &str| Error::Config {
            path: self.path.clone(),
            line: None,
            why: format!("the entry of \"{key}\" in auths {why}"),
        };
        if let Some(token) = given(&entry.identitytoken) {
            return Ok(Some(Credential::Identity(token.to_owned())));
        }
        if let Some(token) = given(&entry.registrytoken) {
            return Ok(Some(Credential::Bearer(token.to_owned())));
        }
        if let Some(auth) = given(&entry.auth) {
            let bytes = BASE64_STANDARD.decode(auth.trim()).map_err(|_| bad("is not base64"))?;
            let text = String::from_utf8(bytes).map_err(|_| bad("is not UTF-8"))?;
            let (user, password) = text.split_once(':').ok_or_else(|| bad("has no \"user:password\""))?;
            // docker: config.DecodeAuth does so too.
            let password = password.trim_matches('\0');
            return Ok(Some(Credential::Basic { user: user.to_owned(), password: password.to_owned() }));
        }
        let (user, password) = (given(&entry.username), given(&entry.password));
        Ok(user.zip(password).map(|(user, password)| Credential::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        }))
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        let texts = [&self.auth, &self.username, &self.password, &self.identitytoken, &self.registrytoken];
        texts.into_iter().all(|text| given(text).is_none())
    }
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// Finds the entry whose key matches the longest part of `registry/repository` (containers-auth.json(5)).
fn best<'a, T>(
    entries: impl Iterator<Item = (&'a str, T)>,
    registry: &str,
    repository: &str,
) -> Option<(&'a str, T)> {
    let name = format!("{registry}/{repository}");
    let ranked = entries.filter_map(|(key, value)| Some((rank(key, &name, registry)?, key, value)));
    ranked.max_by_key(|(rank, ..)| *rank).map(|(_, key, value)| (key, value))
}

/// How much of `name` the key matches, doubled, plus one where it is not docker's old form of a URL.
fn rank(key: &str, name: &str, registry: &str) -> Option<usize> {
    let plain = key.trim_end_matches('/');
    let exact = name.strip_prefix(plain).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if exact {
        return Some(2 * plain.len() + 1);
    }
    (host_of(key) == registry).then_some(2 * registry.len())
}

/// The registry that a key such as `https://index.docker.io/v1/` means (docker: ConvertToHostname).
pub(super) fn host_of(key: &str) -> &str {
    let Some((_, bare)) = key.split_once("://") else {
        return if key == "index.docker.io" { "docker.io" } else { key };
    };
    match bare.split('/').next().unwrap_or(bare) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

pub(super) fn bad_json(path: &Path, error: &serde_json::Error) -> Error {
    // serde's text ends in " at line 1 column 2"; the line stands before it already.
    let text = error.to_string();
    let why = text.rsplit_once(" at line ").map_or(text.as_str(), |(why, _)| why);
    Error::Config { path: path.to_owned(), line: Some(error.line()), why: why.to_owned() }
}
