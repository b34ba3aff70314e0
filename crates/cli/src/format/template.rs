//! `--format`: the part of Go's templates that people use with docker. What is missing is refused by name.
//!
//! There are: fields (`.A.B`), `$`, texts and numbers, pipes, parentheses, `range`, `if`, `else`, `with`, `end`,
//! trimming (`{{-`, `-}}`) and the functions in `eval`. Go: `text/template`; docker/cli: `templates/templates.go`.

mod eval;
mod parse;

use serde_json::Value;

/// A template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(String),
    Print(Pipeline),
    If { condition: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    With { value: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    Range { list: Pipeline, each: Vec<Node>, otherwise: Vec<Node> },
}

/// Commands; the result of each is the last argument of the next.
type Pipeline = Vec<Vec<Term>>;

#[derive(Debug, Clone, PartialEq)]
enum Term {
    /// `.A.B`; `.` alone is empty.
    Field(Vec<String>),
    /// `$.A.B`
    Root(Vec<String>),
    Literal(Value),
    Function(String),
    Group(Pipeline, Vec<String>),
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template: {0}")]
pub struct TemplateError(String);

fn error(message: impl Into<String>) -> TemplateError {
    TemplateError(message.into())
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        parse::parse(text).map(|nodes| Template { nodes })
    }

    /// Fills a template in.
    pub fn render(&self, data: &Value) -> Result<String, TemplateError> {
        let mut out = String::new();
        eval::render(&self.nodes, data, data, &mut out)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
