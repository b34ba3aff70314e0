//! What a name stands for: the manifest of an image, or the index over those of several platforms.

use jettison_image::{Descriptor, Index, RawManifest, Reference};

use super::annotations::Annotations;
use super::prepare::Prepared;

/// Returns the manifest of one image, or the index over several: the same image for different platforms.
pub fn top(images: &[Prepared<'_>]) -> RawManifest {
    match images {
        [image] => image.manifest.clone(),
        _ => {
            let annotations = annotations(images).index;
            Index { annotations, ..Index::oci(images.iter().map(descriptor).collect()) }.to_raw()
        }
    }
}

/// Makes the descriptor of an image's manifest, which says what the image runs on.
pub(super) fn descriptor(image: &Prepared<'_>) -> Descriptor {
    Descriptor {
        platform: Some(image.platform.clone()),
        annotations: image.annotations.manifest_descriptor.clone(),
        ..image.manifest.descriptor()
    }
}

/// Makes the descriptor of what a name stands for.
pub(super) fn top_descriptor(images: &[Prepared<'_>], top: &RawManifest) -> Descriptor {
    match images {
        [image] => descriptor(image),
        _ => Descriptor { annotations: annotations(images).index_descriptor, ..top.descriptor() },
    }
}

/// Returns the annotations, of which those of the index are in each image.
fn annotations(images: &[Prepared<'_>]) -> Annotations {
    images.first().map(|image| image.annotations.clone()).unwrap_or_default()
}

/// Returns the names, which images of one index share.
pub(super) fn names<'a>(images: &'a [Prepared<'_>]) -> &'a [Reference] {
    images.first().map(|image| image.names.as_slice()).unwrap_or_default()
}
