//! Other people's tests: what BuildKit, buildah, kaniko, imagebuilder, patternmatcher and hadolint expect, kept as data outside of
//! the repository. `JETTISON_CORPORA` names the folder; by default it is `../shared/corpora/public`. Where there is
//! none, the tests say so and judge nothing.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test helper fails by panicking, and is nobody's API")]

mod behaviour;
mod build_checks;
mod hadolint;
mod parser;
mod patterns;
mod shell;
mod support;
