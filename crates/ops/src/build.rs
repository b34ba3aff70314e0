//! `build`: from settings to an image under its names.

mod annotations;
mod budgets;
mod checks;
mod date;
mod drop_dead;
mod epoch;
mod outputs;
mod record;
mod sources;
mod summary;
mod vertex;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::time::UNIX_EPOCH;

use jettison_build::export::EarlyPush;
use jettison_build::{Built, Event, MAX_SECRET, SecretSource, StepId};
use jettison_dockerfile::Severity;
use jettison_image::{Descriptor, Digest, Platform, Reference};
use jettison_plan::NetworkMode;
use jettison_registry::{Cancel, Client};
use jettison_report::lint::Finding;
use jettison_report::{Advice, DockerfileRecord, Problem, Report};
use jettison_sandbox::Identity;
use jettison_store::{Store, TagEntry};

use self::budgets::baselines;
pub use self::checks::{Answer, Call, call, check, hadolint_settings};
use self::outputs::{Exported, Exporter, names, refuse_unfit};
use self::record::Recorder;
pub(crate) use self::sources::{default_dockerfile, ignore_file, read_file};
use self::sources::{identity, named_contexts, sources};
use self::summary::{Summary, summary};
use crate::settings::{BuildSettings, Network};
use crate::stored::Stored;
use crate::{Error, Faults, SourceFile, advise};

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
    /// The image's ID; of images for several platforms, the digest of the index over them.
    pub id: Digest,
    /// The images, one a platform.
    pub images: Vec<ImageReport>,
    /// Their names.
    pub tags: Vec<Reference>,
    /// The manifest or index, if an output had to make one.
    pub manifest: Option<Descriptor>,
    /// Names under which it was pushed, with the digests of their manifests.
    pub pushed: Vec<(Reference, Digest)>,
    /// What the parser says of the Dockerfile that did not stop the build.
    pub warnings: Faults,
    /// What BuildKit's checks say of it.
    pub checks: Vec<Finding>,
    /// What its text alone lets one advise.
    pub advice: Vec<Advice>,
}

/// One image that a build made.
#[derive(Debug, Clone)]
pub struct ImageReport {
    /// Its ID.
    pub id: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// The line that says how large it is and what was left behind.
    pub size: String,
    /// Its layers: the instruction and the bytes of files.
    pub layers: Vec<(String, u64)>,
    /// Why a container of it would not start.
    pub problems: Vec<Problem>,
}

/// Builds an image, gives it its names and sends it where it shall go. Nothing half-made is ever named.
pub fn build(
    settings: &BuildSettings,
    workplace: &Workplace<'_>,
    stdin: &mut dyn Read,
) -> Result<BuildReport, Error> {
    check_forwarded(settings)?;
    refuse_unfit(settings)?;
    annotations::refuse_lost(settings)?;
    let baselines = baselines(settings, workplace)?;
    let recorder = Recorder::new(workplace.events);
    let events = |event| recorder.event(event);
    let workplace = &Workplace { events: &events, ..*workplace };
    let sources = sources(settings, workplace, stdin)?;
    let parsed = jettison_dockerfile::parse(sources.dockerfile.text.as_bytes());
    let file = SourceFile { name: sources.dockerfile.name.clone(), text: parsed.text.clone() };
    let has_ignore_file = sources.context.as_ref().map(|context| !context.ignore.is_empty());
    let kept = DockerfileRecord { name: file.name.clone(), text: file.text.clone(), has_ignore_file };
    let mut faults = Faults { file: file.clone(), diagnostics: parsed.diagnostics.clone() };
    if parsed.diagnostics.iter().any(|found| found.severity == Severity::Error) {
        return Err(Error::Dockerfile(Box::new(faults)));
    }
    let (kinds, contexts) = named_contexts(settings)?;
    let environment = environment(workplace);
    let mut plan = plan_request(settings, kinds);
    date::choose(settings, workplace.now, &mut plan)?;
    let failed = |source| Error::Build { dockerfile: Box::new(file.clone()), source: Box::new(source) };
    let started = started(workplace.store)?;
    let epoch = epoch::settle(settings, &environment, started, &parsed, &mut plan).map_err(failed)?;
    let settings = &BuildSettings { epoch, ..settings.clone() };
    let request = jettison_build::Request {
        dockerfile: parsed,
        plan,
        platforms: settings.platforms.clone(),
        context: sources.context.clone(),
        contexts,
        no_cache: settings.no_cache,
        no_cache_filter: settings.no_cache_filter.clone(),
        secrets: settings.secrets.iter().cloned().collect(),
        agents: settings.agents.iter().cloned().collect(),
        pull: settings.pull,
        identity: identity(settings),
        explain: settings.explain,
        jobs: settings.jobs.get(),
        compression: outputs::compression(settings)?,
        times: settings.times(),
        created: settings.created(),
        started,
    };
    let strict = checks::refuse_if_asked(&request, &environment, &file)?;
    // Without a total its end is worth no line: the step has ended, and the push at the end tells of all.
    let told = |step, blob: &str, done| {
        events(Event::Progress { step, item: format!("pushing {blob}"), done, total: None });
    };
    let early_names = outputs::early_names(settings, request.compression)?;
    let early = EarlyPush::new(workplace.client, workplace.store, &early_names, &told);
    early.during(|ready| {
        let environment = jettison_build::Environment { ready, ..environment };
        let mut built = jettison_build::build(&request, &environment).map_err(failed)?;
        let checks = if strict { Vec::new() } else { checks::of_build(&request, &environment)? };
        for built in &mut built {
            if settings.drop_dead {
                drop_dead::drop_dead(workplace.store, built, request.times)?;
            }
            recorder.remember(workplace, built, &kept)?;
        }
        // The checks have this one too.
        faults.diagnostics.retain(|found| found.code != "NoEmptyContinuation");
        let built = (built.as_slice(), recorder.next_step());
        let report = deliver(settings, workplace, built, &early, &baselines, faults)?;
        let advice = advise::of_build(&request.dockerfile, settings.target.as_deref(), &kept);
        Ok(BuildReport { checks, advice, ..report })
    })
}

/// Returns when the build starts, by the clock that dates what commands write.
fn started(store: &Store) -> Result<jettison_layer::Timestamp, Error> {
    let since = store.disk_time()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Ok(jettison_layer::Timestamp { seconds, nanoseconds: since.subsec_nanos() })
}

fn environment<'a>(workplace: &Workplace<'a>) -> jettison_build::Environment<'a> {
    jettison_build::Environment {
        store: workplace.store,
        client: workplace.client,
        identity: workplace.identity,
        no_sandbox: workplace.no_sandbox,
        cancel: workplace.cancel,
        events: workplace.events,
        ready: &|_| (),
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
        platform: settings.platforms.first().cloned(),
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

/// Checks, names and exports what was built. Exports are steps from `first_step` on.
fn deliver(
    settings: &BuildSettings,
    workplace: &Workplace<'_>,
    (built, first_step): (&[Built], StepId),
    early: &EarlyPush<'_>,
    baselines: &[Option<Report>],
    warnings: Faults,
) -> Result<BuildReport, Error> {
    let names = names(settings)?;
    let mut stored = Vec::new();
    let mut images = Vec::new();
    for built in built {
        let opened = Stored::open(workplace.store, built.image.clone())?;
        images.push(image_report(workplace.store, built, &opened, &names)?);
        stored.push(opened);
    }
    budgets::check(settings, &stored, &names, baselines)?;
    let exporter = Exporter { settings, workplace, built, stored: &stored, names: &names, first_step, early };
    let mut exported = Exported::default();
    exporter.export(&mut exported)?;
    // Images of several platforms are one thing only through their index; metadata has the manifest's digest.
    let asked = settings.metadata_file.is_some() || !settings.annotations.is_empty();
    if exported.manifest.is_none() && (built.len() > 1 || asked) {
        exporter.make_manifest(&mut exported)?;
    }
    let Exported { manifest, pushed } = exported;
    let index = manifest.as_ref().filter(|_| built.len() > 1).map(|index| index.digest);
    for name in &names {
        let repo_digest = pushed.iter().find(|(reference, _)| reference == name).map(|(_, digest)| *digest);
        // What is named last comes first.
        for built in built.iter().rev() {
            let entry = TagEntry {
                image: built.image.config,
                platform: built.image.platform.clone(),
                manifest: repo_digest,
                repo_digest,
                index,
            };
            workplace.store.tag(name, &entry)?;
        }
    }
    workplace.store.sync()?;
    keep_within(settings.cache_limit, workplace)?;
    let id = index.unwrap_or_else(|| built[0].image.config);
    let report = BuildReport {
        id,
        images,
        tags: names,
        manifest,
        pushed,
        warnings,
        checks: Vec::new(),
        advice: Vec::new(),
    };
    summary::write_files(settings, &report)?;
    Ok(report)
}

/// Throws away the least valuable of the cache where this build made it too large.
fn keep_within(limit: Option<u64>, workplace: &Workplace<'_>) -> Result<(), Error> {
    let limit = limit.map_or_else(|| workplace.store.default_limit(), Ok)?;
    let freed = workplace.store.keep_within(limit)?.bytes;
    if freed > 0 {
        let megabytes = freed / 1_000_000;
        let message = format!("the cache was above its limit: {megabytes} MB of the least valuable are gone");
        (workplace.events)(Event::Warning { step: None, message });
    }
    Ok(())
}

fn image_report(
    store: &Store,
    built: &Built,
    stored: &Stored<'_>,
    names: &[Reference],
) -> Result<ImageReport, Error> {
    let Summary { size, layers, problems } = summary(store, built, stored, names)?;
    let platform = built.image.platform.clone();
    Ok(ImageReport { id: built.image.config, platform, size, layers, problems })
}
