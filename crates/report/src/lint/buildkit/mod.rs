//! BuildKit's build checks. Names, texts and addresses are its own (`frontend/dockerfile/linter/ruleset.go`).

mod bases;
mod files;
mod style;
mod variables;

#[cfg(test)]
mod tests;

use super::finding::{Level, Rule};

/// All build checks, in the order in which BuildKit comes to them.
pub const RULES: &[Rule] = &[
    style::NO_EMPTY_CONTINUATION,
    style::MAINTAINER_DEPRECATED,
    style::STAGE_NAME_CASING,
    style::FROM_AS_CASING,
    style::INVALID_DEFINITION_DESCRIPTION,
    bases::RESERVED_STAGE_NAME,
    bases::DUPLICATE_STAGE_NAME,
    style::CONSISTENT_INSTRUCTION_CASING,
    bases::INVALID_DEFAULT_ARG_IN_FROM,
    bases::UNDEFINED_ARG_IN_FROM,
    bases::REDUNDANT_TARGET_PLATFORM,
    bases::FROM_PLATFORM_FLAG_CONST_DISALLOWED,
    bases::INVALID_BASE_IMAGE_PLATFORM,
    variables::UNDEFINED_VAR,
    variables::LEGACY_KEY_VALUE_FORMAT,
    variables::SECRETS_USED_IN_ARG_OR_ENV,
    files::WORKDIR_RELATIVE_PATH,
    files::COPY_IGNORED_FILE,
    style::MULTIPLE_INSTRUCTIONS_DISALLOWED,
    style::JSON_ARGS_RECOMMENDED,
    files::EXPOSE_PROTO_CASING,
    files::EXPOSE_INVALID_FORMAT,
];

/// What all build checks have in common.
const CHECK: Rule = Rule {
    name: "",
    level: Level::Warning,
    summary: "",
    url: None,
    experimental: false,
    check: |_| Vec::new(),
};
