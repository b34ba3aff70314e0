//! An image of the store, ready for something to run on it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jettison_registry::{Cancel, Client};
use jettison_sandbox::{Identity, User};
use jettison_store::{ImageRecord, Store};

use crate::base::Images;
use crate::layers::Layers;
use crate::sources::text_of;
use crate::users::Accounts;
use crate::{Error, UserError};

/// The directories of an image's layers, and its accounts.
pub struct UnpackedImage {
    /// For an overlay, lowest first.
    pub lower: Vec<PathBuf>,
    accounts: Accounts,
}

impl UnpackedImage {
    /// Resolves `user[:group]` as the image's `/etc/passwd` and `/etc/group` have it.
    pub fn user(&self, spec: &str) -> Result<User, UserError> {
        self.accounts.run_as(spec)
    }
}

/// Unpacks what is not yet unpacked of an image.
pub fn unpacked(
    store: &Store,
    identity: &Identity,
    client: &Client,
    cancel: &Cancel,
    image: &ImageRecord,
) -> Result<UnpackedImage, Error> {
    let contexts = BTreeMap::new();
    let images = Images { store, client, contexts: &contexts, pull: false, cancel };
    let layers = Layers::new(store, identity, &images, &|_, _| ());
    let snapshot = layers.of_image(&images.stored(image, None)?);
    let lower = layers.directories(&snapshot)?;
    let tree = layers.tree(&snapshot)?;
    let contents = layers.contents(&snapshot)?;
    let accounts = Accounts {
        passwd: text_of(&tree, &contents, b"etc/passwd")?,
        group: text_of(&tree, &contents, b"etc/group")?,
    };
    Ok(UnpackedImage { lower, accounts })
}
