//! Whole files: directives, continuations, comments, places, order.

use jettison_dockerfile::{Command, Instruction, Kind, LineIndex, Severity, parse};

fn instructions(text: &str) -> Vec<Instruction> {
    let parsed = parse(text.as_bytes());
    assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
    parsed.dockerfile.instructions
}

fn shell(instruction: &Instruction) -> &str {
    match &instruction.kind {
        Kind::Run(run) => match &run.command {
            Command::Shell(text) => text,
            Command::Exec(_) => panic!("exec form"),
        },
        other => panic!("not a RUN: {other:?}"),
    }
}

/// Returns each error with its line and column.
fn errors(text: &str) -> Vec<(String, usize, usize)> {
    let parsed = parse(text.as_bytes());
    let index = LineIndex::new(&parsed.text);
    let errors = parsed.diagnostics.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    let place = |diagnostic: &jettison_dockerfile::Diagnostic| index.position(diagnostic.span.start);
    errors.map(|error| (error.message.clone(), place(&error).line, place(&error).column)).collect()
}

#[test]
fn continuations_join_lines() {
    for (text, expected) in [
        ("RUN a \\\n  b", "a   b"),
        ("RUN a\\\nb", "ab"),
        ("RUN a \\  \t\r\n b\r\n", "a  b"),
        ("RUN a \\\n# comment\n  # another\n b", "a  b"),
        ("RUN a \\\n\n b", "a  b"),
        ("RUN a \\\\\n", "a \\\\"),
        ("RUN a \\\n", "a"),
        ("RUN a # no comment", "a # no comment"),
        ("  RUN a", "a"),
        ("\\\nRUN a", "a"),
    ] {
        assert_eq!(shell(&instructions(&format!("FROM x\n{text}"))[1]), expected, "{text:?}");
    }
    assert_eq!(shell(&instructions("# escape=`\nFROM x\nRUN a `\n b\\\n")[1]), "a  b\\");
}

#[test]
fn spans_lead_to_the_words() {
    let text =
        "\u{feff}FROM x AS y\n# note\nRUN a \\\n  # c\n  b\nCOPY --chown=\\\nme a \\\n b <<E /c\nbody\nE\n";
    let parsed = parse(text.as_bytes());
    assert_eq!(parsed.diagnostics, []);
    let lines = LineIndex::new(&parsed.text);
    let places: Vec<(usize, usize)> =
        parsed.dockerfile.instructions.iter().map(|instruction| lines.lines(instruction.span)).collect();
    assert_eq!(places, [(1, 1), (3, 5), (6, 10)]);
    let [_, run, copy] = &parsed.dockerfile.instructions[..] else { panic!() };
    assert_eq!(run.comments, ["note"]);
    assert_eq!(&parsed.text[run.span.range()], "RUN a \\\n  # c\n  b");
    let Kind::Copy(copy) = &copy.kind else { panic!() };
    let chown = copy.transfer.chown.as_ref().expect("a flag");
    assert_eq!((chown.text.as_str(), &parsed.text[chown.span.range()]), ("me", "--chown=\\\nme"));
    assert_eq!(&parsed.text[copy.transfer.destination.span.range()], "/c");
}

#[test]
fn comments_above_belong_to_the_instruction() {
    let text = "# syntax=x\n# a\n#\n# b \n\n#c\nFROM x\n# d\n  # e\nRUN y\n";
    let comments: Vec<Vec<String>> =
        instructions(text).into_iter().map(|instruction| instruction.comments).collect();
    assert_eq!(
        comments,
        [vec!["b", "c"], vec!["d", "# e"]],
        "the sign of an indented comment stays, as in BuildKit"
    );
}

#[test]
fn directives_come_first() {
    let parsed = parse(b"# syntax=docker/dockerfile:1\n# Check=skip=all\n# escape = `\nFROM x\n");
    let directives = &parsed.dockerfile.directives;
    assert_eq!(directives.syntax.as_ref().map(|word| word.text.as_str()), Some("docker/dockerfile:1"));
    assert_eq!(directives.check.as_ref().map(|word| word.text.as_str()), Some("skip=all"));
    assert_eq!(directives.escape, '`');
    assert_eq!(parse(b"# note\n# escape=`\nFROM x").dockerfile.directives.escape, '\\');
    let twice = "only one escape parser directive can be used";
    assert_eq!(errors("# escape=`\n# ESCAPE=`\nFROM x"), [(twice.to_owned(), 2, 1)]);
    let odd = "invalid escape token 'x' does not match ` or \\";
    assert_eq!(errors("# escape=x\nFROM x"), [(odd.to_owned(), 1, 10)]);
}

#[test]
fn files_without_substance_are_refused() {
    for (text, expected) in [
        ("", "the Dockerfile cannot be empty"),
        ("\n# note\n", "file with no instructions"),
        ("ARG a\n", "dockerfile contains no stages to build"),
    ] {
        assert_eq!(
            errors(text).into_iter().map(|(message, ..)| message).collect::<Vec<_>>(),
            [expected],
            "{text:?}"
        );
    }
}

#[test]
fn only_arg_comes_before_from() {
    assert_eq!(
        errors("ARG a=1\nRUN x\nRUN y\nFROM z\n"),
        [("no build stage in current context".to_owned(), 2, 1)]
    );
    assert_eq!(instructions("ARG a=1\nFROM x\n").len(), 2);
}

#[test]
fn all_errors_are_found_in_order() {
    let text = "FROM x\nRUNN a\nCOPY --lnk a b\nENV a\nCMD [1]\nRUN cat <<E\n";
    let expected = [
        ("unknown instruction: RUNN", 2, 1),
        ("unknown flag: --lnk", 3, 6),
        ("ENV must have two arguments", 4, 5),
        ("when using JSON array syntax, arrays must be comprised of strings only", 5, 5),
        ("unterminated heredoc", 6, 9),
    ];
    assert_eq!(errors(text), expected.map(|(message, line, column)| (message.to_owned(), line, column)));
}

#[test]
fn a_wrong_from_is_said_once() {
    assert_eq!(errors("FROM a b\nRUN x\n").len(), 1);
}

#[test]
fn empty_lines_in_continuations_are_warned_of_at_the_last_line() {
    let parsed = parse(b"FROM x\nRUN a \\\n\n  b\n");
    let [warning] = &parsed.diagnostics[..] else { panic!("{:?}", parsed.diagnostics) };
    assert_eq!((warning.severity, warning.code), (Severity::Warning, "NoEmptyContinuation"));
    assert_eq!(LineIndex::new(&parsed.text).line(warning.span.start), 4);
}

#[test]
fn heredocs_take_lines_verbatim() {
    let text = "FROM x\nRUN <<A cat - <<-'B'\n# no comment \\\n$v\r\nA\n\t\ttab\n\t\tB\nRUN c\n";
    let instructions = instructions(text);
    assert_eq!(instructions.len(), 3);
    let Kind::Run(run) = &instructions[1].kind else { panic!() };
    let bodies: Vec<(&str, bool)> = run.heredocs.iter().map(|h| (h.body.as_str(), h.expand)).collect();
    assert_eq!(bodies, [("# no comment \\\n$v\r\n", true), ("tab\n", false)]);
    let quoted = "FROM x\nRUN echo '<<A' && cat <<<word\nCMD [\"<<A\"]\nUSER <<A\n";
    assert_eq!(parse(quoted.as_bytes()).dockerfile.instructions.len(), 4);
}

#[test]
fn limits_are_said() {
    let long = "FROM x\nRUN ".to_owned() + &"a".repeat(65_532);
    assert_eq!(errors(&long), [("dockerfile line greater than max allowed size of 65535".to_owned(), 2, 1)]);
    assert_eq!(errors(&long[..long.len() - 1]), []);
    let huge = vec![b'a'; 64 << 20];
    assert_eq!(parse(&huge).diagnostics.len(), 1);
    let nonsense = "x\n".repeat(1 << 20);
    assert_eq!(parse(nonsense.as_bytes()).diagnostics.len(), 100);
}

#[test]
fn long_files_take_linear_time() {
    let line = "word ".repeat(10_000) + "\\\n";
    let text = "FROM x\nRUN ".to_owned() + &line.repeat(200);
    assert_eq!(instructions(&text).len(), 2);
    let pairs = "FROM x\nENV ".to_owned() + &format!("{}\\\n", "a=b ".repeat(10_000)).repeat(100);
    assert_eq!(instructions(&pairs).len(), 2);
    let nested = "FROM x\nONBUILD ".to_owned() + &format!("{}\\\n", "ONBUILD ".repeat(8_000)).repeat(100);
    assert_eq!(errors(&nested).len(), 1);
}

#[test]
fn many_heredocs_take_bounded_time_and_memory() {
    let words = format!("{}\\\n", "<<A ".repeat(10_000)).repeat(2);
    let text = format!("FROM x\nCOPY {words} /x\n{}{}\nA\n", "A\n".repeat(19_999), "b".repeat(60_000));
    assert_eq!(errors(&text).len(), 1, "each source would hold the last body");
    let odd = format!("{}\\\n", "<<${x//a/b} ".repeat(5_000)).repeat(4);
    let text = format!("FROM x\nRUN {odd} x\n{}", "${x/a/b}\n".repeat(20_000));
    assert_eq!(instructions(&text).len(), 2);
}

#[test]
fn bytes_that_are_not_utf8_are_replaced() {
    let parsed = parse(b"FROM x\nRUN a\xff\xfeb\n");
    assert_eq!(shell(&parsed.dockerfile.instructions[1]), "a\u{fffd}\u{fffd}b");
}
