//! How instructions are written: casing, comments, forms, repetitions.

use jettison_dockerfile::{Command, Instruction, Kind};

use super::CHECK;
use crate::lint::file::File;
use crate::lint::finding::{Hit, Rule};

pub(super) const NO_EMPTY_CONTINUATION: Rule = Rule {
    name: "NoEmptyContinuation",
    summary: "Empty continuation lines will become errors in a future release",
    url: Some("https://docs.docker.com/go/dockerfile/rule/no-empty-continuation/"),
    check: no_empty_continuation,
    ..CHECK
};

/// The parser sees them; nothing later does.
fn no_empty_continuation(file: &File<'_>) -> Vec<Hit> {
    if !file.readable {
        return Vec::new();
    }
    let found = file.parsed.diagnostics.iter().filter(|found| found.code == NO_EMPTY_CONTINUATION.name);
    let hit = |span| Hit { span, message: "Empty continuation line".to_owned(), comments: Vec::new() };
    found.map(|found| hit(found.span)).collect()
}

pub(super) const MAINTAINER_DEPRECATED: Rule = Rule {
    name: "MaintainerDeprecated",
    summary: "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    url: Some("https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/"),
    check: maintainer_deprecated,
    ..CHECK
};

fn maintainer_deprecated(file: &File<'_>) -> Vec<Hit> {
    let message = "Maintainer instruction is deprecated in favor of using label";
    let found = file.instructions.iter().filter(|known| matches!(known.kind, Kind::Maintainer(_)));
    found.map(|instruction| Hit::at(instruction, message)).collect()
}

pub(super) const STAGE_NAME_CASING: Rule = Rule {
    name: "StageNameCasing",
    summary: "Stage names should be lowercase",
    url: Some("https://docs.docker.com/go/dockerfile/rule/stage-name-casing/"),
    check: stage_name_casing,
    ..CHECK
};

fn stage_name_casing(file: &File<'_>) -> Vec<Hit> {
    let check = |instruction: &Instruction| {
        let Kind::From { name: Some(name), .. } = &instruction.kind else { return None };
        let message = format!("Stage name '{}' should be lowercase", name.text);
        (name.text != name.text.to_lowercase()).then(|| Hit::at(instruction, message))
    };
    file.instructions.iter().filter_map(check).collect()
}

pub(super) const FROM_AS_CASING: Rule = Rule {
    name: "FromAsCasing",
    summary: "The 'as' keyword should match the case of the 'from' keyword",
    url: Some("https://docs.docker.com/go/dockerfile/rule/from-as-casing/"),
    check: from_as_casing,
    ..CHECK
};

fn from_as_casing(file: &File<'_>) -> Vec<Hit> {
    file.instructions.iter().filter_map(check_as).collect()
}

fn check_as(instruction: &Instruction) -> Option<Hit> {
    let Kind::From { name: Some(_), .. } = &instruction.kind else { return None };
    let from = &instruction.keyword.text;
    // The keyword stands before the name, the last word.
    let keyword = instruction.original.split_whitespace().rev().nth(1)?;
    let matches = match Casing::of(from) {
        Casing::Lower => keyword == keyword.to_lowercase(),
        Casing::Upper => keyword == keyword.to_uppercase(),
        // A mixed FROM is another rule's.
        Casing::Mixed => true,
    };
    (!matches)
        .then(|| Hit::at(instruction, format!("'{keyword}' and '{from}' keywords' casing do not match")))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Casing {
    Lower,
    Upper,
    Mixed,
}

impl Casing {
    fn of(word: &str) -> Casing {
        if word == word.to_lowercase() {
            Casing::Lower
        } else if word == word.to_uppercase() {
            Casing::Upper
        } else {
            Casing::Mixed
        }
    }
}

pub(super) const INVALID_DEFINITION_DESCRIPTION: Rule = Rule {
    name: "InvalidDefinitionDescription",
    summary: "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If \
              this is not intended to be a description comment, add an empty line or comment between the instruction \
              and the comment.",
    url: Some("https://docs.docker.com/go/dockerfile/rule/invalid-definition-description/"),
    experimental: true,
    check: invalid_definition_description,
    ..CHECK
};

fn invalid_definition_description(file: &File<'_>) -> Vec<Hit> {
    file.instructions.iter().filter_map(|instruction| check_description(file, instruction)).collect()
}

fn check_description(file: &File<'_>, instruction: &Instruction) -> Option<Hit> {
    let (keyword, names): (&str, Vec<String>) = match &instruction.kind {
        Kind::From { name: Some(name), .. } => ("FROM", vec![name.text.to_lowercase()]),
        Kind::Arg(arguments) => {
            ("ARG", arguments.iter().map(|argument| argument.name.text.clone()).collect())
        }
        _ => return None,
    };
    let comment = instruction.comments.last()?;
    // An empty line between them parts the comment from the instruction.
    let line = file.lines.line(instruction.span.start);
    if file.lines.line_text(line.saturating_sub(1)).trim().is_empty() {
        return None;
    }
    let first = comment.split(' ').next().unwrap_or_default();
    if names.iter().any(|name| name == first) {
        return None;
    }
    let example = if names.len() > 1 { "<arg_key>" } else { names.first()? };
    let message = format!("Comment for {keyword} should follow the format: `# {example} <description>`");
    Some(Hit::at(instruction, message))
}

pub(super) const CONSISTENT_INSTRUCTION_CASING: Rule = Rule {
    name: "ConsistentInstructionCasing",
    summary: "All commands within the Dockerfile should use the same casing (either upper or lower)",
    url: Some("https://docs.docker.com/go/dockerfile/rule/consistent-instruction-casing/"),
    check: consistent_instruction_casing,
    ..CHECK
};

/// What stands before the first FROM does not count.
fn consistent_instruction_casing(file: &File<'_>) -> Vec<Hit> {
    let all = file.stages.iter().flat_map(|stage| std::iter::once(stage.from).chain(stage.instructions));
    let instructions: Vec<&Instruction> = all.collect();
    let count =
        |casing| instructions.iter().filter(|known| Casing::of(&known.keyword.text) == casing).count();
    let (wanted, name) = match count(Casing::Lower) > count(Casing::Upper) {
        true => (Casing::Lower, "lowercase"),
        false => (Casing::Upper, "uppercase"),
    };
    let check = |instruction: &Instruction| {
        let keyword = &instruction.keyword.text;
        let message = format!("Command '{keyword}' should match the case of the command majority ({name})");
        (Casing::of(keyword) != wanted).then(|| Hit::at(instruction, message))
    };
    instructions.into_iter().filter_map(check).collect()
}

pub(super) const MULTIPLE_INSTRUCTIONS_DISALLOWED: Rule = Rule {
    name: "MultipleInstructionsDisallowed",
    summary: "Multiple instructions of the same type should not be used in the same stage",
    url: Some("https://docs.docker.com/go/dockerfile/rule/multiple-instructions-disallowed/"),
    check: multiple_instructions_disallowed,
    ..CHECK
};

/// The place is that of the instruction that has no effect; the comment that counts is that of the one with effect.
fn multiple_instructions_disallowed(file: &File<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (at, visit) in file.visits.iter().enumerate() {
        if !matches!(visit.instruction.kind, Kind::Cmd(_) | Kind::Entrypoint(_) | Kind::Healthcheck(_)) {
            continue;
        }
        let same =
            |kind: &Kind| std::mem::discriminant(kind) == std::mem::discriminant(&visit.instruction.kind);
        let mut before = file.visits[..at].iter().rev().take_while(|other| other.stage == visit.stage);
        if let Some(earlier) = before.find(|other| same(&other.instruction.kind)) {
            let message = format!(
                "Multiple {} instructions should not be used in the same stage because only the last one will be used",
                visit.instruction.keyword.text
            );
            let comments = visit.instruction.comments.clone();
            hits.push(Hit { span: earlier.span, message, comments });
        }
    }
    hits
}

pub(super) const JSON_ARGS_RECOMMENDED: Rule = Rule {
    name: "JSONArgsRecommended",
    summary: "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    url: Some("https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"),
    check: json_args_recommended,
    ..CHECK
};

fn json_args_recommended(file: &File<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for visit in &file.visits {
        let (Kind::Cmd(Command::Shell(_)) | Kind::Entrypoint(Command::Shell(_))) = &visit.instruction.kind
        else {
            continue;
        };
        if !visit.shell {
            let keyword = &visit.instruction.keyword.text;
            hits.push(visit.hit(format!(
                "JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
            )));
        }
    }
    hits
}
