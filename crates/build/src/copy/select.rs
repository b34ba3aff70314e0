//! Which files a source of COPY means.

use jettison_dockerfile::glob;
use jettison_layer::{Tree, file_name, join, parent};

/// One thing to copy: a file, or a directory with what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its path in the source tree, symbolic links resolved.
    pub(crate) path: Vec<u8>,
    /// Its name at the destination, if the destination is a directory.
    pub(crate) name: Vec<u8>,
    /// With `--parents`: the directories that are kept above it.
    pub(crate) parents: Vec<u8>,
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
    /// Symbolic links that lead in a circle, or too far.
    #[error("\"/{0}\": too many levels of symbolic links")]
    Links(String),
}

/// Finds what `source` means in `tree`. A pattern may mean nothing at all; a plain path must be there.
pub(crate) fn select(tree: &Tree, source: &str, parents: bool) -> Result<Vec<Item>, SelectError> {
    let (pivot, source) = match source.split_once("/./") {
        Some((before, after)) if parents => (before.len() + 1, format!("{before}/{after}")),
        _ => (0, source.to_owned()),
    };
    let components: Vec<&[u8]> =
        source.split('/').filter(|part| !part.is_empty()).map(str::as_bytes).collect();
    let literal = components.iter().take_while(|part| !is_pattern(part, parents)).count();
    let mut found = Vec::new();
    if literal == components.len() {
        found.push(join_all(&components));
    } else {
        let start = resolve(tree, &join_all(&components[..literal]), true, &source)?;
        let mut walk = Walk { tree, source: &source, deep: parents, found: &mut found };
        if start.is_empty() || tree.get(&start).is_some() {
            walk.descend(&start, &components[literal..])?;
        }
    }
    found
        .into_iter()
        .map(|path| {
            let name = file_name(&path).to_vec();
            let resolved = resolve(tree, &path, true, &source)?;
            // The root is always there, whether or not a layer lists it.
            if !resolved.is_empty() && tree.get(&resolved).is_none() {
                return Err(SelectError::NotFound(source.clone()));
            }
            let kept = if parents {
                parent(&path).and_then(|above| above.get(pivot..)).unwrap_or_default().to_vec()
            } else {
                Vec::new()
            };
            Ok(Item { path: resolved, name, parents: kept })
        })
        .collect()
}

struct Walk<'a> {
    tree: &'a Tree,
    source: &'a str,
    /// Whether `**` stands for any number of directories.
    deep: bool,
    found: &'a mut Vec<Vec<u8>>,
}

impl Walk<'_> {
    /// Matches `patterns` below `directory`. Links are followed only where a match ends.
    fn descend(&mut self, directory: &[u8], patterns: &[&[u8]]) -> Result<(), SelectError> {
        let Some((pattern, rest)) = patterns.split_first() else { return Ok(()) };
        if self.deep && *pattern == b"**" {
            return self.descend_deep(directory, rest);
        }
        for name in names(self.tree, directory) {
            let matches =
                glob::matches(pattern, &name).map_err(|_| SelectError::Pattern(self.source.to_owned()))?;
            if !matches {
                continue;
            }
            let path = join(directory, &name);
            if rest.is_empty() {
                self.found.push(path);
            } else if is_directory(self.tree, &path) {
                self.descend(&path, rest)?;
            }
        }
        Ok(())
    }

    /// `**` at `directory`: none, one or more directories, then the rest.
    fn descend_deep(&mut self, directory: &[u8], rest: &[&[u8]]) -> Result<(), SelectError> {
        if rest.is_empty() {
            self.found.extend(names(self.tree, directory).iter().map(|name| join(directory, name)));
            return Ok(());
        }
        self.descend(directory, rest)?;
        for name in names(self.tree, directory) {
            let path = join(directory, &name);
            if is_directory(self.tree, &path) {
                self.descend_deep(&path, rest)?;
            }
        }
        Ok(())
    }
}

fn names(tree: &Tree, directory: &[u8]) -> Vec<Vec<u8>> {
    tree.children(directory).map(|node| file_name(&node.entry.path).to_vec()).collect()
}

fn is_directory(tree: &Tree, path: &[u8]) -> bool {
    tree.get(path).is_some_and(|node| node.entry.is_directory())
}

/// Tells whether a component is a pattern; where `deep`, `**` is one of its own kind.
fn is_pattern(component: &[u8], deep: bool) -> bool {
    glob::has_wildcards(component) || deep && component == b"**"
}

fn resolve(tree: &Tree, path: &[u8], follow_last: bool, source: &str) -> Result<Vec<u8>, SelectError> {
    tree.resolve(path, follow_last).map_err(|_| SelectError::Links(source.to_owned()))
}

fn join_all(components: &[&[u8]]) -> Vec<u8> {
    components.join(&b'/')
}
