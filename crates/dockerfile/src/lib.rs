//! The Dockerfile language: parser, words, ignore patterns, wildcards, spans and diagnostics. Pure: text in, data out; it
//! knows neither files nor images. The rules are BuildKit's (`frontend/dockerfile`), the quirks included.

mod arguments;
mod ast;
mod csv;
mod diagnostic;
mod directives;
pub mod glob;
mod heredoc;
pub mod ignore;
mod instructions;
mod json;
mod keyword;
mod line_index;
mod lines;
pub mod nodes;
mod parse;
mod split;
pub mod suggest;
pub mod words;

pub use ast::*;
pub use csv::{CsvError, csv_fields};
pub use diagnostic::{Diagnostic, Severity};
pub use heredoc::{HeredocWord, chomp_heredoc};
pub use line_index::{LineIndex, Position};
pub use parse::{MAX_BYTES, Parsed, parse, parse_instruction};
