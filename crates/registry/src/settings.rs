//! Everything that comes from outside: which files to read, which proxies to use. Plain data.

use std::ffi::OsString;
use std::path::PathBuf;

/// Where the client finds its configuration. The default names no file at all.
///
/// Nothing is read until it is needed, and files that do not exist are passed over, except those that were named
/// explicitly.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The folder of docker's `config.json`: `$DOCKER_CONFIG`, else `~/.docker`. `jettison login` writes there.
    pub docker_config: Option<PathBuf>,
    /// `$REGISTRY_AUTH_FILE`: looked into before docker's file, and written by login instead of it, as podman does.
    pub auth_file: Option<PathBuf>,
    /// Podman's default `auth.json` files, looked into after docker's file.
    pub auth_files: Vec<PathBuf>,
    /// The `registries.conf` files.
    pub registries_conf: RegistriesConfPaths,
    /// Folders with a folder for each `host[:port]` holding `*.crt`, `*.cert` and `*.key`; the first that has one wins.
    pub certs_dirs: Vec<PathBuf>,
    /// Proxies.
    pub proxy: ProxySettings,
    /// `$SSL_CERT_FILE`: trusted roots in PEM, instead of the system's.
    pub ssl_cert_file: Option<PathBuf>,
    /// `$SSL_CERT_DIR`: folders of trusted roots, instead of the system's.
    pub ssl_cert_dirs: Vec<PathBuf>,
    /// `$PATH`, where credential helpers are looked for.
    pub path: Option<OsString>,
    /// The `User-Agent` header; empty for `jettison/VERSION`.
    pub user_agent: String,
}

/// Where `registries.conf` is looked for. Each file has a drop-in folder of its name and `.d` beside it.
///
/// As containers/image does: the user's file and folder replace the system's; without a user's file, the system's
/// file, then its folder, then the user's folder. An explicit file stands alone with its own folder.
#[derive(Debug, Clone, Default)]
pub struct RegistriesConfPaths {
    /// `$CONTAINERS_REGISTRIES_CONF`: must exist.
    pub explicit: Option<PathBuf>,
    /// `~/.config/containers/registries.conf`.
    pub user: Option<PathBuf>,
    /// `/etc/containers/registries.conf`.
    pub system: Option<PathBuf>,
}

/// Proxies by the scheme of the target, as curl and Go read them. Empty texts mean none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// For plain HTTP targets.
    pub http: String,
    /// For HTTPS targets.
    pub https: String,
    /// For targets without a proxy of their own.
    pub all: String,
    /// Targets to reach directly: host names, domains with or without a leading dot, IPs, CIDR blocks, each with an
    /// optional port, or `*`.
    pub no: String,
}

impl Settings {
    /// Computes the settings from environment variables, looked up with `get`.
    pub fn from_env(get: impl Fn(&str) -> Option<OsString>) -> Settings {
        let set = |name: &str| get(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(PathBuf::from);
        let home = path("HOME");
        let in_home = |rest: &str| home.as_ref().map(|home| home.join(rest));
        let config =
            path("XDG_CONFIG_HOME").or_else(|| in_home(".config")).map(|config| config.join("containers"));
        let in_config = |rest: &str| config.as_ref().map(|config| config.join(rest));
        let run = match path("XDG_RUNTIME_DIR") {
            Some(run) => run.join("containers"),
            // containers/image: pkg/docker/config, defaultPerUIDPathFormat.
            None => PathBuf::from(format!("/run/containers/{}", rustix::process::getuid().as_raw())),
        };
        let certs = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
        let list = |value: OsString| std::env::split_paths(&value).collect();
        Settings {
            docker_config: path("DOCKER_CONFIG").or_else(|| in_home(".docker")),
            auth_file: path("REGISTRY_AUTH_FILE"),
            auth_files: Some(run.join("auth.json")).into_iter().chain(in_config("auth.json")).collect(),
            registries_conf: RegistriesConfPaths {
                explicit: path("CONTAINERS_REGISTRIES_CONF"),
                user: in_config("registries.conf"),
                system: Some(PathBuf::from("/etc/containers/registries.conf")),
            },
            certs_dirs: in_config("certs.d").into_iter().chain(certs).collect(),
            proxy: ProxySettings::from_env(&get),
            ssl_cert_file: path("SSL_CERT_FILE"),
            ssl_cert_dirs: set("SSL_CERT_DIR").map(list).unwrap_or_default(),
            path: set("PATH"),
            user_agent: String::new(),
        }
    }
}

/// Without the passwords that proxies may have in them.
impl std::fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bare = |text: &str| text.rsplit_once('@').map_or(text, |(_, host)| host).to_owned();
        f.debug_struct("ProxySettings")
            .field("http", &bare(&self.http))
            .field("https", &bare(&self.https))
            .field("all", &bare(&self.all))
            .field("no", &self.no)
            .finish()
    }
}

impl ProxySettings {
    /// Computes the proxies from environment variables, the lower-case name first.
    fn from_env(get: &impl Fn(&str) -> Option<OsString>) -> ProxySettings {
        let either = |name: &str| {
            let value = get(&name.to_ascii_lowercase()).or_else(|| get(name));
            value.and_then(|value| value.into_string().ok()).unwrap_or_default()
        };
        ProxySettings {
            http: either("HTTP_PROXY"),
            https: either("HTTPS_PROXY"),
            all: either("ALL_PROXY"),
            no: either("NO_PROXY"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_the_files() {
        let variables = [
            ("HOME", "/home/me"),
            ("DOCKER_CONFIG", "/d"),
            ("XDG_RUNTIME_DIR", "/run/user/1"),
            ("https_proxy", "http://lower:1"),
            ("HTTPS_PROXY", "http://upper:1"),
            ("NO_PROXY", "a,b"),
            ("SSL_CERT_DIR", "/c1:/c2"),
            ("SSL_CERT_FILE", ""),
        ];
        let get = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        let settings = Settings::from_env(get);
        assert_eq!(settings.docker_config, Some("/d".into()));
        assert_eq!(
            settings.auth_files,
            [
                PathBuf::from("/run/user/1/containers/auth.json"),
                "/home/me/.config/containers/auth.json".into()
            ]
        );
        assert_eq!(settings.registries_conf.user, Some("/home/me/.config/containers/registries.conf".into()));
        assert_eq!(settings.certs_dirs.len(), 3);
        assert_eq!(settings.proxy.https, "http://lower:1");
        assert_eq!(settings.proxy.no, "a,b");
        assert_eq!(settings.ssl_cert_dirs, [PathBuf::from("/c1"), "/c2".into()]);
        assert_eq!(settings.ssl_cert_file, None);
    }

    #[test]
    fn without_a_home_nothing_personal_is_named() {
        let settings = Settings::from_env(|_| None);
        assert_eq!(settings.docker_config, None);
        assert_eq!(settings.registries_conf.user, None);
        assert_eq!(settings.certs_dirs.len(), 2);
    }
}
