//! Edits of a text by byte spans.

use jettison_dockerfile::{Command, Instruction, Kind, Run, Span};

use super::Draft;

/// A part of a text and what takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What goes; empty for an insertion.
    pub span: Span,
    /// What comes.
    pub text: String,
}

/// Applies edits that do not overlap. All else stays byte by byte.
pub fn apply(text: &str, edits: &[Edit]) -> String {
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    // The sort is stable: insertions at one place come in the order given.
    sorted.sort_by_key(|edit| edit.span.start);
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for edit in sorted {
        out += text.get(at..edit.span.start.max(at)).unwrap_or_default();
        out += &edit.text;
        at = edit.span.end.max(at);
    }
    out + text.get(at..).unwrap_or_default()
}

impl Edit {
    pub(super) fn insert(at: usize, text: impl Into<String>) -> Edit {
        Edit { span: Span { start: at, end: at }, text: text.into() }
    }

    pub(super) fn remove(span: Span) -> Edit {
        Edit { span, text: String::new() }
    }

    /// Puts a flag right behind the keyword.
    pub(super) fn flag(instruction: &Instruction, flag: &str) -> Edit {
        Edit::insert(instruction.keyword.span.end, format!(" {flag}"))
    }
}

impl Draft<'_> {
    /// The instruction as it stands in the text.
    pub(super) fn raw(&self, instruction: &Instruction) -> &str {
        self.text.get(instruction.span.range()).unwrap_or_default()
    }

    /// Removes an instruction with its lines.
    pub(super) fn remove_lines(&self, instruction: &Instruction) -> Edit {
        let start = self.line_start(instruction.span.start);
        let end = instruction.span.end;
        let end = self.text[end..].find('\n').map_or(self.text.len(), |newline| end + newline + 1);
        Edit::remove(Span { start, end })
    }

    /// The start of the line that has byte `at`.
    pub(super) fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// Adds a command to the end of a RUN of shell form, in its layout.
    pub(super) fn append(&self, run: &Instruction, command: &str) -> Edit {
        let raw = self.raw(run);
        let end = run.span.start + raw.trim_end().len();
        let Some((_, last)) = raw.trim_end().rsplit_once('\n') else {
            return Edit::insert(end, format!(" && {command}"));
        };
        let indent: String = last.chars().take_while(|c| c.is_whitespace()).collect();
        let indent = if indent.is_empty() { "    " } else { &indent };
        let escape = self.dockerfile.directives.escape;
        Edit::insert(end, format!(" {escape}\n{indent}&& {command}"))
    }

    /// Finds a word sequence in a RUN, such as `pip install`, as often as it is there; returns where each ends.
    pub(super) fn ends_of(&self, run: &Instruction, words: &str) -> Vec<usize> {
        let raw = self.raw(run);
        let boundary =
            |c: Option<char>| c.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.')));
        let whole = |at: &usize| {
            let (before, after) = (&raw[..*at], &raw[*at + words.len()..]);
            boundary(before.chars().next_back()) && boundary(after.chars().next())
        };
        let found = raw.match_indices(words).map(|(at, _)| at).filter(whole);
        found.map(|at| run.span.start + at + words.len()).collect()
    }
}

/// Returns the command of a RUN that the shell runs as it stands on its lines: no here-document.
pub(super) fn plain(instruction: &Instruction) -> Option<(&Run, &str)> {
    match &instruction.kind {
        Kind::Run(run) => match &run.command {
            Command::Shell(command) if run.heredocs.is_empty() => Some((run, command)),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the words of a command that is one call of a program and nothing more.
pub(super) fn single_call(command: &str) -> Option<Vec<&str>> {
    let special =
        |c: char| matches!(c, ';' | '|' | '&' | '<' | '>' | '`' | '(' | '{' | '#' | '\n' | '"' | '\'');
    if command.contains(special) {
        return None;
    }
    Some(command.split_whitespace().collect())
}

/// Tells whether a RUN has one of these word sequences.
pub(super) fn uses_any(draft: &Draft<'_>, calls: &[&str]) -> bool {
    let runs = draft.dockerfile.instructions.iter().filter(|step| plain(step).is_some());
    runs.into_iter().any(|step| calls.iter().any(|call| !draft.ends_of(step, call).is_empty()))
}

/// Tells whether a text uses a variable.
pub(super) fn uses(text: &str, name: &str) -> bool {
    text.match_indices('$').any(|(at, _)| {
        let rest = &text[at + 1..];
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let after = rest.strip_prefix(name);
        after.is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}
