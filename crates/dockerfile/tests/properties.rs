//! Nothing that comes in makes the crate panic, and every span is a piece of the text.

mod common;

use common::{check_parse, check_patterns, check_word};
use jettison_dockerfile::{
    Kind, csv_fields, glob, ignore::Patterns, parse, parse_instruction, words::Expander,
};
use proptest::prelude::*;

/// Texts made of the pieces that mean something to the parser, so that rare paths are met.
fn dockerfile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "FROM",
        "RUN",
        "COPY",
        "ADD",
        "ENV",
        "ARG",
        "ONBUILD",
        "HEALTHCHECK",
        "CMD",
        "LABEL",
        "VOLUME",
        "SHELL",
        "EXPOSE",
        " ",
        " ",
        " ",
        "\n",
        "\n",
        "\n",
        "\\\n",
        "`\n",
        "\r\n",
        "\t",
        "#",
        "# escape=`\n",
        "# syntax=",
        "\u{feff}",
        "--",
        "--from=",
        "--mount=",
        "--interval=",
        "=",
        "a",
        "b",
        "\u{e9}",
        "\u{1f600}",
        "'",
        "\"",
        "\\",
        "$a",
        "${a",
        "}",
        "<<",
        "<<E",
        "<<-'E'",
        "E\n",
        "\nE\n",
        "[",
        "]",
        "\"x\"",
        ",",
        "{\"syntax\":\"x\"}",
        "AS",
        "NONE",
        "5s",
        "\u{a0}",
        "\0",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_can_be_parsed(input in prop::collection::vec(any::<u8>(), 0..200)) {
        check_parse(&input);
    }

    #[test]
    fn any_pieces_can_be_parsed(input in dockerfile()) {
        check_parse(input.as_bytes());
        check_parse(format!("FROM x\n{input}").as_bytes());
        let _ = parse_instruction(&input);
    }

    #[test]
    fn stored_triggers_parse_again(input in dockerfile()) {
        let parsed = parse(format!("FROM x\nONBUILD {input}").as_bytes());
        for instruction in &parsed.dockerfile.instructions {
            let Kind::Onbuild { text, instruction: Some(instruction) } = &instruction.kind else { continue };
            // A continuation character that is left at the end of the joined line would be one again.
            // The flags that BuildKit leaves in front of it (`ONBUILD -- RUN`) would be the keyword.
            if text.trim_end().ends_with('\\') || text.starts_with("--") {
                continue;
            }
            let again = parse_instruction(text);
            prop_assert!(again.is_ok(), "{text:?} of {instruction:?}: {again:?}");
        }
    }

    #[test]
    fn any_word_can_be_expanded(word in "[$a-c{}:#%/?+*\\\\'\"<` \u{e9}=-]{0,40}", value in "[abc*/ \n]{0,12}", flags in 0u8..32) {
        check_word(&word, &value, flags);
    }

    #[test]
    fn trimming_and_replacing_agree(value in "[ab]{0,8}", pattern in "[ab?*]{0,5}") {
        let env = |name: &str| (name == "v").then(|| value.clone());
        let expand = |word: String| Expander::new('\\').expand(&word, &env).expect("a valid word").text;
        let (short, long) = (expand(format!("${{v#{pattern}}}")), expand(format!("${{v##{pattern}}}")));
        prop_assert!(value.ends_with(&short) && short.ends_with(&long));
        let (short, long) = (expand(format!("${{v%{pattern}}}")), expand(format!("${{v%%{pattern}}}")));
        prop_assert!(value.starts_with(&short) && short.starts_with(&long));
        // The whole value vanishes exactly if the pattern matches it as a file name.
        let whole = !value.is_empty() && glob::matches(&pattern, &value) == Ok(true);
        if whole && !pattern.is_empty() {
            prop_assert_eq!(expand(format!("${{v##{pattern}}}")), "");
            prop_assert_eq!(expand(format!("${{v/{pattern}/X}}")), "X");
        }
    }

    #[test]
    fn any_pattern_can_be_matched(pattern in "[!ab*?/.^$\\\\\\[\\]\u{e9}-]{0,16}", path in prop::collection::vec(any::<u8>(), 0..12)) {
        check_patterns(pattern.as_bytes(), &path);
    }

    #[test]
    fn simple_patterns_match_as_globs(
        pattern in "[ab?]{1,2}\\*?(/[ab?]\\*?[ab]?){0,2}",
        path in "[ab]{1,3}(/[ab]{1,3}){0,2}",
    ) {
        let glob = glob::Glob::parse(&pattern).expect("valid");
        let below = path.match_indices('/').map(|(end, _)| &path[..end]).chain([path.as_str()]);
        let expected = below.into_iter().any(|parent| glob.matches(parent));
        let patterns = Patterns::new([&pattern]).expect("valid");
        prop_assert_eq!(patterns.matches_or_parent_matches(&path), expected);
    }

    #[test]
    fn walks_that_skip_miss_nothing(
        texts in prop::collection::vec("!?[ab*]{1,2}(/(\\*\\*|[ab?*]{1,2})){0,3}", 1..5),
        path in "[ab]{1,2}(/[ab]{1,2}){1,3}",
    ) {
        check_patterns(texts.join("\n").as_bytes(), path.as_bytes());
    }

    #[test]
    fn any_text_can_be_split_as_csv(text in "[ab,\"]{0,12}") {
        let _ = csv_fields(&text);
    }
}
