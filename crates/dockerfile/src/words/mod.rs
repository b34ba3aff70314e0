//! Variable expansion and word splitting, as BuildKit's `frontend/dockerfile/shell/lex.go` does them: a small POSIX
//! shell dialect with its own quirks, which are kept.

mod lexer;
mod pattern;

use std::collections::BTreeSet;

use lexer::Lexer;

/// How many `${a:-${b:-…}}` may be nested in one word.
const MAX_NESTING: usize = 100;
/// How many bytes expansion may add to one word, so that `ENV a=$a$a` in a loop of lines ends.
const MAX_EXPANSION: usize = 16 << 20;
/// How large the patterns of `${v#p}`, times their values, may be in one word, in bytes: the time that matching takes.
const MAX_PATTERN_WORK: usize = 64 << 20;

/// A word after expansion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expansion {
    /// The text.
    pub text: String,
    /// The variables that were found.
    pub matched: BTreeSet<String>,
    /// The variables that were not found (and became empty).
    pub unmatched: BTreeSet<String>,
}

/// A word that cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {word:?}: {reason}")]
pub struct WordError {
    /// The word as written.
    pub word: String,
    /// What is wrong with it.
    #[source]
    pub reason: Reason,
}

/// Why a word cannot be expanded; in BuildKit's words where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A quote, or the text of an operator, does not end.
    #[error("unexpected end of statement while looking for matching {0}")]
    Unterminated(&'static str),
    /// `${` without `}`, or `${v/` without the second `/`.
    #[error("syntax error: missing {0}")]
    Missing(&'static str),
    /// `${}`, `${{`, `${:`.
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// An operator that does not exist.
    #[error("unsupported modifier ({0}) in substitution")]
    UnsupportedModifier(String),
    /// `${v?text}` or `${v:?text}` of a variable without value.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The text, or what is said where there is none.
        message: String,
    },
    /// A pattern with a backslash before an ordinary character.
    #[error("invalid pattern ({pattern}) in substitution: invalid escape '\\{character}'")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// What the backslash stands before; empty at the end.
        character: String,
    },
    /// The word exceeds a limit of ours.
    #[error("{0}")]
    TooLarge(&'static str),
}

/// Expands words. The options are BuildKit's; all off is what instructions' words get.
#[derive(Debug, Clone)]
pub struct Expander {
    /// The escape character: `\`, or the one of the `escape` directive.
    pub escape: char,
    /// Quotes keep their special meaning but stay in the result.
    pub raw_quotes: bool,
    /// Escape characters stay in the result, before what they escape.
    pub raw_escapes: bool,
    /// References to unset variables stay as they are.
    pub skip_unset: bool,
    /// Quotes are ordinary characters (bodies of here-documents).
    pub skip_quotes: bool,
}

impl Expander {
    /// Makes an expander for words of instructions.
    pub fn new(escape: char) -> Expander {
        Expander { escape, raw_quotes: false, raw_escapes: false, skip_unset: false, skip_quotes: false }
    }

    /// Makes an expander for bodies of here-documents of COPY and ADD: quotes are text, and the escape character is
    /// `\` in spite of any directive (BuildKit's `convert_copy.go`).
    pub fn heredoc() -> Expander {
        Expander { skip_quotes: true, ..Expander::new('\\') }
    }

    /// Expands the variables of a word and removes its quotes and escapes, without splitting it. `env` gives the value
    /// of a set variable.
    pub fn expand(&self, word: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Expansion, WordError> {
        self.process(word, env).map(|(expansion, _)| expansion)
    }

    /// Does as [`Expander::expand`], then splits at blanks that are neither quoted nor escaped, those that come from
    /// variables included.
    pub fn expand_words(
        &self,
        word: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<String>, WordError> {
        self.process(word, env).map(|(_, words)| words)
    }

    fn process(
        &self,
        word: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Expansion, Vec<String>), WordError> {
        let mut lexer = Lexer::new(self, word, env);
        match lexer.run(None, self.raw_escapes) {
            Ok((text, words)) => {
                let Lexer { matched, unmatched, .. } = lexer;
                Ok((Expansion { text, matched, unmatched }, words))
            }
            Err(reason) => Err(WordError { word: word.to_owned(), reason }),
        }
    }
}

#[cfg(test)]
mod tests;
