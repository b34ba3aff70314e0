//! Shows what is wrong with a Dockerfile: file, line, the source with the place underlined, and what to do.

use std::fmt::Write as _;

use jettison_ops::{Diagnostic, LineIndex, Severity, SourceFile, Span};
use unicode_width::UnicodeWidthStr;

use crate::format::printable;

/// How many lines of a long instruction are shown.
const MAX_LINES: usize = 8;
const TAB: &str = "    ";

/// Writes diagnostics, one after the other.
pub fn render_all(file: &SourceFile, diagnostics: &[Diagnostic], color: bool) -> String {
    let lines = LineIndex::new(&file.text);
    let one = |found: &Diagnostic| {
        let severity = found.severity;
        render(file, &lines, severity, &found.message, Some(found.span), found.help.as_deref(), color)
    };
    diagnostics.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// Writes an error with the place it is about, if it knows one.
pub fn render_error(
    file: &SourceFile,
    message: &str,
    span: Option<Span>,
    help: Option<&str>,
    color: bool,
) -> String {
    let lines = LineIndex::new(&file.text);
    render(file, &lines, Severity::Error, message, span, help, color)
}

fn render(
    file: &SourceFile,
    lines: &LineIndex<'_>,
    severity: Severity,
    message: &str,
    span: Option<Span>,
    help: Option<&str>,
    color: bool,
) -> String {
    let paint = Paint { on: color };
    let (word, sgr) = match severity {
        Severity::Error => ("error", "1;31"),
        Severity::Warning => ("warning", "1;33"),
    };
    let mut text = format!("{}{} {}\n", paint.with(sgr, word), paint.with("1", ":"), printable(message));
    // A span of an empty text, such as that of an empty file, has no line to show.
    if let Some(span) = span.filter(|_| !file.text.is_empty()) {
        snippet(&mut text, file, lines, span, sgr, paint);
    }
    if let Some(help) = help {
        let _ = writeln!(text, "{} {}", paint.with("1", "help:"), printable(help));
    }
    text
}

#[derive(Clone, Copy)]
struct Paint {
    on: bool,
}

impl Paint {
    fn with(self, sgr: &str, text: &str) -> String {
        if self.on { format!("\x1b[{sgr}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn snippet(text: &mut String, file: &SourceFile, lines: &LineIndex<'_>, span: Span, sgr: &str, paint: Paint) {
    let start = lines.position(span.start);
    let (first, mut last) = lines.lines(span);
    // A span that ends with a newline touches the next line without showing anything of it.
    if last > first && span.end <= line_start(lines, last) {
        last -= 1;
    }
    let shown = last.min(first + MAX_LINES - 1);
    let gutter = shown.to_string().len();
    let bar = paint.with("34", "|");
    let arrow = paint.with("34", "-->");
    let _ = writeln!(text, "{:gutter$}{arrow} {}:{}:{}", "", printable(&file.name), start.line, start.column);
    let _ = writeln!(text, "{:gutter$} {bar}", "");
    for number in first..=shown {
        let line = lines.line_text(number);
        let number_text = paint.with("34", &format!("{number:gutter$}"));
        let _ = writeln!(text, "{number_text} {bar} {}", visible(line));
        let (before, marked) = split(lines, number, span);
        let width = visible(marked).width().max(1);
        let underline = paint.with(sgr, &"^".repeat(width));
        let _ = writeln!(text, "{:gutter$} {bar} {}{underline}", "", " ".repeat(visible(before).width()));
    }
    if last > shown {
        let _ = writeln!(text, "{:gutter$} {bar} … {} more lines", "", last - shown);
    }
}

fn line_start(lines: &LineIndex<'_>, number: usize) -> usize {
    lines.line_end(number) - lines.line_text(number).len()
}

/// Cuts a line into what is before the span and what is in it, leaving out blanks at the line's ends.
fn split<'a>(lines: &LineIndex<'a>, number: usize, span: Span) -> (&'a str, &'a str) {
    let line = lines.line_text(number);
    let offset = line_start(lines, number);
    let floor = |at: usize| {
        let mut at = at.saturating_sub(offset).min(line.len());
        while !line.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (mut from, to) = (floor(span.start), floor(span.end));
    let inside = &line[from..to.max(from)];
    from += inside.len() - inside.trim_start().len();
    (&line[..from], inside.trim())
}

fn visible(text: &str) -> String {
    printable(&text.replace('\t', TAB))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, start: usize, end: usize) -> String {
        let file = SourceFile { name: "Dockerfile".into(), text: text.into() };
        render_error(&file, "wrong", Some(Span { start, end }), Some("do it right"), false)
    }

    #[test]
    fn the_place_is_underlined() {
        assert_eq!(
            show("FROM a\nCOPPY . .\n", 7, 12),
            "error: wrong\n --> Dockerfile:2:1\n  |\n2 | COPPY . .\n  | ^^^^^\nhelp: do it right\n"
        );
        assert_eq!(
            show("FROM a\n\tRUN 世界 x\n", 12, 18),
            "error: wrong\n --> Dockerfile:2:6\n  |\n2 |     RUN 世界 x\n  |         ^^^^\nhelp: do it right\n"
        );
    }

    #[test]
    fn long_instructions_are_cut() {
        let text = format!("RUN a{}", " \\\n  && b".repeat(20));
        let shown = show(&text, 0, text.len());
        assert!(
            shown.contains(" 2 |   && b \\\n   |   ^^^^^^\n")
                || shown.contains("2 |   && b \\\n  |   ^^^^^^"),
            "{shown}"
        );
        assert!(shown.ends_with("… 13 more lines\nhelp: do it right\n"), "{shown}");
    }

    #[test]
    fn any_span_is_survived() {
        for text in ["", "a", "é\nü\r\n\n", "FROM a"] {
            for start in 0..10 {
                for end in 0..10 {
                    show(text, start, end);
                }
            }
        }
    }

    #[test]
    fn hostile_lines_are_escaped() {
        assert!(show("RUN \x1b[2J\n", 0, 3).contains("RUN \\u{1b}[2J"));
    }
}
