//! Credentials: where they are found, and, for login and logout, where they are kept.
//!
//! Looked into in this order: `$REGISTRY_AUTH_FILE`, docker's `config.json`, podman's `auth.json` files, and the
//! credential helpers that `registries.conf` names.

mod auth_file;
mod helper;
mod login;

use std::ffi::OsStr;
use std::path::PathBuf;

pub use login::{Stored, login, logout};

use crate::{Error, Settings};
use auth_file::AuthFile;

/// The name under which docker keeps the credentials of Docker Hub.
pub(crate) const HUB_KEY: &str = "https://index.docker.io/v1/";

/// What a registry accepts instead of a password dialogue.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// User and password.
    Basic { user: String, password: String },
    /// An OAuth2 refresh token (docker: identity token).
    Identity(String),
    /// A bearer token that is sent as it is.
    Bearer(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credential::Basic { .. } => "Basic(…)",
            Credential::Identity(_) => "Identity(…)",
            Credential::Bearer(_) => "Bearer(…)",
        })
    }
}

/// Looks for the credentials of `repository` at `registry` (`docker.io` for Docker Hub).
pub(crate) fn find(
    settings: &Settings,
    helpers: &[String],
    registry: &str,
    repository: &str,
) -> Result<Option<Credential>, Error> {
    let docker = docker_file(settings);
    let files = settings.auth_file.iter().chain(docker.iter()).chain(&settings.auth_files);
    for path in files {
        let Some(file) = AuthFile::read(path)? else { continue };
        if let Some(found) = find_in(settings, &file, registry, repository)? {
            return Ok(Some(found));
        }
    }
    for name in helpers.iter().filter(|name| *name != "containers-auth.json") {
        if let Some(found) = ask_helper(settings, name, registry)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn find_in(
    settings: &Settings,
    file: &AuthFile,
    registry: &str,
    repository: &str,
) -> Result<Option<Credential>, Error> {
    if let Some(name) = file.helper_for(registry, repository)
        && let Some(found) = ask_helper(settings, &name, registry)?
    {
        return Ok(Some(found));
    }
    file.credential(registry, repository)
}

fn ask_helper(settings: &Settings, name: &str, registry: &str) -> Result<Option<Credential>, Error> {
    for server in server_names(registry) {
        if let Some(found) = helper::get(path(settings), name, server)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The names under which helpers know a registry: docker's for Docker Hub, then podman's.
fn server_names(registry: &str) -> Vec<&str> {
    if registry == "docker.io" { vec![HUB_KEY, registry] } else { vec![registry] }
}

fn docker_file(settings: &Settings) -> Option<PathBuf> {
    settings.docker_config.as_ref().map(|folder| folder.join("config.json"))
}

fn path(settings: &Settings) -> Option<&OsStr> {
    settings.path.as_deref()
}

#[cfg(test)]
mod tests;
