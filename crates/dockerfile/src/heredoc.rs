//! Here-documents: which words of a line open one (BuildKit's `ParseHeredoc`).

use crate::words::{Expander, WordError};

/// A word such as `3<<-'EOF'`, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeredocWord {
    /// The delimiter without its quotes.
    pub name: String,
    /// The number before `<<`; 0 where there is none or it is too large.
    pub file_descriptor: u32,
    /// Whether `<<-` was written.
    pub chomp: bool,
    /// Whether variables in the body are expanded: nothing of the delimiter is quoted.
    pub expand: bool,
}

impl HeredocWord {
    /// Reads a word of a command line; none if it opens no here-document. Its quotes have no end: that is an error.
    pub fn parse(word: &str) -> Result<Option<HeredocWord>, WordError> {
        let operator = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let Some(rest) = operator.strip_prefix("<<") else { return Ok(None) };
        let (chomp, rest) = match rest.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let delimiter = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        if delimiter.is_empty() || delimiter.contains('<') {
            return Ok(None);
        }
        let unquoted = Expander { skip_unset: true, ..Expander::new('\\') };
        let mut names = unquoted.expand_words(delimiter, &|_| None)?;
        let (Some(name), true) = (names.pop(), names.is_empty()) else { return Ok(None) };
        let quoted = Expander { raw_quotes: true, ..unquoted };
        let raw = quoted.expand_words(delimiter, &|_| None)?.concat();
        let digits = &word[..word.len() - operator.len()];
        Ok(Some(HeredocWord {
            file_descriptor: digits.parse().unwrap_or(0),
            chomp,
            expand: quotes(&name) == quotes(&raw),
            name,
        }))
    }
}

fn quotes(text: &str) -> usize {
    text.matches(['\'', '"']).count()
}

/// Finds the words of a line that open here-documents, each with the word as written. A line whose quotes do not end has
/// none, as in BuildKit.
pub(crate) fn heredoc_words(line: &str) -> Result<Vec<(HeredocWord, String)>, WordError> {
    let lexer = Expander { raw_quotes: true, raw_escapes: true, skip_unset: true, ..Expander::new('\\') };
    let words = lexer.expand_words(line, &|_| None).unwrap_or_default();
    let mut found = Vec::new();
    for word in words {
        if let Some(heredoc) = HeredocWord::parse(&word)? {
            found.push((heredoc, word));
        }
    }
    Ok(found)
}

/// Removes the leading tabs of each line, as `<<-` asks.
pub fn chomp_heredoc(body: &str) -> String {
    body.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_open_heredocs() {
        let read = |word| {
            let heredoc = HeredocWord::parse(word).expect("a valid word")?;
            Some((heredoc.name, heredoc.file_descriptor, heredoc.chomp, heredoc.expand))
        };
        assert_eq!(read("<<EOF"), Some(("EOF".into(), 0, false, true)));
        assert_eq!(read("3<<-'E'OF"), Some(("EOF".into(), 3, true, false)));
        assert_eq!(read("<<\"one two\""), Some(("one two".into(), 0, false, false)));
        assert_eq!(read("<<eo\\'f"), Some(("eo'f".into(), 0, false, true)));
        assert_eq!(read("<<$EOF"), Some(("$EOF".into(), 0, false, true)));
        for word in ["<<", "<<-", "<<<EOF", "EOF", "<EOF", "<<one two", "<<''", "a<<EOF"] {
            assert_eq!(read(word), None, "{word}");
        }
        assert!(HeredocWord::parse("<<'EOF").is_err());
    }

    #[test]
    fn lines_are_searched_outside_of_quotes() {
        let names = |line| {
            heredoc_words(line).expect("a valid line").into_iter().map(|(h, _)| h.name).collect::<Vec<_>>()
        };
        assert_eq!(names("COPY <<A <<-B /x"), ["A", "B"]);
        assert_eq!(names("RUN <<  EOF  > foo"), ["EOF"]);
        assert_eq!(names("RUN echo '<<A' \"<<B\""), [""; 0]);
        assert_eq!(names("RUN echo it's <<A"), [""; 0]);
    }

    #[test]
    fn chomping_removes_tabs_only() {
        assert_eq!(chomp_heredoc("\t\ta\n\t b\n c\t\n"), "a\n b\n c\t\n");
    }
}
