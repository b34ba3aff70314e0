//! `--call=outline`: what a build of the target can be given (BuildKit's `frontend/subrequests/outline`).

use std::collections::BTreeSet;

use jettison_dockerfile::{Instruction, Kind, Run, csv_fields};
use jettison_plan::Stage;

use super::file::{BuildError, File};
use super::targets::description;
use super::walk::Visit;
use super::{BaseLookup, Request};

/// What a build of the target can be given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// The target's name, if it has one.
    pub name: String,
    /// What the comment above the target says of it.
    pub description: String,
    /// Its build arguments, by line.
    pub args: Vec<OutlineArg>,
    /// The secrets that its commands mount, by line.
    pub secrets: Vec<OutlineMount>,
    /// The SSH agents that its commands mount, by line.
    pub ssh: Vec<OutlineMount>,
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineArg {
    /// Its name.
    pub name: String,
    /// What the comment above its ARG says of it.
    pub description: String,
    /// Its value in this build.
    pub value: String,
    /// The first and the last line of its ARG.
    pub lines: (usize, usize),
}

/// A secret or an SSH agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineMount {
    /// Its identifier.
    pub name: String,
    /// Whether the command fails without it.
    pub required: bool,
    /// The first and the last line of the RUN.
    pub lines: (usize, usize),
}

/// Says what a build of the target can be given.
pub fn outline(request: &Request<'_>, base: &mut BaseLookup<'_>) -> Result<Outline, BuildError> {
    let file = File::read(request, base);
    if let Some(error) = file.error {
        return Err(error);
    }
    let target = match &request.plan.target {
        Some(name) => file.stages.iter().rfind(|stage| super::file::is_called(stage, name)),
        None => file.stages.last(),
    };
    let name = target.and_then(|stage| stage.name).map(|name| name.text.to_lowercase()).unwrap_or_default();
    let description = target.map(|stage| description(stage.from, &name)).unwrap_or_default();
    Ok(Outline {
        description,
        args: args(&file, request),
        secrets: mounts(&file, "secret"),
        ssh: mounts(&file, "ssh"),
        name,
    })
}

/// The ARGs of the stages in use, and those before the first FROM that they or their FROM use.
fn args(file: &File<'_>, request: &Request<'_>) -> Vec<OutlineArg> {
    let mut args: Vec<OutlineArg> = Vec::new();
    let mut global: BTreeSet<String> = BTreeSet::new();
    for visit in &file.visits {
        if let Some(from) = file.froms.get(visit.stage) {
            for words in [&from.image, &from.platform].into_iter().flatten() {
                global.extend(words.matched.iter().cloned());
            }
        }
        let Kind::Arg(arguments) = &visit.instruction.kind else { continue };
        for (argument, value) in arguments.iter().zip(&visit.words) {
            let name = &argument.name.text;
            let given = request.plan.build_args.contains_key(name);
            if argument.default.is_none() && !given && file.declared.contains(name) {
                global.insert(name.clone());
            } else {
                push(&mut args, arg(file, visit, name, value));
            }
        }
    }
    let (before_from, _) = Stage::split(&file.parsed.dockerfile);
    for instruction in before_from {
        let Kind::Arg(arguments) = &instruction.kind else { continue };
        for name in arguments.iter().map(|argument| &argument.name.text).filter(|name| global.contains(*name))
        {
            push(
                &mut args,
                OutlineArg {
                    name: name.clone(),
                    description: description(instruction, name),
                    value: file.globals.get(name).unwrap_or_default().to_owned(),
                    lines: file.lines.lines(instruction.span),
                },
            );
        }
    }
    args.sort_by_key(|arg| arg.lines.0);
    args
}

fn arg(file: &File<'_>, visit: &Visit<'_>, name: &str, value: &str) -> OutlineArg {
    OutlineArg {
        name: name.to_owned(),
        description: description(&visit.instruction, name),
        value: value.to_owned(),
        lines: file.lines.lines(visit.span),
    }
}

/// The first of a name stays.
fn push(args: &mut Vec<OutlineArg>, arg: OutlineArg) {
    if !args.iter().any(|known| known.name == arg.name) {
        args.push(arg);
    }
}

fn mounts(file: &File<'_>, kind: &str) -> Vec<OutlineMount> {
    let mut found: Vec<OutlineMount> = Vec::new();
    for visit in &file.visits {
        for (name, required) in mounts_of(&visit.instruction, kind) {
            match found.iter_mut().find(|known| known.name == name) {
                Some(known) => known.required |= required,
                None => found.push(OutlineMount { name, required, lines: file.lines.lines(visit.span) }),
            }
        }
    }
    found
}

fn mounts_of(instruction: &Instruction, kind: &str) -> Vec<(String, bool)> {
    let Kind::Run(Run { mounts, .. }) = &instruction.kind else { return Vec::new() };
    let of_kind = |text: &str| -> Option<(String, bool)> {
        let fields = csv_fields(text).ok()?;
        let value = |key: &[&str]| {
            let pairs = fields.iter().filter_map(|field| field.split_once('='));
            pairs.filter(|(name, _)| key.contains(&&*name.to_lowercase())).map(|(_, value)| value).next_back()
        };
        if value(&["type"]) != Some(kind) {
            return None;
        }
        let default = match kind {
            "ssh" => Some("default"),
            _ => value(&["target", "dst", "destination"]).and_then(|path| path.rsplit('/').next()),
        };
        let required = value(&["required"]) == Some("true") || fields.iter().any(|field| field == "required");
        Some((value(&["id"]).or(default)?.to_owned(), required))
    };
    mounts.iter().filter_map(|mount| of_kind(&mount.text)).collect()
}
