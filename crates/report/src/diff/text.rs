//! Two images side by side, for the terminal.

use std::cmp::Reverse;
use std::fmt::Write;

use super::{Diff, PackageChange, Side, growth};
use crate::human_size;

/// What a number is called, and where it is found.
type Figure<T> = (&'static str, fn(&Side) -> T);

/// Rows of the lists of packages and of files.
const ROWS: usize = 20;

/// Writes `diff` as text. `clean` takes the control characters out of names.
pub fn diff_text(diff: &Diff, clean: &dyn Fn(&str) -> String) -> String {
    let mut out = String::new();
    figures(&mut out, diff, clean);
    packages(&mut out, diff, clean);
    settings(&mut out, diff, clean);
    files(&mut out, diff, clean);
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

fn figures(out: &mut String, diff: &Diff, clean: &dyn Fn(&str) -> String) {
    let (before, after) = (&diff.before, &diff.after);
    line(out, format_args!("{} -> {}\n", clean(&before.image.name), clean(&after.image.name)));
    line(out, format_args!("{:>12} {:>12} {:>12}", "BEFORE", "AFTER", "CHANGE"));
    let bytes: [Figure<u64>; 4] = [
        ("stored", |side| side.totals.stored),
        ("live", |side| side.totals.live),
        ("dead", |side| side.totals.dead),
        ("compressed", |side| side.costs.compressed),
    ];
    for (name, of) in bytes {
        let (a, b) = (of(before), of(after));
        line(
            out,
            format_args!("{:>12} {:>12} {:>12}  {name}", human_size(a), human_size(b), signed(growth(a, b))),
        );
    }
    let counts: [Figure<usize>; 3] =
        [("layers", |side| side.layers), ("files", |side| side.files), ("packages", |side| side.packages)];
    for (name, of) in counts {
        let (a, b) = (of(before), of(after));
        let change = growth(a as u64, b as u64);
        line(out, format_args!("{a:>12} {b:>12} {change:>+12}  {name}"));
    }
    let times: [Figure<f64>; 3] = [
        ("to pull at 100 Mbit/s", |side| side.costs.pull_seconds),
        ("to pull where the other image is", |side| side.costs.pull_new_seconds),
        ("to unpack here", |side| side.costs.unpack_seconds),
    ];
    for (name, of) in times {
        let (a, b) = (of(before), of(after));
        line(out, format_args!("{a:>10.2} s {b:>10.2} s {:>+10.2} s  {name}", b - a));
    }
}

fn packages(out: &mut String, diff: &Diff, clean: &dyn Fn(&str) -> String) {
    let count = |test: fn(&PackageChange) -> bool| diff.packages.iter().filter(|change| test(change)).count();
    let added = count(|change| change.before.is_empty());
    let removed = count(|change| change.after.is_empty());
    let changed = diff.packages.len() - added - removed;
    line(out, format_args!("\nPACKAGES  ({added} added, {removed} removed, {changed} changed)"));
    for change in diff.packages.iter().take(ROWS) {
        let (before, after) = (change.before.join(", "), change.after.join(", "));
        let (sign, versions) = match (before.is_empty(), after.is_empty()) {
            (true, _) => ('+', after),
            (_, true) => ('-', before),
            _ => ('~', format!("{before} -> {after}")),
        };
        line(out, format_args!("{sign} {}", clean(&format!("{}: {} {versions}", change.kind, change.name))));
    }
    more(out, diff.packages.len());
}

fn settings(out: &mut String, diff: &Diff, clean: &dyn Fn(&str) -> String) {
    if diff.config.is_empty() {
        return;
    }
    line(out, format_args!("\nCONFIG"));
    for change in &diff.config {
        let text = match (&change.before, &change.after) {
            (None, Some(after)) => format!("+ {} {after}", change.name),
            (Some(before), None) => format!("- {} {before}", change.name),
            (before, after) => {
                let (before, after) = (before.as_deref(), after.as_deref());
                format!("~ {} {} -> {}", change.name, before.unwrap_or_default(), after.unwrap_or_default())
            }
        };
        line(out, format_args!("{}", clean(text.trim_end())));
    }
}

fn files(out: &mut String, diff: &Diff, clean: &dyn Fn(&str) -> String) {
    let mut files: Vec<_> = diff.files.iter().collect();
    files.sort_by_key(|file| Reverse(file.growth().unsigned_abs()));
    let added = files.iter().filter(|file| file.before.is_none()).count();
    let removed = files.iter().filter(|file| file.after.is_none()).count();
    let changed = files.len() - added - removed;
    line(out, format_args!("\nPATHS  ({added} added, {removed} removed, {changed} changed)"));
    for file in files.iter().take(ROWS) {
        let sign = match (file.before, file.after) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        let what = if file.what.is_empty() { String::new() } else { format!("  ({})", file.what.join(", ")) };
        line(out, format_args!("{:>12} {sign} {}{what}", signed(file.growth()), clean(&file.path)));
    }
    more(out, files.len());
}

fn more(out: &mut String, count: usize) {
    if count > ROWS {
        line(out, format_args!("  {} more", count - ROWS));
    }
}

fn signed(bytes: i64) -> String {
    let sign = match bytes {
        0 => "",
        1.. => "+",
        _ => "-",
    };
    format!("{sign}{}", human_size(bytes.unsigned_abs()))
}
