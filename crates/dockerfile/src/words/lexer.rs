//! The recursive lexer behind [`Expander`](super::Expander).

use std::collections::BTreeSet;

use super::{Expander, MAX_EXPANSION, MAX_NESTING, MAX_PATTERN_WORK, Reason, pattern::Pattern};

/// A run over one word.
pub(super) struct Lexer<'a> {
    options: &'a Expander,
    env: &'a dyn Fn(&str) -> Option<String>,
    rest: &'a str,
    raw_escapes: bool,
    depth: usize,
    added: usize,
    /// Steps that patterns took so far.
    work: usize,
    pub(super) matched: BTreeSet<String>,
    pub(super) unmatched: BTreeSet<String>,
}

/// Collects the result as one text and, beside it, as words.
#[derive(Default)]
struct Output {
    text: String,
    word: String,
    words: Vec<String>,
}

impl Output {
    /// Adds text whose blanks separate words.
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        for c in text.chars() {
            match c.is_whitespace() {
                true => self.end_word(),
                false => self.word.push(c),
            }
        }
    }

    /// Adds quoted or escaped text.
    fn push_raw(&mut self, text: &str) {
        self.text.push_str(text);
        self.word.push_str(text);
    }

    fn push_raw_char(&mut self, c: char) {
        self.text.push(c);
        self.word.push(c);
    }

    /// A word that quotes made empty is no word: BuildKit drops it too.
    fn end_word(&mut self) {
        if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    fn finish(mut self) -> (String, Vec<String>) {
        self.end_word();
        (self.text, self.words)
    }
}

impl<'a> Lexer<'a> {
    pub(super) fn new(
        options: &'a Expander,
        word: &'a str,
        env: &'a dyn Fn(&str) -> Option<String>,
    ) -> Lexer<'a> {
        Lexer {
            options,
            env,
            rest: word,
            raw_escapes: options.raw_escapes,
            depth: 0,
            added: 0,
            work: 0,
            matched: BTreeSet::new(),
            unmatched: BTreeSet::new(),
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn next_if(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.next();
        }
        found
    }

    /// Reads up to `stop`, which is consumed, or to the end of the word.
    pub(super) fn run(
        &mut self,
        stop: Option<char>,
        raw_escapes: bool,
    ) -> Result<(String, Vec<String>), Reason> {
        if self.depth == MAX_NESTING {
            return Err(Reason::TooLarge("variables are nested too deeply"));
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        let result = self.run_until(stop);
        self.raw_escapes = outer;
        self.depth -= 1;
        result
    }

    fn run_until(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), Reason> {
        let mut output = Output::default();
        while let Some(c) = self.peek() {
            if Some(c) == stop {
                self.next();
                return Ok(output.finish());
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    output.push(&value);
                }
                '\'' if !self.options.skip_quotes => output.push_raw(&self.single_quoted()?),
                '"' if !self.options.skip_quotes => output.push_raw(&self.double_quoted()?),
                '<' if !self.options.skip_quotes => output.push_raw(self.heredoc_operator()),
                _ if c == self.options.escape => {
                    self.next();
                    if self.raw_escapes {
                        output.push_raw_char(c);
                    }
                    if let Some(escaped) = self.next() {
                        output.push_raw_char(escaped);
                    }
                }
                _ => output.push(self.plain(stop)),
            }
        }
        match stop {
            None => Ok(output.finish()),
            Some('/') => Err(Reason::Missing("'/' in ${}")),
            Some(_) => Err(Reason::Missing("'}'")),
        }
    }

    /// Takes the longest piece without a special character; at least one character.
    fn plain(&mut self, stop: Option<char>) -> &'a str {
        let escape = self.options.escape;
        let special = |c: char| matches!(c, '$' | '\'' | '"' | '<') || c == escape || Some(c) == stop;
        let first = self.peek().map_or(0, char::len_utf8);
        let end = self.rest[first..].find(special).map_or(self.rest.len(), |at| first + at);
        let (piece, rest) = self.rest.split_at(end);
        self.rest = rest;
        piece
    }

    /// Takes `<`, or `<<` with the blanks after it, which belong to the word so that `<< EOF` is one.
    fn heredoc_operator(&mut self) -> &'a str {
        let Some(after) = self.rest.strip_prefix("<<") else {
            let (one, rest) = self.rest.split_at(1);
            self.rest = rest;
            return one;
        };
        let blanks = after.len() - after.trim_start_matches([' ', '\t', '\r', '\n']).len();
        let (operator, rest) = self.rest.split_at(2 + blanks);
        self.rest = rest;
        operator
    }

    fn single_quoted(&mut self) -> Result<String, Reason> {
        let Some(end) = self.rest[1..].find('\'') else {
            return Err(Reason::Unterminated("single-quote"));
        };
        let (quoted, rest) = self.rest.split_at(end + 2);
        self.rest = rest;
        match self.options.raw_quotes {
            true => Ok(quoted.to_owned()),
            false => Ok(quoted[1..end + 1].to_owned()),
        }
    }

    fn double_quoted(&mut self) -> Result<String, Reason> {
        let mut text = String::new();
        self.next();
        if self.options.raw_quotes {
            text.push('"');
        }
        loop {
            match self.peek() {
                None => return Err(Reason::Unterminated("double-quote")),
                Some('"') => break,
                Some('$') => text.push_str(&self.dollar()?),
                Some(c) if c == self.options.escape => self.escape_in_quotes(c, &mut text),
                Some(c) => {
                    self.next();
                    text.push(c);
                }
            }
        }
        self.next();
        if self.options.raw_quotes {
            text.push('"');
        }
        Ok(text)
    }

    /// In double quotes only `"`, `$` and the escape character itself can be escaped; before all else it is text.
    fn escape_in_quotes(&mut self, escape: char, text: &mut String) {
        self.next();
        if self.raw_escapes {
            text.push(escape);
        }
        match self.peek() {
            Some(c) if c == '"' || c == '$' || c == escape => {
                self.next();
                text.push(c);
            }
            Some(_) => text.push(escape),
            None => {}
        }
    }

    fn dollar(&mut self) -> Result<String, Reason> {
        let value = self.reference()?;
        self.added += value.len();
        match self.added > MAX_EXPANSION {
            true => Err(Reason::TooLarge("the expanded text is larger than 16 MiB")),
            false => Ok(value),
        }
    }

    /// Reads `$name` or `${…}` and gives what it stands for.
    fn reference(&mut self) -> Result<String, Reason> {
        self.next();
        if !self.next_if('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(self.lookup(&name).unwrap_or_else(|| self.unset(format!("${name}"))));
        }
        match self.peek() {
            None => return Err(Reason::Missing("'}'")),
            Some('{' | '}' | ':') => return Err(Reason::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.next() {
            None => Err(Reason::Missing("'}'")),
            Some('}') => Ok(self.lookup(&name).unwrap_or_else(|| self.unset(format!("${{{name}}}")))),
            Some('/') => self.replace(&name),
            Some(':') => {
                let Some(operator) = self.next() else { return Err(Reason::Missing("'}'")) };
                self.operator(&name, operator, true)
            }
            Some(operator @ ('+' | '-' | '?' | '#' | '%')) => self.operator(&name, operator, false),
            Some(other) => Err(Reason::UnsupportedModifier(other.to_string())),
        }
    }

    /// What an unset variable becomes.
    fn unset(&self, reference: String) -> String {
        if self.options.skip_unset { reference } else { String::new() }
    }

    fn lookup(&mut self, name: &str) -> Option<String> {
        let value = (self.env)(name);
        let seen = if value.is_some() { &mut self.matched } else { &mut self.unmatched };
        if !seen.contains(name) {
            seen.insert(name.to_owned());
        }
        value
    }

    /// Reads a name: a word of letters, digits and `_`, a number, or one of the shell's special parameters. Letters and
    /// digits are Unicode's, as in BuildKit.
    fn name(&mut self) -> String {
        let Some(first) = self.peek() else { return String::new() };
        let rest = self.rest;
        let end = match first {
            '@' | '*' | '#' | '?' | '-' | '$' | '!' => Some(1),
            _ if first.is_numeric() => rest.find(|c: char| !c.is_numeric()),
            _ => rest.find(|c: char| !c.is_alphanumeric() && c != '_'),
        };
        let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
        self.rest = rest;
        name.to_owned()
    }

    /// Handles `${name<operator>word}`, with or without the colon, from after the operator on.
    fn operator(&mut self, name: &str, operator: char, colon: bool) -> Result<String, Reason> {
        let (word, _) = self.run(Some('}'), matches!(operator, '#' | '%'))?;
        let value = self.lookup(name);
        let sign = if colon { format!(":{operator}") } else { operator.to_string() };
        if value.is_none() && self.options.skip_unset {
            return Ok(format!("${{{name}{sign}{word}}}"));
        }
        let given = value.as_ref().is_some_and(|value| !(colon && value.is_empty()));
        match operator {
            '-' if given => Ok(value.unwrap_or_default()),
            '-' => Ok(word),
            '+' if given => Ok(word),
            '+' => Ok(String::new()),
            '?' if given => Ok(value.unwrap_or_default()),
            '?' => Err(required(name, word, value.is_none())),
            '#' if !colon => self.trim(&word, '#', &value.unwrap_or_default()),
            '%' if !colon => self.trim(&word, '%', &value.unwrap_or_default()),
            _ => Err(Reason::UnsupportedModifier(sign)),
        }
    }

    /// Handles `${name/pattern/replacement}` from after the first slash on. The replacement is taken literally.
    fn replace(&mut self, name: &str) -> Result<String, Reason> {
        let all = self.next_if('/');
        let (pattern, _) = self.run(Some('/'), true)?;
        let (replacement, _) = self.run(Some('}'), true)?;
        let value = match self.lookup(name) {
            Some(value) => value,
            None if self.options.skip_unset => return Ok(format!("${{{name}/{pattern}/{replacement}}}")),
            None => String::new(),
        };
        self.pattern(&pattern, &value)?.replace(&value, &replacement, all)
    }

    /// Removes what a pattern matches at the start (`#`) or the end (`%`); the doubled operator the longest match.
    fn trim(&mut self, word: &str, operator: char, value: &str) -> Result<String, Reason> {
        let (longest, pattern) = match word.strip_prefix(operator) {
            Some(pattern) => (true, pattern),
            None => (false, word),
        };
        let pattern = self.pattern(pattern, value)?;
        Ok(match operator {
            '#' => pattern.trim_prefix(value, longest),
            _ => pattern.trim_suffix(value, longest),
        })
    }

    /// Parses a pattern that is to be matched with `value`, if there is time left for that.
    fn pattern(&mut self, text: &str, value: &str) -> Result<Pattern, Reason> {
        let pattern = Pattern::parse(text)?;
        self.work = self.work.saturating_add(pattern.work(value));
        match self.work > MAX_PATTERN_WORK {
            true => Err(Reason::TooLarge("the patterns are too long for their values")),
            false => Ok(pattern),
        }
    }
}

fn required(name: &str, word: String, unset: bool) -> Reason {
    let message = match (word.is_empty(), unset) {
        (false, _) => word,
        (true, true) => "is not allowed to be unset".to_owned(),
        (true, false) => "is not allowed to be empty".to_owned(),
    };
    Reason::Required { name: name.to_owned(), message }
}
