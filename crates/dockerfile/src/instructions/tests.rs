use crate::{Command, Healthcheck, Instruction, Kind, Pair, Source, parse_instruction};

fn instruction(text: &str) -> Instruction {
    parse_instruction(text).unwrap_or_else(|diagnostics| panic!("{text}: {diagnostics:?}"))
}

fn kind(text: &str) -> Kind {
    instruction(text).kind
}

/// Checks each text's error and the words it points at.
fn refused(table: &[(&str, &str, &str)]) {
    for (text, message, place) in table {
        let diagnostics = parse_instruction(text).expect_err(text);
        assert_eq!(diagnostics.len(), 1, "{text}");
        assert_eq!(diagnostics[0].message, *message, "{text}");
        assert_eq!(&text[diagnostics[0].span.range()], *place, "{text}");
    }
}

#[test]
fn unknown_names_are_refused_with_a_suggestion() {
    refused(&[
        ("FORM x", "unknown instruction: FORM", "FORM"),
        ("COPY --form=a b c", "unknown flag: --form", "--form"),
        ("WORKDIR --x /a", "unknown flag: --x", "--x"),
    ]);
    let help = |text| parse_instruction(text).expect_err(text)[0].help.clone();
    assert_eq!(help("FORM x").as_deref(), Some("did you mean FROM?"));
    assert_eq!(help("COPY --form=a b c").as_deref(), Some("did you mean --from?"));
    assert_eq!(help("BOGUS"), None);
}

#[test]
fn flags_take_what_they_take() {
    refused(&[
        ("COPY --from a b", "missing a value on flag: --from", "--from"),
        ("COPY --from=a --from=b c d", "duplicate flag specified: --from", "--from"),
        ("COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe", "maybe"),
        ("COPY --link= a b", "missing a value on flag: --link", ""),
        ("RUN --mount a", "missing a value on flag: --mount", "--mount"),
        ("RUN --network=x a", "invalid network mode \"x\"", "x"),
        ("RUN --network= a", "invalid network mode \"\"", ""),
        ("RUN --security=x a", "security \"x\" is not valid", "x"),
        (
            "RUN --mount=from=$x,target=/a b",
            "'from' doesn't support variable expansion, define alias stage instead",
            "from=$x,target=/a",
        ),
    ]);
    let Kind::Run(run) = kind("RUN --mount=type=cache,target=/a --mount='target=/b c' --network=none x")
    else {
        panic!()
    };
    assert_eq!(
        run.mounts.iter().map(|word| word.text.as_str()).collect::<Vec<_>>(),
        ["type=cache,target=/a", "target=/b c"]
    );
    assert_eq!(run.network.map(|word| word.text).as_deref(), Some("none"));
    assert_eq!(run.command, Command::Shell("x".to_owned()));
}

#[test]
fn commands_have_two_forms() {
    let exec = |words: &[&str]| Command::Exec(words.iter().map(|word| word.to_string()).collect());
    assert_eq!(kind("CMD [\"a\", \"b c\"]"), Kind::Cmd(exec(&["a", "b c"])));
    assert_eq!(kind("CMD []"), Kind::Cmd(exec(&[])));
    assert_eq!(kind("ENTRYPOINT a  'b'"), Kind::Entrypoint(Command::Shell("a  'b'".to_owned())));
    assert_eq!(kind("CMD ['a']"), Kind::Cmd(Command::Shell("['a']".to_owned())));
    assert_eq!(kind("CMD"), Kind::Cmd(Command::Shell(String::new())));
    assert_eq!(kind("SHELL [\"/bin/sh\", \"-c\"]"), Kind::Shell(vec!["/bin/sh".to_owned(), "-c".to_owned()]));
    let not_strings = "when using JSON array syntax, arrays must be comprised of strings only";
    refused(&[
        ("CMD [\"a\", 1]", not_strings, "[\"a\", 1]"),
        ("SHELL []", "SHELL requires at least one argument", "SHELL"),
        ("SHELL sh -c", "SHELL requires the arguments to be in JSON form", "sh -c"),
    ]);
}

#[test]
fn copy_and_add_have_sources_and_a_destination() {
    let Kind::Copy(copy) =
        kind("COPY --from=x --chown=a:b --chmod=0644 --link --parents --exclude=a --exclude=b a b /c")
    else {
        panic!()
    };
    assert_eq!(copy.from.map(|word| word.text).as_deref(), Some("x"));
    assert!(copy.parents && copy.transfer.link);
    assert_eq!(copy.transfer.exclude.len(), 2);
    assert_eq!(copy.transfer.sources.len(), 2);
    assert_eq!(copy.transfer.destination.text, "/c");
    let Kind::Copy(copy) = kind("COPY --from= [\"a b\", \"c\"]") else { panic!() };
    assert!(copy.from.is_none(), "an empty value is none");
    assert!(matches!(&copy.transfer.sources[..], [Source::Path(word)] if word.text == "a b"));
    let Kind::Add(add) = kind("ADD --keep-git-dir --unpack=FALSE --checksum=sha256:x a b") else { panic!() };
    assert_eq!((add.keep_git_dir, add.unpack), (Some(true), Some(false)));
    let two =
        "requires at least two arguments, but only one was provided. Destination could not be determined";
    refused(&[
        ("COPY a", &format!("COPY {two}"), "a"),
        ("ADD", &format!("ADD {two}"), "ADD"),
        ("COPY a <<EOF\nEOF\n", "COPY cannot accept a heredoc as a destination", "<<EOF"),
    ]);
}

#[test]
fn heredocs_are_sources_with_a_body() {
    let text = "COPY a <<-X <<'Y' /c\n\t$b\nX\nc\nY\n";
    let Kind::Copy(copy) = kind(text) else { panic!() };
    let [Source::Path(_), Source::Heredoc(x), Source::Heredoc(y)] = &copy.transfer.sources[..] else {
        panic!()
    };
    assert_eq!(
        (x.name.as_str(), x.body.as_str(), x.raw_body.as_str(), x.expand),
        ("X", "$b\n", "\t$b\n", true)
    );
    assert_eq!((y.name.as_str(), y.body.as_str(), y.expand), ("Y", "c\n", false));
    assert_eq!(&text[x.span.range()], "\t$b\n");
    let Kind::Copy(copy) = kind("COPY <<A <<A [\"<<A\"]\n1\nA\n2\nA\n") else { panic!() };
    let bodies = copy.transfer.sources.iter().map(|source| match source {
        Source::Heredoc(heredoc) => heredoc.body.as_str(),
        Source::Path(word) => panic!("{word:?}"),
    });
    assert_eq!(bodies.collect::<Vec<_>>(), ["2\n", "2\n"], "the last of one name, as in BuildKit");
    let Kind::Run(run) = kind("RUN python3 <<EOF && ls\nprint(1)\nEOF") else { panic!() };
    assert_eq!(run.command, Command::Shell("python3 <<EOF && ls".to_owned()));
    assert_eq!(run.heredocs[0].body, "print(1)\n");
    refused(&[("RUN cat <<EOF\na\n", "unterminated heredoc", "<<EOF")]);
}

#[test]
fn names_have_values() {
    let pairs = |text| match kind(text) {
        Kind::Env(pairs) | Kind::Label(pairs) => pairs,
        other => panic!("{other:?}"),
    };
    let texts = |pairs: Vec<Pair>| -> Vec<(String, String, bool)> {
        pairs.into_iter().map(|pair| (pair.name.text, pair.value.text, pair.legacy)).collect()
    };
    let pair = |name: &str, value: &str, legacy| (name.to_owned(), value.to_owned(), legacy);
    assert_eq!(
        texts(pairs("ENV a=1 b=\"2 3\" c=d\\ e f=")),
        [pair("a", "1", false), pair("b", "\"2 3\"", false), pair("c", "d\\ e", false), pair("f", "", false)]
    );
    assert_eq!(texts(pairs("ENV a b  c=d")), [pair("a", "b  c=d", true)]);
    assert_eq!(texts(pairs("LABEL \"a b\"=c")), [pair("\"a b\"", "c", false)]);
    let Kind::Arg(arguments) = kind("ARG a b= c=d") else { panic!() };
    let arguments: Vec<_> =
        arguments.into_iter().map(|a| (a.name.text, a.default.map(|word| word.text))).collect();
    let expected = [("a", None), ("b", Some("")), ("c", Some("d"))];
    assert_eq!(arguments, expected.map(|(name, default)| (name.to_owned(), default.map(str::to_owned))));
    refused(&[
        ("ENV a", "ENV must have two arguments", "a"),
        ("ENV", "ENV requires at least one argument", "ENV"),
        ("LABEL a=1 b", "Syntax error - can't find = in \"b\". Must be of the form: name=value", "b"),
        ("ENV =a", "ENV names can not be blank", "a"),
        ("ARG =a", "ARG names can not be blank", "=a"),
        ("ARG", "ARG requires at least one argument", "ARG"),
    ]);
}

#[test]
fn from_names_a_stage() {
    let parsed = crate::parse(b"FROM --platform=$BUILDPLATFORM golang:1 aS Build-1.x\n");
    assert_eq!(parsed.diagnostics, []);
    let Kind::From { platform: Some(platform), image, name: Some(name) } =
        &parsed.dockerfile.instructions[0].kind
    else {
        panic!()
    };
    assert_eq!(
        (platform.text.as_str(), image.text.as_str(), name.text.as_str()),
        ("$BUILDPLATFORM", "golang:1", "Build-1.x")
    );
    assert_eq!(&parsed.text[platform.span.range()], "$BUILDPLATFORM");
    let usage = "FROM requires either one or three arguments";
    refused(&[
        ("FROM", usage, "FROM"),
        ("FROM a b", usage, "a b"),
        ("FROM a is b", usage, "a is b"),
        (
            "FROM a AS 1b",
            "invalid name for build stage: \"1b\", name can't start with a number or contain symbols",
            "1b",
        ),
    ]);
}

#[test]
fn one_word_is_the_rest_of_the_line() {
    let Kind::Workdir(word) = kind("WORKDIR /a  b ") else { panic!() };
    assert_eq!(word.text, "/a  b");
    let Kind::Volume(words) = kind("VOLUME [\" /a \"]") else { panic!() };
    assert_eq!(words[0].text, "/a");
    refused(&[
        ("USER", "USER requires exactly one argument", "USER"),
        ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument", "STOPSIGNAL"),
        ("EXPOSE", "EXPOSE requires at least one argument", "EXPOSE"),
        ("VOLUME [\"\"]", "VOLUME specified can not be an empty string", "\"\""),
    ]);
}

#[test]
fn healthchecks_have_intervals() {
    let text = "HEALTHCHECK --interval=5m --timeout=1.5s --start-period=0 --start-interval=1ms --retries=3 cmd [\"a\"]";
    assert_eq!(
        kind(text),
        Kind::Healthcheck(Healthcheck::Command {
            command: Command::Exec(vec!["a".to_owned()]),
            interval: 300_000_000_000,
            timeout: 1_500_000_000,
            start_period: 0,
            start_interval: 1_000_000,
            retries: 3,
        })
    );
    assert_eq!(kind("HEALTHCHECK NONE"), Kind::Healthcheck(Healthcheck::None));
    refused(&[
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument", "HEALTHCHECK"),
        ("HEALTHCHECK NONE a", "HEALTHCHECK NONE takes no arguments", "a"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD", "CMD"),
        ("HEALTHCHECK curl x", "Unknown type \"CURL\" in HEALTHCHECK (try CMD)", "curl"),
        ("HEALTHCHECK --interval=1us CMD a", "Interval \"interval\" cannot be less than 1ms", "1us"),
        ("HEALTHCHECK --interval=3 CMD a", "time: missing unit in duration \"3\"", "3"),
        ("HEALTHCHECK --retries=-1 CMD a", "--retries cannot be negative (-1)", "-1"),
        ("HEALTHCHECK --retries=x CMD a", "strconv.ParseInt: parsing \"x\": invalid syntax", "x"),
    ]);
}

#[test]
fn onbuild_holds_an_instruction() {
    let Kind::Onbuild { text, instruction } = kind("ONBUILD  RUN <<-EOF \n\techo\nEOF") else { panic!() };
    assert_eq!(text, "RUN <<-EOF \n\techo\nEOF");
    let Some(Instruction { kind: Kind::Run(run), .. }) = instruction.map(|boxed| *boxed) else { panic!() };
    assert_eq!(run.heredocs[0].body, "echo\n");
    let Kind::Run(again) = kind(&text) else { panic!() };
    assert_eq!(again.heredocs[0].raw_body, "\techo\n");
    refused(&[
        ("ONBUILD", "ONBUILD requires at least one argument", "ONBUILD"),
        ("ONBUILD onbuild RUN a", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", "onbuild"),
        ("ONBUILD from a", "FROM isn't allowed as an ONBUILD trigger", "from"),
        ("ONBUILD MAINTAINER a", "MAINTAINER isn't allowed as an ONBUILD trigger", "MAINTAINER"),
    ]);
    let parsed = crate::parse(b"FROM a\nONBUILD BOGUS x\n");
    assert!(!parsed.has_errors(), "docker stores a trigger unchecked");
    assert_eq!(parsed.diagnostics[0].message, "unknown instruction: BOGUS");
}

#[test]
fn triggers_are_single_instructions() {
    for text in ["", "RUN a\nRUN b", "FROM a", "# only a comment"] {
        assert!(parse_instruction(text).is_err(), "{text:?}");
    }
}
