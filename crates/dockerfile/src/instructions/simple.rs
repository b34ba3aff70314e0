//! The instructions that are a list of words or of names with values.

use super::{Error, arguments_span, at_least_one, blank_name, error, flags::Flags, flags::Takes, split_word};
use crate::{Argument, Diagnostic, Kind, Pair, Severity, Word, keyword::Keyword, nodes::Node};

/// ENV and LABEL.
pub(super) fn pairs(node: &Node, keyword: Keyword) -> Result<Vec<Pair>, Error> {
    Flags::read(&node.flags, &[])?;
    if node.arguments.is_empty() {
        return Err(at_least_one(keyword, node));
    }
    let mut pairs = Vec::with_capacity(node.arguments.len() / 3);
    for words in node.arguments.chunks(3) {
        let [name, value, separator] = words else { continue };
        if name.text.is_empty() {
            return Err(blank_name(keyword, value.span));
        }
        let legacy = separator.text.is_empty();
        pairs.push(Pair { name: name.clone(), value: value.clone(), legacy });
    }
    Ok(pairs)
}

/// ARG, whose flags BuildKit does not look at.
pub(super) fn arg(node: &Node, warnings: &mut Vec<Diagnostic>) -> Result<Kind, Error> {
    if node.arguments.is_empty() {
        return Err(at_least_one(Keyword::Arg, node));
    }
    super::warn_ignored_flags(node, warnings);
    let mut arguments = Vec::with_capacity(node.arguments.len());
    for word in &node.arguments {
        let (name, default) = split_word(word);
        if name.text.is_empty() {
            return Err(blank_name(Keyword::Arg, word.span));
        }
        arguments.push(Argument { name, default });
    }
    Ok(Kind::Arg(arguments))
}

/// MAINTAINER, USER and WORKDIR: the rest of the line, one word.
pub(super) fn only_word(node: &Node, keyword: Keyword) -> Result<Word, Error> {
    let [word] = node.arguments.as_slice() else {
        let message = format!("{} requires exactly one argument", keyword.name());
        return Err(error("missing-argument", message, node.keyword.span));
    };
    Flags::read(&node.flags, &[])?;
    Ok(word.clone())
}

/// STOPSIGNAL, whose flags BuildKit does not look at.
pub(super) fn stop_signal(node: &Node, warnings: &mut Vec<Diagnostic>) -> Result<Kind, Error> {
    let [word] = node.arguments.as_slice() else {
        let message = "STOPSIGNAL requires exactly one argument";
        return Err(error("missing-argument", message, node.keyword.span));
    };
    super::warn_ignored_flags(node, warnings);
    Ok(Kind::StopSignal(word.clone()))
}

/// EXPOSE, the words in the order of the file (BuildKit sorts them).
pub(super) fn expose(node: &Node) -> Result<Kind, Error> {
    if node.arguments.is_empty() {
        return Err(at_least_one(Keyword::Expose, node));
    }
    Flags::read(&node.flags, &[])?;
    Ok(Kind::Expose(node.arguments.clone()))
}

/// VOLUME in either form.
pub(super) fn volume(node: &Node) -> Result<Kind, Error> {
    if node.arguments.is_empty() {
        return Err(at_least_one(Keyword::Volume, node));
    }
    Flags::read(&node.flags, &[])?;
    let mut volumes = Vec::with_capacity(node.arguments.len());
    for word in &node.arguments {
        let text = word.text.trim();
        if text.is_empty() {
            return Err(error("empty-volume", "VOLUME specified can not be an empty string", word.span));
        }
        volumes.push(Word { text: text.to_owned(), span: word.span });
    }
    Ok(Kind::Volume(volumes))
}

/// FROM.
pub(super) fn from(node: &Node) -> Result<Kind, Error> {
    let (image, name) = match node.arguments.as_slice() {
        [image] => (image, None),
        [image, keyword, name] if keyword.text.eq_ignore_ascii_case("as") => (image, Some(name)),
        _ => {
            let message = "FROM requires either one or three arguments";
            return Err(error("from-arguments", message, arguments_span(node)));
        }
    };
    if let Some(name) = name.filter(|name| !is_stage_name(&name.text)) {
        let message = format!(
            "invalid name for build stage: {:?}, name can't start with a number or contain symbols",
            name.text
        );
        return Err(error("stage-name", message, name.span));
    }
    let flags = Flags::read(&node.flags, &[("platform", Takes::Text)])?;
    Ok(Kind::From { platform: flags.text("platform"), image: image.clone(), name: name.cloned() })
}

/// Tells whether a name is `[a-z][a-z0-9-_.]*` in any case.
fn is_stage_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// ONBUILD.
pub(super) fn onbuild(node: &Node, warnings: &mut Vec<Diagnostic>) -> Result<Kind, Error> {
    let Some(nested) = &node.nested else { return Err(at_least_one(Keyword::Onbuild, node)) };
    Flags::read(&node.flags, &[])?;
    let trigger = &nested.keyword;
    match Keyword::parse(&trigger.text) {
        Some(Keyword::Onbuild) => {
            let message = "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed";
            return Err(error("onbuild-trigger", message, trigger.span));
        }
        Some(keyword @ (Keyword::Maintainer | Keyword::From)) => {
            let message = format!("{} isn't allowed as an ONBUILD trigger", keyword.name());
            return Err(error("onbuild-trigger", message, trigger.span));
        }
        _ => {}
    }
    let mut nested = nested.as_ref().clone();
    nested.heredocs.clone_from(&node.heredocs);
    nested.span.end = node.span.end;
    let instruction = match super::convert(nested, warnings) {
        Ok(instruction) => Some(Box::new(instruction)),
        Err(diagnostic) => {
            warnings.push(Diagnostic { severity: Severity::Warning, ..*diagnostic });
            None
        }
    };
    Ok(Kind::Onbuild { text: trigger_text(node), instruction })
}

/// Joins the nested instruction and its here-documents as the config stores them.
fn trigger_text(node: &Node) -> String {
    let line = node.original.trim_start();
    let mut text = line[node.keyword.text.len()..].trim_start().to_owned();
    for heredoc in &node.heredocs {
        text.push('\n');
        text.push_str(&heredoc.raw_body);
        text.push_str(&heredoc.name);
    }
    text
}
