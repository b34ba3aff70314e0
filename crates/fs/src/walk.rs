//! Walking a tree, with open directories only: in the order of sorted paths, or on all cores.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use crate::descent::Descent;
use crate::{Dir, DirEntry, Error, FileKind, Metadata};

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

/// How many names of one directory a thread visits in a row: other threads take the rest.
const NAMES: usize = 512;

/// What a walk on several threads still has to do.
struct Queue<E> {
    /// Names of directories that are open. They go first, so that few are.
    names: Vec<Names>,
    /// Paths of directories.
    directories: Vec<Vec<u8>>,
    /// How many threads are in a directory, and may find more.
    busy: usize,
    failure: Option<E>,
}

/// Some names of a directory, in a row.
struct Names {
    directory: Arc<Directory>,
    range: Range<usize>,
}

struct Directory {
    path: Vec<u8>,
    dir: Dir,
    entries: Vec<DirEntry>,
}

/// What [`walk_on_threads`] does with what it is at: whether to go into it. What it makes of it goes into the first
/// argument.
pub type Visit<'a, T, E> = dyn Fn(&mut T, &Visited<'_>) -> Result<Flow, E> + Sync + 'a;

/// What was made of a directory; of a large one, of some of its names in a row.
#[derive(Debug)]
pub struct Part<T> {
    /// The path of the directory below the root.
    pub directory: Vec<u8>,
    /// How many names of the directory come before.
    pub start: usize,
    /// What was made.
    pub made: T,
}

/// Calls `visit` as [`walk`] does, but from `threads` threads, and directories in no particular order.
///
/// Names of one directory that are visited in a row, sorted bytewise, share what `visit` makes. The parts are sorted by
/// directory, bytewise; where a directory is cut does not depend on the threads.
///
/// What vanishes during the walk is left out: the tree may be somebody's who works on it.
pub fn walk_on_threads<T: Default + Send, E: From<Error> + Send>(
    root: &Dir,
    threads: usize,
    visit: &Visit<'_, T, E>,
) -> Result<Vec<Part<T>>, E> {
    let queue = Queue { names: Vec::new(), directories: vec![Vec::new()], busy: 0, failure: None };
    let queue = Mutex::new(queue);
    let changed = Condvar::new();
    let lock = || queue.lock().unwrap_or_else(PoisonError::into_inner);
    // Returns the next names to visit. The first of a directory that is opened here are the caller's.
    let open = |path: Vec<u8>| -> Result<Option<Names>, E> {
        let Some(directory) = open_directory(root, path)?.map(Arc::new) else { return Ok(None) };
        let count = directory.entries.len();
        let part =
            |start: usize| Names { directory: directory.clone(), range: start..count.min(start + NAMES) };
        if count > NAMES {
            lock().names.extend((NAMES..count).step_by(NAMES).map(part));
            changed.notify_all();
        }
        Ok(Some(part(0)))
    };
    let work = || {
        let mut parts = Vec::new();
        let mut queue = lock();
        loop {
            if queue.failure.is_some() {
                return parts;
            }
            let names = queue.names.pop();
            let path = if names.is_none() { queue.directories.pop() } else { None };
            if names.is_none() && path.is_none() {
                if queue.busy == 0 {
                    return parts;
                }
                queue = changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.busy += 1;
            drop(queue);
            let names = path.map_or(Ok(names), &open);
            let result = names.and_then(|names| match names {
                Some(names) => visit_names(&names, visit, &mut parts),
                None => Ok(Vec::new()),
            });
            queue = lock();
            queue.busy -= 1;
            match result {
                Ok(directories) => queue.directories.extend(directories),
                Err(error) => queue.failure = Some(error),
            }
            changed.notify_all();
        }
    };
    let mut parts = thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut parts = work();
        for helper in helpers {
            parts.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        parts
    });
    parts.sort_unstable_by(|a: &Part<T>, b| (&a.directory, a.start).cmp(&(&b.directory, b.start)));
    match queue.into_inner().unwrap_or_else(PoisonError::into_inner).failure {
        Some(error) => Err(error),
        None => Ok(parts),
    }
}

/// Opens and reads a directory, unless it is gone.
fn open_directory(root: &Dir, path: Vec<u8>) -> Result<Option<Directory>, Error> {
    // By path, not by descriptor: a wide tree has more directories than a process may have open.
    let dir = match root.open_deep_dir(&path) {
        Err(error) if error.is_not_found() => return Ok(None),
        dir => dir?,
    };
    let entries = dir.first_entries()?;
    Ok(Some(Directory { path, dir, entries }))
}

/// Visits names of one directory and returns the directories to go into.
fn visit_names<T: Default, E: From<Error>>(
    names: &Names,
    visit: &Visit<'_, T, E>,
    parts: &mut Vec<Part<T>>,
) -> Result<Vec<Vec<u8>>, E> {
    let Directory { path, dir, entries } = &*names.directory;
    let mut part = Part { directory: path.clone(), start: names.range.start, made: T::default() };
    let mut directories = Vec::new();
    let mut below = path.clone();
    if !path.is_empty() {
        below.push(b'/');
    }
    let length = below.len();
    for entry in &entries[names.range.clone()] {
        let Some(metadata) = dir.find(&entry.name)? else { continue };
        below.truncate(length);
        below.extend_from_slice(&entry.name);
        let kind = metadata.kind;
        let flow = visit(&mut part.made, &Visited { path: &below, dir, name: &entry.name, metadata })?;
        if kind == FileKind::Directory && flow == Flow::Descend {
            directories.push(below.clone());
        }
    }
    parts.push(part);
    Ok(directories)
}
