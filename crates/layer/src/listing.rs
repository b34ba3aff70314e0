//! The state of a tar that is being listed: what it has said so far.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::{Meaning, clean, is_overlay_xattr, meaning};
use crate::path::{ancestors, compare_paths, file_name, join, parent};
use crate::read::{Listing, Rules, Sink};
use crate::resolve::{Found, resolve};
use crate::settle::implied_directory;
use crate::tar::Header;
use crate::{Entry, Error, Index, Kind};

/// The kernel's limits: `XATTR_NAME_MAX`, `XATTR_SIZE_MAX`, and `PATH_MAX` less its NUL.
const MAX_XATTR_NAME: usize = 255;
const MAX_XATTR_VALUE: usize = 65536;
const MAX_LINK: usize = 4095;

/// How often hard links of one tar may be pointed elsewhere because their file was replaced. Sane tars never do it.
const MAX_RELINKED: usize = 1 << 20;

pub(crate) struct Lister {
    rules: Rules,
    /// By plain bytes, where all below `a` lies between `a/` and `a0`.
    entries: BTreeMap<Vec<u8>, Entry>,
    implied: BTreeSet<Vec<u8>>,
    /// Files by the hard links that name them; entries that are gone since may be among the links.
    links: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    /// The directory of the last entry as it was written, and where it is.
    last_parent: Option<(Vec<u8>, Vec<u8>)>,
    relinked: usize,
}

impl Lister {
    pub fn new(rules: Rules) -> Lister {
        Lister {
            rules,
            entries: BTreeMap::new(),
            implied: BTreeSet::new(),
            links: BTreeMap::new(),
            last_parent: None,
            relinked: 0,
        }
    }

    /// Turns a header into an entry, at its real path, with all in its way gone; `None` where it stands for no entry.
    /// The caller hands the entry back to [`Lister::insert`].
    pub fn entry(&mut self, header: Header, sink: &mut dyn Sink) -> Result<Option<Entry>, Error> {
        let path = clean(&header.name)?;
        let path = match self.rules {
            Rules::Archive if path.is_empty() => return Ok(None),
            Rules::Archive => path,
            Rules::Layer => match meaning(path)? {
                Meaning::Path(path) => path,
                Meaning::Ignored => return Ok(None),
                Meaning::Whiteout(path) => return self.whiteout(path, sink),
                Meaning::Opaque(path) => return self.opaque(path, sink).map(|()| None),
            },
        };
        let mut entry = Entry::new(self.place(path, sink)?, Kind::Fifo);
        entry.mode = header.mode;
        (entry.uid, entry.gid, entry.mtime) = (header.uid, header.gid, header.mtime);
        check_xattrs(&entry.path, &header.xattrs)?;
        entry.kind = self.kind(&entry.path, &header)?;
        if matches!(entry.kind, Kind::Symlink { .. }) {
            // Linux gives every symbolic link these bits, whatever the tar says.
            entry.mode = 0o777;
        }
        entry.xattrs = header.xattrs;
        if entry.path.is_empty() && !entry.is_directory() {
            return Err(Error::entry(&entry.path, "is the root, but no directory"));
        }
        self.make_way(&mut entry, sink)?;
        Ok(Some(entry))
    }

    /// Takes in an entry that [`Lister::entry`] made.
    pub fn insert(&mut self, entry: Entry) {
        self.implied.remove(&entry.path);
        if let Kind::Hardlink { target } = &entry.kind
            && let Some(file) = self.entries.get_mut(target)
        {
            // One inode has one set of attributes, and docker applies each header as it comes.
            (file.mode, file.uid, file.gid, file.mtime) = (entry.mode, entry.uid, entry.gid, entry.mtime);
            self.links.entry(target.clone()).or_default().push(entry.path.clone());
        }
        self.entries.insert(entry.path.clone(), entry);
    }

    /// Returns what was listed.
    pub fn finish(mut self) -> Listing {
        for (file, links) in std::mem::take(&mut self.links) {
            let mut names: Vec<Vec<u8>> = links.into_iter().filter(|link| self.names(link, &file)).collect();
            names.push(file.clone());
            names.sort_by(|a, b| compare_paths(a, b));
            names.dedup();
            self.unite(&file, names);
        }
        let index = Index::from_entries(self.entries.into_values().collect());
        Listing { index, implied: self.implied.into_iter().collect() }
    }

    /// Makes the first of `names`, all of one file, the file and the others links to it, all with its attributes. So a
    /// tar in the order of paths never links to what comes later.
    fn unite(&mut self, file: &[u8], names: Vec<Vec<u8>>) {
        let Some(file) = self.entries.get(file).cloned() else { return };
        let Some((first, others)) = names.split_first() else { return };
        for name in others {
            let kind = Kind::Hardlink { target: first.clone() };
            self.entries.insert(name.clone(), Entry { path: name.clone(), kind, ..file.clone() });
        }
        self.entries.insert(first.clone(), Entry { path: first.clone(), ..file });
    }

    fn kind(&self, path: &[u8], header: &Header) -> Result<Kind, Error> {
        let (major, minor) = header.device;
        Ok(match header.type_flag {
            b'0' | b'7' => Kind::File { size: header.size, digest: None },
            b'1' => Kind::Hardlink { target: self.link_target(path, &header.link)? },
            b'2' if header.link.is_empty() || header.link.len() > MAX_LINK || header.link.contains(&0) => {
                return Err(Error::entry(path, "is a symbolic link with an impossible target"));
            }
            b'2' => Kind::Symlink { target: header.link.clone() },
            b'3' if header.device == (0, 0) => {
                return Err(Error::entry(path, "is device 0/0, overlayfs's mark for deleted files"));
            }
            b'3' => Kind::CharacterDevice { major, minor },
            b'4' => Kind::BlockDevice { major, minor },
            b'5' => Kind::Directory { opaque: false },
            b'6' => Kind::Fifo,
            flag => return Err(Error::entry(path, format!("has the unknown type {:?}", char::from(flag)))),
        })
    }

    /// Returns the file that a hard link names: where symbolic links of this tar lead, and never another hard link.
    fn link_target(&self, path: &[u8], link: &[u8]) -> Result<Vec<u8>, Error> {
        let target = clean(link)?;
        let directory = parent(&target).ok_or_else(|| Error::entry(path, "is a hard link to the root"))?;
        let target = join(&self.follow(directory)?, file_name(&target));
        if target == path {
            return Err(Error::entry(path, "is a hard link to itself"));
        }
        match self.entries.get(&target).map(|entry| &entry.kind) {
            Some(Kind::Hardlink { target }) if target == path => {
                Err(Error::entry(path, "is a hard link to itself"))
            }
            Some(Kind::Hardlink { target }) => Ok(target.clone()),
            Some(Kind::Directory { .. }) => Err(Error::entry(path, "is a hard link to a directory")),
            Some(Kind::Whiteout) => Err(Error::entry(path, "is a hard link to a deleted file")),
            _ => Ok(target),
        }
    }

    fn whiteout(&mut self, path: Vec<u8>, sink: &mut dyn Sink) -> Result<Option<Entry>, Error> {
        let path = self.place(path, sink)?;
        // A whiteout hides lower layers only. What this layer itself has there replaces them anyway, but a directory
        // would merge.
        match self.entries.get(&path).map(|entry| &entry.kind) {
            Some(Kind::Directory { .. }) => {}
            None if self.implied.contains(&path) => {}
            Some(_) => return Ok(None),
            None => return Ok(Some(Entry::whiteout(path))),
        }
        self.opaque(path, sink).map(|()| None)
    }

    /// Marks a directory that came before, or is made now, as opaque.
    fn opaque(&mut self, path: Vec<u8>, sink: &mut dyn Sink) -> Result<(), Error> {
        if path.is_empty() {
            return Err(Error::entry(&path, "hides the whole image below it, which is not supported"));
        }
        let path = self.follow(&path)?;
        self.ensure_directory(&path, sink)?;
        sink.make_opaque(&path)?;
        let entry = self.entries.entry(path.clone()).or_insert_with(|| implied_directory(&path));
        entry.kind = Kind::Directory { opaque: true };
        Ok(())
    }

    /// Returns the real path of `path`, whose directories then exist.
    fn place(&mut self, path: Vec<u8>, sink: &mut dyn Sink) -> Result<Vec<u8>, Error> {
        let Some(directory) = parent(&path) else { return Ok(path) };
        if let Some((written, real)) = &self.last_parent
            && written == directory
        {
            return Ok(if written == real { path } else { join(real, file_name(&path)) });
        }
        let real = self.follow(directory)?;
        self.ensure_directory(&real, sink)?;
        let placed = join(&real, file_name(&path));
        self.last_parent = Some((directory.to_vec(), real));
        Ok(placed)
    }

    /// Resolves the symbolic links of this tar in the path of a directory.
    fn follow(&self, directory: &[u8]) -> Result<Vec<u8>, Error> {
        let lookup = |path: &[u8]| match self.entries.get(path).map(|entry| &entry.kind) {
            Some(Kind::Directory { .. }) => Found::Directory,
            Some(Kind::Symlink { target }) => Found::Link(target),
            Some(Kind::Whiteout) | None => Found::Missing,
            Some(_) => Found::Other,
        };
        resolve(directory, true, lookup)
            .map_err(|error| Error::entry(directory, format!("cannot be reached: {error}")))
    }

    fn ensure_directory(&mut self, path: &[u8], sink: &mut dyn Sink) -> Result<(), Error> {
        for path in ancestors(path).chain([path]) {
            if path.is_empty() || self.implied.contains(path) {
                continue;
            }
            match self.entries.get(path).map(|entry| &entry.kind) {
                Some(Kind::Directory { .. }) => {}
                None => {
                    sink.imply(path)?;
                    self.implied.insert(path.to_vec());
                }
                // Deleted below and made anew here.
                Some(Kind::Whiteout) => {
                    self.remove(path, sink)?;
                    sink.imply(path)?;
                    self.implied.insert(path.to_vec());
                    self.opaque(path.to_vec(), sink)?;
                }
                Some(_) => return Err(Error::entry(path, "is used as a directory, but is none")),
            }
        }
        Ok(())
    }

    /// Removes what an entry replaces; a directory merges with one that is there.
    fn make_way(&mut self, entry: &mut Entry, sink: &mut dyn Sink) -> Result<(), Error> {
        let implied = self.implied.contains(&entry.path);
        let old = self.entries.get(&entry.path).map(|entry| &entry.kind);
        let opaque = match (old, &entry.kind) {
            (None, Kind::Directory { .. }) => return Ok(()),
            (None, _) if !implied => return Ok(()),
            (Some(Kind::Directory { opaque }), Kind::Directory { .. }) => {
                entry.kind = Kind::Directory { opaque: *opaque };
                return Ok(());
            }
            (Some(Kind::Whiteout), Kind::Directory { .. }) => true,
            _ => false,
        };
        self.remove(&entry.path, sink)?;
        if opaque {
            entry.kind = Kind::Directory { opaque };
        }
        Ok(())
    }

    fn remove(&mut self, path: &[u8], sink: &mut dyn Sink) -> Result<(), Error> {
        sink.remove(path)?;
        self.last_parent = None;
        let (start, end) = ([path, b"/"].concat(), [path, b"0"].concat());
        let mut gone: Vec<Entry> = self.entries.remove(path).into_iter().collect();
        if gone.first().is_none_or(Entry::is_directory) {
            let below: Vec<Vec<u8>> =
                self.entries.range(start.clone()..end.clone()).map(|(path, _)| path.clone()).collect();
            gone.extend(below.iter().filter_map(|path| self.entries.remove(path)));
            let below: Vec<Vec<u8>> = self.implied.range(start..end).cloned().collect();
            for path in &below {
                self.implied.remove(path);
            }
        }
        self.implied.remove(path);
        gone.into_iter().for_each(|entry| self.hand_on(entry));
        match self.relinked > MAX_RELINKED {
            true => Err(Error::Limit { what: "hard links to replaced files", limit: MAX_RELINKED as u64 }),
            false => Ok(()),
        }
    }

    /// Gives the content of a file that is gone to the first of its links that is left.
    fn hand_on(&mut self, file: Entry) {
        let links = self.links.remove(&file.path).unwrap_or_default();
        let mut links =
            links.into_iter().filter(|link| self.names(link, &file.path)).collect::<Vec<_>>().into_iter();
        let Some(heir) = links.next() else { return };
        self.entries.insert(heir.clone(), Entry { path: heir.clone(), ..file });
        let links: Vec<Vec<u8>> = links.collect();
        self.relinked += 1 + links.len();
        for link in &links {
            if let Some(entry) = self.entries.get_mut(link) {
                entry.kind = Kind::Hardlink { target: heir.clone() };
            }
        }
        self.links.insert(heir, links);
    }

    /// Returns whether `link` still is a hard link to `file`.
    fn names(&self, link: &[u8], file: &[u8]) -> bool {
        matches!(self.entries.get(link).map(|entry| &entry.kind), Some(Kind::Hardlink { target }) if target == file)
    }
}

fn check_xattrs(path: &[u8], xattrs: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Error> {
    for (name, value) in xattrs {
        if is_overlay_xattr(name) {
            return Err(Error::entry(path, format!("has the attribute {}", String::from_utf8_lossy(name))));
        }
        if name.is_empty()
            || name.len() > MAX_XATTR_NAME
            || name.contains(&0)
            || value.len() > MAX_XATTR_VALUE
        {
            return Err(Error::entry(path, "has an impossible extended attribute"));
        }
    }
    Ok(())
}
