//! What a walk of a build context finds: enough to tell whether anything is other than in an earlier build, and to make
//! the index where something is.

use std::ops::Range;
use std::path::Path;
use std::thread;
use std::vec;

use jettison_dockerfile::ignore::Patterns;
use jettison_fs::{Dir, FileKind, Flow, Part, Visited, walk_on_threads};
use jettison_image::{Digest, Digester};
use jettison_layer::{Timestamp, join};

use super::{ContextSource, Xattrs, portable_xattrs};
use crate::Error;
use crate::stat_cache::Stamp;

/// All of a context that is not ignored and that some instruction may want. No content was read.
pub(crate) struct Listing {
    /// What was listed.
    pub(super) source: ContextSource,
    /// Its directory, open.
    pub(super) dir: Dir,
    /// The digest of what was found, unless a file was changed so lately that its stamp may stay as it is when it is
    /// changed once more. Two listings of one name are of the same files: each has the stamp that it had.
    name: Option<Digest>,
    parts: Vec<Part<Names>>,
}

/// Names of one directory.
#[derive(Default)]
struct Names {
    /// One behind the other.
    names: Vec<u8>,
    items: Vec<Item>,
    digester: Digester,
    /// Whether a change of a file may not show.
    unsettled: bool,
}

/// What is at one path.
pub(super) struct Item {
    pub(super) stamp: Stamp,
    pub(super) what: What,
    /// Where its name ends.
    end: u32,
    pub(super) mode: u16,
    /// Whether it is a directory that is ignored, in which something may be that is not.
    ignored: bool,
    /// Whether it may have other names.
    pub(super) linked: bool,
}

/// What an item is. The stamp of a file promises content and attributes; of all else, what counts is here.
pub(super) enum What {
    File,
    Directory(Xattrs),
    Symlink(Vec<u8>),
    Socket,
    Fifo,
    CharacterDevice(u32, u32),
    BlockDevice(u32, u32),
}

impl Listing {
    /// Lists a context for a build that started at `started`. `wanted` are paths below which instructions look; an empty
    /// one is the whole context.
    pub(crate) fn read(
        source: &ContextSource,
        wanted: &[String],
        started: Timestamp,
    ) -> Result<Listing, Error> {
        let dir = Dir::open(&source.path)?;
        let wanted = without_links(&source.path, wanted);
        let lister = Lister { ignore: &source.ignore, wanted: &wanted, started };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let mut parts = walk_on_threads(&dir, threads, &|names, visited| lister.visit(names, visited))?;
        let name = name(&mut parts);
        Ok(Listing { source: source.clone(), dir, name, parts })
    }

    /// Returns the name of the files as they were listed.
    pub(crate) fn name(&self) -> Option<Digest> {
        self.name
    }

    /// Returns the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.source.path
    }

    /// Returns how many paths were found; some may be ignored directories in which nothing is.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.made.items.len()).sum()
    }

    /// Returns all that was found, in the order of paths.
    pub(super) fn into_items(self) -> Items {
        let root = Level { path: Vec::new(), item: None, parts: below(&self.parts, b""), ..Level::default() };
        Items { levels: vec![root], parts: self.parts, ready: Vec::new().into_iter() }
    }
}

/// Takes the digests of the parts together.
fn name(parts: &mut [Part<Names>]) -> Option<Digest> {
    let mut name = Digester::new();
    name.field(b"context v1");
    for Part { directory, made, .. } in parts {
        if made.unsettled {
            return None;
        }
        name.field(directory).field(std::mem::take(&mut made.digester).finish().as_bytes());
    }
    Some(name.finish())
}

/// Returns which parts are of a directory.
fn below(parts: &[Part<Names>], directory: &[u8]) -> Range<usize> {
    let start = parts.partition_point(|part| part.directory.as_slice() < directory);
    let count = parts[start..].partition_point(|part| part.directory == directory);
    start..start + count
}

/// The items of a listing with their paths, a directory before what is in it. An ignored directory counts only as the
/// parent of something that is not ignored.
pub(super) struct Items {
    parts: Vec<Part<Names>>,
    /// The directories from the root to where the walk is.
    levels: Vec<Level>,
    /// What comes next.
    ready: vec::IntoIter<(Vec<u8>, Item)>,
}

#[derive(Default)]
struct Level {
    path: Vec<u8>,
    /// The directory, if it is ignored and nothing in it was found yet that is not.
    item: Option<Item>,
    /// What follows behind these names.
    parts: Range<usize>,
    names: Vec<u8>,
    start: usize,
    items: vec::IntoIter<Item>,
}

impl Level {
    fn next(&mut self, parts: &mut [Part<Names>]) -> Option<(Vec<u8>, Item)> {
        loop {
            if let Some(item) = self.items.next() {
                let end = item.end as usize;
                let path = join(&self.path, &self.names[self.start..end]);
                self.start = end;
                return Some((path, item));
            }
            let Names { names, items, .. } = std::mem::take(&mut parts[self.parts.next()?].made);
            (self.names, self.start, self.items) = (names, 0, items.into_iter());
        }
    }
}

impl Iterator for Items {
    type Item = (Vec<u8>, Item);

    fn next(&mut self) -> Option<(Vec<u8>, Item)> {
        loop {
            if let Some(ready) = self.ready.next() {
                return Some(ready);
            }
            let Some((path, item)) = self.levels.last_mut()?.next(&mut self.parts) else {
                self.levels.pop();
                continue;
            };
            let directory = matches!(item.what, What::Directory(_));
            let level = directory.then(|| Level {
                path: path.clone(),
                parts: below(&self.parts, &path),
                ..Level::default()
            });
            if item.ignored {
                self.levels.extend(level.map(|level| Level { item: Some(item), ..level }));
                continue;
            }
            let above = self.levels.iter_mut();
            let mut ready: Vec<_> =
                above.filter_map(|level| Some((level.path.clone(), level.item.take()?))).collect();
            self.levels.extend(level);
            if ready.is_empty() {
                return Some((path, item));
            }
            ready.push((path, item));
            self.ready = ready.into_iter();
        }
    }
}

struct Lister<'a> {
    ignore: &'a Patterns,
    wanted: &'a [Vec<u8>],
    started: Timestamp,
}

impl Lister<'_> {
    fn visit(&self, names: &mut Names, visited: &Visited<'_>) -> Result<Flow, Error> {
        let path = visited.path;
        let on_the_way = |wanted: &Vec<u8>| is_within(path, wanted) || is_within(wanted, path);
        if !self.wanted.iter().any(on_the_way) {
            return Ok(Flow::Skip);
        }
        let ignored = self.ignore.matches_or_parent_matches(path);
        let directory = visited.metadata.kind == FileKind::Directory;
        // An ignored directory may still hold something that a later `!` pattern brings back.
        if ignored && !(directory && self.ignore.may_include_below(path)) {
            return Ok(Flow::Skip);
        }
        self.list(names, visited, ignored)?;
        Ok(Flow::Descend)
    }

    fn list(&self, names: &mut Names, visited: &Visited<'_>, ignored: bool) -> Result<(), Error> {
        let metadata = &visited.metadata;
        let stamp = Stamp::of(metadata);
        let what = match metadata.kind {
            FileKind::File => What::File,
            FileKind::Directory => What::Directory(portable_xattrs(visited.dir, visited.name)?),
            FileKind::Symlink => What::Symlink(visited.dir.read_link(visited.name)?),
            FileKind::Socket => What::Socket,
            FileKind::Fifo => What::Fifo,
            FileKind::CharacterDevice => What::CharacterDevice(metadata.rdev.0, metadata.rdev.1),
            FileKind::BlockDevice => What::BlockDevice(metadata.rdev.0, metadata.rdev.1),
        };
        names.names.extend_from_slice(visited.name);
        let item = Item {
            stamp,
            what,
            end: names.names.len() as u32,
            mode: metadata.mode as u16,
            ignored,
            linked: metadata.kind == FileKind::File && metadata.nlink > 1,
        };
        names.unsettled |= matches!(item.what, What::File) && !stamp.is_settled(self.started);
        names.digester.field(visited.name);
        item.digest(&mut names.digester);
        names.items.push(item);
        Ok(())
    }
}

impl Item {
    /// Adds all that an index says of it. Times of what is no file do not count, for those of directories change with
    /// what is ignored in them.
    fn digest(&self, digester: &mut Digester) {
        let head = |tag: u8| [tag, u8::from(self.ignored), self.mode as u8, (self.mode >> 8) as u8];
        let mut device = |tag: u8, numbers: [u32; 2]| {
            digester.update(&head(tag));
            digester.update(&numbers.map(u32::to_le_bytes).concat());
        };
        match &self.what {
            What::File => {
                digester.update(&head(b'f'));
                digester.update(&self.stamp.to_bytes());
            }
            What::Directory(xattrs) => {
                digester.update(&head(b'd'));
                digester.update(&(xattrs.len() as u64).to_le_bytes());
                for (name, value) in xattrs {
                    digester.field(name).field(value);
                }
            }
            What::Symlink(target) => {
                digester.update(&head(b'l'));
                digester.field(target);
            }
            What::Socket => digester.update(&head(b's')),
            What::Fifo => digester.update(&head(b'p')),
            What::CharacterDevice(major, minor) => device(b'c', [*major, *minor]),
            What::BlockDevice(major, minor) => device(b'b', [*major, *minor]),
        }
    }
}

/// Widens the wanted paths to the whole context where one leads through a symbolic link.
fn without_links(root: &Path, wanted: &[String]) -> Vec<Vec<u8>> {
    let linked = |path: &&String| {
        Path::new(path.as_str())
            .ancestors()
            .filter(|part| !part.as_os_str().is_empty())
            .any(|part| root.join(part).is_symlink())
    };
    if wanted.iter().any(|path| linked(&path)) {
        return vec![Vec::new()];
    }
    wanted.iter().map(|path| path.as_bytes().to_vec()).collect()
}

/// Tells whether `path` is `directory` or lies in it.
fn is_within(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty()
        || path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A directory that was made long before the build that lists it.
    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Folder {
            let folder = Folder(tempfile::tempdir().unwrap());
            for (path, content) in [("a", "1"), ("d/b", "2"), ("d/c.log", "3"), ("d/e/f", "4"), ("d-", "5")] {
                folder.write(path, content);
            }
            symlink("a", folder.path("l")).unwrap();
            folder
        }

        fn path(&self, path: &str) -> std::path::PathBuf {
            self.0.path().join(path)
        }

        fn write(&self, path: &str, content: &str) {
            fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
            fs::write(self.path(path), content).unwrap();
        }

        /// Lists it in a build that starts so many seconds from now.
        fn list_in(&self, seconds: i64, ignore: &str) -> Listing {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            let started = Timestamp { seconds: now.as_secs() as i64 + seconds, nanoseconds: 0 };
            let ignore = Patterns::parse(ignore.as_bytes()).unwrap();
            let source = ContextSource { path: self.0.path().to_owned(), ignore };
            Listing::read(&source, &[String::new()], started).unwrap()
        }

        fn name(&self) -> Digest {
            self.list_in(60, "**/*.log").name().unwrap()
        }
    }

    #[test]
    fn whatever_counts_changes_the_name() {
        let folder = Folder::new();
        let mut names = vec![folder.name()];
        assert_eq!(folder.name(), names[0]);
        let (path, at) =
            (|path| folder.path(path), fs::metadata(folder.path("a")).unwrap().modified().unwrap());
        let set_time = |path| fs::File::options().append(true).open(path).unwrap().set_modified(at).unwrap();
        set_time(path("a"));
        let changes: [&dyn Fn(); 8] = [
            &|| folder.write("d/e/f", "44"),
            &|| {
                // The same size and time, but another file.
                fs::write(path("new"), "9").unwrap();
                set_time(path("new"));
                fs::rename(path("new"), path("a")).unwrap();
            },
            &|| fs::set_permissions(path("d/b"), fs::Permissions::from_mode(0o600)).unwrap(),
            &|| fs::set_permissions(path("d"), fs::Permissions::from_mode(0o700)).unwrap(),
            &|| fs::rename(path("d/b"), path("d/bb")).unwrap(),
            &|| fs::remove_file(path("d-")).unwrap(),
            &|| {
                fs::remove_file(path("l")).unwrap();
                symlink("b", path("l")).unwrap();
            },
            &|| fs::create_dir(path("empty")).unwrap(),
        ];
        for change in changes {
            change();
            names.push(folder.name());
        }
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
    }

    #[test]
    fn what_is_ignored_does_not_change_the_name() {
        let folder = Folder::new();
        let name = folder.name();
        folder.write("d/c.log", "33");
        folder.write("d/new.log", "");
        assert_eq!(folder.name(), name);
    }

    #[test]
    fn files_that_may_still_change_unseen_have_no_name() {
        let folder = Folder::new();
        assert_eq!(folder.list_in(0, "").name(), None);
        assert!(folder.list_in(60, "").name().is_some());
    }

    #[test]
    fn items_are_in_order_and_ignored_directories_only_on_the_way() {
        let folder = Folder::new();
        let paths = |ignore| {
            let items = folder.list_in(0, ignore).into_items();
            items.map(|(path, _)| String::from_utf8(path).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(paths(""), ["a", "d", "d/b", "d/c.log", "d/e", "d/e/f", "d-", "l"]);
        assert_eq!(paths("d\n!d/e/f\n"), ["a", "d", "d/e", "d/e/f", "d-", "l"]);
        assert_eq!(paths("*\n!d/x/y\n!l\n"), ["l"]);
    }
}
