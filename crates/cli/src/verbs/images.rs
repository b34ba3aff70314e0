//! `images` and `history`.

use std::time::SystemTime;

use jettison_ops::{HistoryRow, ImageRow, ImagesFilter};

use super::workplace;
use crate::args::{HistoryArgs, ImagesArgs};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::format::{Listing, docker_size, ellipsis, parse_rfc3339, printable, since, table_time};
use crate::output::{print, print_line};

const NONE: &str = "<none>";
const MISSING: &str = "<missing>";
/// docker/cli: `formatter/history.go` cuts instructions to this.
const CREATED_BY_LENGTH: usize = 45;

/// Lists images.
pub fn images(args: &ImagesArgs, environment: &Environment) -> Result<u8, Failure> {
    let filter = filter(args)?;
    let place = workplace::open(environment)?;
    let rows = jettison_ops::images(&place.store, &filter)?;
    if args.quiet && args.format.is_none() {
        let mut seen = Vec::new();
        for row in &rows {
            if !seen.contains(&row.id) {
                seen.push(row.id);
                print_line(&id(row, args.no_trunc))?;
            }
        }
        return Ok(0);
    }
    let listing = image_listing(&rows, args.no_trunc, SystemTime::now());
    let fields: &[&str] = match args.digests {
        true => &["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"],
        false => &["Repository", "Tag", "ID", "CreatedSince", "Size"],
    };
    print(&listing.render(args.format.as_deref(), fields)?)?;
    Ok(0)
}

fn filter(args: &ImagesArgs) -> Result<ImagesFilter, Failure> {
    let mut filter = ImagesFilter::default();
    filter.references.extend(args.name.clone());
    for text in &args.filters {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--filter \"{text}\": expected KEY=VALUE")))?;
        match key {
            "reference" => filter.references.push(value.to_owned()),
            "dangling" => {
                let dangling = match value {
                    "true" | "1" => true,
                    "false" | "0" => false,
                    _ => return Err(Failure::usage(format!("--filter \"{text}\": expected true or false"))),
                };
                filter.dangling = Some(dangling);
            }
            "label" => {
                let (key, value) = match value.split_once('=') {
                    Some((key, value)) => (key, Some(value.to_owned())),
                    None => (value, None),
                };
                filter.labels.push((key.to_owned(), value));
            }
            "before" => filter.before = Some(value.to_owned()),
            "since" => filter.since = Some(value.to_owned()),
            _ => {
                return Err(Failure::usage(format!("--filter \"{key}\" is not supported yet"))
                    .help("there are reference, dangling, label, before and since"));
            }
        }
    }
    Ok(filter)
}

fn id(row: &ImageRow, whole: bool) -> String {
    if whole { row.id.to_string() } else { row.id.short() }
}

fn image_listing(rows: &[ImageRow], whole: bool, now: SystemTime) -> Listing {
    let mut listing = Listing::new(&[
        ("Containers", "CONTAINERS"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedSince", "CREATED"),
        ("Digest", "DIGEST"),
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("SharedSize", "SHARED SIZE"),
        ("Size", "SIZE"),
        ("Tag", "TAG"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("VirtualSize", "VIRTUAL SIZE"),
    ]);
    for row in rows {
        let created = row.created.as_deref().and_then(parse_rfc3339);
        let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
        listing.push(vec![
            "N/A".to_owned(),
            created.map(table_time).unwrap_or_else(|| "N/A".to_owned()),
            created.map(|then| since(then, now)).unwrap_or_else(|| "N/A".to_owned()),
            or_none(row.digest.map(|digest| digest.to_string())),
            id(row, whole),
            or_none(row.repository.clone()),
            "N/A".to_owned(),
            docker_size(row.size),
            or_none(row.tag.clone()),
            "N/A".to_owned(),
            docker_size(row.size),
        ]);
    }
    listing
}

/// Shows how an image came to be.
pub fn history(args: &HistoryArgs, environment: &Environment) -> Result<u8, Failure> {
    let place = workplace::open(environment)?;
    let rows = jettison_ops::history(&place.store, &args.image)?;
    if args.quiet && args.format.is_none() {
        for row in &rows {
            print_line(&history_id(row, args.no_trunc))?;
        }
        return Ok(0);
    }
    let listing = history_listing(&rows, args, SystemTime::now());
    let fields: &[&str] = match args.human {
        true => &["ID", "CreatedSince", "CreatedBy", "Size", "Comment"],
        false => &["ID", "CreatedAt", "CreatedBy", "Size", "Comment"],
    };
    print(&listing.render(args.format.as_deref(), fields)?)?;
    Ok(0)
}

fn history_id(row: &HistoryRow, whole: bool) -> String {
    match row.id {
        None => MISSING.to_owned(),
        Some(id) if whole => id.to_string(),
        Some(id) => id.short(),
    }
}

fn history_listing(rows: &[HistoryRow], args: &HistoryArgs, now: SystemTime) -> Listing {
    let mut listing = Listing::new(&[
        ("Comment", "COMMENT"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("CreatedSince", "CREATED"),
        ("ID", "IMAGE"),
        ("Size", "SIZE"),
    ]);
    for row in rows {
        let created = row.created.as_deref().and_then(parse_rfc3339);
        let instruction = printable(&row.created_by.replace(['\n', '\t'], " "));
        let instruction = if args.no_trunc { instruction } else { ellipsis(&instruction, CREATED_BY_LENGTH) };
        let size = if args.human { docker_size(row.size) } else { row.size.to_string() };
        listing.push(vec![
            row.comment.clone(),
            created.map(jettison_image::rfc3339).unwrap_or_else(|| "N/A".to_owned()),
            instruction,
            created.map(|then| since(then, now)).unwrap_or_else(|| "N/A".to_owned()),
            history_id(row, args.no_trunc),
            size,
        ]);
    }
    listing
}
