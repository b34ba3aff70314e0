//! `build`: from settings to an image under its names.

mod checks;
mod outputs;
mod sources;
mod summary;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;

use jettison_build::{Built, Event, MAX_SECRET, SecretSource};
use jettison_dockerfile::Severity;
use jettison_image::{DEFAULT_EPOCH, Digest, Platform, Reference};
use jettison_plan::NetworkMode;
use jettison_registry::{Cancel, Client};
use jettison_report::Problem;
use jettison_report::lint::Finding;
use jettison_sandbox::Identity;
use jettison_store::{Store, TagEntry};

pub use self::checks::{Answer, Call, call, check};
use self::outputs::{Exported, export_to, names};
use self::sources::{named_contexts, sources};
use self::summary::{Summary, summary};
use crate::settings::{BuildSettings, Network};
use crate::stored::Stored;
use crate::{Error, Faults, SourceFile};

/// How many steps run at once.
const JOBS: usize = 16;

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
    /// What the parser says of the Dockerfile that did not stop the build.
    pub warnings: Faults,
    /// What BuildKit's checks say of it.
    pub checks: Vec<Finding>,
}

/// Builds an image, gives it its names and sends it where it shall go. Nothing half-made is ever named.
pub fn build(
    settings: &BuildSettings,
    workplace: &Workplace<'_>,
    stdin: &mut dyn Read,
) -> Result<BuildReport, Error> {
    check_forwarded(settings)?;
    let sources = sources(settings, workplace.store, stdin)?;
    let parsed = jettison_dockerfile::parse(sources.dockerfile.text.as_bytes());
    let file = SourceFile { name: sources.dockerfile.name.clone(), text: parsed.text.clone() };
    let mut faults = Faults { file: file.clone(), diagnostics: parsed.diagnostics.clone() };
    if parsed.diagnostics.iter().any(|found| found.severity == Severity::Error) {
        return Err(Error::Dockerfile(Box::new(faults)));
    }
    let (kinds, contexts) = named_contexts(settings)?;
    let request = jettison_build::Request {
        dockerfile: parsed,
        plan: plan_request(settings, kinds),
        context: sources.context.clone(),
        contexts,
        no_cache: settings.no_cache,
        no_cache_filter: settings.no_cache_filter.clone(),
        secrets: settings.secrets.iter().cloned().collect(),
        agents: settings.agents.iter().cloned().collect(),
        pull: settings.pull,
        jobs: JOBS,
        epoch: settings.epoch.unwrap_or(DEFAULT_EPOCH),
        started: jettison_layer::Timestamp {
            seconds: i64::try_from(workplace.now.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: workplace.now.subsec_nanos(),
        },
    };
    let environment = environment(workplace);
    let strict = checks::refuse_if_asked(&request, &environment, &file)?;
    let built = jettison_build::build(&request, &environment)
        .map_err(|source| Error::Build { dockerfile: Box::new(file), source: Box::new(source) })?;
    let checks = if strict { Vec::new() } else { checks::of_build(&request, &environment)? };
    // The checks have this one too.
    faults.diagnostics.retain(|found| found.code != "NoEmptyContinuation");
    let report = deliver(settings, workplace, &built, faults)?;
    Ok(BuildReport { checks, ..report })
}

fn environment<'a>(workplace: &Workplace<'a>) -> jettison_build::Environment<'a> {
    jettison_build::Environment {
        store: workplace.store,
        client: workplace.client,
        identity: workplace.identity,
        no_sandbox: workplace.no_sandbox,
        cancel: workplace.cancel,
        events: workplace.events,
    }
}

fn plan_request(
    settings: &BuildSettings,
    contexts: BTreeMap<String, jettison_plan::ContextKind>,
) -> jettison_plan::Request {
    jettison_plan::Request {
        target: settings.target.clone(),
        build_args: settings.build_args.iter().cloned().collect(),
        labels: settings.labels.clone().into_iter().collect(),
        platform: settings.platform.clone(),
        build_platform: Platform::host(),
        contexts,
        network: match settings.network {
            Network::Default => NetworkMode::Default,
            Network::Host => NetworkMode::Host,
            Network::None => NetworkMode::None,
        },
        extra_hosts: settings.extra_hosts.clone(),
        run: settings.run.clone(),
    }
}

/// Refuses secrets and agents that are not there before anything is built.
fn check_forwarded(settings: &BuildSettings) -> Result<(), Error> {
    for (id, source) in &settings.secrets {
        let SecretSource::File(path) = source else { continue };
        let metadata = fs::metadata(path).map_err(|source| Error::io("read", path, source))?;
        if metadata.len() > MAX_SECRET {
            return Err(Error::request(format!("secret {id} too big: at most {MAX_SECRET} bytes")));
        }
    }
    for (id, path) in &settings.agents {
        let metadata = fs::metadata(path).map_err(|source| Error::io("read", path, source))?;
        if !metadata.file_type().is_socket() {
            let message = format!("--ssh {id}: {} is not the socket of an SSH agent", path.display());
            return Err(Error::request_with_help(
                message,
                "keys are not read from files: start ssh-agent, ssh-add the key, and give the agent's socket",
            ));
        }
    }
    Ok(())
}

/// Checks, names and exports what was built.
fn deliver(
    settings: &BuildSettings,
    workplace: &Workplace<'_>,
    built: &Built,
    warnings: Faults,
) -> Result<BuildReport, Error> {
    let stored = Stored::open(workplace.store, built.image.clone())?;
    let names = names(settings)?;
    let Summary { size, layers, problems } = summary(workplace.store, built, &stored, &names)?;
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
        size,
        layers,
        tags: names,
        manifest,
        pushed,
        problems,
        warnings,
        checks: Vec::new(),
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
