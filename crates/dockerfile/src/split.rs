//! Splits an instruction's text into keyword, flags and words. All places are ranges of the joined line.

use std::ops::Range;

/// The characters that separate words where BuildKit uses its `reWhitespace`.
const BLANKS: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// Shrinks a range of a text by the white space at its ends.
pub(crate) fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = range.start + (part.len() - part.trim_start().len());
    start..start + part.trim().len()
}

/// Cuts a range at the first run of blanks: the first word, and what follows if anything was cut.
pub(crate) fn cut(text: &str, range: Range<usize>) -> (Range<usize>, Option<Range<usize>>) {
    let part = &text[range.clone()];
    let Some(end) = part.find(BLANKS) else { return (range, None) };
    let rest = part[end..].trim_start_matches(BLANKS);
    (range.start..range.start + end, Some(range.end - rest.len()..range.end))
}

/// Splits a range at blanks, without regard to quotes.
pub(crate) fn plain_words(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut rest = Some(range).filter(|range| !range.is_empty());
    while let Some(range) = rest {
        let (word, after) = cut(text, range);
        words.push(word);
        rest = after;
    }
    words
}

/// Splits a range at white space that is neither quoted nor escaped. Quotes and escapes stay in the words; only an escape
/// character at the very end is dropped.
pub(crate) fn quoted_words(text: &str, range: Range<usize>, escape: char) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut chars = text[range.clone()].char_indices();
    while let Some((at, c)) = chars.next() {
        let at = range.start + at;
        if quote.is_none() && c.is_whitespace() {
            words.extend(start.take().map(|start| start..at));
            continue;
        }
        start.get_or_insert(at);
        match quote {
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == escape && quote != Some('\'') => {
                let escaped = chars.next();
                if escaped.is_none() {
                    words.extend(start.take().filter(|start| *start < at).map(|start| start..at));
                    return words;
                }
            }
            _ => {}
        }
    }
    words.extend(start.map(|start| start..range.end));
    words
}

/// A flag with its quotes and escapes removed, and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawFlag {
    pub(crate) text: String,
    pub(crate) range: Range<usize>,
}

/// Takes the `--flags` from the front of a range; a bare `--` ends them. Returns them and the rest.
pub(crate) fn flags(text: &str, range: Range<usize>, escape: char) -> (Vec<RawFlag>, Range<usize>) {
    let mut flags = Vec::new();
    let mut at = range.start;
    loop {
        let part = &text[at..range.end];
        at = range.end - part.trim_start().len();
        if !text[at..range.end].starts_with("--") {
            return (flags, at..range.end);
        }
        let flag = one_flag(text, at..range.end, escape);
        at = flag.range.end;
        if flag.text == "--" {
            return (flags, at..range.end);
        }
        flags.push(flag);
    }
}

/// Reads one flag up to white space outside of quotes.
fn one_flag(text: &str, range: Range<usize>, escape: char) -> RawFlag {
    let mut value = String::new();
    let mut quote = None;
    let mut chars = text[range.clone()].char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                return RawFlag { text: value, range: range.start..range.start + at };
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == escape => value.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    RawFlag { text: value, range }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> Vec<&str> {
        quoted_words(text, 0..text.len(), '\\').into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn words_keep_quotes_and_escapes() {
        assert_eq!(quoted("a  b\tc"), ["a", "b", "c"]);
        assert_eq!(quoted(r#"a="b c" d='e "f' g\ h"#), [r#"a="b c""#, r#"d='e "f'"#, r"g\ h"]);
        assert_eq!(quoted(r#""a\" b" 'c\' d"#), [r#""a\" b""#, r"'c\'", "d"]);
        assert_eq!(quoted(r"a\"), ["a"]);
        assert_eq!(quoted("a \\"), ["a"]);
        assert_eq!(quoted(r#"'open quote"#), ["'open quote"]);
        assert_eq!(quoted(" "), [""; 0]);
        assert_eq!(quoted(r#"a "" b"#), ["a", r#""""#, "b"]);
    }

    #[test]
    fn flags_come_first() {
        let read = |text: &str| {
            let (flags, rest) = flags(text, 0..text.len(), '\\');
            (flags.into_iter().map(|flag| flag.text).collect::<Vec<_>>(), text[rest].trim().to_owned())
        };
        assert_eq!(read("--a --b=c d --e"), (vec!["--a".into(), "--b=c".into()], "d --e".into()));
        assert_eq!(read("--a='x y' z"), (vec!["--a=x y".into()], "z".into()));
        assert_eq!(read(r"--a=x\ y z"), (vec!["--a=x y".into()], "z".into()));
        assert_eq!(read("-- --a"), (vec![], "--a".into()));
        assert_eq!(read("-a"), (vec![], "-a".into()));
        assert_eq!(read("--a"), (vec!["--a".into()], "".into()));
    }

    #[test]
    fn cutting_skips_runs_of_blanks() {
        assert_eq!(cut("a \t b", 0..5), (0..1, Some(4..5)));
        assert_eq!(cut("ab", 0..2), (0..2, None));
        assert_eq!(plain_words("a 'b c'", 0..7), [0..1, 2..4, 5..7]);
    }
}
