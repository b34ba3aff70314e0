//! Time grows with the input as a straight line. Compared are times that the processor spent on this thread: four times
//! the input may take eight times the work, where quadratic work would be sixteen times.

use std::time::Duration;

use jettison_dockerfile::{MAX_BYTES, ignore::Patterns, parse, words::Expander};
use rustix::time::{ClockId, clock_gettime};

/// The smaller input in bytes.
const SMALL: usize = 128 << 10;
/// How much larger the other one is.
const FACTOR: usize = 4;

/// The time that this thread had a processor for.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// The least of three, because caches and neighbours can only add.
fn cost(work: &mut impl FnMut()) -> Duration {
    let once = |work: &mut dyn FnMut()| {
        let start = spent();
        work();
        spent() - start
    };
    (0..3).map(|_| once(work)).min().unwrap_or_default()
}

/// Compares what `work` does with `piece` repeated to one and to four times the length.
fn check(what: &str, make: impl Fn(usize) -> String, work: impl Fn(&str)) {
    let [small, large] = [SMALL, SMALL * FACTOR].map(|length| {
        let input = make(length);
        cost(&mut || work(&input))
    });
    assert!(large < small * (2 * FACTOR as u32), "{what}: {small:?} became {large:?}");
}

/// One logical line of about `length` bytes: physical lines of about 16 KiB, joined by continuations.
fn line(start: &str, piece: &str, length: usize) -> String {
    let pieces = piece.repeat((16_000 / piece.len()).max(1)) + "\\\n";
    format!("FROM x\n{start}{}\n", pieces.repeat(length.div_ceil(pieces.len())))
}

#[test]
fn a_long_line_takes_linear_time() {
    for (start, piece) in [
        ("RUN ", "word "),
        ("RUN ", "<<A "),
        ("RUN ", "$a'b'\"c\""),
        ("RUN [", "\"a\", "),
        ("COPY ", "a\\ b "),
        ("COPY ", "--exclude=x "),
        ("ENV ", "a=\"b c\" "),
        ("LABEL a ", "b "),
        ("ONBUILD ", "ONBUILD "),
        ("HEALTHCHECK ", "--interval=1s "),
        ("bogus ", "\u{e9} "),
        ("FROM ", "a"),
        ("# ", "#"),
    ] {
        check(
            &format!("{start}{piece}"),
            |length| line(start, piece, length),
            |text| drop(parse(text.as_bytes())),
        );
    }
}

#[test]
fn many_lines_take_linear_time() {
    for piece in
        ["RUN a\n", "# c\n", "\n", "x\n", "RUN a \\\n\n", "COPY <<A /\nb\nA\n", "ENV a=b\n", "FROM x AS y\n"]
    {
        let make = |length: usize| format!("FROM x\n{}", piece.repeat(length / piece.len()));
        check(piece, make, |text| drop(parse(text.as_bytes())));
    }
}

#[test]
fn a_physical_line_of_64_mib_is_an_error_at_once() {
    let text = "FROM x\nRUN ".to_owned() + &"a".repeat(MAX_BYTES - 11);
    let [error] = &parse(text.as_bytes()).diagnostics[..] else { panic!("one error") };
    assert_eq!(error.message, "dockerfile line greater than max allowed size of 65535");
    let text = "a".repeat(64 << 20);
    let [error] = &parse(text.as_bytes()).diagnostics[..] else { panic!("one error") };
    assert_eq!(error.message, format!("the Dockerfile is larger than {MAX_BYTES} bytes"));
}

#[test]
fn a_word_takes_linear_time() {
    let expander = Expander::new('\\');
    let env = |name: &str| (name == "a").then(|| "b".to_owned());
    for piece in [
        "word", "$a", "${a}", "${a:-b}", "'q'", "\"$a\"", "\\x", "<<", "a b ", "${a#b}", "${a/b/c}", "${",
        "\"",
    ] {
        let make = |length: usize| piece.repeat(length / piece.len());
        check(piece, make, |word| drop(expander.expand_words(word, &env)));
    }
}

#[test]
fn an_ignore_file_takes_linear_time() {
    for piece in ["*.md\n", "!a/**/b\n", "# c\n", "a/../b/./c\n", "[a-z]\n"] {
        let make = |length: usize| piece.repeat(length / piece.len());
        check(piece, make, |text| drop(Patterns::parse(text.as_bytes())));
    }
}
