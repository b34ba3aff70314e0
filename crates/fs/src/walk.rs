//! Walking a tree, with open directories only: in the order of sorted paths, or on all cores.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use crate::descent::Descent;
use crate::{Dir, Error, FileKind, Metadata};

/// What a walk is at.
#[derive(Debug)]
pub struct Visited<'a> {
    /// The path below the root, without leading slash.
    pub path: &'a [u8],
    /// The directory it is in.
    pub dir: &'a Dir,
    /// Its name there.
    pub name: &'a [u8],
    /// Its attributes.
    pub metadata: Metadata,
}

/// Whether a walk goes into the directory that it visited. Of no meaning for anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go into it.
    Descend,
    /// Leave out what is in it.
    Skip,
}

/// Calls `visit` for all that is in `root`, but not for `root` itself: a directory before what is in it, names sorted
/// bytewise. Symbolic links are visited, not followed; other file systems mounted below are walked as well.
///
/// What vanishes during the walk is an error: the trees we walk are ours.
pub fn walk<E: From<Error>>(
    root: &Dir,
    mut visit: impl FnMut(&Visited<'_>) -> Result<Flow, E>,
) -> Result<(), E> {
    let mut descent = Descent::new(root.try_clone()?)?;
    let mut path: Vec<u8> = Vec::new();
    loop {
        let Some((entry, dir, length)) = descent.next() else {
            if !descent.pop()? {
                return Ok(());
            }
            continue;
        };
        path.truncate(length);
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&entry.name);
        let metadata = dir.metadata(&entry.name)?;
        let kind = metadata.kind;
        let flow = visit(&Visited { path: &path, dir, name: &entry.name, metadata })?;
        if kind == FileKind::Directory && flow == Flow::Descend {
            let child = dir.open_dir(&entry.name)?;
            descent.push(child, path.len())?;
        }
    }
}

/// What a walk on several threads still has to do.
struct Queue<E> {
    /// Paths of directories.
    directories: Vec<Vec<u8>>,
    /// How many threads are in a directory, and may find more.
    busy: usize,
    failure: Option<E>,
}

/// What [`walk_on_threads`] does with what it is at: whether to go into it, and what to make of it.
pub type Visit<'a, T, E> = dyn Fn(&Visited<'_>) -> Result<(Flow, Option<T>), E> + Sync + 'a;

/// Calls `visit` as [`walk`] does, but from `threads` threads and in no particular order, and returns what it made.
///
/// What vanishes during the walk is left out: the tree may be somebody's who works on it.
pub fn walk_on_threads<T: Send, E: From<Error> + Send>(
    root: &Dir,
    threads: usize,
    visit: &Visit<'_, T, E>,
) -> Result<Vec<T>, E> {
    let queue = Mutex::new(Queue { directories: vec![Vec::new()], busy: 0, failure: None });
    let changed = Condvar::new();
    let lock = || queue.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        let mut made = Vec::new();
        let mut queue = lock();
        loop {
            if queue.failure.is_some() {
                return made;
            }
            let Some(path) = queue.directories.pop() else {
                if queue.busy == 0 {
                    return made;
                }
                queue = changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.busy += 1;
            drop(queue);
            let result = visit_directory(root, &path, visit, &mut made);
            queue = lock();
            queue.busy -= 1;
            match result {
                Ok(directories) => queue.directories.extend(directories),
                Err(error) => queue.failure = Some(error),
            }
            changed.notify_all();
        }
    };
    let made = thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut made = work();
        for helper in helpers {
            made.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        made
    });
    match queue.into_inner().unwrap_or_else(PoisonError::into_inner).failure {
        Some(error) => Err(error),
        None => Ok(made),
    }
}

/// Visits what is in one directory and returns the directories to go into.
fn visit_directory<T, E: From<Error>>(
    root: &Dir,
    path: &[u8],
    visit: &Visit<'_, T, E>,
    made: &mut Vec<T>,
) -> Result<Vec<Vec<u8>>, E> {
    // By path, not by descriptor: a wide tree has more directories than a process may have open.
    let dir = match open_deep(root, path) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        dir => dir?,
    };
    let mut directories = Vec::new();
    let mut below = path.to_vec();
    if !path.is_empty() {
        below.push(b'/');
    }
    let length = below.len();
    for entry in dir.entries()? {
        let Some(metadata) = dir.find(&entry.name)? else { continue };
        below.truncate(length);
        below.extend_from_slice(&entry.name);
        let kind = metadata.kind;
        let (flow, thing) = visit(&Visited { path: &below, dir: &dir, name: &entry.name, metadata })?;
        made.extend(thing);
        if kind == FileKind::Directory && flow == Flow::Descend {
            directories.push(below.clone());
        }
    }
    Ok(directories)
}

/// Opens a directory whose path may be longer than the kernel takes at once.
fn open_deep(root: &Dir, path: &[u8]) -> Result<Dir, Error> {
    /// Below PATH_MAX, which is 4096 with the terminating zero.
    const LENGTH: usize = 4000;
    if path.len() <= LENGTH {
        return root.open_dir(path);
    }
    let mut dir = root.try_clone()?;
    let mut rest = path;
    while rest.len() > LENGTH {
        let Some(slash) = rest[..LENGTH].iter().rposition(|byte| *byte == b'/') else { break };
        dir = dir.open_dir(&rest[..slash])?;
        rest = &rest[slash + 1..];
    }
    dir.open_dir(rest)
}
