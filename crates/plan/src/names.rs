//! What the names in a Dockerfile stand for: stages, named contexts, images; and by that, which stages a target needs.

use std::collections::BTreeSet;

use jettison_dockerfile::{Instruction, Kind, Span};
use jettison_image::{Platform, Reference};

use crate::context::context_key;
use crate::error::{Error, invalid, invalid_with_help};
use crate::graph::ImageSource;
use crate::mounts;
use crate::remote::Remote;
use crate::request::{ContextKind, Request};
use crate::scope::{Env, Words};
use crate::stage::Stage;

/// What a FROM, a `--from` or a mount's `from` names.
pub(crate) enum Named {
    Stage(usize),
    Image(ImageSource),
    Directory(String),
    Remote(Remote),
    Scratch,
}

/// All that gives a name its meaning.
pub(crate) struct Names<'a> {
    pub(crate) request: &'a Request,
    pub(crate) words: Words,
    /// The arguments before the first FROM.
    pub(crate) globals: Env,
    pub(crate) stages: Vec<Stage<'a>>,
}

impl<'a> Names<'a> {
    /// Returns the stages that `target` needs by what the file says, each behind those it needs itself.
    ///
    /// The triggers of base images may need more: those are added when the base is known.
    pub(crate) fn needed(&self, target: usize) -> Result<Vec<usize>, Error> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = BTreeSet::new();
        let mut stack = vec![(target, self.references(target)?, 0)];
        open.insert(target);
        while let Some((stage, references, next)) = stack.pop() {
            let Some((needed, span)) = references.get(next).copied() else {
                open.remove(&stage);
                seen.insert(stage);
                order.push(stage);
                continue;
            };
            stack.push((stage, references, next + 1));
            if open.contains(&needed) {
                let title = self.stages[needed].title();
                return Err(invalid(
                    "cycle",
                    span,
                    format!("circular dependency detected on stage: {title}"),
                ));
            }
            if !seen.contains(&needed) {
                open.insert(needed);
                stack.push((needed, self.references(needed)?, 0));
            }
        }
        Ok(order)
    }

    /// Returns the stages that a stage names, with the places.
    fn references(&self, index: usize) -> Result<Vec<(usize, Span)>, Error> {
        let stage = self.stages[index];
        let mut found = Vec::new();
        if let (Named::Stage(base), span) = self.base_of(stage)? {
            found.push((base, span));
        }
        for instruction in stage.instructions {
            for (name, span) in named_sources(instruction)? {
                if let Named::Stage(other) = self.source(&name, span, index)? {
                    found.push((other, span));
                }
            }
        }
        Ok(found)
    }

    /// Says what a stage's FROM names.
    pub(crate) fn base_of(&self, stage: Stage<'a>) -> Result<(Named, Span), Error> {
        let Kind::From { image, .. } = &stage.from.kind else {
            return Err(invalid("no-stage", stage.from.span, "a stage must start with FROM"));
        };
        let name = self.words.expand(image, &self.globals)?;
        if name.is_empty() {
            return Err(invalid(
                "blank-base",
                image.span,
                format!("base name ({}) should not be blank", image.text),
            ));
        }
        if name == "scratch" {
            return Ok((Named::Scratch, image.span));
        }
        if let Some(context) = self.context(&name) {
            return Ok((context, image.span));
        }
        // Only stages above count, and the later of two with one name.
        let above = self.stages[..stage.index].iter().rev();
        if let Some(base) =
            above.into_iter().find(|other| other.name.is_some_and(|own| own.text.to_lowercase() == name))
        {
            return Ok((Named::Stage(base.index), image.span));
        }
        Ok((Named::Image(ImageSource::Reference(self.reference(&name, image.span)?)), image.span))
    }

    /// Says what the `--from` of an instruction in stage `user` names.
    pub(crate) fn source(&self, name: &str, span: Span, user: usize) -> Result<Named, Error> {
        if let Ok(number) = name.parse::<usize>() {
            return match self.stages.get(number) {
                Some(_) if number < user => Ok(Named::Stage(number)),
                Some(stage) => Err(self.not_yet_defined(&stage.title(), span, user)),
                None => Err(invalid(
                    "unknown-stage",
                    span,
                    format!("there is no stage {number}: stages count from 0"),
                )),
            };
        }
        if name == "scratch" {
            return Ok(Named::Scratch);
        }
        if let Some(context) = self.context(name) {
            return Ok(context);
        }
        let mut called = self.stages.iter().rev().filter(|stage| stage.is_called(name)).peekable();
        if let Some(last) = called.peek().copied() {
            return match called.find(|stage| stage.index < user) {
                Some(stage) => Ok(Named::Stage(stage.index)),
                None if last.index == user => Err(invalid(
                    "cycle",
                    span,
                    format!("circular dependency detected on stage: {}", last.title()),
                )),
                None => Err(self.not_yet_defined(&last.title(), span, user)),
            };
        }
        Ok(Named::Image(ImageSource::Reference(self.reference(name, span)?)))
    }

    fn not_yet_defined(&self, from: &str, span: Span, user: usize) -> Error {
        let user = self.stages[user].title();
        let message = format!(
            "cannot copy from stage \"{from}\", it needs to be defined before current stage \"{user}\""
        );
        invalid_with_help("stage-order", span, message, Some(format!("move stage \"{from}\" above this one")))
    }

    fn context(&self, name: &str) -> Option<Named> {
        let key = context_key(name);
        let kind = self.request.contexts.get(&key)?;
        Some(match kind {
            ContextKind::Directory => Named::Directory(key),
            ContextKind::Remote(remote) => Named::Remote(remote.clone()),
            ContextKind::Image => Named::Image(ImageSource::Context(key)),
            ContextKind::Scratch => Named::Scratch,
        })
    }

    fn reference(&self, name: &str, span: Span) -> Result<Reference, Error> {
        Reference::parse(name).map_err(|error| {
            let help = near(name, &self.of_stages()).map(|near| format!("did you mean stage \"{near}\"?"));
            invalid_with_help(
                "reference",
                span,
                format!("failed to parse stage name \"{name}\": {error}"),
                help,
            )
        })
    }

    /// Returns the platform that a stage is for.
    pub(crate) fn platform_of(&self, stage: Stage<'a>) -> Result<Platform, Error> {
        let default = || self.request.platform.clone().unwrap_or_else(|| self.request.build_platform.clone());
        let Kind::From { platform: Some(word), .. } = &stage.from.kind else { return Ok(default()) };
        let text = self.words.expand(word, &self.globals)?;
        if text.is_empty() {
            let message = format!("empty platform value from expression {}", word.text);
            return Err(invalid("platform", word.span, message));
        }
        text.parse().map_err(|error| {
            invalid("platform", word.span, format!("failed to parse platform {text}: {error}"))
        })
    }

    /// Says which stage may have been meant by what is taken for an image.
    pub(crate) fn near_stage(&self, source: &ImageSource) -> Option<String> {
        let ImageSource::Reference(reference) = source else { return None };
        let names: Vec<String> = self.of_stages().iter().map(|name| name.to_lowercase()).collect();
        near(&reference.familiar_name(), &names).map(|near| format!("did you mean stage \"{near}\"?"))
    }

    /// The names of stages, as written.
    fn of_stages(&self) -> Vec<String> {
        self.stages.iter().filter_map(|stage| stage.name).map(|name| name.text.clone()).collect()
    }
}

/// Returns what an instruction names with `--from` or `from=`, unresolved.
pub fn named_sources(instruction: &Instruction) -> Result<Vec<(String, Span)>, Error> {
    match &instruction.kind {
        Kind::Copy(copy) => Ok(copy.from.iter().map(|word| (word.text.clone(), word.span)).collect()),
        Kind::Run(run) => {
            let names = run.mounts.iter().filter_map(|word| Some((mounts::from_of(word)?, word.span)));
            Ok(names.collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// Returns the name nearest to `wanted`, if one is near enough to be meant.
pub(crate) fn near(wanted: &str, names: &[String]) -> Option<String> {
    let wanted = wanted.to_lowercase();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    jettison_dockerfile::suggest::nearest(&wanted, &names).map(str::to_owned)
}
