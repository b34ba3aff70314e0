//! `jettison login` and `logout`: credentials are checked with the registry, then kept where docker keeps them.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Serializer, Value, json};

use super::auth_file::{AuthFile, bad_json, host_of};
use super::{Credential, HUB_KEY, docker_file, helper, path, server_names};
use crate::client::Client;
use crate::{Cancel, Error, Settings};

/// Where credentials went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Into this file, in a form anyone who reads the file can undo.
    File(PathBuf),
    /// To the credential helper of this name.
    Helper(String),
}

/// Checks `user` and `password` with `registry` (`docker.io` for Docker Hub) and keeps them: with the credential
/// helper that the file names, else in the file (mode 0600) itself. Other fields of the file stay as they are.
///
/// # Errors
/// [`Error::Unauthorized`] if the registry refuses them; nothing is kept then.
pub fn login(
    settings: &Settings,
    registry: &str,
    user: &str,
    password: &str,
    cancel: &Cancel,
) -> Result<Stored, Error> {
    let registry = host_of(registry);
    let credential = Credential::Basic { user: user.to_owned(), password: password.to_owned() };
    Client::new(settings.clone()).check_login(registry, credential, cancel)?;
    let file = file(settings)?;
    let known = AuthFile::read(&file)?.unwrap_or_default();
    if let Some(name) = known.helper_for_login(registry) {
        helper::store(path(settings), &name, key(registry), user, password)?;
        // As docker does: the entry without secrets says that one is logged in.
        edit(&file, |auths| {
            auths.insert(key(registry).to_owned(), json!({}));
        })?;
        return Ok(Stored::Helper(name));
    }
    let auth = BASE64_STANDARD.encode(format!("{user}:{password}"));
    edit(&file, |auths| {
        auths.insert(key(registry).to_owned(), json!({ "auth": auth }));
    })?;
    Ok(Stored::File(file))
}

/// Forgets the credentials of `registry`. Tells whether there were any.
pub fn logout(settings: &Settings, registry: &str) -> Result<bool, Error> {
    let registry = host_of(registry);
    let file = file(settings)?;
    let Some(known) = AuthFile::read(&file)? else { return Ok(false) };
    let mut found = false;
    if let Some(name) = known.helper_for_login(registry) {
        for server in server_names(registry) {
            found |= helper::erase(path(settings), &name, server)?;
        }
    }
    if known.knows(registry) {
        found = true;
        edit(&file, |auths| auths.retain(|key, _| host_of(key) != registry))?;
    }
    Ok(found)
}

/// The file that login writes.
fn file(settings: &Settings) -> Result<PathBuf, Error> {
    settings.auth_file.clone().or_else(|| docker_file(settings)).ok_or_else(|| Error::File {
        path: PathBuf::from("config.json"),
        source: io::Error::new(io::ErrorKind::NotFound, "neither HOME nor DOCKER_CONFIG is set"),
    })
}

fn key(registry: &str) -> &str {
    if registry == "docker.io" { HUB_KEY } else { registry }
}

/// Changes `auths` of a file and nothing else in it: the rest keeps its place, whatever it means.
fn edit(file: &Path, change: impl FnOnce(&mut Map<String, Value>)) -> Result<(), Error> {
    let failed = |source| Error::File { path: file.to_owned(), source };
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(failed(source)),
    };
    let text = if text.trim_ascii().is_empty() { b"{}".as_slice() } else { &text };
    let mut whole: Map<String, Value> =
        serde_json::from_slice(text).map_err(|error| bad_json(file, &error))?;
    let auths = whole.entry("auths").or_insert_with(|| json!({}));
    if auths.is_null() {
        *auths = json!({});
    }
    let Some(auths) = auths.as_object_mut() else {
        return Err(Error::Config {
            path: file.to_owned(),
            line: None,
            why: "\"auths\" is not an object".into(),
        });
    };
    change(auths);
    // docker indents with a tab.
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"\t"));
    whole.serialize(&mut serializer).map_err(|error| failed(error.into()))?;
    replace(file, &bytes).map_err(failed)
}

/// Replaces a file by a rename, so that nobody ever sees half of it. A link is followed, as docker does.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Temporary files are made with mode 0600.
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(&target)?;
    Ok(())
}
