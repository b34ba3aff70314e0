//! Rules about what an image's config says: users, ports, commands, variables, labels.

use std::collections::{BTreeMap, BTreeSet};

use jettison_dockerfile::{Command, Healthcheck, Kind};

use super::images;
use super::placed::{Placed, each, each_plain, plain, unquoted};
use crate::lint::file::File;
use crate::lint::finding::Hit;

/// DL3002, of each stage.
pub(super) fn last_user(file: &File<'_>) -> Vec<Hit> {
    let mut last: Vec<&Placed<'_>> = Vec::new();
    for placed in plain(file).filter(|placed| matches!(placed.instruction.kind, Kind::User(_))) {
        if last.last().is_some_and(|before| before.stage == placed.stage) {
            last.pop();
        }
        last.push(placed);
    }
    let is_root = |placed: &&&Placed<'_>| ["root", "0"].contains(&user(placed).unwrap_or_default());
    last.iter().filter(is_root).map(|placed| placed.hit("the image runs as root")).collect()
}

/// Returns the user of USER, without the group.
fn user<'a>(placed: &Placed<'a>) -> Option<&'a str> {
    let Kind::User(word) = &placed.instruction.kind else { return None };
    let text = unquoted(&word.text);
    Some(text.split(':').next().unwrap_or(text))
}

/// DL3066. What a build argument gives may be a number; of an ENV the value is known.
pub(super) fn user_name(file: &File<'_>) -> Vec<Hit> {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mut values: BTreeMap<&str, &str> = BTreeMap::new();
    let mut hits = Vec::new();
    for placed in plain(file) {
        match &placed.instruction.kind {
            Kind::Arg(arguments) => {
                values.extend(arguments.iter().map(|known| (known.name.text.as_str(), "0")))
            }
            Kind::Env(pairs) => {
                values.extend(pairs.iter().map(|pair| (pair.name.text.as_str(), unquoted(&pair.value.text))));
            }
            _ => {}
        }
        let Some(user) = user(placed) else { continue };
        let variable = user.strip_prefix('$').map(|name| name.trim_matches(['{', '}']));
        let value = variable.and_then(|name| values.get(name)).copied();
        if !value.map_or_else(|| is_number(user), |value| value.starts_with('$') || is_number(value)) {
            hits.push(placed.hit("a number means the same user everywhere"));
        }
    }
    hits
}

/// DL3011
pub(super) fn ports(file: &File<'_>) -> Vec<Hit> {
    let too_high = |port: &str| port.parse::<u64>().is_ok_and(|number| number > u64::from(u16::MAX));
    each_plain(file, "a port is at most 65535", |placed| match &placed.instruction.kind {
        Kind::Expose(words) => words.iter().any(|word| {
            let ports = unquoted(&word.text).split('/').next().unwrap_or_default();
            ports.split('-').any(too_high)
        }),
        _ => false,
    })
}

/// Makes a hit of each instruction of a kind but the first of its stage.
fn repeated(file: &File<'_>, message: &str, of_kind: fn(&Kind) -> bool) -> Vec<Hit> {
    let mut seen = BTreeSet::new();
    let repeats = |placed: &&Placed<'_>| of_kind(&placed.instruction.kind) && !seen.insert(placed.stage);
    plain(file).filter(repeats).map(|placed| placed.hit(message)).collect()
}

/// DL3012
pub(super) fn healthchecks(file: &File<'_>) -> Vec<Hit> {
    repeated(file, "only the last HEALTHCHECK has effect", |kind| matches!(kind, Kind::Healthcheck(_)))
}

/// DL4003
pub(super) fn commands(file: &File<'_>) -> Vec<Hit> {
    repeated(file, "only the last CMD has effect", |kind| matches!(kind, Kind::Cmd(_)))
}

/// DL4004
pub(super) fn entrypoints(file: &File<'_>) -> Vec<Hit> {
    repeated(file, "only the last ENTRYPOINT has effect", |kind| matches!(kind, Kind::Entrypoint(_)))
}

/// DL3025
pub(super) fn shell_form(file: &File<'_>) -> Vec<Hit> {
    each_plain(file, "a shell stands between signals and the program: use the JSON form", |placed| {
        match &placed.instruction.kind {
            Kind::Cmd(command)
            | Kind::Entrypoint(command)
            | Kind::Healthcheck(Healthcheck::Command { command, .. }) => matches!(command, Command::Shell(_)),
            _ => false,
        }
    })
}

/// DL3043. The parser refuses it.
pub(super) fn onbuild(file: &File<'_>) -> Vec<Hit> {
    let refused = file.parsed.diagnostics.iter().filter(|found| found.code == "onbuild-trigger");
    let hit = |span| Hit {
        span,
        message: "docker does not run this as a trigger".to_owned(),
        comments: Vec::new(),
    };
    refused.map(|found| hit(found.span)).collect()
}

/// DL3044: an ENV that uses what it sets, unless that was set before.
pub(super) fn env_of_itself(file: &File<'_>) -> Vec<Hit> {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut hits = Vec::new();
    for placed in plain(file) {
        match &placed.instruction.kind {
            Kind::Arg(arguments) => {
                known.extend(arguments.iter().map(|argument| argument.name.text.as_str()))
            }
            Kind::Env(pairs) => {
                let uses = |name: &str, own: usize| {
                    let others = pairs.iter().enumerate().filter(|(at, _)| *at != own);
                    others.into_iter().any(|(_, pair)| refers_to(&pair.value.text, name))
                };
                let mut names = pairs.iter().enumerate().map(|(own, pair)| (own, pair.name.text.as_str()));
                if let Some((_, name)) = names.find(|(own, name)| !known.contains(name) && uses(name, *own)) {
                    hits.push(placed.hit(format!("{name} has its new value only after this ENV")));
                }
                known.extend(pairs.iter().map(|pair| pair.name.text.as_str()));
            }
            _ => {}
        }
    }
    hits
}

/// Tells whether `$name` or `${name…}` stands in a text.
fn refers_to(text: &str, name: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices('$').any(|(at, _)| {
        let rest = &text[at + 1..];
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        !text[..at].ends_with('\\')
            && rest.strip_prefix(name).is_some_and(|after| !after.starts_with(is_name))
    })
}

/// DL3048
pub(super) fn label(file: &File<'_>) -> Vec<Hit> {
    each_plain(file, "the label's name is not as docker wants it", |placed| match &placed.instruction.kind {
        Kind::Label(pairs) => pairs.iter().any(|pair| !is_label_name(unquoted(&pair.name.text))),
        _ => false,
    })
}

/// docker's guidelines: lower case, digits, underscores, single dots and hyphens; a letter first; some names are docker's own.
fn is_label_name(name: &str) -> bool {
    let reserved = ["com.docker.", "io.docker.", "org.dockerproject."];
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.ends_with(is_part)
        && name.chars().all(|c| is_part(c) || "._-/".contains(c))
        && !name.contains("..")
        && !name.contains("--")
        && !reserved.iter().any(|prefix| name.starts_with(prefix))
}

/// DL3057, of each stage. A HEALTHCHECK is one of the stages that start from it, and of those that it starts from, as hadolint
/// has it.
pub(super) fn no_healthcheck(file: &File<'_>) -> Vec<Hit> {
    let mut stages: Vec<(images::Origin<'_, '_>, bool)> = Vec::new();
    for placed in plain(file) {
        if let Some(origin) = images::origin(placed) {
            let inherits = stages.iter().any(|(known, checked)| known.name == Some(origin.base) && *checked);
            stages.push((origin, inherits));
        } else if matches!(placed.instruction.kind, Kind::Healthcheck(_)) {
            let mut next = stages.len().checked_sub(1);
            while let Some(at) = next {
                stages[at].1 = true;
                let base = stages[at].0.base;
                next = stages[..at].iter().rposition(|(known, _)| known.name == Some(base));
            }
        }
    }
    let unchecked = stages.iter().filter(|(_, checked)| !checked);
    unchecked.map(|(stage, _)| stage.placed.hit("the image has no HEALTHCHECK")).collect()
}

/// Parts of names that tell of a secret, in lower case.
const SECRET_PARTS: [&str; 7] =
    ["api_key", "client_key", "password", "private", "secret", "token", "username"];

/// Names of settings of well-known services that belong to an account.
const ACCOUNTS: [&str; 13] = [
    "APPLICATION_KEY",
    "AWS_ACCESS_KEY_ID",
    "CI_DEPLOY_USER",
    "DOCKER_EMAIL",
    "FACEBOOK_APP_ID",
    "HEROKU_API_USER",
    "OKTA_AUTHN_GROUPID",
    "OKTA_CLIENT_ORGURL",
    "OKTA_OAUTH2_CLIENTID",
    "STRIPE_DEVICE_NAME",
    "TRAVIS_OS_NAME",
    "TRAVIS_SECURE_ENV_VARS",
    "TRAVIS_SUDO",
];

/// DL3064
pub(super) fn secrets(file: &File<'_>) -> Vec<Hit> {
    let is_secret = |name: &str| {
        let lower = name.to_ascii_lowercase();
        SECRET_PARTS.iter().any(|part| lower.contains(part))
            || ACCOUNTS.contains(&name.to_ascii_uppercase().as_str())
    };
    let message =
        "the name tells of a secret, and who has the image can read it: use RUN --mount=type=secret";
    each(file, message, |placed| match &placed.instruction.kind {
        Kind::Arg(arguments) => arguments.iter().any(|argument| is_secret(&argument.name.text)),
        Kind::Env(pairs) => pairs.iter().any(|pair| is_secret(&pair.name.text)),
        _ => false,
    })
}

/// DL4000
pub(super) fn maintainer(file: &File<'_>) -> Vec<Hit> {
    each_plain(file, "MAINTAINER is deprecated: use a label", |placed| {
        matches!(placed.instruction.kind, Kind::Maintainer(_))
    })
}
