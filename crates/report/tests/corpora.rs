//! Compares the checks with what BuildKit and hadolint say of a collection of Dockerfiles. The folder is named by
//! JETTISON_CORPORA, or lies beside the checkout; without it the tests say so and pass.

#![allow(clippy::print_stdout, reason = "the tests report each failing case and a total")]

#[path = "corpora/support.rs"]
mod support;

#[path = "corpora/build_checks.rs"]
mod build_checks;

#[path = "corpora/hadolint.rs"]
mod hadolint;
