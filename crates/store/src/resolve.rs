//! What a user calls an image: a name, an ID, or the beginning of an ID.

use jettison_image::{Digest, Reference};

use crate::Store;
use crate::error::{Error, Result};
use crate::files;
use crate::image::ImageRecord;
use crate::tag::TagEntry;

/// An image and how it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The image.
    pub image: ImageRecord,
    /// The name by which it was found, and what the store knows of that name; `None` for an ID.
    pub name: Option<(Reference, TagEntry)>,
}

impl Store {
    /// Finds the image that `text` means, as docker does: a whole ID, else a name, else the beginning of an ID.
    pub fn resolve(&self, text: &str) -> Result<Resolved> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if let Ok(config) = Digest::from_hex(hex) {
            let image = self.image(&config)?.ok_or_else(|| Error::NoSuchImage(text.to_owned()))?;
            return Ok(Resolved { image, name: None });
        }
        let reference = Reference::parse(text);
        if let Ok(reference) = &reference
            && let Some((entry, image)) = self.find(reference, None)?
        {
            return Ok(Resolved { image, name: Some((reference.clone(), entry)) });
        }
        match self.begins_with(hex)?.as_slice() {
            // What is neither a name nor part of an ID is most likely a mistyped name.
            [] if reference.is_err() && !is_hex(hex) => {
                Err(Error::Reference(reference.expect_err("it is an error")))
            }
            [] => Err(Error::NoSuchImage(text.to_owned())),
            [config] => {
                let image = self.image(config)?.ok_or_else(|| Error::NoSuchImage(text.to_owned()))?;
                Ok(Resolved { image, name: None })
            }
            several => Err(Error::Ambiguous {
                text: text.to_owned(),
                candidates: several.iter().map(Digest::short).collect(),
            }),
        }
    }

    /// Returns the images whose ID begins with `hex`.
    fn begins_with(&self, hex: &str) -> Result<Vec<Digest>> {
        if !is_hex(hex) {
            return Ok(Vec::new());
        }
        let names = files::names(&self.inner.layout.images())?;
        let ids = names.iter().filter_map(|name| name.strip_suffix(".json")).filter(|id| id.starts_with(hex));
        Ok(ids.filter_map(|id| Digest::from_hex(id).ok()).collect())
    }
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
