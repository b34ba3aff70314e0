//! The Dockerfile and the ignore file as they are and as they might be.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jettison_dockerfile::Parsed;
use jettison_dockerfile::ignore::Patterns;

use super::FixedFile;
use crate::build::{default_dockerfile, read_file};
use crate::settings::{BuildSettings, Context, DockerfileSource};
use crate::{Error, Faults, SourceFile};

/// The two texts, with the places where they are kept.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    context: PathBuf,
    dockerfile: PathBuf,
    pub(super) text: String,
    ignore_path: PathBuf,
    /// `None` where there is no such file.
    ignore: Option<String>,
}

impl Sources {
    pub(super) fn read(settings: &BuildSettings) -> Result<Sources, Error> {
        let Context::Directory(context) = &settings.context else {
            return Err(Error::request("fix needs a directory: it changes the files there"));
        };
        let (dockerfile, text) = match &settings.dockerfile {
            DockerfileSource::Default => default_dockerfile(context)?,
            DockerfileSource::Path(path) => (path.clone(), read_file(path)?),
            DockerfileSource::Stdin => {
                return Err(Error::request("fix needs a file: it changes the Dockerfile there"));
            }
        };
        let mut own = dockerfile.as_os_str().to_owned();
        own.push(".dockerignore");
        let own = PathBuf::from(own);
        let ignore_path = if own.exists() { own } else { context.join(".dockerignore") };
        let ignore = match fs::read_to_string(&ignore_path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(Error::io("read", &ignore_path, source)),
        };
        Ok(Sources { context: context.clone(), dockerfile, text, ignore_path, ignore })
    }

    /// Returns the same with another Dockerfile and further lines in the ignore file.
    pub(super) fn with(&self, text: String, ignore: &[String]) -> Sources {
        let mut changed = Sources { text, ..self.clone() };
        for line in ignore {
            let text = changed.ignore.get_or_insert_default();
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(line);
            text.push('\n');
        }
        changed
    }

    pub(super) fn parse(&self) -> Result<Parsed, Error> {
        let parsed = jettison_dockerfile::parse(self.text.as_bytes());
        if parsed.has_errors() {
            let file = SourceFile { name: self.dockerfile.display().to_string(), text: parsed.text.clone() };
            return Err(Error::Dockerfile(Box::new(Faults { file, diagnostics: parsed.diagnostics })));
        }
        Ok(parsed)
    }

    /// Returns the names directly in the context that the ignore file lets through, sorted.
    pub(super) fn names(&self) -> Result<Vec<String>, Error> {
        let failed = |source| Error::io("read", &self.context, source);
        let patterns = Patterns::parse(self.ignore.as_deref().unwrap_or_default().as_bytes())
            .map_err(|error| Error::request(format!("{}: {error}", self.ignore_path.display())))?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.context).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if !patterns.matches_or_parent_matches(name.as_bytes()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Writes both texts into a folder, as the build reads them; returns the Dockerfile there.
    pub(super) fn write_to(&self, folder: &Path) -> Result<PathBuf, Error> {
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|source| Error::io("write", &path, source))?;
            Ok::<PathBuf, Error>(path)
        };
        write("Dockerfile.dockerignore", self.ignore.as_deref().unwrap_or_default())?;
        write("Dockerfile", &self.text)
    }

    /// Returns the files that are different in `other`.
    pub(super) fn changes(&self, other: &Sources) -> Vec<FixedFile> {
        let mut files = Vec::new();
        if self.text != other.text {
            files.push(FixedFile {
                path: self.dockerfile.clone(),
                before: Some(self.text.clone()),
                after: other.text.clone(),
            });
        }
        if self.ignore != other.ignore {
            files.push(FixedFile {
                path: self.ignore_path.clone(),
                before: self.ignore.clone(),
                after: other.ignore.clone().unwrap_or_default(),
            });
        }
        files
    }
}
