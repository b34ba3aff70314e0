//! Dockerfile lexer, parser, words, ignore patterns, spans and diagnostics; no I/O.

mod ast;
mod diagnostic;

pub use ast::*;
pub use diagnostic::{Diagnostic, Severity};
