//! What `--call` prints for people: the texts of buildx and of BuildKit's `frontend/subrequests`.

use std::fmt::Write as _;

use jettison_dockerfile::LineIndex;

use super::{BuildError, Checked, Finding, Outline, OutlineMount, Target};

const RULER: &str = "--------------------";

/// How many lines around a place are shown.
const MARGIN: usize = 4;
/// And around one of several lines.
const NARROW_MARGIN: usize = 2;

/// The text of `--call=check`: how many warnings, then each with its place. The build's error comes apart from it.
pub fn check_text(checked: &Checked, name: &str, text: &str) -> String {
    let mut out = match (checked.findings.len(), &checked.error) {
        (0, None) => return "Check complete, no warnings found.\n".to_owned(),
        (0, Some(_)) => return String::new(),
        (1, _) => "Check complete, 1 warning has been found!\n".to_owned(),
        (count, _) => format!("Check complete, {count} warnings have been found!\n"),
    };
    for finding in &checked.findings {
        let url = finding.rule.url.map(|url| format!(" - {url}")).unwrap_or_default();
        let _ = write!(out, "\nWARNING: {}{url}\n{}\n", finding.rule.name, finding.message);
        excerpt(&mut out, name, text, finding.lines);
    }
    out
}

/// The text of what a build would fail with.
pub fn error_text(error: &BuildError, name: &str, text: &str) -> String {
    let mut out = format!("{}\n", error.message);
    if error.span.end > error.span.start {
        excerpt(&mut out, name, text, LineIndex::new(text).lines(error.span));
    }
    out
}

/// A warning in one line, as it stands at the end of a build.
pub fn warning_line(finding: &Finding) -> String {
    format!("{}: {} (line {})", finding.rule.name, finding.message, finding.lines.0)
}

/// Shows lines with those around them (BuildKit's `errdefs.Source.Print`).
fn excerpt(out: &mut String, name: &str, text: &str, (first, last): (usize, usize)) {
    let lines: Vec<&str> = text.split('\n').collect();
    if first == 0 || first > lines.len() {
        return;
    }
    let last = last.min(lines.len());
    let margin = if first == last { MARGIN } else { NARROW_MARGIN };
    let (mut from, mut to, mut added) = (first, last, 0);
    while added < margin {
        if from > 1 {
            from -= 1;
            added += 1;
        }
        if to < lines.len() {
            to += 1;
            added += 1;
        }
        added += 1;
    }
    let _ = writeln!(out, "{name}:{first}\n{RULER}");
    for number in from..=to {
        let mark = if (first..=last).contains(&number) { ">>>" } else { "   " };
        let _ = writeln!(out, " {number:3} | {mark} {}", lines[number - 1].trim_end_matches('\r'));
    }
    let _ = writeln!(out, "{RULER}");
}

/// The text of `--call=outline`.
pub fn outline_text(outline: &Outline) -> String {
    let mut out = String::new();
    if !outline.name.is_empty() || !outline.description.is_empty() {
        let name = if outline.name.is_empty() { "(default)" } else { &outline.name };
        let mut rows = vec![vec!["TARGET:", name]];
        if !outline.description.is_empty() {
            rows.push(vec!["DESCRIPTION:", &outline.description]);
        }
        table(&mut out, &rows, 1);
    }
    if !outline.args.is_empty() {
        let mut rows = vec![vec!["BUILD ARG", "VALUE", "DESCRIPTION"]];
        rows.extend(outline.args.iter().map(|arg| vec![&*arg.name, &*arg.value, &*arg.description]));
        table(&mut out, &rows, 3);
    }
    mounts(&mut out, "SECRET", &outline.secrets);
    mounts(&mut out, "SSH", &outline.ssh);
    out
}

fn mounts(out: &mut String, title: &str, mounts: &[OutlineMount]) {
    if mounts.is_empty() {
        return;
    }
    let mut rows = vec![vec![title, "REQUIRED"]];
    rows.extend(mounts.iter().map(|mount| vec![&*mount.name, if mount.required { "true" } else { "" }]));
    table(out, &rows, 3);
}

/// The text of `--call=targets`.
pub fn targets_text(targets: &[Target]) -> String {
    let name = |target: &Target| match (target.name.is_empty(), target.default) {
        (true, true) => "(default)".to_owned(),
        (false, true) => format!("{} (default)", target.name),
        (_, false) => target.name.clone(),
    };
    let names: Vec<String> = targets.iter().map(name).collect();
    let mut rows = vec![vec!["TARGET", "DESCRIPTION"]];
    rows.extend(names.iter().zip(targets).map(|(name, target)| vec![name.as_str(), &*target.description]));
    let mut out = String::new();
    table(&mut out, &rows, 1);
    out.truncate(out.trim_end_matches('\n').len());
    out.push('\n');
    out
}

/// Writes rows in columns, `gap` blanks apart, and an empty line.
fn table(out: &mut String, rows: &[Vec<&str>], gap: usize) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let pad = if column + 1 == columns { 0 } else { widths[column] + gap - cell.chars().count() };
            let _ = write!(out, "{cell}{:pad$}", "");
        }
        out.push('\n');
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_shown_with_lines_around_it() {
        let mut out = String::new();
        excerpt(&mut out, "Dockerfile", "a\nb\nc\n", (2, 2));
        assert_eq!(
            out,
            "Dockerfile:2\n--------------------\n   1 |     a\n   2 | >>> b\n   3 |     c\n   4 |     \n\
             --------------------\n"
        );
        for lines in [(0, 0), (9, 9), (1, 9)] {
            excerpt(&mut out, "Dockerfile", "a", lines);
        }
    }
}
