//! hadolint's configuration file, `.hadolint.yaml`: what of it is about findings. Other keys are left alone, as hadolint does.

use std::collections::{BTreeMap, BTreeSet};

use super::labels::Format;
use super::yaml::{self, Node};
use crate::lint::{Finding, Level};

/// What a configuration file of hadolint sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `ignored`: codes of rules that say nothing.
    pub(super) ignored: BTreeSet<String>,
    /// `override`: other levels by code.
    pub(super) levels: BTreeMap<String, Level>,
    /// `trustedRegistries`, `*` at one end standing for anything; any registry if empty.
    pub(super) trusted: Vec<String>,
    /// `label-schema`: what labels must be, by name.
    pub(super) labels: BTreeMap<String, Format>,
    /// `strict-labels`: there may be no other labels.
    pub(super) strict_labels: bool,
    /// `disable-ignore-pragma`: comments silence nothing.
    pub(super) without_pragmas: bool,
    /// `failure-threshold`: the lowest level that fails; inner `None`: none does.
    pub failure_threshold: Option<Option<Level>>,
    /// `no-fail`: findings never fail.
    pub no_fail: bool,
}

/// Why a configuration file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl Settings {
    /// Those of a machine without a configuration file.
    pub const NONE: &'static Settings = &Settings {
        ignored: BTreeSet::new(),
        levels: BTreeMap::new(),
        trusted: Vec::new(),
        labels: BTreeMap::new(),
        strict_labels: false,
        without_pragmas: false,
        failure_threshold: None,
        no_fail: false,
    };

    /// Reads the text of a configuration file.
    ///
    /// # Errors
    ///
    /// The text is no YAML, is empty, or a key that is known has a value of another form, as hadolint has it.
    pub fn parse(text: &str) -> Result<Settings, SettingsError> {
        let root = yaml::parse(text).map_err(SettingsError)?;
        let root = root.ok_or_else(|| SettingsError("it is empty".to_owned()))?;
        if !matches!(root, Node::Map(..)) {
            return Err(wrong("the file", "a mapping"));
        }
        let mut settings = Settings {
            ignored: list(&root, "ignored")?.into_iter().collect(),
            trusted: list(&root, "trustedRegistries")?,
            strict_labels: flag(&root, "strict-labels")?,
            without_pragmas: flag(&root, "disable-ignore-pragma")?,
            no_fail: flag(&root, "no-fail")?,
            ..Settings::default()
        };
        if let Some(levels) = root.get("override") {
            // A rule in several lists has the first of these levels.
            for level in [Level::Style, Level::Info, Level::Warning, Level::Error] {
                settings.levels.extend(list(levels, level.name())?.into_iter().map(|code| (code, level)));
            }
        }
        if let Some(schema) = root.get("label-schema") {
            let Node::Map(pairs, _) = schema else { return Err(wrong("label-schema", "a mapping")) };
            for (name, format) in pairs {
                let Node::Scalar(text) = format else { return Err(wrong(name, "the name of a format")) };
                let format = Format::of(text).ok_or_else(|| {
                    wrong(name, &format!("one of {}, and not \"{text}\"", Format::NAMES.join(", ")))
                })?;
                settings.labels.insert(name.clone(), format);
            }
        }
        if let Some(threshold) = root.get("failure-threshold") {
            settings.failure_threshold = Some(level(threshold)?);
        }
        Ok(settings)
    }

    /// Tells whether a rule speaks that is silent unless asked for.
    pub(in crate::lint) fn asks_for(&self, code: &str) -> bool {
        self.levels.contains_key(code)
    }

    /// Tells whether comments may silence rules.
    pub(in crate::lint) fn honours_pragmas(&self) -> bool {
        !self.without_pragmas
    }

    /// Gives a finding the level that it has here; `false` if it does not count.
    pub(in crate::lint) fn weigh(&self, finding: &mut Finding) -> bool {
        if let Some(level) = self.levels.get(finding.rule.name) {
            finding.level = *level;
        }
        !self.ignored.contains(finding.rule.name)
    }
}

fn wrong(key: &str, expected: &str) -> SettingsError {
    SettingsError(format!("{key}: expected {expected}"))
}

fn list(node: &Node, key: &str) -> Result<Vec<String>, SettingsError> {
    let nodes = match node.get(key) {
        None => return Ok(Vec::new()),
        Some(Node::List(nodes)) => nodes,
        Some(_) => return Err(wrong(key, "a list")),
    };
    let text = |node: &Node| match node {
        Node::Scalar(text) => Ok(text.clone()),
        _ => Err(wrong(key, "a list of texts")),
    };
    nodes.iter().map(text).collect()
}

fn flag(node: &Node, key: &str) -> Result<bool, SettingsError> {
    match node.get(key) {
        None => Ok(false),
        Some(Node::Scalar(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Node::Scalar(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(wrong(key, "true or false")),
    }
}

fn level(node: &Node) -> Result<Option<Level>, SettingsError> {
    let expected = || wrong("failure-threshold", "error, warning, info, style, ignore or none");
    let Node::Scalar(text) = node else { return Err(expected()) };
    let levels = [Level::Error, Level::Warning, Level::Info, Level::Style, Level::Ignore];
    match levels.into_iter().find(|level| level.name() == text) {
        Some(level) => Ok(Some(level)),
        None if text == "none" => Ok(None),
        None => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_are_read_and_others_left_alone() {
        let text = "ignored: [DL3008, SC1010]\noverride:\n  error: [DL3006]\n  style: [DL3006, DL3057]\n  what: 1\n\
                    trustedRegistries:\n  - docker.io\nlabel-schema:\n  author: text\nstrict-labels: true\n\
                    no-fail: false\nfailure-threshold: none\nformat: json\n";
        let settings = Settings::parse(text).unwrap();
        assert_eq!(settings.ignored.len(), 2);
        assert_eq!(settings.levels["DL3006"], Level::Error);
        assert!(settings.asks_for("DL3057") && settings.strict_labels && !settings.no_fail);
        assert_eq!(settings.failure_threshold, Some(None));
        assert_eq!((settings.trusted.len(), settings.labels.len()), (1, 1));
    }

    #[test]
    fn values_of_another_form_are_refused() {
        for (text, says) in [
            ("", "it is empty"),
            ("a", "the file: expected a mapping"),
            ("ignored: DL3008", "ignored: expected a list"),
            ("override: {error: [[a]]}", "error: expected a list of texts"),
            ("label-schema: {a: b}", "a: expected one of text, rawtext,"),
            ("strict-labels: 1", "strict-labels: expected true or false"),
            ("failure-threshold: bad", "failure-threshold: expected error, warning"),
        ] {
            let error = Settings::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(says), "{text}: {error}");
        }
    }
}
