use super::*;

fn patterns(texts: &[&str]) -> Patterns {
    Patterns::new(texts).expect("valid patterns")
}

#[test]
fn ignore_files_are_cleaned() {
    let text = b"\xef\xbb\xbf# comment\r\n a/./b/ \n#x\n\n/c\n!/d/../e\n! f\n #g\n/\n!\n";
    let read = read_ignore_file(text).expect("valid");
    assert_eq!(read, ["a/b", "c", "!e", "!f", "#g", "/", "!"]);
    assert_eq!(Patterns::parse(b"!").map(|_| ()), Err(PatternError::LoneExclamation));
    assert!(matches!(Patterns::parse(b"a[").map(|_| ()), Err(PatternError::Syntax(_))));
    let long = vec![b'a'; 70_000];
    assert_eq!(read_ignore_file(&long), Err(PatternError::LineTooLong(1)));
}

#[test]
fn one_pattern_matches_paths_and_what_is_below() {
    for (pattern, path, expected) in [
        ("a", "a", true),
        ("a", "a/b", true),
        ("a", "b/a", false),
        ("a", "ab", false),
        ("*", "a", true),
        ("*", "a/b", true),
        ("*/b", "a/b", true),
        ("*/b", "b", false),
        ("*/b", "a/c/b", false),
        ("a?", "ab", true),
        ("a?", "a/", false),
        ("**", "a/b", true),
        ("**/b", "b", true),
        ("**/b", "a/c/b", true),
        ("**/b", "a/cb", false),
        ("**b", "a/cb", true),
        ("**/*.o", "x.o", true),
        ("**/*.o", "a/b/x.o", true),
        ("a/**", "a", false),
        ("a/**", "a/b/c", true),
        ("a**", "ab/c", true),
        ("a/**/b", "a/b", true),
        ("a/**/b", "a/x/y/b", true),
        ("a/**/b", "ab", false),
        ("a/**/*", "a/x", true),
        ("[a-c]x", "bx", true),
        ("[^a-c]x", "bx", false),
        ("[^a-c]x", "dx", true),
        ("[a.]", ".", true),
        ("[a\\]]", "]", true),
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("a.b*", "axb", false),
        ("a+(b)|{c}$*", "a+(b)|{c}$x", true),
        ("^a*", "ab", true),
        ("a^*", "a^b", false),
        ("x\\d", "x7", true),
        ("\u{fc}?", "\u{fc}\u{f6}", true),
        (".", "a", false),
        ("a\nb", "a\nb", true),
    ] {
        assert_eq!(patterns(&[pattern]).matches_or_parent_matches(path), expected, "{pattern:?} {path:?}");
    }
}

#[test]
fn the_last_matching_pattern_decides() {
    for (texts, path, expected) in [
        (&["a", "!a/b"][..], "a/b", false),
        (&["a", "!a/b"], "a/c", true),
        (&["!a/b", "a"], "a/b", true),
        (&["*", "!*.md", "README.md"], "README.md", true),
        (&["*", "!*.md"], "x.md", false),
        (&["**", "!a/**", "a/b"], "a/b/c", true),
        (&["a", "!a"], "a/b", false),
        (&["!a"], "a", false),
        (&["", "  ", "a"], "a", true),
    ] {
        assert_eq!(patterns(texts).matches_or_parent_matches(path), expected, "{texts:?} {path:?}");
    }
}

#[test]
fn walks_carry_the_parents_matches_down() {
    let patterns = patterns(&["a", "!a/b", "a/b/c/d"]);
    let (ignored, a) = patterns.matches_below("a", &ParentMatch::default());
    assert!(ignored);
    let (ignored, b) = patterns.matches_below("a/b", &a);
    assert!(!ignored);
    let (ignored, c) = patterns.matches_below("a/b/c", &b);
    assert!(!ignored, "its parent is included");
    assert!(patterns.matches_below("a/b/c/d", &c).0);
    assert!(patterns.matches_below("a/x", &a).0);
}

#[test]
fn ignored_directories_are_entered_only_for_a_reason() {
    for (texts, directory, expected) in [
        (&["a"][..], "a", false),
        (&["a", "!b"], "a", false),
        (&["a", "!a/b"], "a", true),
        (&["a", "!a/b"], "a/c", false),
        (&["a", "!ab/c"], "a", false),
        (&["a", "!a/b/c"], "a/b", true),
        (&["a", "!a/*/c"], "a/b", true),
        (&["a", "!b/*/c"], "a", false),
        (&["a", "!*.md"], "a", true),
        (&["a", "!**/c"], "a", true),
        (&["a", "!a/b/**"], "a", true),
        (&["a", "!a/b/**"], "a/c", false),
        (&["a", "!a/b/**"], "a/b/c", true),
        (&["a", "!a/b"], "", true),
    ] {
        assert_eq!(patterns(texts).may_include_below(directory), expected, "{texts:?} {directory:?}");
    }
    assert!(patterns(&["a", "!b"]).has_exclusions());
    assert!(!patterns(&["a"]).has_exclusions());
}

#[test]
fn patterns_that_moby_refuses_are_errors() {
    for text in ["[", "a[]", "[a-", "a\\", "[b-a]", "\\b", "!!["] {
        assert!(Patterns::new([text]).is_err(), "{text}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_matched() {
    assert!(patterns(&["a?b"]).matches_or_parent_matches(b"a\xffb"));
    assert!(patterns(&["*"]).matches_or_parent_matches(b"\xff"));
}

#[test]
fn hostile_patterns_end_soon() {
    let path = "a/".repeat(2000) + "b";
    for pattern in [
        "*a".repeat(1000) + "c",
        "**/a/".repeat(500) + "c",
        "*".repeat(60_000) + "c",
        "**/".repeat(20_000) + "*c",
    ] {
        assert!(!patterns(&[&pattern]).matches_or_parent_matches(&path[..200]));
    }
    assert!(!patterns(&["**/*a*a*a*a*a*a*a*c"]).matches_or_parent_matches("a".repeat(4096)));
}
