//! Following symbolic links inside a root, without a file system.

use crate::path::show;

/// How many links are followed before a path counts as a loop; containerd's `fs.RootPath` has the same.
const MAX_LINKS: usize = 255;

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Its links never end.
    #[error("{0} has too many symbolic links")]
    Loop(String),
    /// Something on the way is neither a directory nor a link to one.
    #[error("{0} is not a directory")]
    NotADirectory(String),
}

/// What is at a path that is free of links up to its last component.
pub(crate) enum Found<'a> {
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Link(&'a [u8]),
    /// Anything else.
    Other,
    /// Nothing.
    Missing,
}

/// Resolves `path` as a process whose root is `lookup`'s would: absolute links start at the root, `..` stops there.
/// The last component is only followed with `follow_last`. What does not exist is kept as it is written, `..` taken off.
pub(crate) fn resolve<'a>(
    path: &[u8],
    follow_last: bool,
    mut lookup: impl FnMut(&[u8]) -> Found<'a>,
) -> Result<Vec<u8>, ResolveError> {
    let mut resolved: Vec<u8> = Vec::with_capacity(path.len());
    // Components still to walk, the next one last.
    let mut pending: Vec<Vec<u8>> = Vec::new();
    push_components(&mut pending, path);
    let mut links = 0;
    while let Some(component) = pending.pop() {
        if component == b".." {
            let end = resolved.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            resolved.truncate(end);
            continue;
        }
        let parent = resolved.len();
        if parent > 0 {
            resolved.push(b'/');
        }
        resolved.extend_from_slice(&component);
        let last = pending.is_empty();
        match lookup(&resolved) {
            Found::Link(target) if follow_last || !last => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(ResolveError::Loop(show(path)));
                }
                resolved.truncate(if target.starts_with(b"/") { 0 } else { parent });
                push_components(&mut pending, target);
            }
            Found::Other if !last => return Err(ResolveError::NotADirectory(show(&resolved))),
            _ => {}
        }
    }
    Ok(resolved)
}

fn push_components(pending: &mut Vec<Vec<u8>>, path: &[u8]) {
    let real = |component: &&[u8]| !component.is_empty() && *component != b".";
    pending.extend(path.split(|byte| *byte == b'/').filter(real).rev().map(<[u8]>::to_vec));
}
