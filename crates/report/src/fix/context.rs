//! What a COPY of the whole context takes along.

use jettison_dockerfile::{Instruction, Kind, Source, Transfer};

use super::{Class, Draft, Rewrite, Waste};
use crate::advice::rules;

/// Names that no program needs to run.
const NEVER_NEEDED: [&str; 11] = [
    ".git",
    ".gitignore",
    ".gitattributes",
    ".github",
    ".hg",
    ".svn",
    ".idea",
    ".vscode",
    ".DS_Store",
    ".pytest_cache",
    "*.log",
];

/// Names that a program may need, but that are better not taken from where it was built.
const SELDOM_NEEDED: [&str; 8] =
    [".env", ".env.local", "node_modules", ".venv", "venv", "__pycache__", "target", "coverage"];

pub(super) fn rewrites(draft: &Draft<'_>, found: &mut Vec<Rewrite>) {
    let Some(copy) = draft.shipping().into_iter().flatten().find(|instruction| is_whole(instruction)) else {
        return;
    };
    let lines = |names: &[&str]| -> Vec<String> {
        let there = |line: &&&str| {
            draft.context.iter().any(|name| match line.strip_prefix('*') {
                Some(end) => name.ends_with(end),
                None => name == **line,
            })
        };
        names.iter().filter(there).map(|line| (*line).to_owned()).collect()
    };
    for (names, class) in [(&NEVER_NEEDED[..], Class::Provable), (&SELDOM_NEEDED, Class::Smoke)] {
        for line in lines(names) {
            let rule = match line.as_str() {
                ".git" => rules::REPOSITORY.name,
                ".env" | ".env.local" => rules::PRIVATE_FILE.name,
                _ => rules::NO_IGNORE_FILE.name,
            };
            let mut rewrite = Rewrite::new(rule, copy, format!("ignore {line}"));
            rewrite.class = class;
            rewrite.waste = vec![Waste::Named(line.clone())];
            rewrite.ignore = vec![line];
            found.push(rewrite);
        }
    }
}

/// Tells whether an instruction copies the whole context.
pub(super) fn is_whole(instruction: &Instruction) -> bool {
    let transfer: &Transfer = match &instruction.kind {
        Kind::Copy(copy) if copy.from.is_none() => &copy.transfer,
        Kind::Add(add) => &add.transfer,
        _ => return false,
    };
    transfer.sources.iter().any(|source| match source {
        Source::Path(path) => matches!(path.text.as_str(), "." | "./" | "/" | "*" | "./*"),
        Source::Heredoc(_) => false,
    })
}
