//! What a rule is, and what it finds.

use jettison_dockerfile::{Instruction, LineIndex, Span};

use super::file::File;

/// How much a rule matters; hadolint's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The image will not be what was meant.
    Error,
    /// A likely mistake.
    Warning,
    /// A possible improvement.
    Info,
    /// A matter of taste.
    Style,
    /// Off unless asked for.
    Ignore,
}

impl Level {
    /// Returns the word for it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Style => "style",
            Level::Ignore => "ignore",
        }
    }
}

/// A rule.
pub struct Rule {
    /// docker's name of the check, or hadolint's code.
    pub name: &'static str,
    /// How much it matters.
    pub level: Level,
    /// What it wants, in a sentence; for build checks docker's own.
    pub summary: &'static str,
    /// Where more is said about it.
    pub url: Option<&'static str>,
    /// Whether `experimental=` must name it for it to run.
    pub experimental: bool,
    /// Says where it is broken.
    pub(crate) check: fn(&File<'_>) -> Vec<Hit>,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

/// A place where a rule is broken.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) span: Span,
    pub(crate) message: String,
    /// The comments above the instruction: they may silence the rule.
    pub(crate) comments: Vec<String>,
}

impl Hit {
    /// Makes a hit that is about a whole instruction.
    pub(crate) fn at(instruction: &Instruction, message: impl Into<String>) -> Hit {
        Hit { span: instruction.span, message: message.into(), comments: instruction.comments.clone() }
    }
}

/// Something that a rule found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// The rule's level, unless settings say another.
    pub level: Level,
    /// What is wrong here.
    pub message: String,
    /// The place.
    pub span: Span,
    /// The first and the last line of the place, from 1.
    pub lines: (usize, usize),
}

pub(crate) fn locate(rule: &'static Rule, hit: Hit, lines: &LineIndex<'_>) -> Finding {
    Finding { rule, level: rule.level, message: hit.message, span: hit.span, lines: lines.lines(hit.span) }
}
