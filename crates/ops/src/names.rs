//! `tag` and `rmi`: names come and go.

use jettison_image::Reference;
use jettison_store::{Removed, Store, TagEntry};

use crate::Error;

/// Gives the image `source` the name `target` too; of several platforms, all of them.
pub fn tag(store: &Store, source: &str, target: &Reference) -> Result<(), Error> {
    let resolved = store.resolve(source)?;
    let Some((name, _)) = resolved.name else {
        let image = resolved.image;
        let entry = TagEntry {
            image: image.config,
            platform: image.platform.clone(),
            manifest: image.manifest.as_ref().map(|manifest| manifest.digest),
            repo_digest: None,
            index: None,
        };
        return Ok(store.tag(target, &entry)?);
    };
    // What is named last comes first.
    for (known, image) in store.find_all(&name)?.into_iter().rev() {
        // A digest belongs to a repository: under another name the registry may know another, or none.
        let repo_digest = known.repo_digest.filter(|_| same_repository(&name, target));
        let manifest = image.manifest.as_ref().map(|manifest| manifest.digest);
        store.tag(target, &TagEntry { manifest, repo_digest, ..known })?;
    }
    Ok(())
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
