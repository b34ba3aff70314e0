//! `build`: from settings to an image under its names.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_build::export::{self, CompressionOptions, DaemonAddress, Place};
use jettison_build::{Built, ContextSource, Event, NamedContext as BuildContext};
use jettison_dockerfile::Severity;
use jettison_dockerfile::ignore::Patterns;
use jettison_image::{DEFAULT_EPOCH, Digest, Platform, Reference};
use jettison_layer::{Content as LayerContents, Kind};
use jettison_plan::{ContextKind, NetworkMode, context_key};
use jettison_registry::{Cancel, Client};
use jettison_report::{LayerContent, Problem, Size, Stage, StageLayer};
use jettison_sandbox::Identity;
use jettison_store::{Store, TagEntry};

use crate::settings::{
    BuildSettings, Context, Destination, DockerfileSource, NamedContext, Network, Output, OutputKind,
};
use crate::stored::Stored;
use crate::transfer::{Transfer, export_context};
use crate::{Error, Faults, SourceFile};

/// How many steps run at once.
const JOBS: usize = 16;

/// The largest Dockerfile that is read, in bytes; the parser refuses more with a message of its own.
const MAX_DOCKERFILE: u64 = jettison_dockerfile::MAX_BYTES as u64 + 1;

/// What a build works with.
pub struct Workplace<'a> {
    /// Where everything is kept.
    pub store: &'a Store,
    /// The way to registries.
    pub client: &'a Client,
    /// As whom this process works.
    pub identity: &'a Identity,
    /// Ends the build from outside.
    pub cancel: &'a Cancel,
    /// Why no command can be run, where that is so.
    pub no_sandbox: Option<&'a str>,
    /// Told what happens.
    pub events: &'a (dyn Fn(Event) + Sync),
    /// When the build started, since 1970.
    pub now: std::time::Duration,
}

/// What a build made.
#[derive(Debug, Clone)]
pub struct BuildReport {
    /// The image's ID.
    pub image: Digest,
    /// Its names.
    pub tags: Vec<Reference>,
    /// The digest of its manifest, if an output had to make one.
    pub manifest: Option<Digest>,
    /// Names under which it was pushed, with the digests of their manifests.
    pub pushed: Vec<(Reference, Digest)>,
    /// The line that says how large it is and what was left behind.
    pub size: String,
    /// Its layers: the instruction and the bytes of files.
    pub layers: Vec<(String, u64)>,
    /// Why a container of it would not start.
    pub problems: Vec<Problem>,
    /// Findings in the Dockerfile that did not stop the build.
    pub warnings: Faults,
}

/// The sources of a build.
struct Sources {
    dockerfile: SourceFile,
    context: Option<ContextSource>,
    /// Keeps a context that came as an archive.
    _unpacked: Option<tempfile::TempDir>,
}

/// Builds an image, gives it its names and sends it where it shall go. Nothing half-made is ever named.
pub fn build(
    settings: &BuildSettings,
    workplace: &Workplace<'_>,
    stdin: &mut dyn Read,
) -> Result<BuildReport, Error> {
    let sources = sources(settings, workplace.store, stdin)?;
    let parsed = jettison_dockerfile::parse(sources.dockerfile.text.as_bytes());
    let file = SourceFile { name: sources.dockerfile.name.clone(), text: parsed.text.clone() };
    let faults = Faults { file: file.clone(), diagnostics: parsed.diagnostics.clone() };
    if parsed.diagnostics.iter().any(|found| found.severity == Severity::Error) {
        return Err(Error::Dockerfile(Box::new(faults)));
    }
    let (kinds, contexts) = named_contexts(settings)?;
    let request = jettison_build::Request {
        dockerfile: parsed,
        plan: jettison_plan::Request {
            target: settings.target.clone(),
            build_args: settings.build_args.iter().cloned().collect(),
            labels: settings.labels.clone().into_iter().collect(),
            platform: settings.platform.clone(),
            build_platform: Platform::host(),
            contexts: kinds,
            network: match settings.network {
                Network::Default => NetworkMode::Default,
                Network::Host => NetworkMode::Host,
                Network::None => NetworkMode::None,
            },
            extra_hosts: settings.extra_hosts.clone(),
        },
        context: sources.context.clone(),
        contexts,
        no_cache: settings.no_cache,
        pull: settings.pull,
        jobs: JOBS,
        epoch: settings.epoch.unwrap_or(DEFAULT_EPOCH),
        started: jettison_layer::Timestamp {
            seconds: i64::try_from(workplace.now.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: workplace.now.subsec_nanos(),
        },
    };
    let environment = jettison_build::Environment {
        store: workplace.store,
        client: workplace.client,
        identity: workplace.identity,
        no_sandbox: workplace.no_sandbox,
        cancel: workplace.cancel,
        events: workplace.events,
    };
    let built = jettison_build::build(&request, &environment)
        .map_err(|source| Error::Build { dockerfile: Box::new(file), source: Box::new(source) })?;
    deliver(settings, workplace, &built, faults)
}

/// Checks, names and exports what was built.
fn deliver(
    settings: &BuildSettings,
    workplace: &Workplace<'_>,
    built: &Built,
    warnings: Faults,
) -> Result<BuildReport, Error> {
    let stored = Stored::open(workplace.store, built.image.clone())?;
    let problems = problems(&stored)?;
    let names = names(settings)?;
    let mut exported = Exported::default();
    for output in &settings.outputs {
        export_to(output, settings, built, &stored, &names, workplace, &mut exported)?;
    }
    let Exported { manifest, pushed } = exported;
    for name in &names {
        let repo_digest = pushed.iter().find(|(reference, _)| reference == name).map(|(_, digest)| *digest);
        let entry = TagEntry {
            image: built.image.config,
            platform: built.image.platform.clone(),
            manifest: repo_digest,
            repo_digest,
        };
        workplace.store.tag(name, &entry)?;
    }
    workplace.store.sync()?;
    let report = BuildReport {
        image: built.image.config,
        size: size_line(workplace.store, built, &names)?,
        layers: layers(&stored)?,
        tags: names,
        manifest,
        pushed,
        problems,
        warnings,
    };
    if let Some(path) = &settings.iid_file {
        fs::write(path, report.image.to_string()).map_err(|source| Error::io("write", path, source))?;
    }
    if let Some(path) = &settings.metadata_file {
        let bytes = serde_json::to_vec_pretty(&metadata(&report)).unwrap_or_default();
        fs::write(path, bytes).map_err(|source| Error::io("write", path, source))?;
    }
    Ok(report)
}

/// What buildx writes with `--metadata-file`.
fn metadata(report: &BuildReport) -> serde_json::Value {
    let mut metadata = serde_json::json!({ "containerimage.config.digest": report.image.to_string() });
    if let Some(digest) = report.manifest {
        metadata["containerimage.digest"] = digest.to_string().into();
    }
    if !report.tags.is_empty() {
        let names: Vec<String> = report.tags.iter().map(ToString::to_string).collect();
        metadata["image.name"] = names.join(",").into();
    }
    metadata
}

/// The names of `--tag` and of outputs' `name=`.
fn names(settings: &BuildSettings) -> Result<Vec<Reference>, Error> {
    let mut names = settings.tags.clone();
    for output in &settings.outputs {
        for name in output.attributes.get("name").iter().flat_map(|list| list.split(',')) {
            let name = Reference::parse(name).map_err(|error| Error::request(error.to_string()))?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

fn sources(settings: &BuildSettings, store: &Store, stdin: &mut dyn Read) -> Result<Sources, Error> {
    let (root, unpacked) = match &settings.context {
        Context::Directory(path) => {
            let metadata =
                fs::metadata(path).map_err(|source| Error::io("open the build context", path, source))?;
            if !metadata.is_dir() {
                return Err(Error::request(format!(
                    "the build context {} is not a directory",
                    path.display()
                )));
            }
            (Some(path.clone()), None)
        }
        Context::Stdin => match archive_from(stdin, store)? {
            Stdin::Archive(directory) => (Some(directory.path().to_owned()), Some(directory)),
            Stdin::Dockerfile(text) => {
                if !matches!(settings.dockerfile, DockerfileSource::Default) {
                    return Err(Error::request(
                        "standard input is a Dockerfile, and --file names another one",
                    ));
                }
                return Ok(Sources {
                    dockerfile: SourceFile { name: "Dockerfile".into(), text },
                    context: None,
                    _unpacked: None,
                });
            }
        },
    };
    let (path, text) = match &settings.dockerfile {
        DockerfileSource::Stdin => (PathBuf::from("-"), read_limited(stdin, Path::new("standard input"))?),
        DockerfileSource::Path(path) => {
            let path = match (&unpacked, &root) {
                (Some(_), Some(root)) => root.join(path),
                _ => path.clone(),
            };
            let text = read_file(&path)?;
            (path, text)
        }
        DockerfileSource::Default => default_dockerfile(root.as_deref().unwrap_or(Path::new(".")))?,
    };
    let context = match root {
        Some(root) => Some(ContextSource { ignore: ignore_file(&root, &path)?, path: root }),
        None => None,
    };
    let name = match path.as_os_str() == "-" {
        true => "Dockerfile (standard input)".to_owned(),
        false => path.display().to_string(),
    };
    Ok(Sources { dockerfile: SourceFile { name, text }, context, _unpacked: unpacked })
}

fn default_dockerfile(root: &Path) -> Result<(PathBuf, String), Error> {
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

fn read_file(path: &Path) -> Result<String, Error> {
    let mut file = fs::File::open(path).map_err(|source| Error::io("read", path, source))?;
    read_limited(&mut file, path)
}

fn read_limited(reader: &mut dyn Read, path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    reader.take(MAX_DOCKERFILE).read_to_end(&mut bytes).map_err(|source| Error::io("read", path, source))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads `NAME.dockerignore` beside the Dockerfile, else `.dockerignore` of the context.
fn ignore_file(root: &Path, dockerfile: &Path) -> Result<Patterns, Error> {
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
    Patterns::parse(b"").map_err(|error| Error::request(error.to_string()))
}

enum Stdin {
    Archive(tempfile::TempDir),
    Dockerfile(String),
}

/// Tells a tar on standard input from a Dockerfile, and unpacks it.
fn archive_from(stdin: &mut dyn Read, store: &Store) -> Result<Stdin, Error> {
    let failed = |source| Error::io("read", "standard input", source);
    let mut file = store.temporary_file()?;
    io::copy(stdin, &mut file).map_err(failed)?;
    io::Seek::rewind(&mut file).map_err(failed)?;
    let probe = file.try_clone().map_err(failed)?;
    if !jettison_layer::is_archive(&probe) {
        io::Seek::rewind(&mut file).map_err(failed)?;
        return Ok(Stdin::Dockerfile(read_limited(&mut file, Path::new("standard input"))?));
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
    Ok(Stdin::Archive(directory))
}

type Contexts = (BTreeMap<String, ContextKind>, BTreeMap<String, BuildContext>);

fn named_contexts(settings: &BuildSettings) -> Result<Contexts, Error> {
    let mut kinds = BTreeMap::new();
    let mut contexts = BTreeMap::new();
    for (name, source) in &settings.named_contexts {
        let (kind, context) = match source {
            NamedContext::Directory(path) => {
                // One that nobody uses is not looked at: whether it is there shows when it is read.
                let ignore = ignore_file(path, &path.join("Dockerfile"))?;
                (
                    ContextKind::Directory,
                    BuildContext::Directory(ContextSource { path: path.clone(), ignore }),
                )
            }
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

/// What outputs made known.
#[derive(Default)]
struct Exported {
    manifest: Option<Digest>,
    pushed: Vec<(Reference, Digest)>,
}

/// Sends the image to one place.
fn export_to(
    output: &Output,
    settings: &BuildSettings,
    built: &Built,
    stored: &Stored<'_>,
    names: &[Reference],
    workplace: &Workplace<'_>,
    exported: &mut Exported,
) -> Result<(), Error> {
    let progress = |_: &str, _: u64, _: Option<u64>| ();
    let now = i64::try_from(workplace.now.as_secs()).unwrap_or(i64::MAX);
    let transfer = Transfer { client: workplace.client, cancel: workplace.cancel, progress: &progress, now };
    let context = export_context(workplace.store, transfer);
    let attribute = |name: &str| output.attributes.get(name).map(String::as_str);
    let options = CompressionOptions::default()
        .with(attribute("compression"), attribute("compression-level"), attribute("force-compression"))
        .map_err(|error| Error::request(format!("--output: {error}")))?;
    let mut prepare = || -> Result<_, Error> {
        let mut source = stored.source(names.to_vec())?;
        for (layer, origin) in source.layers.iter_mut().zip(&built.origins) {
            if layer.origin.is_none() {
                layer.origin.clone_from(origin);
            }
        }
        let prepared = export::prepare(source, &options, context)?;
        exported.manifest = Some(prepared.manifest.digest());
        Ok(prepared)
    };
    let mut stdout = io::stdout();
    let place = || -> Result<Option<&Path>, Error> {
        match &output.destination {
            Some(Destination::Path(path)) => Ok(Some(path)),
            Some(Destination::Stdout) => Ok(None),
            None => Err(Error::request("--output: dest= is required for this type")),
        }
    };
    match output.kind {
        OutputKind::CacheOnly => {}
        OutputKind::Image if attribute("push") != Some("true") => {}
        OutputKind::Image | OutputKind::Registry => {
            let pushed = export::push(workplace.client, &prepare()?, context)?;
            exported.pushed.extend(pushed.into_iter().map(|pushed| (pushed.reference, pushed.digest)));
        }
        OutputKind::Oci => match (place()?, attribute("tar")) {
            (Some(path), Some("false")) => export::write_oci_layout(&[prepare()?], path, context)?,
            (Some(path), _) => export::write_oci_archive(&[prepare()?], Place::File(path), context)?,
            (None, _) => export::write_oci_archive(&[prepare()?], Place::Stream(&mut stdout), context)?,
        },
        OutputKind::Docker if output.destination.is_none() => {
            let address = DaemonAddress::parse(settings.docker_host.as_deref())?;
            export::load_into_daemon(&address, &[prepare()?], context)?;
        }
        OutputKind::Docker => match place()? {
            Some(path) => export::write_docker_archive(&[prepare()?], Place::File(path), context)?,
            None => export::write_docker_archive(&[prepare()?], Place::Stream(&mut stdout), context)?,
        },
        OutputKind::Tar | OutputKind::Local => {
            let (index, files) = stored.root_fs()?;
            let epoch = settings.epoch.unwrap_or(DEFAULT_EPOCH);
            let tree = move |out: &mut dyn Write| {
                jettison_layer::write_layer(&index, &files, epoch, out).map_err(io::Error::other)
            };
            match (output.kind, place()?) {
                (OutputKind::Local, Some(path)) => export::write_local(&tree, path, context)?,
                (_, Some(path)) => export::write_tar(&tree, Place::File(path), context)?,
                (_, None) => export::write_tar(&tree, Place::Stream(&mut stdout), context)?,
            }
        }
    }
    Ok(())
}

/// Why a container of the image would not start. What was never unpacked cannot be looked into.
fn problems(stored: &Stored<'_>) -> Result<Vec<Problem>, Error> {
    let Some(tree) = stored.tree()? else { return Ok(Vec::new()) };
    let contents: Vec<Option<Arc<dyn LayerContents>>> =
        (0..stored.layers().len()).map(|number| stored.content_at_hand(number)).collect::<Result<_, _>>()?;
    let open = |path: &[u8]| -> io::Result<Option<Box<dyn jettison_report::Content>>> {
        let Some(node) = tree.get(path) else { return Ok(None) };
        let (layer, entry) = node.content();
        let Some(content) = contents.get(layer).and_then(Option::as_ref) else { return Ok(None) };
        if !matches!(entry.kind, Kind::File { .. }) {
            return Ok(None);
        }
        if let Some(file) = content.open_file(entry)? {
            return Ok(Some(Box::new(file)));
        }
        let mut bytes = Vec::new();
        content.open(entry)?.read_to_end(&mut bytes)?;
        Ok(Some(Box::new(io::Cursor::new(bytes))))
    };
    Ok(jettison_report::startable(&tree, &open, &stored.config))
}

/// The layers of the image by instruction, with the bytes of their files.
fn layers(stored: &Stored<'_>) -> Result<Vec<(String, u64)>, Error> {
    let mut layers = Vec::new();
    for row in jettison_report::layer_rows(&stored.config) {
        if let Some((number, _)) = row.layer {
            layers.push((row.created_by, stored.size(number)?.0));
        }
    }
    Ok(layers)
}

fn size_line(store: &Store, built: &Built, names: &[Reference]) -> Result<String, Error> {
    let mut known: HashMap<String, LayerContent> = HashMap::new();
    let mut stages = Vec::new();
    for stage in &built.stages {
        let mut layers = Vec::new();
        for layer in &stage.layers {
            let id = layer.id.to_string();
            if !known.contains_key(&id) {
                let content = match store.layer(&layer.id)? {
                    Some(stored) => LayerContent::Index(Arc::new(stored.index()?)),
                    None => LayerContent::Compressed(layer.compressed.unwrap_or(0)),
                };
                known.insert(id.clone(), content);
            }
            let content = known[&id].clone();
            layers.push(StageLayer { id, content });
        }
        stages.push(Stage { name: stage.name.clone(), layers });
    }
    let target = stages.remove(built.target);
    // A stage that the image itself starts from is not left behind.
    let within = |stage: &Stage| {
        stage.layers.len() <= target.layers.len()
            && stage.layers.iter().zip(&target.layers).all(|(ours, theirs)| ours.id == theirs.id)
    };
    stages.retain(|stage| !within(stage));
    let discarded: Vec<String> = stages.iter().map(|stage| stage.name.clone()).collect();
    let left: Size = jettison_report::measure(&stages);
    let name = names.first().map_or_else(|| built.image.config.short(), Reference::familiar);
    Ok(jettison_report::summary(&name, jettison_report::measure(&[target]), &discarded, left))
}
