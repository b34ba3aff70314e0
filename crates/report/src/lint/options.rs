//! `# check=skip=…;error=…;experimental=…`: which checks run (BuildKit's `linter.ParseLintOptions`).

use super::finding::Rule;

/// The build argument that replaces the directive.
pub const CHECK_ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// How many options one text has at most; a third takes the rest.
const MAX_OPTIONS: usize = 3;

/// Options that cannot be understood; in BuildKit's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// There is no such option, or it has no value.
    #[error("failed to parse check options: invalid check option {0:?}")]
    Unknown(String),
    /// `error=` wants a boolean.
    #[error("failed to parse check options: failed to parse check option {0:?}: invalid syntax")]
    NotBoolean(String),
}

/// Which checks run, and whether what they find fails the build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckOptions {
    skip: Names,
    experimental: Names,
    /// Whether a finding fails the build.
    pub error: bool,
}

/// Names of rules, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    all: bool,
    names: Vec<String>,
}

impl Names {
    fn parse(text: &str) -> Names {
        let text = text.trim();
        if text == "all" {
            return Names { all: true, names: Vec::new() };
        }
        Names { all: false, names: text.split(',').map(|name| name.trim().to_owned()).collect() }
    }

    fn contains(&self, name: &str) -> bool {
        self.all || self.names.iter().any(|own| own == name)
    }
}

impl CheckOptions {
    /// Returns the options of a Dockerfile: those of the build argument, else those of the directive.
    pub fn of(request: &super::Request<'_>) -> Result<CheckOptions, OptionsError> {
        let directive = request.dockerfile.dockerfile.directives.check.as_ref();
        match (request.plan.build_args.get(CHECK_ARGUMENT), directive) {
            (Some(text), _) => CheckOptions::parse(text),
            (None, Some(word)) => CheckOptions::parse(&word.text),
            (None, None) => Ok(CheckOptions::default()),
        }
    }

    /// Reads options.
    pub fn parse(text: &str) -> Result<CheckOptions, OptionsError> {
        let mut options = CheckOptions::default();
        if text.trim().is_empty() {
            return Ok(options);
        }
        for part in text.trim().splitn(MAX_OPTIONS, ';') {
            let (key, value) = part.split_once('=').ok_or_else(|| OptionsError::Unknown(part.to_owned()))?;
            match key.trim() {
                "skip" => options.skip = Names::parse(value),
                "experimental" => options.experimental = Names::parse(value),
                "error" => {
                    options.error =
                        boolean(value.trim()).ok_or_else(|| OptionsError::NotBoolean(part.to_owned()))?;
                }
                other => return Err(OptionsError::Unknown(other.to_owned())),
            }
        }
        Ok(options)
    }

    /// Tells whether a finding of a rule counts. The first comment above the instruction that is a check directive has a
    /// say too; one that cannot be understood has none. An experimental rule runs also if it `is_asked_for` elsewhere.
    pub(crate) fn allow(&self, rule: &Rule, is_asked_for: bool, comments: &[String]) -> bool {
        let own = comments.iter().find_map(|comment| check_comment(comment));
        let own = own.and_then(|text| CheckOptions::parse(text).ok()).unwrap_or_default();
        if rule.experimental && !is_asked_for {
            return self.experimental.contains(rule.name) || own.experimental.contains(rule.name);
        }
        !self.skip.contains(rule.name) && !own.skip.contains(rule.name)
    }
}

/// Returns the first word of `check=…`: what follows is a remark.
fn check_comment(comment: &str) -> Option<&str> {
    let (key, value) = comment.split_once('=')?;
    let value = value.split_whitespace().next()?;
    key.trim().eq_ignore_ascii_case("check").then_some(value)
}

/// Go's `strconv.ParseBool`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::BUILD_CHECKS;

    fn allowed(options: &str, comments: &[&str], rule: &str) -> bool {
        let rule = BUILD_CHECKS.iter().find(|known| known.name == rule).expect("a rule");
        let comments: Vec<String> = comments.iter().map(|&comment| comment.to_owned()).collect();
        CheckOptions::parse(options).expect("valid options").allow(rule, false, &comments)
    }

    #[test]
    fn rules_are_skipped_by_name_or_all() {
        assert!(allowed("", &[], "UndefinedVar"));
        assert!(!allowed("skip=all", &[], "UndefinedVar"));
        assert!(!allowed("skip=FromAsCasing , UndefinedVar", &[], "UndefinedVar"));
        assert!(allowed("error=true;skip=FromAsCasing", &[], "UndefinedVar"));
        assert!(!allowed("", &["a remark", "check=skip=UndefinedVar // on purpose"], "UndefinedVar"));
        assert!(allowed("", &["check=skip=UndefinedVar;what=1"], "UndefinedVar"), "not understood");
    }

    #[test]
    fn experimental_rules_must_be_named() {
        assert!(!allowed("", &[], "InvalidDefinitionDescription"));
        assert!(allowed("experimental=all", &[], "InvalidDefinitionDescription"));
        assert!(allowed(
            "experimental=InvalidDefinitionDescription;skip=all",
            &[],
            "InvalidDefinitionDescription"
        ));
    }

    #[test]
    fn wrong_options_are_refused() {
        for text in ["skip", "what=1", "error=maybe", "skip=a;b"] {
            assert!(CheckOptions::parse(text).is_err(), "{text}");
        }
        assert!(CheckOptions::parse(" error = T ").expect("valid").error);
    }
}
