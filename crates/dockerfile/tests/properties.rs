//! Nothing that comes in makes the crate panic, and every span is a piece of the text.

use jettison_dockerfile::{
    Dockerfile, HeredocWord, Instruction, Kind, LineIndex, Source, Span, Word, csv_fields, glob,
    ignore::{ParentMatch, Patterns},
    nodes::{Node, parse_nodes},
    parse, parse_instruction,
    words::Expander,
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

fn check_span(text: &str, span: Span) {
    assert!(span.start <= span.end && text.get(span.range()).is_some(), "{span:?} in {text:?}");
}

fn check_node(text: &str, node: &Node) {
    check_span(text, node.span);
    let words = node.flags.iter().chain(&node.arguments).chain([&node.keyword]);
    words.for_each(|word| check_span(text, word.span));
    node.heredocs.iter().for_each(|heredoc| check_span(text, heredoc.span));
    if let Some(nested) = &node.nested {
        check_node(text, nested);
    }
}

/// Collects the words of an instruction.
fn words(instruction: &Instruction) -> Vec<&Word> {
    match &instruction.kind {
        Kind::From { platform, image, name } => platform.iter().chain([image]).chain(name).collect(),
        Kind::Run(run) => {
            run.mounts.iter().chain(&run.network).chain(&run.security).chain(&run.devices).collect()
        }
        Kind::Copy(copy) => {
            let sources = copy.transfer.sources.iter().filter_map(|source| match source {
                Source::Path(word) => Some(word),
                Source::Heredoc(_) => None,
            });
            sources.chain(&copy.from).chain([&copy.transfer.destination]).collect()
        }
        Kind::Env(pairs) | Kind::Label(pairs) => {
            pairs.iter().flat_map(|pair| [&pair.name, &pair.value]).collect()
        }
        Kind::Arg(arguments) => arguments
            .iter()
            .flat_map(|argument| [&argument.name].into_iter().chain(&argument.default))
            .collect(),
        Kind::Expose(words) | Kind::Volume(words) => words.iter().collect(),
        Kind::Workdir(word) | Kind::User(word) | Kind::StopSignal(word) | Kind::Maintainer(word) => {
            vec![word]
        }
        Kind::Onbuild { instruction: Some(instruction), .. } => words(instruction),
        _ => Vec::new(),
    }
}

fn check_tree(text: &str, dockerfile: &Dockerfile) {
    for instruction in &dockerfile.instructions {
        check_span(text, instruction.span);
        check_span(text, instruction.keyword.span);
        words(instruction).into_iter().for_each(|word| check_span(text, word.span));
    }
    let directives = dockerfile.directives.syntax.iter().chain(&dockerfile.directives.check);
    directives.for_each(|word| check_span(text, word.span));
}

fn check_parse(input: &[u8]) {
    let parsed = parse(input);
    check_tree(&parsed.text, &parsed.dockerfile);
    let index = LineIndex::new(&parsed.text);
    for diagnostic in &parsed.diagnostics {
        check_span(&parsed.text, diagnostic.span);
        let position = index.position(diagnostic.span.start);
        assert!(position.line >= 1 && position.column >= 1);
    }
    let nodes = parse_nodes(&parsed.text);
    nodes.nodes.iter().for_each(|node| check_node(&parsed.text, node));
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
        let expander = Expander {
            escape: if flags & 1 == 0 { '\\' } else { '`' },
            raw_quotes: flags & 2 != 0,
            raw_escapes: flags & 4 != 0,
            skip_unset: flags & 8 != 0,
            skip_quotes: flags & 16 != 0,
        };
        let env = |name: &str| (name != "c").then(|| value.clone());
        let _ = expander.expand(&word, &env);
        let _ = expander.expand_words(&word, &env);
        let _ = HeredocWord::parse(&word);
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
        let _ = glob::matches(&pattern, &path);
        let _ = glob::has_wildcards(&pattern);
        if let Ok(patterns) = Patterns::new([&pattern]) {
            let _ = patterns.matches_or_parent_matches(&path);
            let _ = patterns.may_include_below(&path);
        }
        let _ = Patterns::parse(&path);
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
        let patterns = Patterns::new(&texts).expect("valid");
        let mut parent = ParentMatch::default();
        let mut skipped = false;
        let mut ignored = false;
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            (ignored, parent) = patterns.matches_below(&path[..end], &parent);
            skipped |= ignored && end < path.len() && !patterns.may_include_below(&path[..end]);
        }
        prop_assert!(ignored || !skipped, "{texts:?} includes {path} in a directory that was skipped");
    }

    #[test]
    fn any_text_can_be_split_as_csv(text in "[ab,\"]{0,12}") {
        let _ = csv_fields(&text);
    }
}
