//! Wildcards of COPY and ADD: Go's `filepath.Match` on Linux. `*` and `?` do not match `/`, so a pattern with slashes
//! matches component by component. Paths are bytes.

use std::{fmt, str};

/// A pattern whose brackets or escapes do not end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern {0:?}")]
pub struct BadPattern(pub String);

impl BadPattern {
    fn new(pattern: &[u8]) -> BadPattern {
        BadPattern(String::from_utf8_lossy(pattern).into_owned())
    }
}

/// Tells whether a pattern has wildcards; an escaped one is none (fsutil's `containsWildcards`).
pub fn has_wildcards(pattern: impl AsRef<[u8]>) -> bool {
    let mut bytes = pattern.as_ref().iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// Checks a pattern.
pub fn check(pattern: impl AsRef<[u8]>) -> Result<(), BadPattern> {
    Glob::parse(pattern).map(|_| ())
}

/// Tells whether a pattern matches a whole name. The pattern is checked to its end, match or not.
pub fn matches(pattern: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Result<bool, BadPattern> {
    Glob::parse(pattern).map(|glob| glob.matches(name))
}

/// A parsed pattern, for more than one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
}

#[derive(Clone, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `?`
    Any,
    /// `*`
    Star,
    /// `[…]`
    Class(Class),
}

/// A set of characters; on their own, they also match `/`, as in Go.
#[derive(Clone, PartialEq, Eq)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Byte(byte) => write!(f, "{}", byte.escape_ascii()),
            Token::Any => f.write_str("?"),
            Token::Star => f.write_str("*"),
            Token::Class(class) => write!(f, "[{}{:?}]", if class.negated { "^" } else { "" }, class.ranges),
        }
    }
}

impl Glob {
    /// Parses a pattern.
    pub fn parse(pattern: impl AsRef<[u8]>) -> Result<Glob, BadPattern> {
        let pattern = pattern.as_ref();
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let [byte, after @ ..] = rest {
            rest = after;
            tokens.push(match byte {
                b'*' => Token::Star,
                b'?' => Token::Any,
                b'[' => {
                    let (class, after) = class(rest).ok_or_else(|| BadPattern::new(pattern))?;
                    rest = after;
                    Token::Class(class)
                }
                b'\\' => {
                    let [escaped, after @ ..] = rest else { return Err(BadPattern::new(pattern)) };
                    rest = after;
                    Token::Byte(*escaped)
                }
                byte => Token::Byte(*byte),
            });
        }
        tokens.dedup_by(|a, b| *a == Token::Star && *b == Token::Star);
        Ok(Glob { tokens })
    }

    /// Tells whether the pattern matches a whole name. On a mismatch only the last star is extended: an earlier one
    /// could not do better, as none crosses a slash that the pattern does not have. So the time is at most that of
    /// pattern times name.
    pub fn matches(&self, name: impl AsRef<[u8]>) -> bool {
        let name = name.as_ref();
        let (mut token, mut at) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        loop {
            match self.tokens.get(token) {
                None if at == name.len() => return true,
                Some(Token::Star) => {
                    star = Some((token, at));
                    token += 1;
                    continue;
                }
                Some(single) => {
                    if let Some(length) = single.length_at(&name[at..]) {
                        at += length;
                        token += 1;
                        continue;
                    }
                }
                None => {}
            }
            let Some((star_token, star_at)) =
                star.filter(|(_, at)| name.get(*at).is_some_and(|byte| *byte != b'/'))
            else {
                return false;
            };
            star = Some((star_token, star_at + 1));
            (token, at) = (star_token + 1, star_at + 1);
        }
    }
}

impl Token {
    /// Returns how many bytes at the start of a name this token matches, a star excepted.
    fn length_at(&self, name: &[u8]) -> Option<usize> {
        let first = *name.first()?;
        match self {
            Token::Byte(byte) => (*byte == first).then_some(1),
            Token::Any => (first != b'/').then(|| first_char(name).1),
            Token::Class(class) => {
                let (c, length) = first_char(name);
                let inside = class.ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                (inside != class.negated).then_some(length)
            }
            Token::Star => None,
        }
    }
}

/// Decodes the first character and its length; a byte that is not UTF-8 is U+FFFD, as in Go.
pub(crate) fn first_char(bytes: &[u8]) -> (char, usize) {
    let head = &bytes[..bytes.len().min(4)];
    let valid = match str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => str::from_utf8(&head[..error.valid_up_to()]).unwrap_or(""),
    };
    valid.chars().next().map_or((char::REPLACEMENT_CHARACTER, 1), |c| (c, c.len_utf8()))
}

/// Parses a class from after its bracket on.
fn class(text: &[u8]) -> Option<(Class, &[u8])> {
    let (negated, mut rest) = match text.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut ranges = Vec::new();
    loop {
        if let Some(rest) = rest.strip_prefix(b"]")
            && !ranges.is_empty()
        {
            return Some((Class { negated, ranges }, rest));
        }
        let (low, after) = class_char(rest)?;
        let (high, after) = match after.strip_prefix(b"-") {
            Some(after) => class_char(after)?,
            None => (low, after),
        };
        ranges.push((low, high));
        rest = after;
    }
}

/// Reads one end of a range, possibly escaped; something must follow it.
fn class_char(text: &[u8]) -> Option<(char, &[u8])> {
    let text = match text {
        [] | [b'-' | b']', ..] => return None,
        [b'\\', rest @ ..] => rest,
        text => text,
    };
    text.first()?;
    let (c, length) = first_char(text);
    let invalid = c == char::REPLACEMENT_CHARACTER && length == 1;
    let rest = &text[length..];
    (!invalid && !rest.is_empty()).then_some((c, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of Go's `path/filepath/match_test.go`.
    #[test]
    fn names_match_as_in_go() {
        for (pattern, name, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a\u{263a}b", true),
            ("a[^a]b", "a\u{263a}b", true),
            ("a???b", "a\u{263a}b", false),
            ("a[^a][^a][^a]b", "a\u{263a}b", false),
            ("[a-\u{3b6}]*", "\u{3b1}", true),
            ("*[a-\u{3b6}]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "x", true),
            ("[x\\-]", "-", true),
            ("[x\\-]", "z", false),
            ("[\\-x]", "a", false),
            ("*x", "xxx", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), Ok(expected), "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_that_do_not_end_are_errors() {
        for pattern in
            ["[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "[", "[^", "[^bc", "a[", "*[", "[a", "[\\"]
        {
            assert!(check(pattern).is_err(), "{pattern}");
        }
        assert!(check(b"[\xff]").is_err());
    }

    #[test]
    fn bytes_that_are_not_utf8_match_as_one_character() {
        assert_eq!(matches("a?b", b"a\xffb"), Ok(true));
        assert_eq!(matches(b"a\xff*", b"a\xffb"), Ok(true));
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = "a*".repeat(500) + "b";
        assert_eq!(matches(pattern, "a".repeat(5000)), Ok(false));
    }

    #[test]
    fn wildcards_are_seen_unless_escaped() {
        for (pattern, expected) in
            [("a*", true), ("a?", true), ("[a]", true), ("a\\*", false), ("a\\", false), ("a", false)]
        {
            assert_eq!(has_wildcards(pattern), expected, "{pattern}");
        }
    }
}
