//! Parser directives: `# syntax=`, `# escape=` and `# check=` in the first lines (BuildKit's `directives.go`).

use crate::{Diagnostic, Directives, Span, Word, json, lines::Lines};

/// One directive line.
struct Directive {
    /// Lower case.
    key: String,
    value: Word,
}

/// Reads directives line by line, until the first line that is none.
pub(crate) struct DirectiveParser {
    comment: &'static str,
    seen: Vec<String>,
    done: bool,
}

/// What a line is to the directive parser.
pub(crate) enum LineKind {
    /// A directive, and the escape character where it sets one.
    Directive(Option<char>),
    /// Anything else.
    Other,
    /// A directive that cannot be.
    Error(Box<Diagnostic>),
}

impl DirectiveParser {
    pub(crate) fn new() -> DirectiveParser {
        DirectiveParser::with_comment("#")
    }

    fn with_comment(comment: &'static str) -> DirectiveParser {
        DirectiveParser { comment, seen: Vec::new(), done: false }
    }

    /// Looks at a line that begins at `start` in the file.
    pub(crate) fn line(&mut self, line: &str, start: usize) -> LineKind {
        let directive = match self.read(line, start) {
            Ok(Some(directive)) => directive,
            Ok(None) => return LineKind::Other,
            Err(diagnostic) => return LineKind::Error(Box::new(diagnostic)),
        };
        if directive.key != "escape" {
            return LineKind::Directive(None);
        }
        match directive.value.text.as_str() {
            "\\" => LineKind::Directive(Some('\\')),
            "`" => LineKind::Directive(Some('`')),
            other => LineKind::Error(Box::new(Diagnostic::error(
                "invalid-escape-directive",
                format!("invalid escape token '{other}' does not match ` or \\"),
                directive.value.span,
            ))),
        }
    }

    fn read(&mut self, line: &str, start: usize) -> Result<Option<Directive>, Diagnostic> {
        if self.done {
            return Ok(None);
        }
        let Some(directive) = split_directive(line, start, self.comment) else {
            self.done = true;
            return Ok(None);
        };
        if self.seen.contains(&directive.key) {
            let message = format!("only one {} parser directive can be used", directive.key);
            let span = Span { start, end: start + line.len() };
            return Err(Diagnostic::error("duplicate-directive", message, span));
        }
        self.seen.push(directive.key.clone());
        Ok(Some(directive))
    }
}

/// Takes a line such as `# key = value` apart; none if it is not a directive that is known.
fn split_directive(line: &str, start: usize, comment: &str) -> Option<Directive> {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}');
    let (key, value) = line.strip_prefix(comment)?.split_once('=')?;
    let key = key.trim_start().trim_end_matches(blank).to_ascii_lowercase();
    let value = value.trim_matches(blank);
    if !["syntax", "escape", "check"].contains(&key.as_str()) || value.is_empty() {
        return None;
    }
    // The value is a part of the line, so the distance of the two is its place.
    let at = start + (value.as_ptr() as usize - line.as_ptr() as usize);
    let span = Span { start: at, end: at + value.len() };
    Some(Directive { key, value: Word { text: value.to_owned(), span } })
}

/// Finds the directives that say which frontend to use and which checks to skip. Other than the escape directive, they
/// may follow a `#!` line, and `syntax` may also be written as `// syntax=` or `{"syntax": …}`.
pub(crate) fn detect(text: &str, escape: char) -> Directives {
    let syntax =
        find(text, "syntax", "#").or_else(|| find(text, "syntax", "//")).or_else(|| json_syntax(text));
    Directives { syntax, escape, check: find(text, "check", "#") }
}

/// Finds the value of a directive. Here, other than in the parser, nothing may stand before the comment sign.
fn find(text: &str, key: &str, comment: &'static str) -> Option<Word> {
    let mut parser = DirectiveParser::with_comment(comment);
    for (number, line) in Lines::new(text).enumerate() {
        let content = &text[line.range()];
        if number == 0 && content.starts_with("#!") {
            continue;
        }
        let directive = parser.read(content, line.start).ok().flatten()?;
        if directive.key == key {
            return Some(directive.value);
        }
    }
    None
}

fn json_syntax(text: &str) -> Option<Word> {
    let first = Lines::new(text).next()?;
    let start = if text[first.range()].starts_with("#!") { first.next } else { first.start };
    let (value, range) = json::string_of_key(&text[start..], "syntax")?;
    Some(Word { text: value, span: Span { start: start + range.start, end: start + range.end } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax(text: &str) -> Option<String> {
        let word = detect(text, '\\').syntax?;
        if !text.contains('{') {
            assert_eq!(&text[word.span.range()], word.text);
        }
        Some(word.text)
    }

    #[test]
    fn syntax_is_found_in_all_its_forms() {
        for text in [
            "# syntax=a",
            "#syntax = a\r\n",
            "\u{feff}# SYNTAX=a",
            "# check=x\n#  syntax=a",
            "#!/x\n# syntax=a",
            "// syntax=a",
            "{\"syntax\": \"a\"}",
        ] {
            assert_eq!(syntax(text).as_deref(), Some("a"), "{text}");
        }
        for text in [
            "",
            "FROM a\n# syntax=a",
            "\n# syntax=a",
            "# c\n# syntax=a",
            " # syntax=a",
            "# syntax=",
            "# other=x\n# syntax=a",
        ] {
            assert_eq!(syntax(text), None, "{text}");
        }
        assert_eq!(syntax("# syntax=a:1 // b").as_deref(), Some("a:1 // b"));
    }

    #[test]
    fn repeated_directives_and_odd_escapes_are_errors() {
        let mut parser = DirectiveParser::new();
        assert!(matches!(parser.line("# escape=`", 0), LineKind::Directive(Some('`'))));
        assert!(matches!(parser.line("# escape=`", 0), LineKind::Error(_)));
        assert!(matches!(DirectiveParser::new().line("# escape=x", 0), LineKind::Error(_)));
        assert!(matches!(DirectiveParser::new().line("# eescape=x", 0), LineKind::Other));
    }
}
