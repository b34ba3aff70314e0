//! What is wrong with a Dockerfile, and where.

use crate::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The build goes on.
    Warning,
    /// The build cannot start.
    Error,
}

/// One finding, with the place it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name such as `unknown-instruction`, or the name of a docker build check.
    pub code: &'static str,
    /// What is wrong: a lower-case fragment without final period, in docker's words where docker has some.
    pub message: String,
    /// The place.
    pub span: Span,
    /// What to do about it, such as `did you mean COPY?`.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Makes an error.
    pub(crate) fn error(code: &'static str, message: impl Into<String>, span: Span) -> Diagnostic {
        Diagnostic { severity: Severity::Error, code, message: message.into(), span, help: None }
    }

    /// Makes a warning.
    pub(crate) fn warning(code: &'static str, message: impl Into<String>, span: Span) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message, span) }
    }

    /// Adds what to do about it.
    pub(crate) fn with_help(self, help: Option<String>) -> Diagnostic {
        Diagnostic { help, ..self }
    }
}
