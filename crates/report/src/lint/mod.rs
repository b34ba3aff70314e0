//! Checks of a Dockerfile's text: BuildKit's build checks and hadolint's rules. No build, no network.
//!
//! A rule is data and one function that says where it is broken. What rules need to know beyond the syntax tree, such as
//! which variables are set where, `File` has worked out beforehand.

mod buildkit;
mod docker_json;
mod docker_text;
mod file;
mod finding;
mod formats;
mod hadolint;
mod options;
mod outline;
mod targets;
mod walk;

use jettison_dockerfile::Parsed;
use jettison_dockerfile::ignore::Patterns;
use jettison_image::{Config, Platform};

pub use buildkit::RULES as BUILD_CHECKS;
pub use docker_json::{check_json, outline_json, targets_json};
pub use docker_text::{check_text, error_text, outline_text, targets_text, warning_line};
pub use file::BuildError;
pub use finding::{Finding, Level, Rule};
pub use formats::{findings_json, github, sarif};
pub use hadolint::RULES as HADOLINT_RULES;
pub(crate) use hadolint::run_text;
pub use hadolint::{Settings, SettingsError};
pub use options::{CheckOptions, OptionsError};
pub use outline::{Outline, OutlineArg, OutlineMount, outline};
pub use targets::{Target, targets};

use file::File;

/// What is checked, and with which settings of a build.
pub struct Request<'a> {
    /// The Dockerfile, errors included.
    pub dockerfile: &'a Parsed,
    /// Target, arguments, platforms and named contexts.
    pub plan: &'a jettison_plan::Request,
    /// Whether stages are checked that the target does not need.
    pub every_stage: bool,
    /// The context's ignore file, where there is a context.
    pub ignore: Option<&'a Patterns>,
    /// The settings of hadolint's rules.
    pub settings: &'a Settings,
}

/// Returns the config of a base image, or none where it is not at hand. An error ends the checks as it ends a build.
pub type BaseLookup<'a> = dyn FnMut(&str, &Platform) -> Result<Option<Config>, String> + 'a;

/// What BuildKit's checks say of a Dockerfile.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// What was found, by line.
    pub findings: Vec<Finding>,
    /// Why a build would fail before its first step; what follows that place is not checked.
    pub error: Option<BuildError>,
}

/// Runs BuildKit's build checks, as far as `options` and comments of the form `# check=skip=RULE` leave them on.
pub fn build_checks(request: &Request<'_>, options: &CheckOptions, base: &mut BaseLookup<'_>) -> Checked {
    let file = File::read(request, base);
    let findings = run(BUILD_CHECKS, &file, options);
    Checked { findings: by_line(findings), error: file.error }
}

/// Runs all rules: the build checks, and hadolint's as far as comments of the form `# hadolint ignore=RULE` leave them
/// on. hadolint's look at every instruction that can be understood, also where a build would fail.
pub fn all_checks(request: &Request<'_>, options: &CheckOptions, base: &mut BaseLookup<'_>) -> Checked {
    let file = File::read(request, base);
    let pragmas = hadolint::Pragmas::read(&file);
    let settings = request.settings;
    let mut findings = run(HADOLINT_RULES, &file, options);
    findings.retain_mut(|finding| {
        let silenced = settings.honours_pragmas() && !pragmas.allow(finding.rule.name, finding.lines.0);
        !silenced && settings.weigh(finding)
    });
    findings.splice(0..0, run(BUILD_CHECKS, &file, options));
    Checked { findings: by_line(findings), error: file.error }
}

fn run(rules: &'static [Rule], file: &File<'_>, options: &CheckOptions) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in rules {
        let hits = (rule.check)(file)
            .into_iter()
            .filter(|hit| options.allow(rule, file.settings.asks_for(rule.name), &hit.comments));
        findings.extend(hits.map(|hit| finding::locate(rule, hit, &file.lines)));
    }
    findings
}

fn by_line(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| finding.lines.0);
    findings
}
