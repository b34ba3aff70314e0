//! Annotations of the command line and of outputs: what may stand where, and what an image gets.

use jettison_build::export::Annotations;
use jettison_image::Platform;

use super::outputs::pushes;
use crate::Error;
use crate::settings::{Annotation, AnnotationPlace, BuildSettings, Output, OutputKind};

/// Refuses, before anything is built, annotations that would be in nothing that comes out.
pub(super) fn refuse_lost(settings: &BuildSettings) -> Result<(), Error> {
    let platforms = match settings.platforms.as_slice() {
        [] => vec![Platform::host()],
        platforms => platforms.to_vec(),
    };
    for annotation in &settings.annotations {
        let held = annotation.place == AnnotationPlace::Manifest || settings.outputs.iter().any(holds);
        check(annotation, &platforms, held)?;
    }
    for output in &settings.outputs {
        let has_manifest = output.kind == OutputKind::Image || holds(output);
        for annotation in &output.annotations {
            let of_manifest = annotation.place == AnnotationPlace::Manifest;
            check(annotation, &platforms, if of_manifest { has_manifest } else { holds(output) })?;
        }
    }
    Ok(())
}

/// Refuses an annotation of what is not built, or that is not `held` by what is written.
fn check(annotation: &Annotation, platforms: &[Platform], held: bool) -> Result<(), Error> {
    let key = &annotation.key;
    let of_index = matches!(annotation.place, AnnotationPlace::Index | AnnotationPlace::IndexDescriptor);
    if of_index && platforms.len() < 2 {
        // BuildKit's message.
        return Err(Error::request("index annotations not supported for single platform export"));
    }
    if let Some(platform) = annotation.platform.as_ref().filter(|wanted| !platforms.contains(wanted)) {
        return Err(Error::request(format!("annotation {key}: {platform} is not built")));
    }
    if held {
        return Ok(());
    }
    Err(Error::request_with_help(
        format!("annotation {key}: no output has a place for it"),
        "indexes and descriptors are made for --push and --output type=oci; what stays here has its manifest alone, files have none",
    ))
}

/// Tells whether an output has indexes and descriptors; the store keeps manifests alone.
fn holds(output: &Output) -> bool {
    match output.kind {
        OutputKind::Oci | OutputKind::Docker => true,
        OutputKind::Registry | OutputKind::Image => pushes(output),
        OutputKind::Tar | OutputKind::Local | OutputKind::CacheOnly => false,
    }
}

/// Returns what the image for `platform` gets in an output that adds `own`; of one key the last text counts, and the
/// command line's before the output's.
pub(super) fn of(settings: &BuildSettings, own: &[Annotation], platform: &Platform) -> Annotations {
    let mut all = Annotations::default();
    for annotation in own.iter().chain(&settings.annotations) {
        if annotation.platform.as_ref().is_some_and(|wanted| wanted != platform) {
            continue;
        }
        let place = match annotation.place {
            AnnotationPlace::Manifest => &mut all.manifest,
            AnnotationPlace::ManifestDescriptor => &mut all.manifest_descriptor,
            AnnotationPlace::Index => &mut all.index,
            AnnotationPlace::IndexDescriptor => &mut all.index_descriptor,
        };
        place.insert(annotation.key.clone(), annotation.value.clone());
    }
    all
}
