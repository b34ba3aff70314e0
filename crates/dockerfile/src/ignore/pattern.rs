//! One pattern of an ignore file.

use crate::glob::{BadPattern, first_char};

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// Whether it began with `!`.
    pub(super) negated: bool,
    kind: Kind,
    /// The components before the first one with a special character: what every match begins with.
    literal: Vec<u8>,
}

/// How to match; moby takes the same short cuts, and they differ from the general way in details.
#[derive(Debug, Clone)]
enum Kind {
    Exact(Vec<u8>),
    /// `dir/**`: this prefix, whatever follows.
    Prefix(Vec<u8>),
    /// `**/name`: this suffix, or without its slash the whole.
    Suffix(Vec<u8>),
    Tokens(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`: all but a slash.
    Any,
    /// `*`: any number of characters, no slash.
    Star,
    /// `**` before more: nothing, or anything that ends in a slash. Anything has no newline.
    Directories,
    /// `**` at the end: anything without a newline.
    Everything,
    /// `[…]`, in which a slash may be.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `^`, which moby leaves to mean the start of the path.
    Start,
}

impl Pattern {
    /// Compiles a cleaned pattern that Go's `filepath.Match` accepts.
    pub(super) fn compile(text: &str, negated: bool) -> Result<Pattern, BadPattern> {
        let special = text.find(['*', '?', '[', ']', '\\', '^']).unwrap_or(text.len());
        let literal = match special == text.len() {
            true => text,
            false => &text[..text[..special].rfind('/').unwrap_or(0)],
        };
        let kind = kind(text).ok_or_else(|| BadPattern(text.to_owned()))?;
        Ok(Pattern { negated, kind, literal: literal.as_bytes().to_vec() })
    }

    /// Tells whether the pattern matches exactly this path.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        match &self.kind {
            Kind::Exact(exact) => path == exact.as_slice(),
            Kind::Prefix(prefix) => path.starts_with(prefix),
            Kind::Suffix(suffix) => path.ends_with(suffix) || suffix.strip_prefix(b"/") == Some(path),
            Kind::Tokens(tokens) => path.starts_with(&self.literal) && run(tokens, path),
        }
    }

    /// Tells whether the pattern might match something below a directory.
    pub(super) fn may_match_below(&self, directory: &[u8]) -> bool {
        let is_below = |path: &[u8], parent: &[u8]| {
            parent.is_empty() || path.strip_prefix(parent).is_some_and(|rest| rest.starts_with(b"/"))
        };
        match &self.kind {
            Kind::Exact(exact) => is_below(exact, directory),
            Kind::Suffix(_) => true,
            Kind::Prefix(prefix) => {
                let prefix_is_below = is_below(prefix, directory);
                prefix_is_below
                    || directory.starts_with(prefix)
                    || [directory, b"/"].concat().starts_with(prefix)
            }
            Kind::Tokens(_) => {
                let literal = self.literal.as_slice();
                literal == directory || is_below(literal, directory) || is_below(directory, literal)
            }
        }
    }
}

/// Sorts out the kind of a pattern, character by character as moby does.
fn kind(text: &str) -> Option<Kind> {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Detected {
        Exact,
        Prefix,
        Suffix,
        Tokens,
    }
    let mut detected = Detected::Exact;
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let first = rest.len() == text.len();
        rest = &rest[c.len_utf8()..];
        match c {
            '*' => {
                let Some(after) = rest.strip_prefix('*') else {
                    tokens.push(Token::Star);
                    detected = Detected::Tokens;
                    continue;
                };
                rest = after.strip_prefix('/').unwrap_or(after);
                detected = match (rest.is_empty(), detected) {
                    (true, Detected::Exact) => Detected::Prefix,
                    _ => Detected::Tokens,
                };
                tokens.push(if rest.is_empty() { Token::Everything } else { Token::Directories });
                if first {
                    detected = Detected::Suffix;
                }
            }
            '?' => {
                tokens.push(Token::Any);
                detected = Detected::Tokens;
            }
            '\\' => {
                let escaped = rest.chars().next()?;
                rest = &rest[escaped.len_utf8()..];
                tokens.push(escape(escaped)?);
                detected = Detected::Tokens;
            }
            '[' => {
                let (class, after) = class(rest)?;
                rest = after;
                tokens.push(class);
                detected = Detected::Tokens;
            }
            ']' => {
                tokens.push(Token::Char(']'));
                detected = Detected::Tokens;
            }
            '^' => tokens.push(Token::Start),
            c => tokens.push(Token::Char(c)),
        }
    }
    // Two in a row mean the same as one, and a long row of them would take quadratic time.
    tokens.dedup_by(|a, b| a == b && *a == Token::Directories);
    Some(match detected {
        Detected::Exact => Kind::Exact(text.as_bytes().to_vec()),
        Detected::Prefix => Kind::Prefix(text.as_bytes()[..text.len() - 2].to_vec()),
        Detected::Suffix => Kind::Suffix(text.as_bytes()[2..].to_vec()),
        Detected::Tokens => Kind::Tokens(tokens),
    })
}

/// Reads an escape outside of brackets. moby passes it to Go's `regexp`, in which letters and digits have meanings; those
/// that are not sets or control characters are refused here.
fn escape(c: char) -> Option<Token> {
    let set = |ranges: &[(char, char)], negated| Token::Class { negated, ranges: ranges.to_vec() };
    const DIGIT: &[(char, char)] = &[('0', '9')];
    const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('a', 'z'), ('_', '_')];
    const BLANK: &[(char, char)] = &[('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')];
    Some(match c {
        'd' | 'D' => set(DIGIT, c == 'D'),
        'w' | 'W' => set(WORD, c == 'W'),
        's' | 'S' => set(BLANK, c == 'S'),
        c => Token::Char(escaped_char(c)?),
    })
}

fn escaped_char(c: char) -> Option<char> {
    match c {
        'a' => Some('\u{7}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\u{b}'),
        c if c.is_ascii_alphanumeric() => None,
        c => Some(c),
    }
}

/// Reads a class from after its bracket on. What `filepath.Match` refuses is not seen here.
fn class(text: &str) -> Option<(Token, &str)> {
    let (negated, mut rest) = match text.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut ranges = Vec::new();
    loop {
        if let Some(rest) = rest.strip_prefix(']')
            && !ranges.is_empty()
        {
            return Some((Token::Class { negated, ranges }, rest));
        }
        let (low, after) = class_char(rest)?;
        let (high, after) = match after.strip_prefix('-') {
            Some(after) => class_char(after)?,
            None => (low, after),
        };
        if low > high {
            return None;
        }
        ranges.push((low, high));
        rest = after;
    }
}

fn class_char(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    let c = match chars.next()? {
        '\\' => escaped_char(chars.next()?)?,
        c => c,
    };
    Some((c, chars.as_str()))
}

/// Runs the tokens as an automaton over a path: state `i` is "tokens before `i` are matched". No state is visited twice
/// for a character, so nothing backtracks.
fn run(tokens: &[Token], path: &[u8]) -> bool {
    let mut now = vec![false; tokens.len() + 1];
    let mut next = now.clone();
    enter(&mut now, tokens, 0, true);
    let mut rest = path;
    while !rest.is_empty() {
        let (c, length) = first_char(rest);
        rest = &rest[length..];
        next.fill(false);
        let mut alive = false;
        for (i, token) in tokens.iter().enumerate().filter(|(i, _)| now[*i]) {
            alive |= step(&mut next, tokens, i, token, c);
        }
        if !alive {
            return false;
        }
        std::mem::swap(&mut now, &mut next);
    }
    now[tokens.len()]
}

/// Lets one state take a character; says whether it could.
fn step(next: &mut [bool], tokens: &[Token], i: usize, token: &Token, c: char) -> bool {
    match token {
        Token::Char(wanted) if *wanted == c => enter(next, tokens, i + 1, false),
        Token::Any if c != '/' => enter(next, tokens, i + 1, false),
        Token::Star if c != '/' => enter(next, tokens, i, false),
        Token::Everything if c != '\n' => enter(next, tokens, i, false),
        Token::Directories if c != '\n' => {
            // To stay inside is not to skip: only a slash leads on.
            next[i] = true;
            if c == '/' {
                enter(next, tokens, i + 1, false);
            }
        }
        Token::Class { negated, ranges }
            if ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated =>
        {
            enter(next, tokens, i + 1, false);
        }
        _ => return false,
    }
    true
}

/// Enters a state, and those that can be reached without a character.
fn enter(states: &mut [bool], tokens: &[Token], state: usize, at_start: bool) {
    let mut state = state;
    loop {
        states[state] = true;
        match tokens.get(state) {
            Some(Token::Star | Token::Directories | Token::Everything) => state += 1,
            Some(Token::Start) if at_start => state += 1,
            _ => return,
        }
    }
}

/// Cleans a path lexically, as Go's `filepath.Clean`: no empty components, no `.`, no `..` but at the start.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}
