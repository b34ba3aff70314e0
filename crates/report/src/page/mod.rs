//! Reports as one self-contained file for the browser: `page.html` with style, script and data put in.
//!
//! Everything in the data is outside input. It travels as JSON in a script element that is never run, with `<` escaped,
//! becomes text nodes only, and the page's policy (Content Security Policy, level 3) lets nothing run or load but the
//! script and the style that are known by their SHA-256.

mod files;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jettison_image::Digest;
use serde::Serialize;

use crate::{Base, BuildRecord, Diff, ImageInfo, Instruction, PackageReport, Report, Sums};

use files::{Directories, Files};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const REPORT_SCRIPT: &str = concat!(
    include_str!("elements.js"),
    include_str!("tree.js"),
    include_str!("treemap.js"),
    include_str!("build.js"),
    include_str!("report.js"),
);

const DIFF_SCRIPT: &str = concat!(include_str!("elements.js"), include_str!("diff.js"));

/// What the page of a report is given: the report, with the files in columns.
#[derive(Serialize)]
struct ReportData<'a> {
    image: &'a ImageInfo,
    totals: &'a Sums,
    own: &'a Sums,
    base: &'a Option<Base>,
    instructions: &'a [Instruction],
    layers: Vec<LayerData<'a>>,
    packages: &'a [PackageReport],
    unpackaged: &'a Sums,
    build: &'a Option<BuildRecord>,
    notes: &'a [String],
    directories: Directories<'a>,
    files: Files<'a>,
}

#[derive(Serialize)]
struct LayerData<'a> {
    /// Its instruction as it was written.
    text: String,
    base: bool,
    sums: &'a Sums,
}

/// Writes `report` as a page.
pub fn report_page(report: &Report) -> Result<String, serde_json::Error> {
    let (directories, files) = files::columns(&report.files);
    let layers = report.layers.iter().enumerate().map(|(number, layer)| LayerData {
        text: report.instruction_of(number),
        base: layer.base,
        sums: &layer.sums,
    });
    let data = ReportData {
        image: &report.image,
        totals: &report.totals,
        own: &report.own,
        base: &report.base,
        instructions: &report.instructions,
        layers: layers.collect(),
        packages: &report.packages,
        unpackaged: &report.unpackaged,
        build: &report.build,
        notes: &report.notes,
        directories,
        files,
    };
    page(&report.image.name, REPORT_SCRIPT, &data)
}

/// Writes `diff` as a page.
pub fn diff_page(diff: &Diff) -> Result<String, serde_json::Error> {
    let title = format!("{} → {}", diff.before.image.name, diff.after.image.name);
    page(&title, DIFF_SCRIPT, diff)
}

/// Puts a page together.
fn page(title: &str, script: &str, data: &impl Serialize) -> Result<String, serde_json::Error> {
    let data = serde_json::to_string(data)?.replace('<', "\\u003c");
    let parts = [
        ("title", text(title)),
        ("style hash", hash(STYLE)),
        ("script hash", hash(script)),
        ("style", STYLE.to_owned()),
        ("script", script.to_owned()),
        ("data", data),
    ];
    let mut out =
        String::with_capacity(PAGE.len() + parts.iter().map(|(_, value)| value.len()).sum::<usize>());
    let mut pieces = PAGE.split("{{");
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        let value = parts.iter().find(|(part, _)| *part == name);
        out.push_str(value.map_or("", |(_, value)| value));
        out.push_str(rest);
    }
    Ok(out)
}

/// Escapes text for an element.
fn text(plain: &str) -> String {
    plain.replace('&', "&amp;").replace('<', "&lt;")
}

/// Names a script or style for the page's policy.
fn hash(content: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Digest::of(content.as_bytes()).as_bytes()))
}

#[cfg(test)]
mod tests;
