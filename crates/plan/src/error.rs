//! Why a Dockerfile cannot be planned.

use jettison_dockerfile::{Diagnostic, Severity, Span};

/// Why a Dockerfile cannot be planned. Every variant knows its place in the Dockerfile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Dockerfile asks for something that cannot be.
    #[error("{}", .0.message)]
    Invalid(Diagnostic),
    /// The base image could not be had.
    #[error("{image}: {source}")]
    Base {
        /// The image as written.
        image: String,
        /// Where it is asked for.
        span: Span,
        /// The stage whose name is near, if one is.
        help: Option<String>,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Returns the place in the Dockerfile.
    pub fn span(&self) -> Span {
        match self {
            Error::Invalid(diagnostic) => diagnostic.span,
            Error::Base { span, .. } => *span,
        }
    }

    /// The same error about another place.
    pub(crate) fn at(mut self, place: Span) -> Error {
        match &mut self {
            Error::Invalid(diagnostic) => diagnostic.span = place,
            Error::Base { span, .. } => *span = place,
        }
        self
    }
}

/// Makes an error about `span`.
pub(crate) fn invalid(code: &'static str, span: Span, message: impl Into<String>) -> Error {
    Error::Invalid(Diagnostic { severity: Severity::Error, code, message: message.into(), span, help: None })
}

/// Makes an error about `span` that says what to do.
pub(crate) fn invalid_with_help(
    code: &'static str,
    span: Span,
    message: impl Into<String>,
    help: Option<String>,
) -> Error {
    Error::Invalid(Diagnostic { severity: Severity::Error, code, message: message.into(), span, help })
}

/// Makes the error for a feature of the language that is not there yet.
pub(crate) fn unsupported(span: Span, what: impl std::fmt::Display) -> Error {
    invalid("not-supported", span, format!("{what} is not supported yet"))
}
