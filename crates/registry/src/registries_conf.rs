//! `registries.conf`, version 2, with its drop-in folders (containers-registries.conf(5)).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jettison_image::Reference;
use serde::Deserialize;

use crate::endpoint::Endpoint;
use crate::{Error, Settings};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// The entries of all files together.
#[derive(Debug, Default)]
pub(crate) struct RegistriesConf {
    registries: Vec<Registry>,
    /// Helpers to ask for every registry; `containers-auth.json` stands for the auth files.
    pub(crate) credential_helpers: Vec<String>,
}

/// One `[[registry]]`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Registry {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default, rename = "mirror")]
    mirrors: Vec<Mirror>,
    /// The file it stands in.
    #[serde(skip)]
    path: PathBuf,
}

/// One `[[registry.mirror]]`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Mirror {
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: PullFrom,
}

/// Which pulls a mirror serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PullFrom {
    /// `all`, or nothing said.
    #[default]
    #[serde(alias = "")]
    All,
    DigestOnly,
    TagOnly,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    registry: Vec<Registry>,
    credential_helpers: Option<Vec<String>>,
    /// The table of version 1.
    registries: Option<serde::de::IgnoredAny>,
}

impl RegistriesConf {
    /// Reads the files that `settings` name. Of two entries with the same prefix the later file's counts.
    pub(crate) fn load(settings: &Settings) -> Result<RegistriesConf, Error> {
        let paths = &settings.registries_conf;
        let mut conf = RegistriesConf::default();
        if let Some(path) = &paths.explicit {
            let text = read(path)?
                .ok_or_else(|| Error::File { path: path.clone(), source: io::ErrorKind::NotFound.into() })?;
            conf.add(path, &text)?;
            conf.add_folder(path)?;
            return Ok(conf);
        }
        if let Some(path) = &paths.user
            && let Some(text) = read(path)?
        {
            conf.add(path, &text)?;
            conf.add_folder(path)?;
            return Ok(conf);
        }
        if let Some(path) = &paths.system {
            if let Some(text) = read(path)? {
                conf.add(path, &text)?;
            }
            conf.add_folder(path)?;
        }
        if let Some(path) = &paths.user {
            conf.add_folder(path)?;
        }
        Ok(conf)
    }

    /// Adds the `*.conf` files of the folder `FILE.d`, in the order of their names.
    fn add_folder(&mut self, main: &Path) -> Result<(), Error> {
        let mut folder = main.as_os_str().to_owned();
        folder.push(".d");
        let folder = PathBuf::from(folder);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(source) => return Err(Error::File { path: folder, source }),
        };
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "conf") && file.is_file());
        files.sort();
        for file in files {
            if let Some(text) = read(&file)? {
                self.add(&file, &text)?;
            }
        }
        Ok(())
    }

    /// Adds the text of one file.
    fn add(&mut self, path: &Path, text: &str) -> Result<(), Error> {
        let bad = |line, why| Error::Config { path: path.to_owned(), line, why };
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| line_of(text, span.start));
            bad(line, error.message().to_owned())
        })?;
        if file.registries.is_some() {
            return Err(bad(
                None,
                "this is version 1 of the format, which is not supported; use [[registry]]".into(),
            ));
        }
        let mut fresh: Vec<Registry> = Vec::new();
        for mut registry in file.registry {
            registry.check().map_err(|why| bad(None, why))?;
            registry.path = path.to_owned();
            let twin = fresh.iter().find(|other| other.prefix == registry.prefix);
            if twin.is_some_and(|twin| twin.insecure != registry.insecure || twin.blocked != registry.blocked)
            {
                return Err(bad(None, format!("\"{}\" is configured twice, differently", registry.prefix)));
            }
            fresh.push(registry);
        }
        self.registries.retain(|old| fresh.iter().all(|new| new.prefix != old.prefix));
        self.registries.extend(fresh);
        if let Some(helpers) = file.credential_helpers {
            self.credential_helpers = helpers;
        }
        Ok(())
    }

    /// Returns where to pull `reference` from: the mirrors that serve it, then the registry itself.
    pub(crate) fn pull_endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>, Error> {
        let Some((registry, matched)) = self.find(&reference.to_string()) else {
            return Ok(vec![Endpoint::new(reference.clone(), false)]);
        };
        registry.refuse_blocked(reference)?;
        let mut endpoints = Vec::new();
        for mirror in &registry.mirrors {
            let serves = match mirror.pull_from_mirror {
                PullFrom::All => !registry.mirror_by_digest_only || reference.digest().is_some(),
                PullFrom::DigestOnly => reference.digest().is_some(),
                PullFrom::TagOnly => reference.digest().is_none(),
            };
            if serves {
                endpoints.push(registry.rewrite(reference, &mirror.location, matched, mirror.insecure)?);
            }
        }
        endpoints.push(registry.rewrite(reference, &registry.location, matched, registry.insecure)?);
        Ok(endpoints)
    }

    /// Returns where to push `reference` to: never a mirror.
    pub(crate) fn push_endpoint(&self, reference: &Reference) -> Result<Endpoint, Error> {
        let Some((registry, matched)) = self.find(&reference.to_string()) else {
            return Ok(Endpoint::new(reference.clone(), false));
        };
        registry.refuse_blocked(reference)?;
        registry.rewrite(reference, &registry.location, matched, registry.insecure)
    }

    /// Tells whether the registry `host` as a whole is insecure: login knows no repository.
    pub(crate) fn is_insecure(&self, host: &str) -> bool {
        self.find(host).is_some_and(|(registry, _)| registry.insecure)
    }

    /// Finds the entry with the longest matching prefix, and how many bytes of `name` it matches.
    fn find(&self, name: &str) -> Option<(&Registry, usize)> {
        let matching =
            self.registries.iter().filter_map(|registry| Some((registry, matches(name, &registry.prefix)?)));
        matching.max_by_key(|(registry, _)| registry.prefix.len())
    }
}

impl Registry {
    /// Checks an entry and puts it into normal form.
    fn check(&mut self) -> Result<(), String> {
        let trim = |text: &mut String| *text = text.trim_end_matches('/').to_owned();
        trim(&mut self.prefix);
        trim(&mut self.location);
        if self.prefix.is_empty() {
            self.prefix.clone_from(&self.location);
        }
        if self.prefix.is_empty() {
            return Err("a [[registry]] has neither prefix nor location".into());
        }
        if self.location.is_empty() && !self.prefix.starts_with("*.") {
            return Err(format!("the registry with prefix \"{}\" has no location", self.prefix));
        }
        for location in
            self.mirrors.iter().map(|mirror| &mirror.location).chain([&self.location, &self.prefix])
        {
            if location.contains("://") {
                return Err(format!("\"{location}\" must not have a scheme"));
            }
        }
        for mirror in &mut self.mirrors {
            trim(&mut mirror.location);
            if mirror.location.is_empty() {
                return Err(format!("a mirror of \"{}\" has no location", self.prefix));
            }
            if self.mirror_by_digest_only && mirror.pull_from_mirror != PullFrom::All {
                return Err(format!(
                    "mirror \"{}\" sets pull-from-mirror under mirror-by-digest-only = true",
                    mirror.location
                ));
            }
        }
        Ok(())
    }

    fn refuse_blocked(&self, reference: &Reference) -> Result<(), Error> {
        match self.blocked {
            true => Err(Error::Blocked { reference: reference.to_string(), path: self.path.clone() }),
            false => Ok(()),
        }
    }

    /// Puts `location` in place of the first `matched` bytes of the reference.
    fn rewrite(
        &self,
        reference: &Reference,
        location: &str,
        matched: usize,
        insecure: bool,
    ) -> Result<Endpoint, Error> {
        // Only a wildcard prefix may go without location, and then nothing is rewritten.
        if location.is_empty() {
            return Ok(Endpoint::new(reference.clone(), insecure));
        }
        let name = reference.to_string();
        let text = format!("{location}{}", name.get(matched..).unwrap_or_default());
        let rewritten = Reference::parse_untagged(&text).map_err(|error| Error::Config {
            path: self.path.clone(),
            line: None,
            why: format!("the entry \"{}\" makes {reference} into no reference: {error}", self.prefix),
        })?;
        Ok(Endpoint::new(rewritten, insecure))
    }
}

/// Returns how many bytes at the start of `name` match `prefix`, which ends where a part of the name ends.
fn matches(name: &str, prefix: &str) -> Option<usize> {
    let end = match prefix.strip_prefix('*') {
        // `*.example.com` matches subdomains at any depth, never the domain itself.
        Some(domain) if domain.starts_with('.') => {
            let host_end = name.find(['/', '@']).unwrap_or(name.len());
            let start = name.get(..host_end)?.find(domain.split('/').next()?)?;
            name.get(start..)?.starts_with(domain).then_some(start + domain.len())?
        }
        _ => name.starts_with(prefix).then_some(prefix.len())?,
    };
    let next = name.as_bytes().get(end);
    next.is_none_or(|next| b"/:@".contains(next)).then_some(end)
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    match fs::metadata(path) {
        Ok(found) if found.len() > MAX_FILE => Err(failed(io::Error::other("the file is too large"))),
        Ok(_) => fs::read_to_string(path).map(Some).map_err(failed),
        Err(error) if is_absent(&error) => Ok(None),
        Err(source) => Err(failed(source)),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests;
