//! `--annotation`, and the annotations among the attributes of `--output`. buildx: `util/buildflags/export.go`,
//! `ParseAnnotations`; BuildKit: `exporter/containerimage/exptypes/annotations.go`, `ParseAnnotationKey`.

use jettison_image::Platform;
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
            let (place, platform) = place_of(place, &bad)?;
            annotations.push(Annotation { place, platform, key: key.to_owned(), value: value.to_owned() });
        }
    }
    Ok(annotations)
}

/// Reads an attribute of `--output` whose name is `annotation[-PLACE][[PLATFORM]].KEY`; `None` for other attributes.
pub fn of_output(name: &str, value: &str) -> Result<Option<Annotation>, Failure> {
    let bad = |why: &str| Failure::usage(format!("--output: {name}: {why}"));
    let Some(rest) = name.strip_prefix("annotation").filter(|rest| rest.starts_with(['-', '[', '.'])) else {
        return Ok(None);
    };
    // Platforms have dots only in versions, which no index of ours names.
    let (place, key) = rest.split_once('.').unwrap_or((rest, ""));
    if key.is_empty() {
        return Err(bad("expected annotation.KEY=VALUE"));
    }
    let place = match place.strip_prefix('-') {
        Some(place) => place.to_owned(),
        None => format!("manifest{place}"),
    };
    let (place, platform) = place_of(&place, &bad)?;
    Ok(Some(Annotation { place, platform, key: key.to_owned(), value: value.to_owned() }))
}

/// Reads `PLACE[PLATFORM]`.
fn place_of(
    text: &str,
    bad: &dyn Fn(&str) -> Failure,
) -> Result<(AnnotationPlace, Option<Platform>), Failure> {
    let (name, platform) = match text.split_once('[') {
        None => (text, None),
        Some((name, platform)) => {
            let platform = platform.strip_suffix(']').ok_or_else(|| bad("a bracket is not closed"))?;
            (name, platforms(&[platform.to_owned()])?.pop())
        }
    };
    let place = match name {
        "manifest" => AnnotationPlace::Manifest,
        "manifest-descriptor" => AnnotationPlace::ManifestDescriptor,
        "index" => AnnotationPlace::Index,
        "index-descriptor" => AnnotationPlace::IndexDescriptor,
        _ => {
            return Err(bad(&format!("unknown annotation type \"{name}\""))
                .help("types are manifest, manifest-descriptor, index and index-descriptor"));
        }
    };
    if matches!(place, AnnotationPlace::Index | AnnotationPlace::IndexDescriptor) && platform.is_some() {
        return Err(bad("an index is for all platforms"));
    }
    Ok((place, platform))
}
