//! Finds the commands of a script: a scanner by recursive descent that keeps words and drops the rest.

use super::{EXPANSION, Script, ShellCommand};

/// How deep substitutions and subshells may nest.
const MAX_DEPTH: usize = 64;

/// A script that no shell would run.
pub(super) struct Broken;

type Result<T> = std::result::Result<T, Broken>;

/// A word with its quotes removed.
struct Word {
    text: String,
    /// Whether any of it was quoted: then it is no keyword.
    quoted: bool,
    /// Whether it holds an expansion.
    expanded: bool,
}

/// What was begun by a keyword and is not at its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compound {
    If,
    Loop,
    Case,
    Brace,
}

/// What ends a list of commands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Text,
    Parenthesis,
}

pub(super) struct Scanner {
    text: Vec<char>,
    at: usize,
    depth: usize,
    script: Script,
    /// The delimiters of here-documents whose bodies follow the line.
    heredocs: Vec<(String, bool)>,
}

impl Scanner {
    pub(super) fn new(text: &str, depth: usize) -> Scanner {
        Scanner {
            text: text.chars().collect(),
            at: 0,
            depth,
            script: Script::default(),
            heredocs: Vec::new(),
        }
    }

    pub(super) fn script(mut self) -> Result<Script> {
        self.list(End::Text)?;
        Ok(self.script)
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn looking_at(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(offset, c)| self.text.get(self.at + offset) == Some(&c))
    }

    fn skip(&mut self, text: &str) -> bool {
        let found = self.looking_at(text);
        self.at += if found { text.chars().count() } else { 0 };
        found
    }

    /// Skips blanks, continuations, and a comment.
    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.looking_at("\\\n") => self.at += 2,
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn lines(&mut self) {
        self.blanks();
        while self.skip("\n") {
            self.heredoc_bodies();
            self.blanks();
        }
    }

    /// Reads commands up to the end of the text or the parenthesis that closes.
    fn list(&mut self, end: End) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Broken);
        }
        let mut open = Vec::new();
        loop {
            self.lines();
            match self.peek() {
                None if end == End::Text && open.is_empty() => break,
                None => return Err(Broken),
                Some(')') if end == End::Parenthesis && open.is_empty() => {
                    self.at += 1;
                    break;
                }
                Some(')') => return Err(Broken),
                Some(';') if self.looking_at(";;") => self.next_case(&mut open)?,
                Some('&') if self.looking_at("&>") => self.command(&mut open)?,
                Some(';' | '&') => self.at += 1,
                Some('|') => {
                    self.script.pipes |= !self.skip("||") && self.skip("|");
                }
                Some('(') if self.skip("((") => self.arithmetic()?,
                Some('(') => {
                    self.at += 1;
                    self.list(End::Parenthesis)?;
                }
                Some(_) => self.command(&mut open)?,
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads a command up to the operator that ends it, or a keyword.
    fn command(&mut self, open: &mut Vec<Compound>) -> Result<()> {
        let mut words: Vec<Word> = Vec::new();
        loop {
            self.blanks();
            match self.peek() {
                Some('&') if self.looking_at("&>") => self.redirection()?,
                None | Some('\n' | ';' | '&' | '|' | ')') => break,
                Some('<' | '>') if !self.looking_at("<(") && !self.looking_at(">(") => self.redirection()?,
                // What was read is the name of a function.
                Some('(') if words.len() == 1 => {
                    self.at += 1;
                    self.blanks();
                    return if self.skip(")") { Ok(()) } else { Err(Broken) };
                }
                Some('(') => return Err(Broken),
                Some(_) => {
                    let word = self.word()?;
                    let file = word.text.bytes().all(|byte| byte.is_ascii_digit()) && !word.quoted;
                    if file && matches!(self.peek(), Some('<' | '>')) {
                        continue;
                    }
                    if words.is_empty() && !word.quoted && !word.expanded && self.keyword(&word.text, open)? {
                        return Ok(());
                    }
                    if !words.is_empty() || !is_assignment(&word.text) {
                        words.push(word);
                    }
                }
            }
        }
        if words.first().is_some_and(|first| !first.expanded) {
            let mut texts = words.into_iter().map(|word| word.text);
            let first = texts.next().unwrap_or_default();
            self.script.commands.push(ShellCommand::new(first, texts.collect()));
        }
        Ok(())
    }

    /// Follows a keyword; tells whether it was one.
    fn keyword(&mut self, word: &str, open: &mut Vec<Compound>) -> Result<bool> {
        let mut close = |compound| if open.pop() == Some(compound) { Ok(true) } else { Err(Broken) };
        match word {
            "!" | "time" | "then" | "elif" | "else" | "do" => Ok(true),
            "fi" => close(Compound::If),
            "done" => close(Compound::Loop),
            "esac" => close(Compound::Case),
            "}" => close(Compound::Brace),
            "if" => {
                open.push(Compound::If);
                Ok(true)
            }
            "while" | "until" => {
                open.push(Compound::Loop);
                Ok(true)
            }
            "{" => {
                open.push(Compound::Brace);
                Ok(true)
            }
            "for" | "select" => {
                open.push(Compound::Loop);
                self.header()?;
                Ok(true)
            }
            "case" => {
                self.blanks();
                self.word()?;
                self.lines();
                if self.word()?.text != "in" {
                    return Err(Broken);
                }
                open.push(Compound::Case);
                self.pattern(open)?;
                Ok(true)
            }
            "function" => {
                self.blanks();
                self.word()?;
                self.blanks();
                Ok(!self.skip("(") || self.skip(")"))
            }
            "[[" => self.condition("]]"),
            "[" => self.condition("]"),
            _ => Ok(false),
        }
    }

    /// Skips what stands between `for` and the end of its line.
    fn header(&mut self) -> Result<()> {
        self.blanks();
        if self.skip("((") {
            return self.arithmetic();
        }
        while !matches!(self.peek(), None | Some(';' | '\n')) {
            if matches!(self.peek(), Some('&' | '|' | '(' | ')' | '<' | '>')) {
                return Err(Broken);
            }
            self.word()?;
            self.blanks();
        }
        Ok(())
    }

    /// Skips a condition. In `[[ … ]]` operators of the shell are operators of the condition.
    fn condition(&mut self, end: &str) -> Result<bool> {
        loop {
            match end {
                "]]" => self.lines(),
                _ => self.blanks(),
            }
            match self.peek() {
                None => return Err(Broken),
                Some('\n' | ';' | '&' | '|' | ')') if end == "]" => return Err(Broken),
                Some('<' | '>' | '&' | '|' | '(' | ')' | ';') => self.at += 1,
                Some(_) => {
                    let word = self.word()?;
                    if word.text == end && !word.quoted {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Reads what follows `;;`.
    fn next_case(&mut self, open: &mut Vec<Compound>) -> Result<()> {
        self.at += 2;
        self.skip("&");
        match open.last() {
            Some(Compound::Case) => self.pattern(open),
            _ => Err(Broken),
        }
    }

    /// Skips the patterns of a case, or ends it.
    fn pattern(&mut self, open: &mut Vec<Compound>) -> Result<()> {
        self.lines();
        let parenthesis = self.skip("(");
        loop {
            self.blanks();
            let word = self.word()?;
            if word.text == "esac" && !word.quoted && !parenthesis {
                open.pop();
                return Ok(());
            }
            self.blanks();
            if self.skip(")") {
                return Ok(());
            }
            if !self.skip("|") {
                return Err(Broken);
            }
        }
    }

    /// Reads a redirection; of a here-document the body follows later.
    fn redirection(&mut self) -> Result<()> {
        let operators = ["&>>", "&>", "<<<", "<<-", "<<", "<>", "<&", "<", ">>", ">&", ">|", ">"];
        let operator = operators.iter().find(|operator| self.skip(operator)).ok_or(Broken)?;
        self.blanks();
        if self.looking_at("<(") || self.looking_at(">(") || self.peek().is_some_and(|c| !ends_word(c)) {
            let word = self.word()?;
            if operator.starts_with("<<") && *operator != "<<<" {
                self.heredocs.push((word.text, *operator == "<<-"));
            }
            return Ok(());
        }
        Err(Broken)
    }

    fn heredoc_bodies(&mut self) {
        for (delimiter, chomp) in std::mem::take(&mut self.heredocs) {
            while self.at < self.text.len() {
                let rest = &self.text[self.at..];
                let length = rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
                let line: String = rest[..length].iter().collect();
                self.at = (self.at + length + 1).min(self.text.len());
                if (if chomp { line.trim_start_matches('\t') } else { &line }) == delimiter {
                    break;
                }
            }
        }
    }

    fn word(&mut self) -> Result<Word> {
        let mut word = Word { text: String::new(), quoted: false, expanded: false };
        let start = self.at;
        while let Some(c) = self.peek() {
            match c {
                '<' | '>' if self.at == start && self.text.get(self.at + 1) == Some(&'(') => {
                    self.at += 2;
                    self.list(End::Parenthesis)?;
                    word.expand();
                }
                '(' if is_assignment(&word.text) && word.text.ends_with('=') => {
                    self.at += 1;
                    self.array()?;
                }
                '(' if word.text.ends_with(['?', '*', '+', '@', '!']) => {
                    self.at += 1;
                    self.until_closed(')')?;
                }
                c if ends_word(c) => break,
                '\\' => {
                    word.quoted = true;
                    let next = self.text.get(self.at + 1).copied();
                    word.text.extend(next.filter(|next| *next != '\n'));
                    self.at += 2;
                }
                '\'' => self.single(&mut word)?,
                '"' => self.double(&mut word)?,
                '$' => self.dollar(&mut word)?,
                '`' => self.backticks(&mut word)?,
                '{' if self.is_brace_expansion() => {
                    self.at += 1;
                    self.until_closed('}')?;
                    word.expanded = true;
                }
                c => {
                    word.text.push(c);
                    self.at += 1;
                }
            }
        }
        self.at = self.at.min(self.text.len());
        if self.at == start { Err(Broken) } else { Ok(word) }
    }

    fn single(&mut self, word: &mut Word) -> Result<()> {
        word.quoted = true;
        self.at += 1;
        while let Some(c) = self.peek() {
            self.at += 1;
            if c == '\'' {
                return Ok(());
            }
            word.text.push(c);
        }
        Err(Broken)
    }

    fn double(&mut self, word: &mut Word) -> Result<()> {
        word.quoted = true;
        self.at += 1;
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(());
                }
                '$' => self.dollar(word)?,
                '`' => self.backticks(word)?,
                '\\' => {
                    let next = self.text.get(self.at + 1).copied().ok_or(Broken)?;
                    if !matches!(next, '$' | '`' | '"' | '\\' | '\n') {
                        word.text.push('\\');
                    }
                    word.text.extend(Some(next).filter(|next| *next != '\n'));
                    self.at += 2;
                }
                c => {
                    word.text.push(c);
                    self.at += 1;
                }
            }
        }
        Err(Broken)
    }

    /// Skips an expansion; the commands in it count.
    fn dollar(&mut self, word: &mut Word) -> Result<()> {
        if self.skip("$((") {
            word.expand();
            return self.arithmetic();
        }
        if self.skip("$(") {
            word.expand();
            return self.list(End::Parenthesis);
        }
        if self.skip("${") {
            word.expand();
            return self.until_closed('}');
        }
        self.at += 1;
        match self.peek() {
            Some('\'') => self.ansi(word),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                    self.at += 1;
                }
                word.expand();
                Ok(())
            }
            Some(c) if c.is_ascii_digit() || "@*#?$!-".contains(c) => {
                self.at += 1;
                word.expand();
                Ok(())
            }
            _ => {
                word.text.push('$');
                Ok(())
            }
        }
    }

    /// Reads a string of the form `$'…'`; its escapes stay.
    fn ansi(&mut self, word: &mut Word) -> Result<()> {
        word.quoted = true;
        self.at += 1;
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '\'' => return Ok(()),
                '\\' => {
                    word.text.push(c);
                    word.text.extend(self.peek());
                    self.at += 1;
                }
                c => word.text.push(c),
            }
        }
        Err(Broken)
    }

    /// Reads a substitution of the old form, in which backslashes quote backticks.
    fn backticks(&mut self, word: &mut Word) -> Result<()> {
        let mut inner = String::new();
        self.at += 1;
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '`' => {
                    if self.depth >= MAX_DEPTH {
                        return Err(Broken);
                    }
                    let script = Scanner::new(&inner, self.depth).script()?;
                    self.script.pipes |= script.pipes;
                    self.script.commands.extend(script.commands);
                    word.expand();
                    return Ok(());
                }
                '\\' if matches!(self.peek(), Some('`' | '\\' | '$')) => {
                    inner.extend(self.peek());
                    self.at += 1;
                }
                c => inner.push(c),
            }
        }
        Err(Broken)
    }

    /// Skips to the sign that closes, over quotes and expansions.
    fn until_closed(&mut self, end: char) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Broken);
        }
        let mut ignored = Word { text: String::new(), quoted: false, expanded: false };
        while let Some(c) = self.peek() {
            match c {
                c if c == end => {
                    self.at += 1;
                    self.depth -= 1;
                    return Ok(());
                }
                '\\' => self.at += 2,
                '"' => self.double(&mut ignored)?,
                '\'' => self.single(&mut ignored)?,
                '$' => self.dollar(&mut ignored)?,
                '`' => self.backticks(&mut ignored)?,
                _ => self.at += 1,
            }
        }
        Err(Broken)
    }

    fn arithmetic(&mut self) -> Result<()> {
        let mut inside = 0usize;
        while let Some(c) = self.peek() {
            match c {
                ')' if inside == 0 => return if self.skip("))") { Ok(()) } else { Err(Broken) },
                ')' => inside -= 1,
                '(' => inside += 1,
                _ => {}
            }
            self.at += 1;
        }
        Err(Broken)
    }

    /// Skips the elements of an array.
    fn array(&mut self) -> Result<()> {
        loop {
            self.lines();
            if self.skip(")") {
                return Ok(());
            }
            self.word()?;
        }
    }

    /// Tells whether `{a,b}` or `{1..9}` stands here.
    fn is_brace_expansion(&self) -> bool {
        let rest = &self.text[self.at..];
        let inside = rest.iter().take_while(|c| **c != '}' && !c.is_whitespace());
        let text: String = inside.collect();
        rest.get(text.chars().count()) == Some(&'}') && (text.contains(',') || text.contains(".."))
    }
}

impl Word {
    fn expand(&mut self) {
        self.expanded = true;
        self.text.push_str(EXPANSION);
    }
}

fn ends_word(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')')
}

/// Tells whether a word is `NAME=…`, `NAME+=…` or `NAME[…]=…`.
fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let name = name.strip_suffix('+').unwrap_or(name);
    let name = name.split('[').next().unwrap_or(name);
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
