//! Bases for people and for programs.

use serde_json::{Value, json};

use super::{BaseImage, Bases, Part};
use crate::human_size;

/// What stands for what was not read.
const UNKNOWN: &str = "?";

/// Returns the rows of a table of base images, its head first.
pub fn bases_rows(bases: &Bases) -> Vec<Vec<String>> {
    let head = ["BASE", "COMPRESSED", "PACKAGES", "SHELL", "LIBC", "MANAGER", "THE FINAL STAGE MISSES"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(bases.images.iter().map(|image| row(bases, image)));
    rows
}

fn row(bases: &Bases, image: &BaseImage) -> Vec<String> {
    let of = |parts: &[Part]| match &image.contents {
        Some(contents) => names(parts.iter().filter(|part| contents.has.contains(part))),
        None => UNKNOWN.to_owned(),
    };
    let packages = image.contents.as_ref().map(|contents| contents.packages.to_string());
    let misses = match image.misses(&bases.needs) {
        _ if image.name == bases.base => "(in use)".to_owned(),
        Some(misses) => names(misses.iter()),
        None => "not read".to_owned(),
    };
    vec![
        image.name.clone(),
        human_size(image.compressed),
        packages.unwrap_or_else(|| UNKNOWN.to_owned()),
        of(&[Part::Shell]).replace("shell", "yes"),
        of(&[Part::Glibc, Part::Musl]),
        of(&[Part::Apt, Part::Apk, Part::Dnf, Part::Zypper]),
        misses,
    ]
}

fn names<'a>(parts: impl Iterator<Item = &'a Part>) -> String {
    let names: Vec<&str> = parts.map(|part| part.name()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Returns what is to be said below the table, a line each: what the final stage needs, and what could not be found out.
pub fn bases_notes(bases: &Bases) -> Vec<String> {
    let need = |need: &super::Need| format!("{} ({})", need.part.name(), need.why);
    let needs = bases.needs.iter().map(need).collect::<Vec<_>>().join(", ");
    let needs = if needs.is_empty() { "nothing of these".to_owned() } else { needs };
    let mut lines = vec![format!("the final stage needs: {needs}")];
    lines.extend(bases.notes.iter().map(|note| format!("note: {note}")));
    lines
}

/// Returns bases for programs: docs/advice.md has the fields.
pub fn bases_json(bases: &Bases) -> Value {
    let image = |image: &BaseImage| {
        json!({
            "name": image.name, "inUse": image.name == bases.base, "compressed": image.compressed,
            "packages": image.contents.as_ref().map(|contents| contents.packages),
            "has": image.contents.as_ref().map(|contents| &contents.has),
            "misses": image.misses(&bases.needs),
        })
    };
    json!({
        "base": bases.base, "line": bases.line, "needs": bases.needs,
        "images": bases.images.iter().map(image).collect::<Vec<_>>(), "notes": bases.notes,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{BaseContents, Need};
    use super::*;

    #[test]
    fn what_was_not_read_is_not_guessed() {
        let need = Need { part: Part::Shell, why: "RUN, line 2".to_owned() };
        let image = |name: &str, contents| BaseImage { name: name.to_owned(), compressed: 5, contents };
        let images =
            vec![image("a", None), image("a:slim", None), image("scratch", Some(BaseContents::default()))];
        let bases = Bases { base: "a".to_owned(), line: 1, needs: vec![need], images, notes: Vec::new() };
        let rows: Vec<String> = bases_rows(&bases)[1..].iter().map(|row| row.join(" ")).collect();
        let expected =
            ["a 5 B ? ? ? ? (in use)", "a:slim 5 B ? ? ? ? not read", "scratch 5 B 0 none none none shell"];
        assert_eq!(rows, expected);
        assert_eq!(bases_notes(&bases), ["the final stage needs: shell (RUN, line 2)"]);
        assert!(bases_json(&bases)["images"][1]["misses"].is_null());
    }
}
