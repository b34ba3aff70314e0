//! Which files a source of COPY means.

use std::sync::Arc;

use jettison_dockerfile::glob;
use jettison_dockerfile::ignore::PatternError;
use jettison_layer::{Tree, file_name, join};
use jettison_plan::CopySource;

use super::Filter;

/// One thing to copy: a file, or what is in a directory.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Its path in the source tree, symbolic links resolved.
    pub(crate) path: Vec<u8>,
    /// Its name at the destination, if it is a file and the destination is a directory.
    pub(crate) name: Vec<u8>,
    /// What is taken, if it is a directory.
    pub(crate) filter: Arc<Filter>,
}

/// A source that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectError {
    /// The path is not there.
    #[error("\"/{0}\": not found")]
    NotFound(String),
    /// The pattern cannot be understood.
    #[error("syntax error in pattern \"{0}\"")]
    Pattern(String),
    /// The pattern of `--parents` or `--exclude` cannot be understood.
    #[error(transparent)]
    Filter(#[from] PatternError),
    /// Symbolic links that lead in a circle, or too far.
    #[error("\"/{0}\": too many levels of symbolic links")]
    Links(String),
}

/// Finds what `source` means in `tree`. A pattern may mean nothing at all; a plain path must be there.
pub(crate) fn select(tree: &Tree, source: &CopySource, exclude: &[String]) -> Result<Vec<Item>, SelectError> {
    let filter = Arc::new(Filter::new(source.include.as_deref(), exclude)?);
    require(tree, source)?;
    matches(tree, &source.path)?
        .into_iter()
        .map(|path| {
            let name = file_name(&path).to_vec();
            let resolved = resolve(tree, &path, true)?;
            if !exists(tree, &resolved) {
                return Err(SelectError::NotFound(source.path.clone()));
            }
            Ok(Item { path: resolved, name, filter: filter.clone() })
        })
        .collect()
}

/// With `--parents`, a path without any wildcard must be there. It is not followed if it is a link.
fn require(tree: &Tree, source: &CopySource) -> Result<(), SelectError> {
    let Some(include) = &source.include else { return Ok(()) };
    if glob::has_wildcards(&source.path) || glob::has_wildcards(include) {
        return Ok(());
    }
    let path = join(source.path.as_bytes(), include.as_bytes());
    if exists(tree, &resolve(tree, &path, false)?) {
        return Ok(());
    }
    Err(SelectError::NotFound(String::from_utf8_lossy(&path).into_owned()))
}

/// Returns the paths that a pattern matches; of a plain path, itself.
fn matches(tree: &Tree, source: &str) -> Result<Vec<Vec<u8>>, SelectError> {
    let components: Vec<&[u8]> =
        source.split('/').filter(|part| !part.is_empty()).map(str::as_bytes).collect();
    let literal = components.iter().take_while(|part| !glob::has_wildcards(part)).count();
    if literal == components.len() {
        return Ok(vec![components.join(&b'/')]);
    }
    let start = resolve(tree, &components[..literal].join(&b'/'), true)?;
    let mut found = Vec::new();
    descend(tree, &start, &components[literal..], &mut found)
        .map_err(|_| SelectError::Pattern(source.to_owned()))?;
    Ok(found)
}

/// Matches `patterns` below `directory`. Links are followed only where a match ends.
fn descend(
    tree: &Tree,
    directory: &[u8],
    patterns: &[&[u8]],
    found: &mut Vec<Vec<u8>>,
) -> Result<(), glob::BadPattern> {
    let Some((pattern, rest)) = patterns.split_first() else { return Ok(()) };
    for node in tree.children(directory) {
        if !glob::matches(pattern, file_name(&node.entry.path))? {
            continue;
        }
        if rest.is_empty() {
            found.push(node.entry.path.clone());
        } else if node.entry.is_directory() {
            descend(tree, &node.entry.path, rest, found)?;
        }
    }
    Ok(())
}

/// The root is always there, whether or not a layer lists it.
fn exists(tree: &Tree, path: &[u8]) -> bool {
    path.is_empty() || tree.get(path).is_some()
}

fn resolve(tree: &Tree, path: &[u8], follow_last: bool) -> Result<Vec<u8>, SelectError> {
    tree.resolve(path, follow_last)
        .map_err(|_| SelectError::Links(String::from_utf8_lossy(path).into_owned()))
}
