//! The first pass: the file into nodes, one an instruction, as BuildKit's `frontend/dockerfile/parser` does. A node knows
//! the words of its line; what they mean is the second pass's business.

use std::ops::Range;

use crate::{
    Diagnostic, Heredoc, Severity, Span, Word, arguments,
    directives::{DirectiveParser, LineKind},
    heredoc::{chomp_heredoc, heredoc_words},
    keyword::Keyword,
    lines::{Joined, Line, Lines, MAX_LINE, is_comment, strip_continuation},
    split,
};

/// Parsing stops after so many errors.
pub(crate) const MAX_ERRORS: usize = 100;

/// An instruction as words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// From the keyword to the end of the last line, here-documents included.
    pub span: Span,
    /// The first and last physical line, from 1. A line that only continues may come before the keyword.
    pub lines: (usize, usize),
    /// The keyword as written, known or not.
    pub keyword: Word,
    /// The flags, `--` included, quotes and escapes removed.
    pub flags: Vec<Word>,
    /// The arguments, split as the instruction wants it. ENV and LABEL have three words for each pair: name, value, and
    /// `=` or (for the legacy form) an empty word.
    pub arguments: Vec<Word>,
    /// Whether the arguments are the elements of a JSON array.
    pub json: bool,
    /// The instruction in an ONBUILD.
    pub nested: Option<Box<Node>>,
    /// The here-documents, in order. Those of a nested instruction are at the ONBUILD.
    pub heredocs: Vec<Heredoc>,
    /// The joined line.
    pub original: String,
    /// The comment lines directly above.
    pub comments: Vec<String>,
}

/// What the first pass makes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    /// The nodes in order; lines with errors are missing.
    pub nodes: Vec<Node>,
    /// The escape character.
    pub escape: char,
    /// What is wrong, in order.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses a text into nodes, in linear time.
pub fn parse_nodes(text: &str) -> Nodes {
    let mut parser = Parser {
        text,
        lines: Lines::new(text),
        directives: DirectiveParser::new(),
        comments: Vec::new(),
        any: false,
        errors: 0,
        result: Nodes { nodes: Vec::new(), escape: '\\', diagnostics: Vec::new() },
    };
    parser.run();
    parser.result
}

struct Parser<'a> {
    text: &'a str,
    lines: Lines<'a>,
    directives: DirectiveParser,
    comments: Vec<String>,
    /// Whether there was any instruction, be it a wrong one.
    any: bool,
    errors: usize,
    result: Nodes,
}

/// Why parsing ends early.
struct Stop;

impl Parser<'_> {
    fn run(&mut self) {
        let stopped = loop {
            match self.next_line() {
                Ok(Some(line)) => {
                    if self.instruction(line).is_err() {
                        break true;
                    }
                }
                Ok(None) => break false,
                Err(Stop) => break true,
            }
        };
        if !stopped && !self.any && self.errors == 0 {
            let end = self.text.len();
            self.report(Diagnostic::error(
                "no-instructions",
                "file with no instructions",
                Span { start: end, end },
            ));
        }
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.severity == Severity::Error);
        self.result.diagnostics.push(diagnostic);
    }

    /// Reads a physical line; one that is too long ends the parsing, as it does in BuildKit.
    fn next_line(&mut self) -> Result<Option<Line>, Stop> {
        let Some(line) = self.lines.next() else { return Ok(None) };
        let content = &self.text[line.start..line.next];
        if content.strip_suffix('\n').unwrap_or(content).len() > MAX_LINE {
            let message = format!("dockerfile line greater than max allowed size of {MAX_LINE}");
            self.report(Diagnostic::error("line-too-long", message, line.span()));
            return Err(Stop);
        }
        Ok(Some(line))
    }

    /// Handles what starts at a line: a comment, a directive, nothing, or an instruction.
    fn instruction(&mut self, line: Line) -> Result<(), Stop> {
        let content = &self.text[line.range()];
        let trimmed = content.trim_start();
        let start = line.end - trimmed.len();
        match self.directives.line(trimmed, start) {
            LineKind::Directive(escape) => {
                self.result.escape = escape.unwrap_or(self.result.escape);
                return Ok(());
            }
            LineKind::Error(diagnostic) => {
                self.report(*diagnostic);
                return Ok(());
            }
            LineKind::Other => {}
        }
        if is_comment(content) {
            self.comment(content);
            return Ok(());
        }
        let (piece, continued) = strip_continuation(trimmed, self.result.escape);
        if piece.is_empty() && !continued {
            return Ok(());
        }
        let mut joined = Joined::default();
        joined.push(piece, start);
        let last = if continued { self.continuations(line, &mut joined)? } else { line };
        self.finish(line, last, &joined)
    }

    /// Keeps a comment for the instruction below. BuildKit cuts the first character off, not the sign, so the sign of an
    /// indented comment stays.
    fn comment(&mut self, content: &str) {
        let mut chars = content.chars();
        chars.next();
        match chars.as_str().trim() {
            "" => self.comments.clear(),
            comment => self.comments.push(comment.to_owned()),
        }
    }

    /// Joins the lines that follow a continuation and returns the last one. Comments and empty lines among them vanish.
    fn continuations(&mut self, first: Line, joined: &mut Joined) -> Result<Line, Stop> {
        let mut last = first;
        let mut empty = false;
        while let Some(line) = self.next_line()? {
            last = line;
            let content = &self.text[line.range()];
            if is_comment(content) {
                continue;
            }
            if content.trim_start().is_empty() {
                empty = true;
                continue;
            }
            let (piece, continued) = strip_continuation(content, self.result.escape);
            joined.push(piece, line.start);
            if !continued {
                break;
            }
        }
        if empty {
            let help = "empty continuation lines will become errors in a future release";
            let warning = Diagnostic::warning("NoEmptyContinuation", "empty continuation line", last.span());
            self.report(warning.with_help(Some(help.to_owned())));
        }
        Ok(last)
    }

    /// Makes the node of a joined line and reads its here-documents.
    fn finish(&mut self, first: Line, last: Line, joined: &Joined) -> Result<(), Stop> {
        self.any = true;
        let comments = std::mem::take(&mut self.comments);
        let whole = joined.span(split::trim(&joined.text, 0..joined.text.len()));
        let mut node = match node(joined, 0..joined.text.len(), self.result.escape, 0) {
            Ok(node) => node,
            Err(diagnostic) => {
                self.report(*diagnostic);
                return self.check_errors();
            }
        };
        node.comments = comments;
        node.lines = (first.number, last.number);
        node.span = Span { start: whole.start, end: last.end.max(whole.end) };
        if node.can_have_heredocs() && joined.text.contains("<<") && !self.heredocs(&mut node, joined)? {
            return self.check_errors();
        }
        self.result.nodes.push(node);
        Ok(())
    }

    fn check_errors(&self) -> Result<(), Stop> {
        if self.errors < MAX_ERRORS { Ok(()) } else { Err(Stop) }
    }

    /// Reads the bodies of a node's here-documents; false if there was an error.
    fn heredocs(&mut self, node: &mut Node, joined: &Joined) -> Result<bool, Stop> {
        let words = match heredoc_words(&joined.text) {
            Ok(words) => words,
            Err(error) => {
                self.report(Diagnostic::error("heredoc", error.reason.to_string(), node.span));
                return Ok(false);
            }
        };
        let mut search = 0;
        for (word, written) in words {
            let found =
                joined.text[search..].find(&written).map(|at| search + at..search + at + written.len());
            // A word that the lexer has not kept to the letter ends the search, which else could take quadratic time.
            search = found.as_ref().map_or(joined.text.len(), |range| range.end);
            let place = found.map_or(node.span, |range| joined.span(range));
            let Some((body, end)) = self.heredoc_body(&word.name, word.chomp)? else {
                let help = format!("the here-document ends with a line that is {:?}", word.name);
                let error = Diagnostic::error("unterminated-heredoc", "unterminated heredoc", place);
                self.report(error.with_help(Some(help)));
                return Ok(false);
            };
            let raw_body = self.text[body.clone()].to_owned();
            node.lines.1 = end.number;
            node.span.end = end.end;
            node.heredocs.push(Heredoc {
                name: word.name,
                file_descriptor: word.file_descriptor,
                expand: word.expand,
                chomp: word.chomp,
                body: if word.chomp { chomp_heredoc(&raw_body) } else { raw_body.clone() },
                raw_body,
                span: Span { start: body.start, end: body.end },
            });
        }
        Ok(true)
    }

    /// Reads up to the delimiter; gives the body's place and the delimiter's line.
    fn heredoc_body(&mut self, name: &str, chomp: bool) -> Result<Option<(Range<usize>, Line)>, Stop> {
        let mut start = None;
        while let Some(line) = self.next_line()? {
            let start = *start.get_or_insert(line.start);
            let content = &self.text[line.range()];
            let content = if chomp { content.trim_start_matches('\t') } else { content };
            if content == name {
                return Ok(Some((start..line.start, line)));
            }
        }
        Ok(None)
    }
}

impl Node {
    /// Here-documents belong to RUN, COPY and ADD in the shell form, also inside ONBUILD.
    fn can_have_heredocs(&self) -> bool {
        let node = match &self.nested {
            Some(nested) => nested,
            None => self,
        };
        matches!(Keyword::parse(&node.keyword.text), Some(Keyword::Run | Keyword::Copy | Keyword::Add))
            && !node.json
    }
}

/// Makes a node of a part of a joined line.
pub(crate) fn node(
    joined: &Joined,
    range: Range<usize>,
    escape: char,
    depth: usize,
) -> Result<Node, Box<Diagnostic>> {
    let text = &joined.text;
    let original = text[range.clone()].to_owned();
    let trimmed = split::trim(text, range);
    let (keyword, rest) = split::cut(text, trimmed.clone());
    let rest = rest.unwrap_or(trimmed.end..trimmed.end);
    let (flags, rest) = split::flags(text, rest, escape);
    let rest = split::trim(text, rest);
    let flags =
        flags.into_iter().map(|flag| Word { text: flag.text, span: joined.span(flag.range) }).collect();
    let mut node = Node {
        span: joined.span(trimmed),
        lines: (0, 0),
        keyword: joined.word(keyword),
        flags,
        arguments: Vec::new(),
        json: false,
        nested: None,
        heredocs: Vec::new(),
        original,
        comments: Vec::new(),
    };
    arguments::split(&mut node, joined, rest, escape, depth)?;
    Ok(node)
}
