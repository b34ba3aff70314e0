//! `build`: arguments to settings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jettison_image::Reference;
use jettison_ops::{
    BuildSettings, Context, Date, Destination, DockerfileSource, Entitlement, NamedContext, Network, Output,
    OutputKind, Remote, RunOptions,
};

use super::hosts::extra_host;
use super::output::output;
use super::{annotations, budgets, forwarded, network, platforms, resources, tag};
use crate::args::{BuildArgs, Timestamps};
use crate::environment::Environment;
use crate::failure::Failure;

/// Turns arguments into settings. `variable` looks a name up in the user's environment, for `--build-arg NAME`.
pub fn build(
    args: &BuildArgs,
    environment: &Environment,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<BuildSettings, Failure> {
    let (context, dockerfile) = sources(args)?;
    let tags = args.tags.iter().map(|name| tag(name)).collect::<Result<_, _>>()?;
    let named_contexts =
        args.build_contexts.iter().map(|text| named_context(text)).collect::<Result<_, _>>()?;
    let extra_hosts = args.add_hosts.iter().map(|text| extra_host(text)).collect::<Result<_, _>>()?;
    let network = network("--network", &args.network)?;
    let outputs = outputs(args)?;
    let named = has_name(args, &outputs);
    refuse_unfit(args, &outputs)?;
    Ok(BuildSettings {
        context,
        dockerfile,
        tags,
        target: args.target.clone(),
        build_args: build_args(&args.build_args, variable)?,
        named_contexts,
        labels: labels(&args.labels)?,
        annotations: annotations::annotations(&args.annotations)?,
        platforms: platforms(&args.platform)?,
        no_cache: args.no_cache,
        no_cache_filter: list(&args.no_cache_filter),
        secrets: args
            .secrets
            .iter()
            .map(|text| forwarded::secret(text, variable))
            .collect::<Result<_, _>>()?,
        agents: args.ssh.iter().map(|text| forwarded::agent(text, variable)).collect::<Result<_, _>>()?,
        run: run_options(args, network)?,
        pull: args.pull,
        network,
        extra_hosts,
        cache_limit: environment.cache_limit,
        explain: args.explain,
        jobs: args.jobs,
        iid_file: args.iid_file.as_ref().map(PathBuf::from),
        metadata_file: args.metadata_file.as_ref().map(PathBuf::from),
        drop_dead: drop_dead(&outputs)?,
        outputs,
        budgets: budgets::budgets(args, named)?,
        baseline: args.baseline.clone(),
        date: date(args.timestamp.as_deref())?,
        epoch: environment.epoch,
        keep_times: args.timestamps == Timestamps::Keep,
        docker_host: environment.docker_host.clone(),
    })
}

fn sources(args: &BuildArgs) -> Result<(Context, DockerfileSource), Failure> {
    let dockerfile = match args.file.as_deref() {
        None | Some("") => DockerfileSource::Default,
        Some("-") => DockerfileSource::Stdin,
        Some(path) => DockerfileSource::Path(PathBuf::from(path)),
    };
    if args.context == "-" {
        if dockerfile == DockerfileSource::Stdin {
            return Err(Failure::usage(
                "the Dockerfile and the context cannot both come from standard input",
            ));
        }
        return Ok((Context::Stdin, dockerfile));
    }
    if let Some(remote) = remote(&args.context)? {
        return Ok((Context::Remote(remote), dockerfile));
    }
    if args.context.is_empty() {
        return Err(Failure::usage("the context is empty: expected a directory or \"-\""));
    }
    Ok((Context::Directory(PathBuf::from(&args.context)), dockerfile))
}

/// Reads what may be a URL: of a git repository, also without scheme, or of a file, which is then called
/// `context`. BuildKit: `dockerui/context.go`, `namedcontext.go`.
fn remote(text: &str) -> Result<Option<Remote>, Failure> {
    let bad = |why: String| Failure::usage(format!("context \"{text}\": {why}"));
    match Remote::of_context(text).map_err(bad)? {
        Some(Remote::File(mut file)) => {
            "context".clone_into(&mut file.name);
            Ok(Some(Remote::File(file)))
        }
        other => Ok(other),
    }
}

/// `NAME=VALUE`, or `NAME` for the value of the environment; a name that has none there is not passed on, as docker
/// does it.
pub(super) fn build_args(
    texts: &[String],
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, Failure> {
    let mut values = Vec::new();
    for text in texts {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.as_str(), variable(text)),
        };
        if name.is_empty() {
            return Err(Failure::usage(format!("--build-arg \"{text}\": expected NAME=VALUE")));
        }
        if let Some(value) = value {
            values.push((name.to_owned(), value));
        }
    }
    Ok(values)
}

fn run_options(args: &BuildArgs, network: Network) -> Result<RunOptions, Failure> {
    Ok(RunOptions {
        hostname: args.hostname.clone(),
        shm_size: args.shm_size.as_deref().map(resources::shm_size).transpose()?.flatten(),
        limits: args.ulimits.iter().map(|text| resources::limit(text)).collect::<Result<_, _>>()?,
        cgroup_parent: args.cgroup_parent.as_deref().map(resources::cgroup_parent).transpose()?.flatten(),
        allow: entitlements(&args.allow, network)?,
    })
}

/// The host's network for all is the host's network for each (buildx: `build.go`, `toSolveOpt`).
fn entitlements(texts: &[String], network: Network) -> Result<BTreeSet<Entitlement>, Failure> {
    let asked = list(texts);
    let asked = asked.iter().map(|text| resources::entitlement(text));
    let implied = (network == Network::Host).then_some(Ok(Entitlement::HostNetwork));
    asked.chain(implied).collect()
}

/// Splits values at their commas.
fn list(values: &[String]) -> Vec<String> {
    let values = values.iter().flat_map(|value| value.split(','));
    values.filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

/// Refuses what cannot be done, and what contradicts itself.
fn refuse_unfit(args: &BuildArgs, outputs: &[Output]) -> Result<(), Failure> {
    let rewritten = outputs.iter().any(|output| output.attributes.contains_key("rewrite-timestamp"));
    if args.timestamps == Timestamps::Keep && rewritten {
        return Err(Failure::usage(
            "--timestamps=keep and --output rewrite-timestamp=true exclude each other",
        ));
    }
    Ok(())
}

/// Reads `--timestamp`.
fn date(text: Option<&str>) -> Result<Option<Date>, Failure> {
    let Some(text) = text else { return Ok(None) };
    match (text, text.parse::<i64>()) {
        ("now", _) => Ok(Some(Date::Now)),
        ("git", _) => Ok(Some(Date::Git)),
        (_, Ok(seconds)) if seconds >= 0 => Ok(Some(Date::Seconds(seconds))),
        _ => Err(Failure::usage(format!(
            "--timestamp \"{text}\": expected \"now\", \"git\" or seconds since 1970"
        ))),
    }
}

fn labels(texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels = BTreeMap::new();
    for text in texts {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if key.is_empty() {
            return Err(Failure::usage(format!("--label \"{text}\": expected KEY=VALUE")));
        }
        labels.insert(key.to_owned(), value.to_owned());
    }
    Ok(labels)
}

pub(super) fn named_context(text: &str) -> Result<(String, NamedContext), Failure> {
    let bad = |why: &str| Failure::usage(format!("--build-context \"{text}\": {why}"));
    let (name, source) = text.split_once('=').ok_or_else(|| bad("expected NAME=SOURCE"))?;
    if name.is_empty() || source.is_empty() {
        return Err(bad("expected NAME=SOURCE"));
    }
    let name = context_name(name);
    if source == "docker-image://scratch" {
        return Ok((name, NamedContext::Scratch));
    }
    if let Some(image) = source.strip_prefix("docker-image://") {
        let image = Reference::parse(image).map_err(|error| bad(&error.to_string()))?;
        return Ok((name, NamedContext::Image(image)));
    }
    if let Some(layout) = source.strip_prefix("oci-layout://") {
        return Ok((name, oci_layout(layout).ok_or_else(|| bad("expected oci-layout://DIR[:TAG|@DIGEST]"))?));
    }
    if let Some(target) = source.strip_prefix("target:") {
        let why = format!("\"{target}\" would be a target of a bake file, and there is none");
        return Err(bad(&why).help("a stage of the same Dockerfile is named as it is: COPY --from=STAGE"));
    }
    if source == "-" || source.starts_with("input:") {
        return Err(bad("expected a directory, a URL, docker-image://REF or oci-layout://DIR"));
    }
    if let Some(remote) = remote(source)? {
        return Ok((name, NamedContext::Remote(remote)));
    }
    Ok((name, NamedContext::Directory(PathBuf::from(source))))
}

/// Names that can be image references are compared in their normal form, so that `alpine` stands for
/// `docker.io/library/alpine:latest` too (buildx: `build.go`, `toBuildContexts`).
fn context_name(name: &str) -> String {
    match Reference::parse(name) {
        Ok(reference) => reference.familiar().trim_end_matches(":latest").to_owned(),
        Err(_) => name.to_owned(),
    }
}

/// A tag follows a colon after the last slash, a digest an `@`.
fn oci_layout(text: &str) -> Option<NamedContext> {
    let (directory, selector) = match text.split_once('@') {
        Some((directory, digest)) => (directory, Some(digest)),
        None => {
            let name_start = text.rfind('/').map_or(0, |slash| slash + 1);
            match text[name_start..].find(':') {
                Some(colon) => (&text[..name_start + colon], Some(&text[name_start + colon + 1..])),
                None => (text, None),
            }
        }
    };
    if directory.is_empty() || selector == Some("") {
        return None;
    }
    Some(NamedContext::Layout { directory: PathBuf::from(directory), selector: selector.map(str::to_owned) })
}

fn outputs(args: &BuildArgs) -> Result<Vec<Output>, Failure> {
    let mut outputs = args.outputs.iter().map(|text| output(text)).collect::<Result<Vec<_>, _>>()?;
    if args.push && !outputs.iter().any(|output| output.kind == OutputKind::Registry) {
        outputs.push(Output::of(OutputKind::Registry));
    }
    if args.load
        && !outputs.iter().any(|output| output.kind == OutputKind::Docker && output.destination.is_none())
    {
        outputs.push(Output::of(OutputKind::Docker));
    }
    let named = has_name(args, &outputs);
    if outputs.iter().any(|output| output.kind == OutputKind::Registry) && !named {
        return Err(Failure::usage("a tag is needed to push: add --tag NAME"));
    }
    if outputs.iter().filter(|output| output.destination == Some(Destination::Stdout)).count() > 1 {
        return Err(Failure::usage("only one --output can go to standard output"));
    }
    Ok(outputs)
}

fn has_name(args: &BuildArgs, outputs: &[Output]) -> bool {
    args.tags.iter().any(|tag| !tag.is_empty()) || outputs.iter().any(|o| o.attributes.contains_key("name"))
}

/// Reads `drop-dead=` of the outputs. There is one image a build, so that they cannot want different ones.
fn drop_dead(outputs: &[Output]) -> Result<bool, Failure> {
    let mut wanted = None;
    for value in outputs.iter().filter_map(|output| output.attributes.get("drop-dead")) {
        let value = match value.as_str() {
            "true" => true,
            "false" => false,
            other => {
                return Err(Failure::usage(format!("--output: drop-dead={other}: expected true or false")));
            }
        };
        if wanted.is_some_and(|wanted| wanted != value) {
            return Err(Failure::usage("--output: drop-dead is true for one output and false for another"));
        }
        wanted = Some(value);
    }
    Ok(wanted.unwrap_or(false))
}
