//! The way in: bytes to a tree and what is wrong with them.

use crate::{
    Diagnostic, Dockerfile, Instruction, Kind, Severity, Span, directives, instructions,
    nodes::{MAX_ERRORS, Node, parse_nodes},
};

/// The largest Dockerfile in bytes (BuildKit's limit is that of one gRPC message, the same).
pub const MAX_BYTES: usize = 16 << 20;

/// A Dockerfile, as far as it could be understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The tree. With an error among the diagnostics it is not to be built.
    pub dockerfile: Dockerfile,
    /// The text that spans index into: the input, a byte-order mark included, with bytes that are not UTF-8 replaced.
    pub text: String,
    /// What is wrong, in the order of the places.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// Tells whether the Dockerfile cannot be built as it is.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Parses a Dockerfile. Never fails: what is wrong stands in the diagnostics, at most about a hundred errors.
pub fn parse(input: &[u8]) -> Parsed {
    let refuse = |code, message: String| Parsed {
        diagnostics: vec![Diagnostic::error(code, message, Span::default())],
        ..Parsed::default()
    };
    if input.is_empty() {
        return refuse("empty", "the Dockerfile cannot be empty".to_owned());
    }
    if input.len() > MAX_BYTES {
        return refuse("too-large", format!("the Dockerfile is larger than {MAX_BYTES} bytes"));
    }
    let text = String::from_utf8_lossy(input).into_owned();
    let first_pass = parse_nodes(&text);
    let mut second_pass = SecondPass { diagnostics: first_pass.diagnostics, ..SecondPass::default() };
    second_pass.run(first_pass.nodes, text.len());
    let SecondPass { instructions, mut diagnostics, .. } = second_pass;
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    let directives = directives::detect(&text, first_pass.escape);
    Parsed { dockerfile: Dockerfile { directives, instructions }, text, diagnostics }
}

/// Parses one instruction, such as an ONBUILD trigger of a base image's config. Spans index into `text`.
pub fn parse_instruction(text: &str) -> Result<Instruction, Vec<Diagnostic>> {
    let first_pass = parse_nodes(text);
    let errors = |diagnostics: Vec<Diagnostic>| -> Vec<Diagnostic> {
        diagnostics.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect()
    };
    let wrong = errors(first_pass.diagnostics);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let whole = Span { start: 0, end: text.len() };
    let mut nodes = first_pass.nodes;
    let (Some(node), true) = (nodes.pop(), nodes.is_empty()) else {
        let message = "onbuild trigger should be a single expression";
        return Err(vec![Diagnostic::error("onbuild-trigger", message, whole)]);
    };
    let mut warnings = Vec::new();
    match instructions::convert(node, &mut warnings) {
        Ok(Instruction { kind: Kind::From { .. }, span, .. }) => {
            Err(vec![Diagnostic::error("onbuild-trigger", "FROM isn't allowed as an ONBUILD trigger", span)])
        }
        Ok(instruction) => Ok(instruction),
        Err(diagnostic) => Err(vec![*diagnostic]),
    }
}

/// The second pass: nodes into instructions, and the order of instructions.
#[derive(Default)]
struct SecondPass {
    instructions: Vec<Instruction>,
    diagnostics: Vec<Diagnostic>,
    /// Whether a stage has begun, or a FROM was there that is wrong in itself.
    in_stage: bool,
    /// Whether it was said that an instruction stands before the first FROM.
    said_no_stage: bool,
}

impl SecondPass {
    fn run(&mut self, nodes: Vec<Node>, end: usize) {
        let mut errors = self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        for node in nodes {
            self.in_stage |= node.keyword.text.eq_ignore_ascii_case("FROM");
            match instructions::convert(node, &mut self.diagnostics) {
                Ok(instruction) => self.add(instruction),
                Err(diagnostic) => {
                    errors += 1;
                    self.diagnostics.push(*diagnostic);
                }
            }
            if errors >= MAX_ERRORS {
                return;
            }
        }
        if errors == 0 && !self.in_stage && !self.said_no_stage {
            let message = "dockerfile contains no stages to build";
            self.diagnostics.push(Diagnostic::error("no-stages", message, Span { start: end, end }));
        }
    }

    fn add(&mut self, instruction: Instruction) {
        let may_come_first = matches!(instruction.kind, Kind::Arg(_));
        if !self.in_stage && !may_come_first && !self.said_no_stage {
            self.said_no_stage = true;
            let help = "a Dockerfile begins with FROM; only ARG may come before it".to_owned();
            let error =
                Diagnostic::error("no-stage", "no build stage in current context", instruction.keyword.span);
            self.diagnostics.push(error.with_help(Some(help)));
        }
        self.instructions.push(instruction);
    }
}
