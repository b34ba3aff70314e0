//! `--annotation`. buildx: `util/buildflags/export.go`, `ParseAnnotations`.

use jettison_ops::{Annotation, AnnotationPlace};

use super::platforms;
use crate::failure::Failure;

/// Reads annotations: `[PLACE[PLATFORM],…:]KEY=VALUE`, where the place is the manifest unless one is named.
pub fn annotations(texts: &[String]) -> Result<Vec<Annotation>, Failure> {
    let mut annotations = Vec::new();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        let bad = |why: &str| Failure::usage(format!("--annotation \"{text}\": {why}"));
        let (key, value) = text.split_once('=').ok_or_else(|| bad("expected KEY=VALUE"))?;
        let (places, key) = key.split_once(':').unwrap_or(("manifest", key));
        if key.is_empty() {
            return Err(bad("expected KEY=VALUE"));
        }
        for place in places.split(',') {
            let (place, platform) = match place.split_once('[') {
                None => (place, None),
                Some((place, platform)) => {
                    let platform =
                        platform.strip_suffix(']').ok_or_else(|| bad("a bracket is not closed"))?;
                    (place, platforms(&[platform.to_owned()])?.pop())
                }
            };
            let place = place_of(place).ok_or_else(|| {
                bad(&format!("unknown annotation type \"{place}\""))
                    .help("types are manifest, manifest-descriptor, index and index-descriptor")
            })?;
            let of_index = matches!(place, AnnotationPlace::Index | AnnotationPlace::IndexDescriptor);
            if of_index && platform.is_some() {
                return Err(bad("an index is for all platforms"));
            }
            annotations.push(Annotation { place, platform, key: key.to_owned(), value: value.to_owned() });
        }
    }
    Ok(annotations)
}

fn place_of(name: &str) -> Option<AnnotationPlace> {
    Some(match name {
        "manifest" => AnnotationPlace::Manifest,
        "manifest-descriptor" => AnnotationPlace::ManifestDescriptor,
        "index" => AnnotationPlace::Index,
        "index-descriptor" => AnnotationPlace::IndexDescriptor,
        _ => return None,
    })
}
