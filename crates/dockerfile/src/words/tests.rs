use super::*;

/// FOO=xxyy, EMPTY is empty, DIR=/usr/lib/x.tar.gz, SPACES has blanks, TWO has two lines.
fn env(name: &str) -> Option<String> {
    let value = match name {
        "FOO" => "xxyy",
        "EMPTY" => "",
        "DIR" => "/usr/lib/x.tar.gz",
        "SPACES" => " a  b ",
        "TWO" => "ab\nab",
        "P" => "x*",
        "9" => "nine",
        "\u{e9}t\u{e9}" => "summer",
        _ => return None,
    };
    Some(value.to_owned())
}

fn expand(word: &str) -> Result<String, Reason> {
    Expander::new('\\').expand(word, &env).map(|expansion| expansion.text).map_err(|error| error.reason)
}

fn check(table: &[(&str, &str)]) {
    for (word, expected) in table {
        assert_eq!(expand(word).as_deref(), Ok(*expected), "{word}");
    }
}

#[test]
fn names_end_where_the_shell_ends_them() {
    check(&[
        ("$FOO", "xxyy"),
        ("$FOO.x", "xxyy.x"),
        ("$FOOx", ""),
        ("${FOO}x", "xxyyx"),
        ("$9x", "ninex"),
        ("$.x", "$.x"),
        ("$", "$"),
        ("a$@b$*c$#d$?e$-f$$g$!h$0i", "abcdefghi"),
        ("$\u{e9}t\u{e9}", "summer"),
        ("$UNSET", ""),
        ("${UNSET}", ""),
    ]);
}

#[test]
fn quotes_and_escapes_are_removed() {
    check(&[
        (r"'$FOO \x'", r"$FOO \x"),
        (r#""$FOO \x \" \$ \\""#, r#"xxyy \x " $ \"#),
        (r#""it's""#, "it's"),
        (r"\a\$FOO\'", "a$FOO'"),
        (r"end\", "end"),
        ("<<EOF", "<<EOF"),
        ("a < b", "a < b"),
    ]);
    assert_eq!(expand("'open"), Err(Reason::Unterminated("single-quote")));
    assert_eq!(expand("\"open"), Err(Reason::Unterminated("double-quote")));
    let backtick = Expander::new('`').expand(r"`$FOO\$FOO", &env).expect("valid");
    assert_eq!(backtick.text, r"$FOO\xxyy");
}

#[test]
fn operators_choose_by_set_and_empty() {
    check(&[
        ("${FOO:-w}${EMPTY:-w}${UNSET:-w}", "xxyyww"),
        ("${FOO-w}${EMPTY-w}${UNSET-w}", "xxyyw"),
        ("${FOO:+w}${EMPTY:+w}${UNSET:+w}", "w"),
        ("${FOO+w}${EMPTY+w}${UNSET+w}", "ww"),
        ("${FOO:?w}${FOO?w}${EMPTY?w}", "xxyyxxyy"),
        ("${UNSET:-$FOO}", "xxyy"),
        ("${UNSET:-${UNSET:-'}'}}", "}"),
        (r"${UNSET:-\}}", "}"),
        ("${UNSET:-}", ""),
    ]);
}

#[test]
fn required_variables_say_what_is_missing() {
    for (word, expected) in [
        ("${UNSET?}", "UNSET: is not allowed to be unset"),
        ("${UNSET:?}", "UNSET: is not allowed to be unset"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
        ("${UNSET:?say $FOO}", "UNSET: say xxyy"),
    ] {
        assert_eq!(expand(word).map_err(|reason| reason.to_string()), Err(expected.to_owned()), "{word}");
    }
    let error = Expander::new('\\').expand("${A?}", &env).expect_err("A is unset");
    assert_eq!(error.to_string(), "failed to process \"${A?}\": A: is not allowed to be unset");
}

#[test]
fn patterns_trim_the_shortest_or_longest_match() {
    check(&[
        ("${FOO#x}", "xyy"),
        ("${FOO#*x}", "xyy"),
        ("${FOO##*x}", "yy"),
        ("${FOO#?}", "xyy"),
        ("${FOO%y}", "xxy"),
        ("${FOO%y*}", "xxy"),
        ("${FOO%%y*}", "xx"),
        ("${FOO#z}", "xxyy"),
        ("${FOO#}", "xxyy"),
        ("${DIR##*/}", "x.tar.gz"),
        ("${DIR%/*}", "/usr/lib"),
        ("${DIR%.*}", "/usr/lib/x.tar"),
        ("${DIR%%.*}", "/usr/lib/x"),
        ("${FOO#$P}", "xyy"),
        ("${UNSET#x}", ""),
        ("${TWO##*}", "\nab"),
        ("${TWO%%*}", "ab\n"),
        (r"${FOO#\*}", "xxyy"),
        (r"${FOO%\\}", "xxyy"),
        ("${FOO#[x]}", "xxyy"),
    ]);
    assert!(matches!(expand(r"${FOO#\x}"), Err(Reason::InvalidPattern { .. })));
    assert!(matches!(expand(r"${FOO%%\x}"), Err(Reason::InvalidPattern { .. })));
}

#[test]
fn replacements_take_the_first_or_all_matches() {
    check(&[
        ("${FOO/x/z}", "zxyy"),
        ("${FOO//x/z}", "zzyy"),
        ("${FOO/x*/z}", "z"),
        ("${FOO//?/z}", "zzzz"),
        ("${FOO//x/}", "yy"),
        ("${FOO/q/z}", "xxyy"),
        (r"${DIR//\//_}", "_usr_lib_x.tar.gz"),
        ("${FOO//y*/$DIR}", "xx/usr/lib/x.tar.gz"),
        ("${TWO//a*/z}", "z\nz"),
        ("${FOO///-}", "-x-x-y-y-"),
        ("${FOO//*/-}", "-"),
        ("${EMPTY//*/-}", "-"),
    ]);
    assert_eq!(
        expand("${FOO/x}").map_err(|r| r.to_string()),
        Err("syntax error: missing '/' in ${}".to_owned())
    );
    assert_eq!(expand("${FOO/x/y"), Err(Reason::Missing("'}'")));
}

#[test]
fn bad_substitutions_are_errors() {
    for word in ["${}", "${{a}", "${:a}"] {
        assert_eq!(expand(word), Err(Reason::BadSubstitution), "{word}");
    }
    for word in ["${", "${a", "${a:", "${a:-b", "${a-"] {
        assert_eq!(expand(word), Err(Reason::Missing("'}'")), "{word}");
    }
    for (word, modifier) in
        [("${a=b}", "="), ("${a:=b}", ":="), ("${a:#b}", ":#"), ("${a:%b}", ":%"), ("${a b}", " ")]
    {
        assert_eq!(expand(word), Err(Reason::UnsupportedModifier(modifier.to_owned())), "{word}");
    }
}

#[test]
fn variables_that_were_asked_for_are_named() {
    let names = |word| {
        let expansion = Expander::new('\\').expand(word, &env).expect("valid");
        (
            expansion.matched.into_iter().collect::<Vec<_>>(),
            expansion.unmatched.into_iter().collect::<Vec<_>>(),
        )
    };
    assert_eq!(names("$FOO ${A:-$B} '$C'"), (vec!["FOO".to_owned()], vec!["A".to_owned(), "B".to_owned()]));
    assert_eq!(
        names("${FOO:-$A}"),
        (vec!["FOO".to_owned()], vec!["A".to_owned()]),
        "also where it is not needed"
    );
}

#[test]
fn words_are_split_after_expansion() {
    let split = |word| Expander::new('\\').expand_words(word, &env).expect("valid");
    assert_eq!(split("a b\tc"), ["a", "b", "c"]);
    assert_eq!(split("x${SPACES}y"), ["x", "a", "b", "y"]);
    assert_eq!(split("x\"${SPACES}\"y"), ["x a  b y"]);
    assert_eq!(split(r"a\ b 'c d' ''"), ["a b", "c d"]);
    assert_eq!(split("<< EOF x"), ["<< EOF", "x"]);
    assert_eq!(split(""), [""; 0]);
}

#[test]
fn raw_modes_keep_what_they_are_told_to() {
    let base = Expander::new('\\');
    let text = |expander: &Expander, word| expander.expand(word, &env).expect("valid").text;
    assert_eq!(text(&Expander { raw_quotes: true, ..base.clone() }, "'a' \"$FOO\""), "'a' \"xxyy\"");
    assert_eq!(text(&Expander { raw_escapes: true, ..base.clone() }, r"\a \$FOO"), r"\a \$FOO");
    let skip = Expander { skip_unset: true, ..base };
    assert_eq!(text(&skip, "$A ${A} ${A:-b} ${A#b} ${A/b/c} $FOO"), "$A ${A} ${A:-b} ${A#b} ${A/b/c} xxyy");
    assert_eq!(text(&Expander::heredoc(), "it's \"$FOO\" \\$FOO\n"), "it's \"xxyy\" $FOO\n");
}

#[test]
fn hostile_words_end_soon() {
    let nested = "${a:-".repeat(100_000);
    assert_eq!(expand(&nested), Err(Reason::TooLarge("variables are nested too deeply")));
    let long = "a".repeat(1 << 20);
    let expander = Expander::new('\\');
    let many = "$A".repeat(64);
    assert!(expander.expand(&many, &|_| Some(long.clone())).is_err());
    let stars = format!("${{A##{}b}}", "*a".repeat(100));
    assert_eq!(expander.expand(&stars, &|_| Some("a".repeat(100_000))).map(|e| e.text.len()), Ok(100_000));
    let often = expander.expand(&stars.repeat(10), &|_| Some("a".repeat(100_000)));
    let reason = Reason::TooLarge("the patterns are too long for their values");
    assert_eq!(often.map_err(|error| error.reason), Err(reason), "many patterns cost as much as a long one");
    let replaced = expander.expand("${A//a*b/x}", &|_| Some("a".repeat(200_000))).expect("valid");
    assert_eq!(replaced.text.len(), 200_000);
}
