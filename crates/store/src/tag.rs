//! Tags: the names of images.

use std::fs::{self, File};
use std::path::Path;

use jettison_image::{Digest, Platform, Reference};
use serde::{Deserialize, Serialize};

use crate::Store;
use crate::error::{Context, Result};
use crate::files::{self, Durability};
use crate::image::ImageRecord;

/// What a name stands for, on one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagEntry {
    /// The image.
    pub image: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// The digest of its manifest as pulled or pushed.
    pub manifest: Option<Digest>,
    /// The digest that the registry gives for the name: that of the index, or of the manifest where there is none.
    pub repo_digest: Option<Digest>,
    /// The digest of the index over images of several platforms that were built here together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
}

/// A name with what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedImage {
    /// The name, with either a tag or a digest.
    pub reference: Reference,
    /// What it stands for.
    pub entry: TagEntry,
}

impl Store {
    /// Gives an image of the store a name, which another may have had. Durable when it returns.
    ///
    /// Images of other platforms keep the name if they came with the same index (`repo_digest`) or were built together
    /// (`index`).
    pub fn tag(&self, reference: &Reference, entry: &TagEntry) -> Result<()> {
        let path = self.inner.layout.tag(reference);
        let old = self.entries(&path)?;
        let mut entries = vec![entry.clone()];
        let same = |old: Option<Digest>, new: Option<Digest>| old.is_some() && old == new;
        let same_index =
            |old: &TagEntry| same(old.repo_digest, entry.repo_digest) || same(old.index, entry.index);
        entries.extend(old.iter().filter(|old| same_index(old) && old.platform != entry.platform).cloned());
        self.sync()?;
        if entries == old {
            return Ok(());
        }
        let folder = self.inner.layout.repository(reference);
        files::make_folder(&folder)?;
        // Plain structs with string keys: serialising to memory has nothing that can fail.
        let bytes = serde_json::to_vec(&entries).expect("tags are plain data");
        files::replace(&self.inner.temporary()?, &path, &bytes, Durability::Now)?;
        File::open(&folder).and_then(|folder| folder.sync_all()).context("write", &folder)
    }

    /// Takes a name away; true if there was one. The image stays.
    pub fn untag(&self, reference: &Reference) -> Result<bool> {
        let path = self.inner.layout.tag(reference);
        let was_there = files::is_there(&path)?;
        files::remove_file(&path)?;
        // Empty folders go; that they are not empty is the usual case.
        let folder = self.inner.layout.repository(reference);
        let _ = fs::remove_dir(&folder);
        let _ = folder.parent().map(fs::remove_dir);
        Ok(was_there)
    }

    /// Returns all names, sorted. Those whose image is gone are left out.
    pub fn tags(&self) -> Result<Vec<TaggedImage>> {
        let layout = &self.inner.layout;
        let mut tags = Vec::new();
        for registry in files::names(&layout.tags())? {
            for repository in files::names(&layout.tags().join(&registry))? {
                let folder = layout.tags().join(&registry).join(&repository);
                for name in files::names(&folder)? {
                    let separator = if name.contains(':') { '@' } else { ':' };
                    let text = format!("{registry}/{}{separator}{name}", repository.replace('+', "/"));
                    // The store writes only names that parse.
                    let Ok(reference) = Reference::parse(&text) else { continue };
                    let entries = self.entries(&folder.join(&name))?.into_iter();
                    tags.extend(entries.map(|entry| TaggedImage { reference: reference.clone(), entry }));
                }
            }
        }
        Ok(tags)
    }

    /// Looks up a name and returns what it stands for: on `platform` if one is given, else what was named last.
    ///
    /// A name by digest also finds an image that was pulled by tag under that digest.
    pub fn find(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
    ) -> Result<Option<(TagEntry, ImageRecord)>> {
        let layout = &self.inner.layout;
        let mut entries = self.entries(&layout.tag(reference))?;
        if let Some(digest) = reference.digest()
            && entries.is_empty()
        {
            let folder = layout.repository(reference);
            for name in files::names(&folder)? {
                entries.extend(self.entries(&folder.join(name))?);
            }
            entries.retain(|entry| entry.repo_digest == Some(digest) || entry.manifest == Some(digest));
        }
        entries.retain(|entry| platform.is_none_or(|platform| platform.rank(&entry.platform).is_some()));
        if let Some(platform) = platform {
            entries.sort_by_key(|entry| platform.rank(&entry.platform));
        }
        for entry in entries {
            if let Some(image) = self.image(&entry.image)? {
                return Ok(Some((entry, image)));
            }
        }
        Ok(None)
    }

    /// Returns all that a name stands for: one image, or several that were built together for different platforms. What
    /// was named last comes first.
    pub fn find_all(&self, reference: &Reference) -> Result<Vec<(TagEntry, ImageRecord)>> {
        let Some((first, image)) = self.find(reference, None)? else { return Ok(Vec::new()) };
        let mut found = vec![(first.clone(), image)];
        if first.index.is_some() {
            for entry in self.entries(&self.inner.layout.tag(reference))? {
                if entry.index == first.index
                    && entry.platform != first.platform
                    && let Some(image) = self.image(&entry.image)?
                {
                    found.push((entry, image));
                }
            }
        }
        Ok(found)
    }

    /// Reads a tag's file: what was named last comes first. A damaged file holds nothing.
    fn entries(&self, path: &Path) -> Result<Vec<TagEntry>> {
        let bytes = files::read_if_there(path, files::MAX_DOCUMENT)?.unwrap_or_default();
        let mut entries: Vec<TagEntry> = serde_json::from_slice(&bytes).unwrap_or_default();
        let mut there = Vec::new();
        for entry in entries.drain(..) {
            if files::is_there(&self.inner.layout.image(&entry.image))? {
                there.push(entry);
            }
        }
        Ok(there)
    }
}
