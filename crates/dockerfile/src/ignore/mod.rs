//! Ignore files (`.dockerignore`) and `--exclude`: moby/patternmatcher's patterns, matched without its regular
//! expressions in time bounded by pattern times path.

mod pattern;

use pattern::{Pattern, clean};

use crate::glob::{BadPattern, check};

/// The longest line of an ignore file in bytes (Go's `bufio.MaxScanTokenSize`, above which BuildKit fails).
const MAX_LINE: usize = 65_535;

/// A pattern or ignore file that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A `!` alone.
    #[error("illegal exclusion pattern: \"!\"")]
    LoneExclamation,
    /// Brackets or escapes that do not end.
    #[error(transparent)]
    Syntax(#[from] BadPattern),
    /// A line is too long.
    #[error("line {0} of the ignore file is longer than {MAX_LINE} bytes")]
    LineTooLong(usize),
}

/// The patterns of an ignore file, in order.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    patterns: Vec<Pattern>,
}

/// Which patterns matched a directory; carried down a walk. The default knows nothing of the parents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParentMatch {
    matched: Option<Vec<bool>>,
}

/// Reads an ignore file into its patterns, cleaned: comments (`#` in the first column) and empty lines are gone, paths
/// are relative (moby/patternmatcher's `ignorefile.ReadAll`).
pub fn read_ignore_file(text: &[u8]) -> Result<Vec<String>, PatternError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut patterns = Vec::new();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.len() > MAX_LINE {
            return Err(PatternError::LineTooLong(number + 1));
        }
        let line = String::from_utf8_lossy(line);
        let pattern = line.trim();
        if line.starts_with('#') || pattern.is_empty() {
            continue;
        }
        let (exclamation, path) = match pattern.strip_prefix('!') {
            Some(path) => ("!", path.trim()),
            None => ("", pattern),
        };
        patterns.push(format!("{exclamation}{}", relative(path)));
    }
    Ok(patterns)
}

/// Cleans a path and removes its leading slash. The root stays `/`, nothing stays nothing.
fn relative(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let cleaned = clean(path);
    match cleaned.strip_prefix('/') {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => cleaned,
    }
}

impl Patterns {
    /// Reads an ignore file.
    pub fn parse(text: &[u8]) -> Result<Patterns, PatternError> {
        Patterns::new(read_ignore_file(text)?)
    }

    /// Makes patterns of texts, as of `--exclude`. Blanks around them do not count, empty ones are skipped.
    pub fn new(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Patterns, PatternError> {
        let mut patterns = Vec::new();
        for text in texts {
            let text = text.as_ref().trim();
            if text.is_empty() {
                continue;
            }
            let text = clean(text);
            let (negated, path) = match text.strip_prefix('!') {
                Some("") => return Err(PatternError::LoneExclamation),
                Some(path) => (true, path),
                None => (false, text.as_str()),
            };
            check(path)?;
            patterns.push(Pattern::compile(path, negated)?);
        }
        Ok(Patterns { patterns })
    }

    /// Tells whether there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Tells whether any pattern begins with `!`.
    pub fn has_exclusions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.negated)
    }

    /// Tells whether a path is ignored: the last pattern decides that matches it or one of its parents. Paths are
    /// relative, with slashes (moby's `MatchesOrParentMatches`).
    pub fn matches_or_parent_matches(&self, path: impl AsRef<[u8]>) -> bool {
        self.matches_below(path, &ParentMatch::default()).0
    }

    /// Tells whether a path is ignored, given what matched its parent directory, and returns what a walk carries into
    /// it if it is a directory itself (moby's `MatchesUsingParentResults`).
    pub fn matches_below(&self, path: impl AsRef<[u8]>, parent: &ParentMatch) -> (bool, ParentMatch) {
        let path = path.as_ref();
        let mut ignored = false;
        let mut matched = vec![false; self.patterns.len()];
        for (i, pattern) in self.patterns.iter().enumerate() {
            let by_parent =
                parent.matched.as_ref().and_then(|matched| matched.get(i)).copied().unwrap_or(false);
            if !by_parent {
                // A pattern that cannot change the result is not asked.
                if pattern.negated != ignored {
                    continue;
                }
                if !pattern.matches(path) && (parent.matched.is_some() || !matches_parent(pattern, path)) {
                    continue;
                }
            }
            matched[i] = true;
            ignored = !pattern.negated;
        }
        (ignored, ParentMatch { matched: Some(matched) })
    }

    /// Tells whether a pattern with `!` may match something below a directory. If not, a walk need not enter an ignored
    /// one. The answer may be true in vain, never false in vain.
    pub fn may_include_below(&self, directory: impl AsRef<[u8]>) -> bool {
        let directory = directory.as_ref();
        self.patterns.iter().any(|pattern| pattern.negated && pattern.may_match_below(directory))
    }
}

/// Tells whether a pattern matches a parent of a path.
fn matches_parent(pattern: &Pattern, path: &[u8]) -> bool {
    let Some(last) = path.iter().rposition(|byte| *byte == b'/') else { return false };
    // As Go's filepath.Dir: the directory without a slash at its end, except for the root.
    let Some(end) = path[..last].iter().rposition(|byte| *byte != b'/') else {
        return pattern.matches(b"") || pattern.matches(b"/");
    };
    let parent = &path[..=end];
    let slashes = parent.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.chain([parent.len()]).any(|end| pattern.matches(&parent[..end]))
}

#[cfg(test)]
mod tests;
