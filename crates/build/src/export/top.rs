//! What a name stands for: the manifest of an image, or the index over those of several platforms.

use jettison_image::{Descriptor, Index, RawManifest, Reference};

use super::prepare::Prepared;

/// Returns the manifest of one image, or the index over several: the same image for different platforms.
pub fn top(images: &[Prepared<'_>]) -> RawManifest {
    match images {
        [image] => image.manifest.clone(),
        _ => Index::oci(images.iter().map(descriptor).collect()).to_raw(),
    }
}

/// Makes the descriptor of an image's manifest, which says what the image runs on.
pub(super) fn descriptor(image: &Prepared<'_>) -> Descriptor {
    Descriptor { platform: Some(image.platform.clone()), ..image.manifest.descriptor() }
}

/// Returns the names, which images of one index share.
pub(super) fn names<'a>(images: &'a [Prepared<'_>]) -> &'a [Reference] {
    images.first().map(|image| image.names.as_slice()).unwrap_or_default()
}
