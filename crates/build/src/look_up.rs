//! The config of a base image without a build: what checks of a Dockerfile want to know.

use std::collections::BTreeMap;

use jettison_image::{Config, Platform, Reference};
use jettison_plan::{ImageSource, context_key};

use crate::base::Images;
use crate::{Environment, Error, NamedContext};

/// Returns the config of what a FROM names, after expansion; asks its registry if the store does not know it. None for
/// a named context that holds files, or nothing.
pub fn base_config(
    name: &str,
    platform: &Platform,
    contexts: &BTreeMap<String, NamedContext>,
    pull: bool,
    environment: &Environment<'_>,
) -> Result<Option<Config>, Error> {
    let key = context_key(name);
    let source = match contexts.get(&key) {
        Some(NamedContext::Image(_) | NamedContext::Layout { .. }) => ImageSource::Context(key),
        Some(_) => return Ok(None),
        None => {
            let refused = |error: jettison_image::ReferenceError| Error::Image {
                image: name.to_owned(),
                why: error.to_string(),
            };
            ImageSource::Reference(Reference::parse(name).map_err(refused)?)
        }
    };
    let Environment { store, client, cancel, .. } = environment;
    let images = Images { store, client, contexts, pull, cancel };
    images.resolve(&source, platform).map(|image| Some(image.config))
}
