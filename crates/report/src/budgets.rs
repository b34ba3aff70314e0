//! Budgets: what an image may not exceed, and who is to blame where it does.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::text::word;
use crate::{Report, human_size};

/// Culprits of a kind that are named.
const NAMED: usize = 5;

/// What an image may not exceed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budgets {
    /// The bytes of the files that the final tree shows: `totals.live` of a report.
    pub size: Option<u64>,
    /// How much more these bytes may be than those of a baseline.
    pub growth: Option<Share>,
    /// The share of `totals.dead` in `totals.stored`, base image included.
    pub dead: Option<Share>,
}

/// A part of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u64);

/// A budget that is exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    /// The flag that set it.
    pub flag: &'static str,
    /// What was allowed and what was found.
    pub finding: String,
    /// Who did it.
    pub culprits: Vec<Culprits>,
}

/// The largest of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprits {
    /// Such as `packages`.
    pub kind: &'static str,
    /// Bytes and name, the largest first.
    pub rows: Vec<(u64, String)>,
}

impl Share {
    /// Makes a share of so many millionths: 10,000 are one per cent.
    pub fn of_millionths(millionths: u64) -> Share {
        Share(millionths)
    }

    /// Tells whether `part` is more than this share of `whole`.
    fn is_less_than(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 1_000_000 > u128::from(whole) * u128::from(self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = format!("{}.{:04}", self.0 / 10_000, self.0 % 10_000);
        write!(f, "{} %", percent.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Budgets {
    /// Tells whether there is nothing to judge.
    pub fn is_empty(&self) -> bool {
        *self == Budgets::default()
    }
}

/// Judges an image by its report. Without a `baseline` there is nothing that it could have grown from.
pub fn exceeded(report: &Report, baseline: Option<&Report>, budgets: &Budgets) -> Vec<Exceeded> {
    let totals = &report.totals;
    let mut exceeded = Vec::new();
    if let Some(limit) = budgets.size.filter(|limit| totals.live > *limit) {
        let (found, over) = (human_size(totals.live), human_size(totals.live - limit));
        exceeded.push(Exceeded {
            flag: "--max-size",
            finding: format!("{found} of files where {} are allowed, {over} too many", human_size(limit)),
            culprits: largest(report),
        });
    }
    if let (Some(limit), Some(old)) = (budgets.growth, baseline) {
        let grown = totals.live.saturating_sub(old.totals.live);
        if limit.is_less_than(grown, old.totals.live) {
            let (from, to) = (human_size(old.totals.live), human_size(totals.live));
            let share = share(grown, old.totals.live);
            let name = &old.image.name;
            exceeded.push(Exceeded {
                flag: "--max-growth",
                finding: format!("from {from} ({name}) to {to}, {share} more where {limit} are allowed"),
                culprits: grown_most(report, old),
            });
        }
    }
    if let Some(limit) = budgets.dead.filter(|limit| limit.is_less_than(totals.dead, totals.stored)) {
        let (dead, stored) = (human_size(totals.dead), human_size(totals.stored));
        let share = share(totals.dead, totals.stored);
        exceeded.push(Exceeded {
            flag: "--max-dead",
            finding: format!("{dead} of {stored} stored are dead, {share} where {limit} are allowed"),
            culprits: dead_files(report),
        });
    }
    exceeded
}

/// Writes what is exceeded as text. `clean` takes the control characters out of names.
pub fn exceeded_text(exceeded: &[Exceeded], clean: &dyn Fn(&str) -> String) -> String {
    let mut out = String::new();
    for budget in exceeded {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}: {}", budget.flag, clean(&budget.finding));
        for culprits in &budget.culprits {
            let _ = writeln!(out, "  {}", culprits.kind);
            for (bytes, name) in &culprits.rows {
                let _ = writeln!(out, "    {:>9}  {}", human_size(*bytes), clean(name));
            }
        }
    }
    out
}

fn share(part: u64, whole: u64) -> Share {
    let millionths = u128::from(part) * 1_000_000 / u128::from(whole.max(1));
    // Two more digits than a budget is likely to have would only be noise.
    Share(u64::try_from(millionths / 100 * 100).unwrap_or(u64::MAX))
}

/// The instructions, packages and files that have most live bytes.
fn largest(report: &Report) -> Vec<Culprits> {
    let instructions = report.layers.iter().enumerate().map(|(number, layer)| {
        let base = if layer.base { "base: " } else { "" };
        (layer.sums.live, format!("{base}{}", report.instruction_of(number)))
    });
    let files = report.files.iter().filter(|file| file.dead.is_none());
    vec![
        culprits("instructions", instructions),
        culprits("packages", packages(report).into_iter().map(|(name, bytes)| (bytes, name))),
        culprits("files", files.map(|file| (file.size, file.path.clone()))),
    ]
    .into_iter()
    .filter(|culprits| !culprits.rows.is_empty())
    .collect()
}

/// The packages and files that have most live bytes more than before.
fn grown_most(report: &Report, old: &Report) -> Vec<Culprits> {
    let more = |now: BTreeMap<String, u64>, before: BTreeMap<String, u64>| {
        let grown = move |(name, bytes): (String, u64)| {
            let grown = bytes.saturating_sub(before.get(&name).copied().unwrap_or(0));
            (grown, name)
        };
        now.into_iter().map(grown)
    };
    vec![
        culprits("packages that grew", more(packages_by_name(report), packages_by_name(old))),
        culprits("files that grew", more(live_files(report), live_files(old))),
    ]
    .into_iter()
    .filter(|culprits| !culprits.rows.is_empty())
    .collect()
}

/// The largest dead files, each with what killed it.
fn dead_files(report: &Report) -> Vec<Culprits> {
    let rows = report.files.iter().filter_map(|file| {
        let (cause, by) = (file.dead?, file.by?);
        Some((file.size, format!("{}  ({} by {})", file.path, word(cause), report.instruction_of(by))))
    });
    vec![culprits("dead files", rows)]
}

fn culprits(kind: &'static str, rows: impl Iterator<Item = (u64, String)>) -> Culprits {
    let mut rows: Vec<(u64, String)> = rows.filter(|(bytes, _)| *bytes > 0).collect();
    rows.sort_by(|a, b| (b.0, &a.1).cmp(&(a.0, &b.1)));
    rows.truncate(NAMED);
    Culprits { kind, rows }
}

fn packages(report: &Report) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for package in &report.packages {
        let name = format!("{}: {} {}", package.kind, package.name, package.version);
        *sums.entry(name.trim_end().to_owned()).or_default() += package.sums.live;
    }
    sums
}

/// Packages whatever their version: one that was updated has grown by the difference.
fn packages_by_name(report: &Report) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for package in &report.packages {
        *sums.entry(format!("{}: {}", package.kind, package.name)).or_default() += package.sums.live;
    }
    sums
}

fn live_files(report: &Report) -> BTreeMap<String, u64> {
    let live = report.files.iter().filter(|file| file.dead.is_none());
    live.map(|file| (file.path.clone(), file.size)).collect()
}
