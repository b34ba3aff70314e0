//! Any word can be expanded: a byte of options, the value of the variables, a zero byte, the word.
#![no_main]

#[path = "../../crates/dockerfile/tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((options, texts)) = input.split_first() else { return };
    let Some((value, word)) = std::str::from_utf8(texts).ok().and_then(|texts| texts.split_once('\0')) else {
        return;
    };
    common::check_word(word, value, *options);
});
