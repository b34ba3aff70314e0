//! Comments of the form `# hadolint ignore=DL3008,DL3009`: for the line below, with `global` for the file, with `stage`
//! for the stage that follows.

use std::collections::{BTreeMap, BTreeSet};

use jettison_dockerfile::{Instruction, Kind, LineIndex, Span};

use crate::lint::file::File;
use crate::lint::finding::Hit;

/// Which rules comments silence, and where.
#[derive(Debug, Default)]
pub(crate) struct Pragmas {
    global: BTreeSet<String>,
    /// By line.
    lines: BTreeMap<usize, BTreeSet<String>>,
    /// By the lines of a stage, first and last.
    stages: Vec<(usize, usize, BTreeSet<String>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Line,
    Stage,
    Global,
}

impl Pragmas {
    pub(crate) fn read(file: &File<'_>) -> Pragmas {
        let mut pragmas = Pragmas::default();
        for (line, comment) in comments(file) {
            match parse(&comment) {
                Some((Scope::Global, codes)) => pragmas.global.extend(codes),
                Some((Scope::Line, codes)) => pragmas.lines.entry(line + 1).or_default().extend(codes),
                Some((Scope::Stage, codes)) => {
                    if let Some((first, last)) = stage_after(file, line) {
                        pragmas.stages.push((first, last, codes));
                    }
                }
                None => {}
            }
        }
        pragmas
    }

    /// Tells whether a finding at a line counts.
    pub(crate) fn allow(&self, code: &str, line: usize) -> bool {
        let of_line = self.lines.get(&line).is_some_and(|codes| codes.contains(code));
        let of_stage = |(first, last, codes): &(usize, usize, BTreeSet<String>)| {
            (*first..=*last).contains(&line) && codes.contains(code)
        };
        !of_line && !self.global.contains(code) && !self.stages.iter().any(of_stage)
    }
}

/// DL1001.
pub(super) fn used(file: &File<'_>) -> Vec<Hit> {
    let pragmas = comments(file).into_iter().filter(|(_, comment)| parse(comment).is_some());
    let hit = |(line, _)| {
        // A line is a part of the text, so the distance of the two is its place.
        let start = file.lines.line_text(line).as_ptr() as usize - file.parsed.text.as_ptr() as usize;
        let message = "a comment silences rules".to_owned();
        Hit { span: Span { start, end: start + 1 }, message, comments: Vec::new() }
    };
    pragmas.map(hit).collect()
}

/// Returns the comment lines outside instructions, without their sign.
fn comments(file: &File<'_>) -> Vec<(usize, String)> {
    let instructions = &file.parsed.dockerfile.instructions;
    let covered = |line: usize| instructions.iter().any(|known| within(line, known, &file.lines));
    let lines = file.parsed.text.lines().enumerate();
    let comments =
        lines.filter_map(|(at, text)| Some((at + 1, text.trim_start().strip_prefix('#')?.to_owned())));
    comments.filter(|(_, comment)| comment.contains("hadolint")).filter(|(line, _)| !covered(*line)).collect()
}

fn within(line: usize, instruction: &Instruction, lines: &LineIndex<'_>) -> bool {
    let (first, last) = lines.lines(instruction.span);
    (first..=last).contains(&line)
}

/// Returns the lines of the stage that begins below a line.
fn stage_after(file: &File<'_>, line: usize) -> Option<(usize, usize)> {
    let instructions = file.parsed.dockerfile.instructions.iter();
    let froms = instructions.filter(|known| matches!(known.kind, Kind::From { .. }));
    let mut starts = froms.map(|from| file.lines.line(from.span.start)).skip_while(|start| *start < line);
    let first = starts.next()?;
    Some((first, starts.next().map_or(usize::MAX, |next| next - 1)))
}

/// Reads a comment; what follows another `#` is a remark.
fn parse(comment: &str) -> Option<(Scope, BTreeSet<String>)> {
    let comment = comment.split('#').next().unwrap_or_default().trim();
    let rest = comment.strip_prefix("hadolint")?.strip_prefix([' ', '\t'])?.trim_start();
    let (scope, rest) = match rest.split_once([' ', '\t']) {
        Some(("global", rest)) => (Scope::Global, rest.trim_start()),
        Some(("stage", rest)) => (Scope::Stage, rest.trim_start()),
        _ => (Scope::Line, rest),
    };
    let codes = rest.strip_prefix("ignore")?.trim_start().strip_prefix('=')?;
    let codes: BTreeSet<String> = codes.split(',').map(|code| code.trim().to_owned()).collect();
    let is_code =
        |code: &String| !code.is_empty() && code.bytes().all(|b| b.is_ascii_digit() || b"DLSC".contains(&b));
    codes.iter().all(is_code).then_some((scope, codes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_read_to_the_letter() {
        let codes = |comment: &str| parse(comment).map(|(_, codes)| codes.into_iter().collect::<Vec<_>>());
        assert_eq!(codes(" hadolint ignore = DL3003 , DL4006 # why").unwrap(), ["DL3003", "DL4006"]);
        assert_eq!(codes("hadolint\tignore=SC2046").unwrap(), ["SC2046"]);
        for comment in
            ["hadolint ignore=DL3003 why", "hadolint shell=x", "hadolintignore=DL1", "hadolint ignore="]
        {
            assert_eq!(codes(comment), None, "{comment}");
        }
        assert!(parse("hadolint global ignore=DL1").is_some_and(|(scope, _)| scope == Scope::Global));
        assert!(parse("hadolint stage ignore=DL1").is_some_and(|(scope, _)| scope == Scope::Stage));
    }
}
