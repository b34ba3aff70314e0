//! Splits the arguments of an instruction in the instruction's way (BuildKit's dispatch table in `parser.go`, and its
//! `line_parsers.go`).

use std::ops::Range;

use crate::{
    Diagnostic, Word,
    json::{ExecForm, exec_form},
    keyword::Keyword,
    lines::Joined,
    nodes::{Node, node},
    split,
};

/// How deep ONBUILD is parsed into itself; one level is all that is allowed, the rest only makes better messages.
const MAX_ONBUILD: usize = 8;

/// Adds the arguments in a range of the line to its node. `depth` counts the ONBUILDs around it.
pub(crate) fn split(
    node: &mut Node,
    joined: &Joined,
    rest: Range<usize>,
    escape: char,
    depth: usize,
) -> Result<(), Box<Diagnostic>> {
    if rest.is_empty() {
        return Ok(());
    }
    let text = &joined.text;
    match Keyword::parse(&node.keyword.text) {
        Some(Keyword::Run | Keyword::Cmd | Keyword::Entrypoint | Keyword::Shell) => {
            command(node, joined, rest)?
        }
        Some(Keyword::Add | Keyword::Copy | Keyword::Volume) => {
            let json = json_arguments(node, joined, rest.clone())?;
            if !json {
                node.arguments = words(joined, split::plain_words(text, rest));
            }
        }
        Some(Keyword::From | Keyword::Expose) => {
            node.arguments = words(joined, split::plain_words(text, rest))
        }
        Some(Keyword::Maintainer | Keyword::StopSignal | Keyword::User | Keyword::Workdir) => {
            node.arguments.push(joined.word(rest));
        }
        Some(Keyword::Arg) => node.arguments = words(joined, split::quoted_words(text, rest, escape)),
        Some(keyword @ (Keyword::Env | Keyword::Label)) => {
            node.arguments = pairs(joined, rest, keyword.name(), escape)?;
        }
        Some(Keyword::Healthcheck) => healthcheck(node, joined, rest)?,
        Some(Keyword::Onbuild) => {
            let nested = (depth < MAX_ONBUILD).then(|| self::node(joined, rest, escape, depth + 1));
            node.nested = nested.transpose()?.map(Box::new);
        }
        None => {}
    }
    Ok(())
}

fn words(joined: &Joined, ranges: Vec<Range<usize>>) -> Vec<Word> {
    ranges.into_iter().map(|range| joined.word(range)).collect()
}

/// Reads a command in either form.
fn command(node: &mut Node, joined: &Joined, rest: Range<usize>) -> Result<(), Box<Diagnostic>> {
    let json = json_arguments(node, joined, rest.clone())?;
    if !json && !rest.is_empty() {
        node.arguments.push(joined.word(rest));
    }
    Ok(())
}

/// Reads the arguments as a JSON array, if they are one.
fn json_arguments(node: &mut Node, joined: &Joined, rest: Range<usize>) -> Result<bool, Box<Diagnostic>> {
    match exec_form(&joined.text[rest.clone()]) {
        ExecForm::No => Ok(false),
        ExecForm::NotOnlyStrings => Err(Box::new(Diagnostic::error(
            "json-not-strings",
            "when using JSON array syntax, arrays must be comprised of strings only",
            joined.span(rest),
        ))),
        ExecForm::Strings(strings) => {
            node.json = true;
            node.arguments.extend(strings.into_iter().map(|(text, range)| {
                let span = joined.span(rest.start + range.start..rest.start + range.end);
                Word { text, span }
            }));
            Ok(true)
        }
    }
}

/// Reads `name=value …`, or the legacy `name value`.
fn pairs(
    joined: &Joined,
    rest: Range<usize>,
    keyword: &str,
    escape: char,
) -> Result<Vec<Word>, Box<Diagnostic>> {
    let text = &joined.text;
    let words = split::quoted_words(text, rest.clone(), escape);
    let Some(first) = words.first() else { return Ok(Vec::new()) };
    if !text[first.clone()].contains('=') {
        let (name, value) = split::cut(text, rest.clone());
        let Some(value) = value else {
            let message = format!("{keyword} must have two arguments");
            return Err(Box::new(Diagnostic::error("missing-argument", message, joined.span(rest))));
        };
        let end = value.end;
        return Ok(vec![joined.word(name), joined.word(value), joined.word(end..end)]);
    }
    let mut arguments = Vec::with_capacity(words.len() * 3);
    for word in words {
        let Some(length) = text[word.clone()].find('=') else {
            let message = format!(
                "Syntax error - can't find = in {:?}. Must be of the form: name=value",
                &text[word.clone()]
            );
            return Err(Box::new(Diagnostic::error("missing-equals", message, joined.span(word))));
        };
        let equals = word.start + length;
        arguments.push(joined.word(word.start..equals));
        arguments.push(joined.word(equals + 1..word.end));
        arguments.push(joined.word(equals..equals + 1));
    }
    Ok(arguments)
}

/// Reads the type, then a command in either form.
fn healthcheck(node: &mut Node, joined: &Joined, rest: Range<usize>) -> Result<(), Box<Diagnostic>> {
    let text = &joined.text;
    let part = &text[rest.clone()];
    let end = rest.start + part.find(char::is_whitespace).unwrap_or(part.len());
    let command = split::trim(text, end..rest.end);
    node.arguments.push(joined.word(rest.start..end));
    self::command(node, joined, command)
}
