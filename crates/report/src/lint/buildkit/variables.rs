//! ENV, ARG and LABEL: variables that are not set, old forms, secrets.

use jettison_dockerfile::{Kind, Pair};

use super::CHECK;
use crate::lint::file::File;
use crate::lint::finding::{Hit, Rule};

pub(super) const UNDEFINED_VAR: Rule = Rule {
    name: "UndefinedVar",
    summary: "Variables should be defined before their use",
    url: Some("https://docs.docker.com/go/dockerfile/rule/undefined-var/"),
    check: undefined_var,
    ..CHECK
};

fn undefined_var(file: &File<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for visit in &file.visits {
        for (name, near) in &visit.undefined {
            let near = near.as_ref().map(|near| format!(" (did you mean ${near}?)")).unwrap_or_default();
            hits.push(visit.hit(format!("Usage of undefined variable '${name}'{near}")));
        }
    }
    hits
}

pub(super) const LEGACY_KEY_VALUE_FORMAT: Rule = Rule {
    name: "LegacyKeyValueFormat",
    summary: "Legacy key/value format with whitespace separator should not be used",
    url: Some("https://docs.docker.com/go/dockerfile/rule/legacy-key-value-format/"),
    check: legacy_key_value_format,
    ..CHECK
};

fn legacy_key_value_format(file: &File<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for visit in &file.visits {
        let (Kind::Env(pairs) | Kind::Label(pairs)) = &visit.instruction.kind else { continue };
        if pairs.iter().any(|pair: &Pair| pair.legacy) {
            let name = &visit.instruction.keyword.text;
            hits.push(visit.hit(format!(
                "\"{name} key=value\" should be used instead of legacy \"{name} key value\" format"
            )));
        }
    }
    hits
}

pub(super) const SECRETS_USED_IN_ARG_OR_ENV: Rule = Rule {
    name: "SecretsUsedInArgOrEnv",
    summary: "Sensitive data should not be used in the ARG or ENV commands",
    url: Some("https://docs.docker.com/go/dockerfile/rule/secrets-used-in-arg-or-env/"),
    check: secrets_used_in_arg_or_env,
    ..CHECK
};

fn secrets_used_in_arg_or_env(file: &File<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for visit in &file.visits {
        let (keyword, names): (&str, Vec<&str>) = match &visit.instruction.kind {
            Kind::Env(_) => ("ENV", visit.words.iter().map(String::as_str).collect()),
            Kind::Arg(arguments) => ("ARG", arguments.iter().map(|argument| &*argument.name.text).collect()),
            _ => continue,
        };
        for name in names.into_iter().filter(|name| is_secret(name)) {
            hits.push(
                visit.hit(format!(
                    "Do not use ARG or ENV instructions for sensitive data ({keyword} {name:?})"
                )),
            );
        }
    }
    hits
}

/// Tells whether a name is that of a secret: one of its parts between underscores says so, and none says that it is
/// public, or only tells of a file or version.
pub(crate) fn is_secret(name: &str) -> bool {
    const SECRET: &[&str] = &[
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "pword",
        "passwd",
        "secret",
        "token",
    ];
    const HARMLESS: &[&str] = &["public", "file", "version"];
    let has =
        |words: &[&str]| name.split('_').any(|part| words.contains(&part.to_ascii_lowercase().as_str()));
    has(SECRET) && !has(HARMLESS)
}
