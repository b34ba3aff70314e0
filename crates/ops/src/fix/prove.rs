//! The proof of a rewrite: an image built before, one built after, and what differs.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use jettison_build::SecretSource;
use jettison_dockerfile::Kind;
use jettison_image::{Config, Digest};
use jettison_layer::{Change, Difference, Index, Tree, differences, fill_digests};
use jettison_report::fix::{Class, Gain, Rewrite, unexplained};
use jettison_report::{BuildRecord, human_size};
use jettison_sandbox::Hidden;

use super::sources::Sources;
use super::{Measured, smoke};
use crate::settings::{BuildSettings, DockerfileSource, FixSettings, Output, OutputKind};
use crate::stored::Stored;
use crate::{Error, Workplace, build};

/// Differences that are named where a rewrite is refused.
const NAMED: usize = 3;

/// An image that was built for a proof.
pub(super) struct Built {
    id: Digest,
    pub(super) config: Config,
    pub(super) tree: Tree,
    pub(super) base_layers: usize,
    pub(super) stored: u64,
    seconds: f64,
    record: Option<BuildRecord>,
    problems: Vec<String>,
}

/// What a proof says.
pub(super) enum Verdict {
    Kept { built: Box<Built>, proof: String, seconds: Option<f64> },
    Refused(String),
}

/// Builds drafts and compares what comes out.
pub(super) struct Prover<'a> {
    settings: &'a FixSettings,
    workplace: &'a Workplace<'a>,
    /// Paths that differ between two builds of the same.
    noise: BTreeSet<Vec<u8>>,
    before: Measured,
    /// Indexes with digests, by diff ID: equal layers are read once, and compare as equal at once.
    indexes: HashMap<Digest, Arc<Index>>,
}

impl<'a> Prover<'a> {
    pub(super) fn new(settings: &'a FixSettings, workplace: &'a Workplace<'a>) -> Prover<'a> {
        let before = Measured::default();
        Prover { settings, workplace, noise: BTreeSet::new(), before, indexes: HashMap::new() }
    }

    pub(super) fn noise(&self) -> usize {
        self.noise.len()
    }

    pub(super) fn measured_before(&self) -> Measured {
        self.before
    }

    /// Builds a draft; `secrets` are build arguments that it takes as secrets.
    pub(super) fn build(
        &mut self,
        sources: &Sources,
        secrets: &[(String, String)],
        no_cache: bool,
    ) -> Result<Built, Error> {
        let folder = tempfile::tempdir().map_err(|source| Error::io("make", "a temporary folder", source))?;
        let dockerfile = sources.write_to(folder.path())?;
        let mut settings = BuildSettings {
            dockerfile: DockerfileSource::Path(dockerfile),
            no_cache,
            outputs: vec![Output::of(OutputKind::CacheOnly)],
            annotations: Vec::new(),
            ..self.settings.build.clone()
        };
        for (name, id) in secrets {
            let value = self.argument(name)?;
            settings.secrets.push((id.clone(), SecretSource::Value(Hidden(value.into_bytes()))));
        }
        let started = Instant::now();
        let report = build(&settings, self.workplace, &mut io::empty())?;
        let seconds = started.elapsed().as_secs_f64();
        let store = self.workplace.store;
        let image = report.images.first().ok_or_else(|| Error::request("the build made no image"))?;
        let record = store.image(&image.id)?.ok_or_else(|| Error::request("the image is gone"))?;
        let stored = Stored::open(store, record)?;
        let record: Option<BuildRecord> =
            stored.record.build.clone().and_then(|record| serde_json::from_value(record).ok());
        let base_layers = record.as_ref().map_or(0, |record| record.base_layers);
        let indexes = self.indexes(&stored, base_layers)?;
        let bytes = indexes.iter().flat_map(|index| &index.entries).map(|entry| entry.size()).sum();
        Ok(Built {
            id: image.id,
            config: stored.config.clone(),
            tree: Tree::new(indexes),
            base_layers,
            stored: bytes,
            seconds,
            record,
            problems: image.problems.iter().map(|problem| problem.message.clone()).collect(),
        })
    }

    /// Reads the indexes of an image, with the digests of the files in its own layers.
    fn indexes(&mut self, stored: &Stored<'_>, base_layers: usize) -> Result<Vec<Arc<Index>>, Error> {
        let threads = thread::available_parallelism().map_or(1, |threads| threads.get());
        let mut indexes = Vec::new();
        for (number, layer) in stored.layers().iter().enumerate() {
            let index = match self.indexes.get(&layer.diff_id) {
                Some(known) => known.clone(),
                None if number < base_layers => match stored.index(number)? {
                    Some(index) => index,
                    None => stored.content(number)?.0,
                },
                None => {
                    let (index, content) = stored.content(number)?;
                    let mut index = Index::clone(&index);
                    fill_digests(&mut index.entries, &content, threads)?;
                    Arc::new(index)
                }
            };
            self.indexes.insert(layer.diff_id, index.clone());
            indexes.push(index);
        }
        Ok(indexes)
    }

    /// Takes what differs between two builds of the same for noise.
    pub(super) fn learn_noise(&mut self, first: &Built, second: &Built) {
        self.noise = differences(&first.tree, &second.tree).into_iter().map(|found| found.path).collect();
        self.before = second.measured();
    }

    /// A smoke test that fails beforehand proves nothing.
    pub(super) fn check_smoke(&self, built: &Built) -> Result<(), Error> {
        let Some(command) = &self.settings.smoke else { return Ok(()) };
        smoke::run(self.workplace, &built.id, command)?.map_err(|why| {
            let message = format!("the smoke test fails before anything is changed: {why}");
            Error::request_with_help(message, "--smoke takes a command of the image; '' runs the image's own")
        })
    }

    /// Builds with a rewrite and tells whether to keep it.
    pub(super) fn judge(
        &mut self,
        before: &Built,
        sources: &Sources,
        rewrite: &Rewrite,
        secrets: &[(String, String)],
    ) -> Result<Verdict, Error> {
        let refused = |why: String| Ok(Verdict::Refused(why));
        if rewrite.class == Class::Smoke && self.settings.smoke.is_none() {
            return refused("what it changes only a run can judge: give --smoke 'COMMAND'".to_owned());
        }
        if sources.parse().is_err() {
            return refused("the Dockerfile would have errors".to_owned());
        }
        let after = match self.build(sources, secrets, false) {
            Ok(after) => after,
            Err(error) if self.workplace.cancel.is_cancelled() => return Err(error),
            Err(error) => return refused(format!("it does not build: {error}")),
        };
        let mut proof = Vec::new();
        if rewrite.class == Class::Provable {
            let found = differences(&before.tree, &after.tree);
            let wrong = unexplained(&found, &after.tree, &self.noise, &rewrite.waste);
            if !wrong.is_empty() {
                return refused(format!("the tree differs: {}", list(&wrong)));
            }
            let gone = found.iter().filter(|found| matches!(found.change, Change::Removed { .. })).count();
            proof.push(match gone {
                0 => "same tree".to_owned(),
                gone => format!("same tree but for {gone} paths of waste"),
            });
            if settings_of(&before.config) != settings_of(&after.config) {
                return refused("the image's settings differ".to_owned());
            }
        }
        if let Some(problem) = after.problems.iter().find(|problem| !before.problems.contains(problem)) {
            return refused(format!("the image may not start: {problem}"));
        }
        if let Some(command) = &self.settings.smoke {
            if let Err(why) = smoke::run(self.workplace, &after.id, command)? {
                return refused(format!("the smoke test fails: {why}"));
            }
            proof.push("smoke test passes".to_owned());
        }
        if let Some(why) = self.without_gain(before, &after, rewrite)? {
            return refused(why);
        }
        let seconds = (rewrite.gain == Gain::Rebuild).then(|| after.install_seconds());
        Ok(Verdict::Kept { built: Box::new(after), proof: proof.join(", "), seconds })
    }

    /// Why a rewrite that is right is no better.
    fn without_gain(
        &self,
        before: &Built,
        after: &Built,
        rewrite: &Rewrite,
    ) -> Result<Option<String>, Error> {
        match rewrite.gain {
            Gain::Bytes if after.stored >= before.stored => Ok(Some("it saves nothing".to_owned())),
            Gain::Bytes | Gain::Rebuild => Ok(None),
            Gain::Secret => {
                for (name, _) in &rewrite.secrets {
                    let value = self.argument(name)?;
                    let config = String::from_utf8_lossy(&after.config.to_bytes()).into_owned();
                    if !value.is_empty() && config.contains(&value) {
                        return Ok(Some(format!("the config still tells the value of {name}")));
                    }
                }
                Ok(None)
            }
        }
    }

    /// The value of a build argument: as given, or the default that the Dockerfile has.
    fn argument(&self, name: &str) -> Result<String, Error> {
        let given = self.settings.build.build_args.iter().rev().find(|(given, _)| given == name);
        if let Some((_, value)) = given {
            return Ok(value.clone());
        }
        let parsed = Sources::read(&self.settings.build)?.parse()?;
        let arguments =
            parsed.dockerfile.instructions.iter().filter_map(|instruction| match &instruction.kind {
                Kind::Arg(arguments) => Some(arguments),
                _ => None,
            });
        let argument = arguments.flatten().find(|argument| argument.name.text == name);
        Ok(argument.and_then(|argument| argument.default.clone()).map(|word| word.text).unwrap_or_default())
    }
}

impl Built {
    pub(super) fn measured(&self) -> Measured {
        Measured { stored: self.stored, live: self.tree.unpacked_size(), seconds: self.seconds }
    }

    /// How long the longest step took that is not run again when a source changes: that of the dependencies.
    fn install_seconds(&self) -> f64 {
        let steps = self.record.iter().flat_map(|record| &record.steps);
        steps.filter_map(|step| step.executed_seconds).fold(0.0, f64::max)
    }
}

/// What of a config a rewrite of layers must not change.
fn settings_of(config: &Config) -> (&jettison_image::RunConfig, &str, &str) {
    (&config.config, &config.os, &config.architecture)
}

fn list(found: &[&Difference]) -> String {
    let show = |found: &&Difference| {
        let path = String::from_utf8_lossy(&found.path);
        match &found.change {
            Change::Added { size } => format!("/{path} is new ({})", human_size(*size)),
            Change::Removed { size } => format!("/{path} is gone ({})", human_size(*size)),
            Change::Changed { what, .. } => format!("/{path} has another {}", what.join(" and ")),
        }
    };
    let mut text = found.iter().take(NAMED).map(show).collect::<Vec<_>>().join(", ");
    if found.len() > NAMED {
        text += &format!(" and {} more", found.len() - NAMED);
    }
    text
}
