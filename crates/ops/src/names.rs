//! `tag` and `rmi`: names come and go.

use jettison_image::Reference;
use jettison_store::{Removed, Store, TagEntry};

use crate::Error;

/// Gives the image `source` the name `target` too.
pub fn tag(store: &Store, source: &str, target: &Reference) -> Result<(), Error> {
    let resolved = store.resolve(source)?;
    let image = resolved.image;
    // A digest belongs to a repository: under another name the registry may know another, or none.
    let known =
        resolved.name.filter(|(reference, _)| same_repository(reference, target)).map(|(_, entry)| entry);
    let entry = TagEntry {
        image: image.config,
        platform: image.platform.clone(),
        manifest: image.manifest.as_ref().map(|manifest| manifest.digest),
        repo_digest: known.and_then(|entry| entry.repo_digest),
    };
    Ok(store.tag(target, &entry)?)
}

fn same_repository(a: &Reference, b: &Reference) -> bool {
    (a.registry(), a.repository()) == (b.registry(), b.repository())
}

/// Removes images, all that can be: what was removed, and why others were not.
///
/// With `force`, an image that is not there is no error.
pub fn remove(store: &Store, images: &[String], force: bool) -> (Vec<Removed>, Vec<Error>) {
    let (mut removed, mut errors) = (Vec::new(), Vec::new());
    for image in images {
        match store.remove(image, force) {
            Ok(done) => removed.extend(done),
            Err(jettison_store::Error::NoSuchImage(_)) if force => {}
            Err(error) => errors.push(error.into()),
        }
    }
    (removed, errors)
}
