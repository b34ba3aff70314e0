//! Fitting an unpacked layer onto the layers below it: the disk follows what [`settle`] says of the index.

use std::collections::{BTreeMap, BTreeSet};

use jettison_fs::Dir;

use crate::diff::root_entry;
use crate::disk::{DiskSink, Ownership, set_directory};
use crate::path::{ancestors, file_name, parent, show};
use crate::read::Sink;
use crate::resolve::Found;
use crate::settle::{Settled, settle};
use crate::{Entry, Error, Index, Kind, Tree, TreeContent, Unpacked};

/// Makes `target`, where `unpacked` is, ready to lie on a mounted overlay of `below`: directories that were implied get
/// the attributes of those below, what lay behind a lower layer's symbolic link moves to where it points, whiteouts of
/// nothing go, and hard links to files of lower layers get a copy of the file. `unpacked.index` is settled afterwards.
pub fn fix_up(
    target: &Dir,
    unpacked: &mut Unpacked,
    below: &Tree,
    content: &TreeContent,
    ownership: Ownership,
) -> Result<(), Error> {
    let mut settled = settle(&unpacked.index, below);
    let index = settled.index.take().unwrap_or_else(|| std::mem::take(&mut unpacked.index));
    let mut work = Work { target, below, ownership, index, touched: BTreeSet::new() };
    work.touch(&unpacked.implied, &settled);
    for path in &settled.dropped {
        work.parent_of(path)?.remove_tree(file_name(path))?;
    }
    let mut implied: BTreeSet<Vec<u8>> = unpacked.implied.drain(..).collect();
    work.move_all(&settled, &mut implied)?;
    work.copy_links(&unpacked.foreign_links, &settled, content)?;
    work.remove_stale(&implied)?;
    work.set_attributes(&implied)?;
    unpacked.index = work.index;
    unpacked.foreign_links.clear();
    Ok(())
}

struct Work<'a> {
    target: &'a Dir,
    below: &'a Tree,
    ownership: Ownership,
    /// Settled.
    index: Index,
    /// Listed directories whose time changes because something in them does.
    touched: BTreeSet<Vec<u8>>,
}

impl Work<'_> {
    /// Notes the listed directories that lose or get something.
    fn touch(&mut self, implied: &[Vec<u8>], settled: &Settled) {
        let moved = settled.moved.iter().flat_map(|(old, new)| [old, new]);
        for path in implied.iter().chain(&settled.dropped).chain(moved) {
            self.touched.insert(parent(path).unwrap_or_default().to_vec());
        }
    }

    fn move_all(&mut self, settled: &Settled, implied: &mut BTreeSet<Vec<u8>>) -> Result<(), Error> {
        for (from, to) in &settled.moved {
            for directory in ancestors(to) {
                self.ensure_directory(directory, implied)?;
            }
            if self.index.get(to).is_some_and(Entry::is_directory) {
                self.ensure_directory(to, implied)?;
                implied.insert(from.clone());
                self.touched.insert(to.clone());
                continue;
            }
            let (source, target) = (self.parent_of(from)?, self.parent_of(to)?);
            // Devices and foreign links are not on disk.
            if source.find(file_name(from))?.is_some() {
                target.remove_tree(file_name(to))?;
                source.rename(file_name(from), &target, file_name(to))?;
            }
        }
        Ok(())
    }

    fn ensure_directory(&self, path: &[u8], implied: &mut BTreeSet<Vec<u8>>) -> Result<(), Error> {
        if self.parent_of(path)?.find(file_name(path))?.is_none() {
            DiskSink::new(self.target, self.ownership).imply(path)?;
            implied.insert(path.to_vec());
        }
        Ok(())
    }

    /// Puts copies of lower layers' files where the layer links to them.
    fn copy_links(
        &mut self,
        links: &[(Vec<u8>, Vec<u8>)],
        settled: &Settled,
        content: &TreeContent,
    ) -> Result<(), Error> {
        let moved: BTreeMap<&[u8], &[u8]> =
            settled.moved.iter().map(|(old, new)| (old.as_slice(), new.as_slice())).collect();
        let mut copies: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for (link, _) in links {
            let path = moved.get(link.as_slice()).copied().unwrap_or(link);
            let Some(entry) = self.index.get(path) else { continue };
            let Kind::Hardlink { target } = &entry.kind else { continue };
            let mut sink = DiskSink::new(self.target, self.ownership);
            match copies.get(target) {
                Some(copy) => {
                    sink.make(&Entry { kind: Kind::Hardlink { target: copy.clone() }, ..entry.clone() })?
                }
                None => self.copy_link(&mut sink, entry, target, content)?,
            }
            copies.entry(target.clone()).or_insert_with(|| path.to_vec());
            self.touched.insert(parent(path).unwrap_or_default().to_vec());
        }
        Ok(())
    }

    fn copy_link(
        &self,
        sink: &mut DiskSink<'_>,
        link: &Entry,
        target: &[u8],
        content: &TreeContent,
    ) -> Result<(), Error> {
        let missing =
            || Error::entry(&link.path, format!("is a hard link to {}, which does not exist", show(target)));
        let node = self.below.get(target).ok_or_else(missing)?;
        let file = node.content().1;
        let entry = Entry { kind: file.kind.clone(), xattrs: file.xattrs.clone(), ..link.clone() };
        match &file.kind {
            Kind::Directory { .. } | Kind::Hardlink { .. } | Kind::Whiteout => Err(missing()),
            Kind::File { .. } => {
                let fail = |source| Error::content(target, source);
                match content.open_file(&node).map_err(fail)? {
                    Some(file) => sink.copy_file(&entry, &file),
                    None => sink.write_file(&entry, &mut content.open(&node).map_err(fail)?),
                }
            }
            _ => sink.make(&entry),
        }
    }

    /// Removes directories that stand where a lower layer has a link, now that they are empty.
    fn remove_stale(&self, implied: &BTreeSet<Vec<u8>>) -> Result<(), Error> {
        for path in implied.iter().rev() {
            let stays = self.index.get(path).is_some() || matches!(self.below.find(path), Found::Directory);
            if !stays {
                self.parent_of(path)?.remove_dir(file_name(path))?;
            }
        }
        Ok(())
    }

    /// Gives implied directories the attributes of those below, or of their new entries, and restores the times of the
    /// others.
    fn set_attributes(&mut self, implied: &BTreeSet<Vec<u8>>) -> Result<(), Error> {
        let touched: BTreeSet<&Vec<u8>> = implied.iter().chain(&self.touched).collect();
        for path in touched.into_iter().rev() {
            let lower = self.below.get(path).map(|node| node.entry).filter(|entry| entry.is_directory());
            let listed = self.index.position(path);
            if let (Some(position), Some(lower), true) = (listed, lower, implied.contains(path)) {
                // Implied and opaque: an entry without attributes of its own.
                let kind = self.index.entries[position].kind.clone();
                self.index.entries[position] = Entry { kind, ..lower.clone() };
            }
            let own = listed.and_then(|position| self.index.entries.get(position));
            let plain = lower.map(|lower| Entry { kind: Kind::Directory { opaque: false }, ..lower.clone() });
            if let Some(entry) = own.or(plain.as_ref()).filter(|entry| entry.is_directory()) {
                set_directory(&self.target.open_dir(path)?, entry, self.ownership)?;
            }
        }
        match self.index.get(b"") {
            Some(_) => Ok(()),
            None => set_directory(self.target, &root_entry(self.below), self.ownership),
        }
    }

    fn parent_of(&self, path: &[u8]) -> Result<Dir, Error> {
        Ok(self.target.open_dir(parent(path).unwrap_or_default())?)
    }
}
