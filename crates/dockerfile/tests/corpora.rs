//! Compares the crate with what BuildKit makes of a collection of Dockerfiles, words and patterns. The folder is named by
//! JETTISON_CORPORA, or lies beside the checkout; without it the tests say so and pass.

#![allow(clippy::print_stdout, reason = "the tests report each failing case and a total")]

#[path = "corpora/support.rs"]
mod support;

#[path = "corpora/parser.rs"]
mod parser;
#[path = "corpora/patterns.rs"]
mod patterns;
#[path = "corpora/shell.rs"]
mod shell;
