//! A report for the terminal: totals, instruction by instruction, the dead, the packages.
//!
//! Names come from the image. The caller gives `clean`, which takes the control characters out of them.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::{Cause, Report, Sums, human_size};

/// Rows of the lists of dead files and of packages.
const ROWS: usize = 10;
/// Characters of an instruction.
const INSTRUCTION: usize = 66;

/// Writes `report` as text.
pub fn report_text(report: &Report, clean: &dyn Fn(&str) -> String) -> String {
    let mut out = String::new();
    head(&mut out, report, clean);
    instructions(&mut out, report, clean);
    dead(&mut out, report, clean);
    packages(&mut out, report, clean);
    for note in &report.notes {
        line(&mut out, format_args!("note: {}", clean(note)));
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

fn head(out: &mut String, report: &Report, clean: &dyn Fn(&str) -> String) {
    let image = &report.image;
    let totals = &report.totals;
    line(out, format_args!("{}  {}  {}", clean(&image.name), image.platform, short(&image.id)));
    line(out, format_args!("{}", ""));
    line(
        out,
        format_args!(
            "{:>10} {:>10} {:>10} {:>10} {:>10}",
            "STORED", "LIVE", "DEAD", "DUPLICATE", "COMPRESSED"
        ),
    );
    let mut row = |name: &str, sums: &Sums| {
        let compressed = sums.compressed.exact.map_or_else(|| "-".to_owned(), size);
        line(
            out,
            format_args!(
                "{:>10} {:>10} {:>10} {:>10} {:>10}  {name}",
                size(sums.stored),
                size(sums.live),
                size(sums.dead),
                size(sums.duplicate),
                compressed,
            ),
        );
    };
    if let Some(base) = &report.base {
        let plural = if base.layers == 1 { "" } else { "s" };
        row(&format!("base image ({} layer{plural})", base.layers), &base.sums);
        row("own layers", &report.own);
    }
    row("in all", totals);
    line(out, format_args!("{}", ""));
    let share = percent(totals.live, totals.stored);
    line(
        out,
        format_args!(
            "{share} of the stored bytes are live; headers and padding of the tars take {} more",
            signed(totals.overhead)
        ),
    );
    if report.base.is_none() {
        line(out, format_args!("which layers are the base image's is not known: all count as own"));
    }
    if totals.shadowed > 0 {
        line(out, format_args!("{} of the base image are hidden by own layers", size(totals.shadowed)));
    }
}

fn instructions(out: &mut String, report: &Report, clean: &dyn Fn(&str) -> String) {
    line(out, format_args!("\n{:>10} {:>10} {:>10}  INSTRUCTION", "STORED", "LIVE", "DEAD"));
    for (number, layer) in report.layers.iter().enumerate() {
        let text = cut(&clean(&one_line(&report.instruction_of(number))), INSTRUCTION);
        let mark = if layer.base { "base: " } else { "" };
        let sums = &layer.sums;
        let dead = if sums.dead == 0 { "-".to_owned() } else { size(sums.dead) };
        line(out, format_args!("{:>10} {:>10} {dead:>10}  {mark}{text}", size(sums.stored), size(sums.live)));
        for (cause, by, bytes) in deaths(report, number) {
            let by = cut(&clean(&one_line(&report.instruction_of(by))), INSTRUCTION - 20);
            line(out, format_args!("{:>32}  └ {} {} by {by}", "", size(bytes), word(cause)));
        }
    }
}

/// Sums up what killed a layer's files: the cause and the layer, the largest first.
fn deaths(report: &Report, layer: usize) -> Vec<(Cause, usize, u64)> {
    let mut sums: BTreeMap<(Cause, usize), u64> = BTreeMap::new();
    for file in report.files.iter().filter(|file| file.layer == layer) {
        if let (Some(cause), Some(by), 1..) = (file.dead, file.by, file.size) {
            *sums.entry((cause, by)).or_default() += file.size;
        }
    }
    let mut sums: Vec<_> = sums.into_iter().map(|((cause, by), bytes)| (cause, by, bytes)).collect();
    sums.sort_by_key(|(.., bytes)| std::cmp::Reverse(*bytes));
    sums
}

fn dead(out: &mut String, report: &Report, clean: &dyn Fn(&str) -> String) {
    let mut files: Vec<_> = report.files.iter().filter(|file| file.dead.is_some() && file.size > 0).collect();
    if files.is_empty() {
        return;
    }
    files.sort_by(|a, b| (b.size, &a.path).cmp(&(a.size, &b.path)));
    line(out, format_args!("\n{:>10}  DEAD FILE", "SIZE"));
    for file in files.iter().take(ROWS) {
        let cause = file.dead.map_or("", word);
        line(out, format_args!("{:>10}  {}  ({cause})", size(file.size), clean(&file.path)));
    }
    more(out, files.len(), files.iter().skip(ROWS).map(|file| file.size).sum());
}

fn packages(out: &mut String, report: &Report, clean: &dyn Fn(&str) -> String) {
    if report.packages.is_empty() {
        line(out, format_args!("\nno packages found"));
        return;
    }
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    report.packages.iter().for_each(|package| *kinds.entry(&package.kind).or_default() += 1);
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    line(out, format_args!("\n{:>10}  PACKAGE  ({})", "LIVE", kinds.join(", ")));
    for package in report.packages.iter().take(ROWS) {
        let name = clean(&format!("{} {}", package.name, package.version));
        line(out, format_args!("{:>10}  {}: {}", size(package.sums.live), package.kind, name.trim_end()));
    }
    more(
        out,
        report.packages.len(),
        report.packages.iter().skip(ROWS).map(|package| package.sums.live).sum(),
    );
    line(out, format_args!("{:>10}  files of no package", size(report.unpackaged.live)));
}

fn more(out: &mut String, count: usize, bytes: u64) {
    if count > ROWS {
        line(out, format_args!("{:>10}  {} more", size(bytes), count - ROWS));
    }
}

fn size(bytes: u64) -> String {
    human_size(bytes)
}

fn signed(bytes: i64) -> String {
    let sign = if bytes < 0 { "-" } else { "" };
    format!("{sign}{}", human_size(bytes.unsigned_abs()))
}

/// What a cause is called.
pub(crate) fn word(cause: Cause) -> &'static str {
    match cause {
        Cause::Overwritten => "overwritten",
        Cause::Deleted => "deleted",
        Cause::Metadata => "copied for mode, owner or time",
        Cause::Identical => "rewritten the same",
    }
}

fn percent(part: u64, whole: u64) -> String {
    let permille = u128::from(part) * 1000 / u128::from(whole.max(1));
    if whole == 0 { "100 %".to_owned() } else { format!("{}.{} %", permille / 10, permille % 10) }
}

fn short(id: &str) -> &str {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    hex.get(..12).unwrap_or(hex)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let kept: String = text.chars().take(length.saturating_sub(1)).collect();
    kept + "…"
}
