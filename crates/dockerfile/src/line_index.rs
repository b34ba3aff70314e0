//! From byte positions to lines and columns.

use crate::Span;

/// Finds the line and column of a byte position. Made once a text in linear time, each question takes logarithmic time.
#[derive(Debug, Clone)]
pub struct LineIndex<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

/// A place as people say it; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl<'a> LineIndex<'a> {
    /// Finds the line starts of a text. Lines end with `\n`; a `\r` before it belongs to the ending.
    pub fn new(text: &'a str) -> LineIndex<'a> {
        let after_newlines =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        LineIndex { text, starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    /// Returns the line of a byte position, from 1. Positions beyond the end belong to the last line.
    pub fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    /// Returns line and column of a byte position. A position inside a character is that character's.
    pub fn position(&self, offset: usize) -> Position {
        let line = self.line(offset);
        let offset = offset.min(self.text.len());
        let before = self.text[self.start(line)..].char_indices();
        let column = before.take_while(|(at, c)| self.start(line) + at + c.len_utf8() <= offset).count() + 1;
        Position { line, column }
    }

    /// Returns the first and the last line that a span touches, as docker gives the lines of an instruction.
    pub fn lines(&self, span: Span) -> (usize, usize) {
        (self.line(span.start), self.line(span.end.max(span.start)))
    }

    /// Returns the text of a line without its ending; empty if there is no such line.
    pub fn line_text(&self, line: usize) -> &'a str {
        if line == 0 || line > self.starts.len() {
            return "";
        }
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        self.text[self.start(line)..end].trim_end_matches(['\r', '\n'])
    }

    /// Returns where a line ends, its ending excluded.
    pub fn line_end(&self, line: usize) -> usize {
        self.start(line) + self.line_text(line).len()
    }

    fn start(&self, line: usize) -> usize {
        self.starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let index = LineIndex::new("ab\r\n\u{fc}x\n\nend");
        let at = |offset| (index.position(offset).line, index.position(offset).column);
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(1), (1, 2));
        assert_eq!(at(4), (2, 1));
        assert_eq!(at(5), (2, 1), "inside a character");
        assert_eq!(at(6), (2, 2));
        assert_eq!(at(8), (3, 1));
        assert_eq!(at(9), (4, 1));
        assert_eq!(at(99), (4, 4), "beyond the end");
    }

    #[test]
    fn lines_are_given_without_their_endings() {
        let index = LineIndex::new("ab\r\nc\n");
        assert_eq!([0, 1, 2, 3, 4].map(|line| index.line_text(line)), ["", "ab", "c", "", ""]);
        assert_eq!(index.lines(Span { start: 1, end: 5 }), (1, 2));
        assert_eq!(index.line_end(1), 2);
    }
}
