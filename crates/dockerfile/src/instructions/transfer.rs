//! COPY and ADD.

use super::{Error, error, flags::Flags, flags::Takes};
use crate::{Add, Copy, Heredoc, HeredocWord, Kind, Source, Transfer, Word, keyword::Keyword, nodes::Node};

/// COPY.
pub(super) fn copy(node: &Node) -> Result<Kind, Error> {
    let (sources, destination) = split(node, Keyword::Copy)?;
    let flags = Flags::read(
        &node.flags,
        &[
            ("chmod", Takes::Text),
            ("chown", Takes::Text),
            ("exclude", Takes::Texts),
            ("from", Takes::Text),
            ("link", Takes::Bool),
            ("parents", Takes::Bool),
        ],
    )?;
    Ok(Kind::Copy(Copy {
        from: flags.text("from"),
        parents: flags.bool("parents") == Some(true),
        transfer: transfer(node, Keyword::Copy, &flags, sources, destination)?,
    }))
}

/// ADD.
pub(super) fn add(node: &Node) -> Result<Kind, Error> {
    let (sources, destination) = split(node, Keyword::Add)?;
    let flags = Flags::read(
        &node.flags,
        &[
            ("checksum", Takes::Text),
            ("chmod", Takes::Text),
            ("chown", Takes::Text),
            ("exclude", Takes::Texts),
            ("keep-git-dir", Takes::Bool),
            ("link", Takes::Bool),
            ("unpack", Takes::Bool),
        ],
    )?;
    Ok(Kind::Add(Add {
        keep_git_dir: flags.bool("keep-git-dir"),
        checksum: flags.text("checksum"),
        unpack: flags.bool("unpack"),
        transfer: transfer(node, Keyword::Add, &flags, sources, destination)?,
    }))
}

fn split(node: &Node, keyword: Keyword) -> Result<(&[Word], &Word), Error> {
    match node.arguments.split_last() {
        Some((destination, sources)) if !sources.is_empty() => Ok((sources, destination)),
        last => {
            let message = format!(
                "{} requires at least two arguments, but only one was provided. Destination could not be determined",
                keyword.name()
            );
            let span = last.map_or(node.keyword.span, |(word, _)| word.span);
            Err(error("missing-argument", message, span))
        }
    }
}

fn transfer(
    node: &Node,
    keyword: Keyword,
    flags: &Flags,
    sources: &[Word],
    destination: &Word,
) -> Result<Transfer, Error> {
    if heredoc_word(destination).is_some() {
        let message = format!("{} cannot accept a heredoc as a destination", keyword.name());
        return Err(error("heredoc-destination", message, destination.span));
    }
    Ok(Transfer {
        sources: sources.iter().map(|word| source(node, word)).collect(),
        destination: destination.clone(),
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.bool("link") == Some(true),
        exclude: flags.texts("exclude"),
    })
}

fn heredoc_word(word: &Word) -> Option<HeredocWord> {
    HeredocWord::parse(&word.text).ok().flatten()
}

/// Finds the body of a source that is a here-document. Of several with one name the last body counts, and one without
/// body (in the JSON form) is an empty file: both as in BuildKit.
fn source(node: &Node, word: &Word) -> Source {
    let Some(heredoc) = heredoc_word(word) else { return Source::Path(word.clone()) };
    let found = node.heredocs.iter().rfind(|candidate| candidate.name == heredoc.name);
    let (body, raw_body, span) = match found {
        Some(found) if heredoc.chomp => {
            (crate::chomp_heredoc(&found.raw_body), found.raw_body.clone(), found.span)
        }
        Some(found) => (found.raw_body.clone(), found.raw_body.clone(), found.span),
        None => (String::new(), String::new(), word.span),
    };
    Source::Heredoc(Heredoc {
        name: heredoc.name,
        file_descriptor: heredoc.file_descriptor,
        expand: heredoc.expand,
        chomp: heredoc.chomp,
        body,
        raw_body,
        span,
    })
}
