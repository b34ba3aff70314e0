//! The second pass: what the words of a node mean, with the checks of BuildKit's `frontend/dockerfile/instructions`, in
//! its order, so that the first error is the same.

mod command;
mod duration;
mod flags;
mod simple;
mod transfer;

use crate::{Diagnostic, Instruction, Kind, Span, Word, keyword::Keyword, nodes::Node};

/// The first error of an instruction.
type Error = Box<Diagnostic>;

/// Makes an instruction of a node. Warnings are added to the list.
pub(crate) fn convert(node: Node, warnings: &mut Vec<Diagnostic>) -> Result<Instruction, Error> {
    let kind = kind(&node, warnings)?;
    let Node { span, keyword, original, comments, .. } = node;
    Ok(Instruction { span, keyword, original, comments, kind })
}

fn kind(node: &Node, warnings: &mut Vec<Diagnostic>) -> Result<Kind, Error> {
    let Some(keyword) = Keyword::parse(&node.keyword.text) else {
        let message = format!("unknown instruction: {}", node.keyword.text);
        let help = Keyword::nearest(&node.keyword.text).map(|name| format!("did you mean {name}?"));
        return Err(Box::new(
            Diagnostic::error("unknown-instruction", message, node.keyword.span).with_help(help),
        ));
    };
    match keyword {
        Keyword::Add => transfer::add(node),
        Keyword::Arg => simple::arg(node, warnings),
        Keyword::Cmd => command::cmd(node),
        Keyword::Copy => transfer::copy(node),
        Keyword::Entrypoint => command::entrypoint(node),
        Keyword::Env => Ok(Kind::Env(simple::pairs(node, keyword)?)),
        Keyword::Expose => simple::expose(node),
        Keyword::From => simple::from(node),
        Keyword::Healthcheck => command::healthcheck(node, warnings),
        Keyword::Label => Ok(Kind::Label(simple::pairs(node, keyword)?)),
        Keyword::Maintainer => Ok(Kind::Maintainer(simple::only_word(node, keyword)?)),
        Keyword::Onbuild => simple::onbuild(node, warnings),
        Keyword::Run => command::run(node),
        Keyword::Shell => command::shell(node),
        Keyword::StopSignal => simple::stop_signal(node, warnings),
        Keyword::User => Ok(Kind::User(simple::only_word(node, keyword)?)),
        Keyword::Volume => simple::volume(node),
        Keyword::Workdir => Ok(Kind::Workdir(simple::only_word(node, keyword)?)),
    }
}

/// Makes an error about the place of a span.
fn error(code: &'static str, message: impl Into<String>, span: Span) -> Error {
    Box::new(Diagnostic::error(code, message, span))
}

fn at_least_one(keyword: Keyword, node: &Node) -> Error {
    let message = format!("{} requires at least one argument", keyword.name());
    error("missing-argument", message, node.keyword.span)
}

fn blank_name(keyword: Keyword, span: Span) -> Error {
    error("blank-name", format!("{} names can not be blank", keyword.name()), span)
}

/// Says that flags have no meaning here. BuildKit does not even look at them.
fn warn_ignored_flags(node: &Node, warnings: &mut Vec<Diagnostic>) {
    for flag in &node.flags {
        warnings.push(Diagnostic::warning(
            "ignored-flag",
            format!("the flag {} is ignored", flag.text),
            flag.span,
        ));
    }
}

/// Returns the span of all arguments, or of the keyword if there are none.
fn arguments_span(node: &Node) -> Span {
    match (node.arguments.first(), node.arguments.last()) {
        (Some(first), Some(last)) => Span { start: first.span.start, end: last.span.end },
        _ => node.keyword.span,
    }
}

/// Splits a word at its first `=`; the places are those of the parts where the word stands in the file as it is.
fn split_word(word: &Word) -> (Word, Option<Word>) {
    let Some((name, value)) = word.text.split_once('=') else { return (word.clone(), None) };
    let Span { start, end } = word.span;
    let as_written = end - start == word.text.len();
    let part = |text: &str, part_start: usize| {
        let span = if as_written {
            Span { start: start + part_start, end: start + part_start + text.len() }
        } else {
            word.span
        };
        Word { text: text.to_owned(), span }
    };
    (part(name, 0), Some(part(value, name.len() + 1)))
}

#[cfg(test)]
mod tests;
