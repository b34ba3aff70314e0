//! Any ignore file can be asked about any path: the file, a zero byte, the path.
#![no_main]

#[path = "../../crates/dockerfile/tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some(end) = input.iter().position(|byte| *byte == 0) else { return };
    common::check_patterns(&input[..end], &input[end + 1..]);
});
