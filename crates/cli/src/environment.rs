//! The only place that reads the environment.

use std::env;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::format::parse_size;

/// What the environment says to Jettison itself.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The directory of the store.
    pub root: PathBuf,
    /// Whether colours are refused (`NO_COLOR`, <https://no-color.org>).
    pub no_color: bool,
    /// `SOURCE_DATE_EPOCH`: seconds since 1970, <https://reproducible-builds.org/specs/source-date-epoch/>.
    pub epoch: Option<i64>,
    /// `JETTISON_CACHE_LIMIT`: bytes that the build cache may take, as docker writes sizes.
    pub cache_limit: Option<u64>,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
}

impl Environment {
    /// Reads the environment of this process.
    pub fn read() -> Result<Environment, Failure> {
        let root = store_root(variable("JETTISON_ROOT"), variable("XDG_DATA_HOME"), variable("HOME"))
            .ok_or_else(|| {
                Failure::environment(
                    "cannot tell where the store is: neither JETTISON_ROOT, XDG_DATA_HOME nor HOME is set",
                )
                .help("set JETTISON_ROOT to a directory of yours")
            })?;
        let root = std::path::absolute(&root)
            .map_err(|error| Failure::environment(format!("store {}: {error}", root.display())))?;
        Ok(Environment {
            root,
            no_color: variable("NO_COLOR").is_some(),
            epoch: epoch(variable("SOURCE_DATE_EPOCH").as_deref())?,
            cache_limit: cache_limit(variable("JETTISON_CACHE_LIMIT").as_deref())?,
            docker_host: variable("DOCKER_HOST"),
        })
    }
}

/// Finds hadolint's configuration file where hadolint looks for it: in the working directory, else in the user's home.
pub fn hadolint_config() -> Option<PathBuf> {
    let home = variable("HOME").map(PathBuf::from);
    let below = |folder: &str| home.as_ref().map(|home| home.join(folder));
    let places = [
        Some(PathBuf::from(".hadolint")),
        variable("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| below(".config"))
            .map(|folder| folder.join("hadolint")),
        below(".hadolint/hadolint"),
        below("hadolint/config"),
        below(".hadolint"),
    ];
    let files = places
        .into_iter()
        .flatten()
        .flat_map(|place| ["yaml", "yml"].map(|end| PathBuf::from(format!("{}.{end}", place.display()))));
    files.into_iter().find(|file| file.is_file())
}

/// What the environment says of registries: credentials, mirrors, proxies, certificates.
pub fn registry_settings() -> jettison_ops::RegistrySettings {
    jettison_ops::RegistrySettings::from_env(|name| env::var_os(name))
}

/// The way to registries.
pub fn registry_client() -> jettison_ops::Client {
    jettison_ops::Client::new(registry_settings())
}

/// Returns a variable of the user's, for `--build-arg NAME` and `run -e NAME`.
pub fn user_variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// Returns a variable unless it is unset or empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Finds the store: XDG base directory specification 0.8, by which relative paths are ignored.
fn store_root(own: Option<String>, xdg: Option<String>, home: Option<String>) -> Option<PathBuf> {
    if let Some(own) = own {
        return Some(PathBuf::from(own));
    }
    let data = xdg.map(PathBuf::from).filter(|path| path.is_absolute());
    let data = data.or_else(|| home.map(|home| PathBuf::from(home).join(".local/share")))?;
    Some(data.join("jettison"))
}

fn cache_limit(text: Option<&str>) -> Result<Option<u64>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let bad = || {
        let text = text.escape_debug();
        Failure::usage(format!("JETTISON_CACHE_LIMIT is \"{text}\": expected a size, such as 10GB"))
    };
    parse_size(text).map(Some).ok_or_else(bad)
}

fn epoch(text: Option<&str>) -> Result<Option<i64>, Failure> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(seconds) if seconds >= 0 => Ok(Some(seconds)),
        _ => Err(Failure::usage(format!(
            "SOURCE_DATE_EPOCH is \"{}\": expected seconds since 1970",
            text.escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_found_by_xdg_rules() {
        let text = |text: &str| Some(text.to_owned());
        for (own, xdg, home, root) in [
            (text("/store"), text("/data"), text("/home/me"), Some("/store")),
            (None, text("/data"), text("/home/me"), Some("/data/jettison")),
            (None, text("relative"), text("/home/me"), Some("/home/me/.local/share/jettison")),
            (None, None, text("/home/me"), Some("/home/me/.local/share/jettison")),
            (None, None, None, None),
        ] {
            assert_eq!(store_root(own, xdg, home), root.map(PathBuf::from));
        }
    }

    #[test]
    fn the_epoch_is_a_number_of_seconds() {
        assert_eq!(epoch(Some("315619200")).unwrap(), Some(315_619_200));
        assert_eq!(epoch(None).unwrap(), None);
        for bad in ["-1", "today", "1.5"] {
            assert!(epoch(Some(bad)).is_err(), "{bad}");
        }
    }
}
