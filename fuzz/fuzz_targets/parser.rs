//! Any bytes are a Dockerfile, right or wrong.
#![no_main]

#[path = "../../crates/dockerfile/tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|input: &[u8]| common::check_parse(input));
