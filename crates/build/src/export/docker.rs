//! Writing docker archives: what `docker save` writes since version 25, an OCI layout with the documents of the older
//! form (moby's `image/spec`) beside it.

use std::collections::BTreeMap;

use jettison_image::Reference;
use serde::Serialize;

use super::Context;
use super::archive::{ArchiveWriter, blob_name};
use super::error::Result;
use super::layout::{INDEX, LAYOUT, LAYOUT_VERSION, index};
use super::place::Place;
use super::prepare::Prepared;

/// An entry of `manifest.json`.
#[derive(Serialize)]
struct Entry {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags")]
    repo_tags: Option<Vec<String>>,
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

/// Writes images as an archive for `docker load`, `podman load` and all that read either form.
pub fn write_docker_archive(images: &[Prepared<'_>], place: Place<'_>, context: Context<'_>) -> Result<()> {
    place.fill(|out| {
        let mut archive = ArchiveWriter::new(out);
        archive.folders()?;
        images.iter().try_for_each(|image| archive.blobs(image, context))?;
        archive.document(INDEX, &index(images).bytes)?;
        archive.document("manifest.json", &manifest(images))?;
        archive.document(LAYOUT, LAYOUT_VERSION)?;
        let repositories = repositories(images);
        if !repositories.is_empty() {
            archive.document("repositories", &json(&repositories))?;
        }
        archive.finish()
    })
}

fn manifest(images: &[Prepared<'_>]) -> Vec<u8> {
    let entry = |image: &Prepared<'_>| Entry {
        config: blob_name(&image.config_descriptor.digest),
        repo_tags: Some(tags(image).map(Reference::familiar).collect::<Vec<_>>())
            .filter(|tags| !tags.is_empty()),
        layers: image.layers.iter().map(|layer| blob_name(&layer.descriptor.digest)).collect(),
    };
    json(&images.iter().map(entry).collect::<Vec<_>>())
}

/// Makes the document of the oldest form: repository, tag, top layer. Docker still writes it.
fn repositories(images: &[Prepared<'_>]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for image in images {
        let Some(top) = image.layers.last() else { continue };
        for name in tags(image) {
            let tags = repositories.entry(name.familiar_name()).or_default();
            tags.insert(name.tag().unwrap_or_default().to_owned(), top.descriptor.digest.hex());
        }
    }
    repositories
}

/// Returns the names with a tag: the form knows no others.
fn tags<'a>(image: &'a Prepared<'_>) -> impl Iterator<Item = &'a Reference> {
    image.names.iter().filter(|name| name.tag().is_some())
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain structs with string keys: serialising to memory has nothing that can fail.
    serde_json::to_vec(value).expect("documents are plain data")
}
