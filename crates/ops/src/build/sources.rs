//! Where the Dockerfile, the context and the named contexts come from.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jettison_build::{ContextSource, Fetcher, NamedContext as BuildContext};
use jettison_dockerfile::ignore::Patterns;
use jettison_image::{Digest, Digester};
use jettison_plan::{ContextKind, Remote, context_key};
use jettison_store::Store;

use super::Workplace;
use crate::settings::{BuildSettings, Context, DockerfileSource, NamedContext};
use crate::{Error, SourceFile};

/// The largest Dockerfile that is read, in bytes; the parser refuses more with a message of its own.
const MAX_DOCKERFILE: u64 = jettison_dockerfile::MAX_BYTES as u64 + 1;

/// The sources of a build.
pub(super) struct Sources {
    pub(super) dockerfile: SourceFile,
    pub(super) context: Option<ContextSource>,
    /// Keeps a context that came as an archive.
    _unpacked: Option<tempfile::TempDir>,
}

/// Returns by what the next run of this build is known: its context, Dockerfile and target.
pub(super) fn identity(settings: &BuildSettings) -> Digest {
    let name = |path: &Path| {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        path.into_os_string().into_encoded_bytes()
    };
    let context = match &settings.context {
        Context::Directory(path) => name(path),
        Context::Stdin => b"-".to_vec(),
        Context::Remote(remote) => format!("{remote:?}").into_bytes(),
    };
    let dockerfile = match &settings.dockerfile {
        DockerfileSource::Default => Vec::new(),
        DockerfileSource::Path(path) => name(path),
        DockerfileSource::Stdin => b"-".to_vec(),
    };
    let mut identity = Digester::new();
    identity.field(b"build v1").field(&context).field(&dockerfile);
    identity.field(settings.target.as_deref().unwrap_or_default().as_bytes());
    identity.finish()
}

/// Where the files of a context are.
enum Root {
    /// In a directory of the user's.
    Own(PathBuf),
    /// In one that holds what somebody else made: no link leads out of it.
    Foreign(PathBuf, Option<tempfile::TempDir>),
    /// Nowhere: there is only a Dockerfile.
    Dockerfile(String),
}

pub(super) fn sources(
    settings: &BuildSettings,
    workplace: &Workplace<'_>,
    stdin: &mut dyn Read,
) -> Result<Sources, Error> {
    let (root, foreign, unpacked) = match root(settings, workplace, stdin)? {
        Root::Own(path) => (path, false, None),
        Root::Foreign(path, unpacked) => (path, true, unpacked),
        Root::Dockerfile(text) => {
            if !matches!(settings.dockerfile, DockerfileSource::Default) {
                return Err(Error::request("the context is a Dockerfile, and --file names another one"));
            }
            let dockerfile = SourceFile { name: "Dockerfile".into(), text };
            return Ok(Sources { dockerfile, context: None, _unpacked: None });
        }
    };
    let (path, text) = match &settings.dockerfile {
        DockerfileSource::Stdin => (PathBuf::from("-"), read_limited(stdin, Path::new("standard input"))?),
        DockerfileSource::Path(path) if foreign => (root.join(path), read_beneath(&root, path)?),
        DockerfileSource::Path(path) => (path.clone(), read_file(path)?),
        DockerfileSource::Default if foreign => {
            let name = default_name(&root)?;
            (root.join(name), read_beneath(&root, Path::new(name))?)
        }
        DockerfileSource::Default => default_dockerfile(&root)?,
    };
    let ignore = match &settings.context {
        // Not in BuildKit either: `.dockerignore` says what of a directory is sent to it.
        Context::Remote(_) => no_ignore()?,
        Context::Directory(_) | Context::Stdin => ignore_file(&root, &path)?,
    };
    let name = match path.as_os_str() == "-" {
        true => "Dockerfile (standard input)".to_owned(),
        false if foreign => path.strip_prefix(&root).unwrap_or(&path).display().to_string(),
        false => path.display().to_string(),
    };
    let context = Some(ContextSource { ignore, path: root });
    Ok(Sources { dockerfile: SourceFile { name, text }, context, _unpacked: unpacked })
}

fn root(settings: &BuildSettings, workplace: &Workplace<'_>, stdin: &mut dyn Read) -> Result<Root, Error> {
    let remote = match &settings.context {
        Context::Directory(path) => {
            let metadata =
                fs::metadata(path).map_err(|source| Error::io("open the build context", path, source))?;
            if !metadata.is_dir() {
                let message = format!("the build context {} is not a directory", path.display());
                return Err(Error::request(message));
            }
            return Ok(Root::Own(path.clone()));
        }
        Context::Stdin => return archive_from(stdin, workplace.store),
        Context::Remote(remote) => remote,
    };
    let files = fetch(remote, settings, workplace)?;
    match remote {
        Remote::Git(_) => Ok(Root::Foreign(files, None)),
        Remote::File(file) => {
            let path = files.join(&file.name);
            let mut file = fs::File::open(&path).map_err(|source| Error::io("read", &path, source))?;
            archive_from(&mut file, workplace.store)
        }
    }
}

/// Fetches a context and returns the directory with its files.
fn fetch(remote: &Remote, settings: &BuildSettings, workplace: &Workplace<'_>) -> Result<PathBuf, Error> {
    let fetcher = Fetcher {
        store: workplace.store,
        client: workplace.client,
        cancel: workplace.cancel,
        secrets: &settings.secrets.iter().cloned().collect(),
        agents: &settings.agents.iter().cloned().collect(),
        started: super::started(workplace.store)?,
        progress: &|_, _| (),
    };
    let failed = |source| Error::Fetch { url: remote.shown(), source: Box::new(source) };
    let (layer, _) = fetcher.fetch(remote).map_err(failed)?;
    let files = workplace.store.layer(&layer)?.and_then(|layer| layer.fs());
    files.ok_or_else(|| Error::request(format!("{}: its files are gone from the store", remote.shown())))
}

/// Reads a file as a process whose root is `root` would.
fn read_beneath(root: &Path, path: &Path) -> Result<String, Error> {
    let mut file = jettison_fs::Dir::open(root)?.open_file_in_root(path.as_os_str().as_encoded_bytes())?;
    read_limited(&mut file, path)
}

fn default_name(root: &Path) -> Result<&'static str, Error> {
    let there = |name: &&str| fs::symlink_metadata(root.join(name)).is_ok();
    ["Dockerfile", "dockerfile"].into_iter().find(there).ok_or_else(|| {
        let message = "failed to read dockerfile: there is no Dockerfile in the context";
        Error::request_with_help(
            message,
            "--file names a Dockerfile that is called otherwise or lies elsewhere",
        )
    })
}

pub(crate) fn default_dockerfile(root: &Path) -> Result<(PathBuf, String), Error> {
    for name in ["Dockerfile", "dockerfile"] {
        let path = root.join(name);
        if path.exists() {
            let text = read_file(&path)?;
            return Ok((path, text));
        }
    }
    let message = format!("failed to read dockerfile: there is no Dockerfile in {}", root.display());
    Err(Error::request_with_help(
        message,
        "--file names a Dockerfile that is called otherwise or lies elsewhere",
    ))
}

pub(crate) fn read_file(path: &Path) -> Result<String, Error> {
    let mut file = fs::File::open(path).map_err(|source| Error::io("read", path, source))?;
    read_limited(&mut file, path)
}

fn read_limited(reader: &mut dyn Read, path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    reader.take(MAX_DOCKERFILE).read_to_end(&mut bytes).map_err(|source| Error::io("read", path, source))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads `NAME.dockerignore` beside the Dockerfile, else `.dockerignore` of the context.
pub(crate) fn ignore_file(root: &Path, dockerfile: &Path) -> Result<Patterns, Error> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), root.join(".dockerignore")] {
        match fs::read(&path) {
            Ok(bytes) => {
                return Patterns::parse(&bytes)
                    .map_err(|error| Error::request(format!("{}: {error}", path.display())));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::io("read", path, source)),
        }
    }
    no_ignore()
}

fn no_ignore() -> Result<Patterns, Error> {
    Patterns::parse(b"").map_err(|error| Error::request(error.to_string()))
}

/// Tells a tar on standard input, or of a web server, from a Dockerfile, and unpacks it.
fn archive_from(input: &mut dyn Read, store: &Store) -> Result<Root, Error> {
    let failed = |source| Error::io("read", "the build context", source);
    let mut file = store.temporary_file()?;
    io::copy(input, &mut file).map_err(failed)?;
    io::Seek::rewind(&mut file).map_err(failed)?;
    let probe = file.try_clone().map_err(failed)?;
    if !jettison_layer::is_archive(&probe) {
        io::Seek::rewind(&mut file).map_err(failed)?;
        return Ok(Root::Dockerfile(read_limited(&mut file, Path::new("the build context"))?));
    }
    io::Seek::rewind(&mut file).map_err(failed)?;
    let archive = jettison_layer::read_archive(file, store.temporary_file()?)?;
    let directory = tempfile::tempdir().map_err(failed)?;
    let target = jettison_fs::Dir::open(directory.path())?;
    jettison_layer::materialize(
        &archive.index,
        &archive.content,
        &target,
        jettison_layer::Ownership::Squashed,
    )?;
    Ok(Root::Foreign(directory.path().to_owned(), Some(directory)))
}

pub(super) type Contexts = (BTreeMap<String, ContextKind>, BTreeMap<String, BuildContext>);

pub(super) fn named_contexts(settings: &BuildSettings) -> Result<Contexts, Error> {
    let mut kinds = BTreeMap::new();
    let mut contexts = BTreeMap::new();
    for (name, source) in &settings.named_contexts {
        let (kind, context) = match source {
            NamedContext::Scratch => (ContextKind::Scratch, BuildContext::Scratch),
            NamedContext::Directory(path) => {
                // One that nobody uses is not looked at: whether it is there shows when it is read.
                let ignore = ignore_file(path, &path.join("Dockerfile"))?;
                (
                    ContextKind::Directory,
                    BuildContext::Directory(ContextSource { path: path.clone(), ignore }),
                )
            }
            NamedContext::Remote(remote) => (ContextKind::Remote(remote.clone()), BuildContext::Remote),
            NamedContext::Image(reference) => (ContextKind::Image, BuildContext::Image(reference.clone())),
            NamedContext::Layout { directory, selector } => {
                let digest = selector.as_ref().and_then(|selector| selector.parse::<Digest>().ok());
                let tag = selector.clone().filter(|_| digest.is_none());
                (ContextKind::Image, BuildContext::Layout { path: directory.clone(), tag, digest })
            }
        };
        kinds.insert(context_key(name), kind);
        contexts.insert(context_key(name), context);
    }
    Ok((kinds, contexts))
}
