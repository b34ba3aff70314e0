//! Removing images, as `docker rmi` does.

use std::collections::BTreeSet;

use jettison_image::{Digest, Reference};

use crate::Store;
use crate::error::{Error, Result};
use crate::object::Object;
use crate::tag::TaggedImage;

/// One thing that removing an image did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone: the reference as docker shows it.
    Untagged(String),
    /// An image is gone.
    Deleted(Digest),
}

impl Store {
    /// Removes what `text` means: a name, and with its last name the image; or, by ID, an image with all its names.
    ///
    /// By ID, an image that several repositories name is refused unless `force`. Layers and blobs that nothing needs any
    /// more go too; those of the build cache stay.
    pub fn remove(&self, text: &str, force: bool) -> Result<Vec<Removed>> {
        let resolved = self.resolve(text)?;
        let tags = self.tags()?;
        let (victims, images) = match resolved.name {
            Some((reference, _)) => {
                let victims = named(&tags, &reference);
                let images: BTreeSet<Digest> = victims.iter().map(|tag| tag.entry.image).collect();
                (victims, images)
            }
            None => {
                let id = resolved.image.config;
                let victims: Vec<_> = tags.iter().filter(|tag| tag.entry.image == id).cloned().collect();
                refuse_several_repositories(&id, &victims, force)?;
                (victims, BTreeSet::from([id]))
            }
        };
        let mut removed = Vec::new();
        for reference in victims.iter().map(|tag| &tag.reference).collect::<BTreeSet<_>>() {
            if self.untag(reference)? {
                removed.push(Removed::Untagged(reference.familiar()));
            }
        }
        let left = self.tags()?;
        removed.extend(forgotten_digests(&victims, &left));
        for image in images {
            if !left.iter().any(|tag| tag.entry.image == image) {
                self.inner.discard(&Object::Image(image), &self.inner.gate.discard()?)?;
                removed.push(Removed::Deleted(image));
            }
        }
        self.collect()?;
        Ok(removed)
    }
}

/// Returns the tags that `reference` means. One by digest means all of its repository that came with that digest.
fn named(tags: &[TaggedImage], reference: &Reference) -> Vec<TaggedImage> {
    let same_repository = |tag: &&TaggedImage| {
        (tag.reference.registry(), tag.reference.repository())
            == (reference.registry(), reference.repository())
    };
    let meant = |tag: &&TaggedImage| match reference.digest() {
        None => tag.reference.digest().is_none() && tag.reference.tag() == reference.tag(),
        digest => [tag.reference.digest(), tag.entry.repo_digest, tag.entry.manifest].contains(&digest),
    };
    tags.iter().filter(same_repository).filter(meant).cloned().collect()
}

fn refuse_several_repositories(id: &Digest, tags: &[TaggedImage], force: bool) -> Result<()> {
    let repositories: BTreeSet<String> = tags.iter().map(|tag| tag.reference.familiar_name()).collect();
    if force || repositories.len() < 2 {
        return Ok(());
    }
    Err(Error::StillTagged {
        id: id.short(),
        names: tags.iter().map(|tag| tag.reference.familiar()).collect(),
    })
}

/// Returns the `name@digest` forms that no tag stands for any more; docker lists them as untagged too.
fn forgotten_digests(victims: &[TaggedImage], left: &[TaggedImage]) -> Vec<Removed> {
    let digest_name = |tag: &TaggedImage| {
        tag.reference.digest().is_none().then_some(())?;
        Some(tag.reference.with_digest(tag.entry.repo_digest?).familiar())
    };
    let left: BTreeSet<String> = left.iter().filter_map(digest_name).collect();
    let gone: BTreeSet<String> = victims.iter().filter_map(digest_name).collect();
    gone.difference(&left).cloned().map(Removed::Untagged).collect()
}
