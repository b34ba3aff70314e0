//! What holds whatever comes in; the property tests and the fuzz targets (`fuzz/`) ask it of what they make up.
#![allow(dead_code, missing_docs, clippy::expect_used)]

use jettison_dockerfile::{
    Dockerfile, HeredocWord, Instruction, Kind, LineIndex, Source, Span, Word, glob,
    ignore::{ParentMatch, Patterns},
    nodes::{Node, parse_nodes},
    parse,
    words::Expander,
};

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

/// Any bytes give a tree and diagnostics whose spans are pieces of the text.
pub fn check_parse(input: &[u8]) {
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

/// Any word expands or is refused; splitting it loses nothing but blanks. The lowest five bits of `options` are those of
/// the expander.
pub fn check_word(word: &str, value: &str, options: u8) {
    let option = |bit: u8| options >> bit & 1 == 1;
    let expander = Expander {
        escape: if option(0) { '`' } else { '\\' },
        raw_quotes: option(1),
        raw_escapes: option(2),
        skip_unset: option(3),
        skip_quotes: option(4),
    };
    let env = |name: &str| (name != "c").then(|| value.to_owned());
    match (expander.expand(word, &env), expander.expand_words(word, &env)) {
        (Ok(expansion), Ok(words)) => assert_eq!(dense(&expansion.text), dense(&words.concat()), "{word:?}"),
        (Err(one), Err(other)) => assert_eq!(one, other),
        (one, other) => panic!("{word:?}: {one:?}, but {other:?}"),
    }
    let _ = HeredocWord::parse(word);
}

fn dense(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Any ignore file and any path match or do not; a walk that enters no ignored directory without a reason finds the path
/// if it is not ignored.
pub fn check_patterns(ignore_file: &[u8], path: &[u8]) {
    let pattern = String::from_utf8_lossy(ignore_file);
    let _ = glob::matches(&*pattern, path);
    let _ = glob::has_wildcards(&*pattern);
    let Ok(patterns) = Patterns::parse(ignore_file) else { return };
    let _ = patterns.matches_or_parent_matches(path);
    // What a walk of a directory never gives.
    if path.split(|byte| *byte == b'/').any(|name| matches!(name, b"" | b"." | b"..")) {
        return;
    }
    let mut parent = ParentMatch::default();
    let (mut ignored, mut skipped) = (false, false);
    for end in (0..=path.len()).filter(|end| path.get(*end).is_none_or(|byte| *byte == b'/')) {
        (ignored, parent) = patterns.matches_below(&path[..end], &parent);
        skipped |= ignored && end < path.len() && !patterns.may_include_below(&path[..end]);
    }
    assert!(ignored || !skipped, "{pattern:?} includes {path:?} in a directory that was skipped");
}
