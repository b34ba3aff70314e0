//! COPY and ADD.

use std::collections::HashMap;

use super::{Error, error, flags::Flags, flags::Takes};
use crate::{
    Add, Copy, Heredoc, HeredocWord, Kind, MAX_BYTES, Source, Transfer, Word, keyword::Keyword, nodes::Node,
};

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
        sources: self::sources(node, sources)?,
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

/// Finds the bodies of the sources that are here-documents. Of several with one name the last body counts for each, and
/// one without body (in the JSON form) is an empty file: both as in BuildKit.
fn sources(node: &Node, words: &[Word]) -> Result<Vec<Source>, Error> {
    let bodies: HashMap<&str, &Heredoc> =
        node.heredocs.iter().map(|heredoc| (heredoc.name.as_str(), heredoc)).collect();
    let mut total = 0;
    let mut sources = Vec::with_capacity(words.len());
    for word in words {
        let Some(heredoc) = heredoc_word(word) else {
            sources.push(Source::Path(word.clone()));
            continue;
        };
        let body = bodies.get(heredoc.name.as_str());
        total += body.map_or(0, |body| body.raw_body.len());
        if total > MAX_BYTES {
            let message = format!("the here-documents are larger than {MAX_BYTES} bytes");
            return Err(error("too-large", message, word.span));
        }
        sources.push(Source::Heredoc(with_body(heredoc, body.copied(), word)));
    }
    Ok(sources)
}

fn with_body(heredoc: HeredocWord, found: Option<&Heredoc>, word: &Word) -> Heredoc {
    let raw_body = found.map_or(String::new(), |found| found.raw_body.clone());
    Heredoc {
        name: heredoc.name,
        file_descriptor: heredoc.file_descriptor,
        expand: heredoc.expand,
        chomp: heredoc.chomp,
        body: if heredoc.chomp { crate::chomp_heredoc(&raw_body) } else { raw_body.clone() },
        raw_body,
        span: found.map_or(word.span, |found| found.span),
    }
}
