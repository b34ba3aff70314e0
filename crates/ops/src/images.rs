//! `images`: what the store has, one row a name.

use std::collections::BTreeMap;

use jettison_dockerfile::glob;
use jettison_image::{Config, Digest, Reference};
use jettison_store::{Store, TaggedImage};

use crate::Error;
use crate::inspect::size;
use crate::stored::Stored;

/// Which images are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImagesFilter {
    /// Patterns, of which one must match the repository, or repository and tag, as docker shows them.
    pub references: Vec<String>,
    /// Only images without a name, or only those with one.
    pub dangling: Option<bool>,
    /// Labels that must be there, with this value where one is given.
    pub labels: Vec<(String, Option<String>)>,
    /// Only images made before this one.
    pub before: Option<String>,
    /// Only images made after this one.
    pub since: Option<String>,
}

/// One line of `images`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRow {
    /// The image's ID.
    pub id: Digest,
    /// Its repository as docker shows it; `None` for an image without a name.
    pub repository: Option<String>,
    /// Its tag.
    pub tag: Option<String>,
    /// The digest that the registry gives for the name, if it came from one or went to one.
    pub digest: Option<Digest>,
    /// When it was made, RFC 3339, as its config says.
    pub created: Option<String>,
    /// The bytes of its unpacked layers; of layers that were never read, of their blobs.
    pub size: u64,
}

/// Lists images: the newest first, then by name.
pub fn images(store: &Store, filter: &ImagesFilter) -> Result<Vec<ImageRow>, Error> {
    let mut names: BTreeMap<Digest, Vec<TaggedImage>> = BTreeMap::new();
    for tag in store.tags()? {
        names.entry(tag.entry.image).or_default().push(tag);
    }
    let before = filter.before.as_deref().map(|text| created_of(store, text)).transpose()?;
    let since = filter.since.as_deref().map(|text| created_of(store, text)).transpose()?;
    let mut rows = Vec::new();
    for image in store.images()? {
        // Another process may remove the image while we look.
        let Ok(stored) = Stored::open(store, image) else { continue };
        let (image, config) = (&stored.record, &stored.config);
        let fits = filter.labels.iter().all(|label| has_label(config, label))
            && before.as_ref().is_none_or(|limit| config.created < *limit)
            && since.as_ref().is_none_or(|limit| config.created > *limit);
        if fits {
            let tags = names.remove(&image.config).unwrap_or_default();
            let found = rows_of(&stored, &tags)?;
            rows.extend(
                found.into_iter().filter(|row| is_wanted(row, filter)).map(|row| (image.stored, row)),
            );
        }
    }
    rows.sort_by(|(stored_a, a), (stored_b, b)| {
        let newest = b.created.cmp(&a.created).then(stored_b.cmp(stored_a));
        newest.then_with(|| (&a.repository, &a.tag).cmp(&(&b.repository, &b.tag)))
    });
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn rows_of(stored: &Stored<'_>, tags: &[TaggedImage]) -> Result<Vec<ImageRow>, Error> {
    let nameless = ImageRow {
        id: stored.record.config,
        repository: None,
        tag: None,
        digest: None,
        created: stored.config.created.clone(),
        size: size(stored)?,
    };
    if tags.is_empty() {
        return Ok(vec![nameless]);
    }
    let row = |tag: &TaggedImage| ImageRow {
        repository: Some(tag.reference.familiar_name()),
        tag: tag.reference.tag().map(str::to_owned),
        digest: tag.reference.digest().or(tag.entry.repo_digest),
        ..nameless.clone()
    };
    Ok(tags.iter().map(row).collect())
}

fn is_wanted(row: &ImageRow, filter: &ImagesFilter) -> bool {
    if filter.dangling.is_some_and(|dangling| dangling != row.repository.is_none()) {
        return false;
    }
    filter.references.is_empty() || filter.references.iter().any(|pattern| matches_name(row, pattern))
}

/// docker: `reference.FamiliarMatch`, which asks for the name alone and for name and tag.
fn matches_name(row: &ImageRow, pattern: &str) -> bool {
    let Some(repository) = &row.repository else { return false };
    // `docker.io/library/alpine` means the same as `alpine`.
    let familiar = match Reference::parse_untagged(pattern) {
        Ok(reference) => reference.familiar(),
        Err(_) => pattern.to_owned(),
    };
    let fits = |name: &str| name == familiar || glob::matches(&familiar, name).unwrap_or(false);
    let tagged = row.tag.as_ref().map(|tag| format!("{repository}:{tag}"));
    fits(repository) || tagged.is_some_and(|name| fits(&name))
}

fn has_label(config: &Config, (key, value): &(String, Option<String>)) -> bool {
    let found = config.config.labels.get(key);
    found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
}

fn created_of(store: &Store, text: &str) -> Result<Option<String>, Error> {
    Ok(store.config(&store.resolve(text)?.image)?.created)
}
