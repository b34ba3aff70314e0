//! Physical lines, and logical ones joined from them at continuations, with the way back to the places in the file.

use std::ops::Range;

use crate::{Span, Word};

/// The longest physical line in bytes (Go's `bufio.MaxScanTokenSize - 1`, which BuildKit inherits).
pub(crate) const MAX_LINE: usize = 65_535;

/// One physical line: where it is, with and without its ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counts from 1.
    pub(crate) number: usize,
    pub(crate) start: usize,
    /// Before the ending.
    pub(crate) end: usize,
    /// After the ending.
    pub(crate) next: usize,
}

impl Line {
    pub(crate) fn range(self) -> Range<usize> {
        self.start..self.end
    }

    pub(crate) fn span(self) -> Span {
        Span { start: self.start, end: self.end }
    }
}

/// Reads physical lines, which end with `\n`; any `\r` before it is part of the ending.
pub(crate) struct Lines<'a> {
    text: &'a str,
    at: usize,
    number: usize,
}

impl<'a> Lines<'a> {
    /// Starts behind a byte-order mark, if there is one.
    pub(crate) fn new(text: &'a str) -> Lines<'a> {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Lines { text, at, number: 0 }
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.find('\n').map_or(rest.len(), |newline| newline + 1);
        let end = self.at + rest[..length].trim_end_matches(['\r', '\n']).len();
        let line = Line { number: self.number + 1, start: self.at, end, next: self.at + length };
        self.at = line.next;
        self.number = line.number;
        Some(line)
    }
}

/// A logical line: the text of an instruction with its continuations joined.
#[derive(Debug, Clone, Default)]
pub(crate) struct Joined {
    pub(crate) text: String,
    /// Where each piece begins: in `text`, and in the file.
    pieces: Vec<(usize, usize)>,
}

impl Joined {
    /// Appends a piece that begins at `source` in the file.
    pub(crate) fn push(&mut self, piece: &str, source: usize) {
        self.pieces.push((self.text.len(), source));
        self.text.push_str(piece);
    }

    /// Translates a range of `text` into the file. A range over several pieces also covers what joins them.
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        let start = self.source(range.start);
        // The end belongs to the piece of the last byte, not to the one that follows.
        let end = if range.end > range.start { self.source(range.end - 1) + 1 } else { start };
        Span { start, end: end.max(start) }
    }

    /// Makes a word of a range of `text`.
    pub(crate) fn word(&self, range: Range<usize>) -> Word {
        Word { text: self.text[range.clone()].to_owned(), span: self.span(range) }
    }

    fn source(&self, at: usize) -> usize {
        let next = self.pieces.partition_point(|(start, _)| *start <= at);
        match next.checked_sub(1).and_then(|piece| self.pieces.get(piece)) {
            Some((start, source)) => source + (at - start),
            None => 0,
        }
    }
}

/// Removes a trailing continuation character and the blanks after it, and tells whether there was one. A doubled escape
/// character is none (BuildKit's `lineContinuationRegex`).
pub(crate) fn strip_continuation(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before, true),
        _ => (line, false),
    }
}

/// Tells whether a physical line is a comment.
pub(crate) fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continuations_are_single_escape_characters_at_the_end() {
        for (line, expected) in [
            ("a \\", ("a ", true)),
            ("a \\ \t", ("a ", true)),
            ("\\", ("", true)),
            ("a \\\\", ("a \\\\", false)),
            ("a \\\\\\", ("a \\\\\\", false)),
            ("a `", ("a `", false)),
            ("", ("", false)),
        ] {
            assert_eq!(strip_continuation(line, '\\'), expected, "{line:?}");
        }
        assert_eq!(strip_continuation("a `", '`'), ("a ", true));
    }

    #[test]
    fn spans_lead_back_across_pieces() {
        let mut joined = Joined::default();
        joined.push("ab", 10);
        joined.push("cd", 20);
        assert_eq!(joined.span(0..2), Span { start: 10, end: 12 });
        assert_eq!(joined.span(1..3), Span { start: 11, end: 21 });
        assert_eq!(joined.span(2..4), Span { start: 20, end: 22 });
        assert_eq!(joined.span(4..4), Span { start: 22, end: 22 });
    }

    #[test]
    fn physical_lines_know_their_endings() {
        let lines: Vec<Line> = Lines::new("\u{feff}a\r\n\nb").collect();
        assert_eq!(
            lines.iter().map(|line| (line.start, line.end, line.next)).collect::<Vec<_>>(),
            [(3, 4, 6), (6, 6, 7), (7, 8, 8)]
        );
    }
}
