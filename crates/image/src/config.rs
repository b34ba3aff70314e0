//! Image configs: what a container of the image starts with, and how the image came to be.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Digest, ManifestError, Platform};

/// `PATH` where a base image sets none. BuildKit: `util/system/path.go`.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image config: OCI image spec, config.md, with Docker's extensions.
///
/// Fields are in the order in which they are written; BuildKit sorts the top level by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Go's name of the processor.
    pub architecture: String,
    /// Who made the image (`MAINTAINER`).
    #[serde(default, skip_serializing_if = "is_blank")]
    pub author: Option<String>,
    /// What a container starts with.
    #[serde(default, deserialize_with = "or_default")]
    pub config: RunConfig,
    /// When the image was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// One entry an instruction, oldest first.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Go's name of the operating system.
    pub os: String,
    /// Features the operating system must have.
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// The version of the operating system.
    #[serde(rename = "os.version", default, skip_serializing_if = "is_blank")]
    pub os_version: Option<String>,
    /// The layers.
    pub rootfs: RootFs,
    /// The processor's variant.
    #[serde(default, skip_serializing_if = "is_blank")]
    pub variant: Option<String>,
}

/// What a container of the image starts with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RunConfig {
    /// User and group, by name or number: `user[:group]`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub user: String,
    /// Ports, such as `80/tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// `NAME=value` in the order in which they were set.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// The command that always runs; `Cmd` are its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The command, or the arguments of the entrypoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Where volumes are mounted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub volumes: BTreeMap<String, Empty>,
    /// The directory in which the command starts.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub working_dir: String,
    /// Free text by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// The signal that stops a container.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub stop_signal: String,
    /// Docker: the command was given in shell form.
    #[serde(skip_serializing_if = "std::ops::Not::not", deserialize_with = "or_default")]
    pub args_escaped: bool,
    /// Docker: how to tell whether a container is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Docker: instructions that run in images built from this one.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub on_build: Vec<String>,
    /// Docker: the shell of the shell form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// An empty JSON object: Go's `struct{}`, the value of a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// Docker's health check. Durations are nanoseconds, zero for docker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", args…]` or `["CMD-SHELL", text]`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Until a check counts as failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// In which failures do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Between two checks during the start period.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// How many failures in a row make a container unhealthy.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

/// One step of how an image came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who.
    #[serde(skip_serializing_if = "is_blank")]
    pub author: Option<String>,
    /// By what tool.
    #[serde(skip_serializing_if = "is_blank")]
    pub comment: Option<String>,
    /// True where the step made no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// The layers of an image by the digests of their uncompressed tars, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The diff IDs.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> RootFs {
        RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

impl Config {
    /// Makes the config of `FROM scratch`: a PATH and `/`.
    pub fn scratch(platform: &Platform) -> Config {
        Config {
            architecture: platform.architecture.clone(),
            author: None,
            config: RunConfig {
                env: vec![format!("PATH={DEFAULT_PATH}")],
                working_dir: "/".to_owned(),
                ..RunConfig::default()
            },
            created: None,
            history: Vec::new(),
            os: platform.os.clone(),
            os_features: platform.os_features.clone(),
            os_version: platform.os_version.clone(),
            rootfs: RootFs::default(),
            variant: platform.variant.clone(),
        }
    }

    /// Reads a config as it came from a registry or an archive.
    pub fn parse(bytes: &[u8]) -> Result<Config, ManifestError> {
        serde_json::from_slice(bytes).map_err(|source| ManifestError::Json { what: "image config", source })
    }

    /// Writes the config: compact JSON, no final newline. Its digest is the image ID.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Plain structs with string keys: serialising to memory has nothing that can fail.
        serde_json::to_vec(self).expect("configs are plain data")
    }

    /// Returns what the image runs on.
    pub fn platform(&self) -> Platform {
        let normal = Platform::new(&self.os, &self.architecture, self.variant.as_deref());
        Platform { os_version: self.os_version.clone(), os_features: self.os_features.clone(), ..normal }
    }
}

impl RunConfig {
    /// Returns the value of environment variable `name`.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// Sets environment variable `name`, in its old place if it had one.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let pair = format!("{name}={value}");
        let same = |old: &&mut String| old.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
        match self.env.iter_mut().find(same) {
            Some(old) => *old = pair,
            None => self.env.push(pair),
        }
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn is_blank(text: &Option<String>) -> bool {
    text.as_ref().is_none_or(String::is_empty)
}

/// Go writes an absent list or map as `null`.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_docker_config_round_trips() {
        let text = r#"{"architecture":"amd64","config":{"User":"app","ExposedPorts":{"80/tcp":{}},"Env":["A=b"],"Entrypoint":["/x"],"Volumes":{"/v":{}},"WorkingDir":"/","Labels":{"k":"v"},"StopSignal":"SIGINT","ArgsEscaped":true,"Healthcheck":{"Test":["CMD","/x"],"Interval":5000000000},"OnBuild":["RUN x"],"Shell":["/bin/sh","-c"]},"created":"1980-01-02T00:00:00Z","history":[{"created_by":"CMD","empty_layer":true}],"os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let config = Config::parse(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(config.to_bytes()).unwrap(), text);
    }

    #[test]
    fn gos_nulls_are_empty() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Cmd":null,"Env":null,"Volumes":null,"Labels":null},"rootfs":{"type":"layers","diff_ids":null}}"#;
        let config = Config::parse(text.as_bytes()).unwrap();
        assert_eq!(config.config, RunConfig::default());
    }

    #[test]
    fn env_keeps_its_place() {
        let mut config = RunConfig { env: vec!["A=1".into(), "AB=2".into()], ..RunConfig::default() };
        config.set_env("A", "3");
        config.set_env("C", "");
        assert_eq!(config.env, ["A=3", "AB=2", "C="]);
        assert_eq!(config.env("AB"), Some("2"));
    }
}
