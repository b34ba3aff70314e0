//! FROM: stage names, base images, platforms.

use jettison_dockerfile::{Instruction, Kind, suggest};
use jettison_image::{Platform, Reference};

use super::CHECK;
use crate::lint::file::{File, From};
use crate::lint::finding::{Hit, Rule};

pub(super) const RESERVED_STAGE_NAME: Rule = Rule {
    name: "ReservedStageName",
    summary: "Reserved words should not be used as stage names",
    url: Some("https://docs.docker.com/go/dockerfile/rule/reserved-stage-name/"),
    check: reserved_stage_name,
    ..CHECK
};

fn reserved_stage_name(file: &File<'_>) -> Vec<Hit> {
    let names = names(file).into_iter().filter(|(_, name)| name == "context" || name == "scratch");
    names
        .map(|(from, name)| {
            let message = format!("Stage name should not use the same name as reserved stage {name:?}");
            Hit::at(from, message)
        })
        .collect()
}

/// The stages that have a name, with it in lower case.
fn names<'a>(file: &File<'a>) -> Vec<(&'a Instruction, String)> {
    let name = |stage: &jettison_plan::Stage<'a>| Some((stage.from, stage.name?.text.to_lowercase()));
    file.stages.iter().filter_map(name).collect()
}

pub(super) const DUPLICATE_STAGE_NAME: Rule = Rule {
    name: "DuplicateStageName",
    summary: "Stage names should be unique",
    url: Some("https://docs.docker.com/go/dockerfile/rule/duplicate-stage-name/"),
    check: duplicate_stage_name,
    ..CHECK
};

fn duplicate_stage_name(file: &File<'_>) -> Vec<Hit> {
    let names = names(file);
    let mut hits = Vec::new();
    for (at, (from, name)) in names.iter().enumerate() {
        if names[..at].iter().any(|(_, earlier)| earlier == name) {
            let message = format!("Duplicate stage name {name:?}, stage names should be unique");
            hits.push(Hit::at(from, message));
        }
    }
    hits
}

pub(super) const INVALID_DEFAULT_ARG_IN_FROM: Rule = Rule {
    name: "InvalidDefaultArgInFrom",
    summary: "Default value for global ARG results in an empty or invalid base image name",
    url: Some("https://docs.docker.com/go/dockerfile/rule/invalid-default-arg-in-from/"),
    check: invalid_default_arg_in_from,
    ..CHECK
};

fn invalid_default_arg_in_from(file: &File<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (stage, default) in file.stages.iter().zip(&file.default_images) {
        let Kind::From { image, .. } = &stage.from.kind else { continue };
        if Reference::parse(default).is_err() {
            let message =
                format!("Default value for ARG {} results in empty or invalid base image name", image.text);
            hits.push(Hit::at(stage.from, message));
        }
    }
    hits
}

pub(super) const UNDEFINED_ARG_IN_FROM: Rule = Rule {
    name: "UndefinedArgInFrom",
    summary: "FROM command must use declared ARGs",
    url: Some("https://docs.docker.com/go/dockerfile/rule/undefined-arg-in-from/"),
    check: undefined_arg_in_from,
    ..CHECK
};

fn undefined_arg_in_from(file: &File<'_>) -> Vec<Hit> {
    let declared: Vec<&str> = file.declared.iter().map(String::as_str).collect();
    let mut hits = Vec::new();
    for from in &file.froms {
        for name in [&from.image, &from.platform].into_iter().flatten().flat_map(|words| &words.unmatched) {
            if declared.contains(&name.as_str()) {
                continue;
            }
            let near = suggest::nearest(name, &declared);
            let near = near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            hits.push(Hit::at(from.stage.from, format!("FROM argument '{name}' is not declared{near}")));
        }
    }
    hits
}

pub(super) const REDUNDANT_TARGET_PLATFORM: Rule = Rule {
    name: "RedundantTargetPlatform",
    summary: "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    url: Some("https://docs.docker.com/go/dockerfile/rule/redundant-target-platform/"),
    check: redundant_target_platform,
    ..CHECK
};

fn redundant_target_platform(file: &File<'_>) -> Vec<Hit> {
    let check = |from: &From<'_>| {
        let Kind::From { platform: Some(written), .. } = &from.stage.from.kind else { return None };
        let words = from.platform.as_ref()?;
        let alone = words.unmatched.is_empty() && words.matched.iter().eq(["TARGETPLATFORM"]);
        let message = format!(
            "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
            written.text
        );
        (alone && file.globals.get("TARGETPLATFORM") == Some(words.text.as_str()))
            .then(|| Hit::at(from.stage.from, message))
    };
    file.froms.iter().filter_map(check).collect()
}

pub(super) const FROM_PLATFORM_FLAG_CONST_DISALLOWED: Rule = Rule {
    name: "FromPlatformFlagConstDisallowed",
    summary: "FROM --platform flag should not use a constant value",
    url: Some("https://docs.docker.com/go/dockerfile/rule/from-platform-flag-const-disallowed/"),
    check: from_platform_flag_const_disallowed,
    ..CHECK
};

/// A stage whose name tells the platform is meant to be for that one.
fn from_platform_flag_const_disallowed(file: &File<'_>) -> Vec<Hit> {
    let check = |from: &From<'_>| {
        let words =
            from.platform.as_ref().filter(|words| words.matched.is_empty() && words.unmatched.is_empty())?;
        let platform: Platform = words.text.parse().ok()?;
        let name = from.stage.name.map(|name| name.text.to_lowercase()).unwrap_or_default();
        let meant = name.contains(&platform.os) || name.contains(&platform.architecture);
        let message = format!("FROM --platform flag should not use constant value {:?}", words.text);
        (!meant).then(|| Hit::at(from.stage.from, message))
    };
    file.froms.iter().filter_map(check).collect()
}

pub(super) const INVALID_BASE_IMAGE_PLATFORM: Rule = Rule {
    name: "InvalidBaseImagePlatform",
    summary: "Base image platform does not match expected target platform",
    check: invalid_base_image_platform,
    ..CHECK
};

fn invalid_base_image_platform(file: &File<'_>) -> Vec<Hit> {
    let mismatches = file.mismatches.iter();
    mismatches
        .map(|found| {
            let (actual, expected) = (found.actual.to_string(), found.expected.to_string());
            let message = format!(
                "Base image {} was pulled with platform {actual:?}, expected {expected:?} for current build",
                found.image
            );
            Hit::at(found.from, message)
        })
        .collect()
}
