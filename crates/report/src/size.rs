//! How large an image is, and what its build left behind.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jettison_layer::{Index, Tree};

/// A stage, by what is known of its layers.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What the Dockerfile calls it, or its number.
    pub name: String,
    /// Its layers with those of its base, lowest first.
    pub layers: Vec<StageLayer>,
}

/// One layer of a stage.
#[derive(Debug, Clone)]
pub struct StageLayer {
    /// Equal for equal layers: by it a base that two stages share is counted once.
    pub id: String,
    /// What is known of it.
    pub content: LayerContent,
}

/// What is known of a layer.
#[derive(Debug, Clone)]
pub enum LayerContent {
    /// What it holds.
    Index(Arc<Index>),
    /// Only its blob's length: it was never read.
    Compressed(u64),
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes of files as the final trees show them.
    pub bytes: u64,
    /// Whether layers are among them of which only the compressed length is known.
    pub compressed: bool,
}

/// Counts the bytes of the final trees of `stages`. A file that several of them show from the same layer counts once.
pub fn measure(stages: &[Stage]) -> Size {
    let mut size = Size::default();
    let mut compressed: HashSet<&str> = HashSet::new();
    let mut counted: HashSet<(u32, usize)> = HashSet::new();
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    for stage in stages {
        let mut ids = Vec::new();
        let mut indexes = Vec::new();
        for layer in &stage.layers {
            match &layer.content {
                LayerContent::Index(index) => {
                    let next = numbers.len() as u32;
                    ids.push(*numbers.entry(&layer.id).or_insert(next));
                    indexes.push(index.clone());
                }
                LayerContent::Compressed(bytes) => {
                    size.compressed = true;
                    if compressed.insert(&layer.id) {
                        size.bytes = size.bytes.saturating_add(*bytes);
                    }
                }
            }
        }
        // A single stage needs no comparing with others, and most builds that have one are large.
        if stages.len() == 1 {
            size.bytes = size.bytes.saturating_add(Tree::new(indexes).unpacked_size());
            return size;
        }
        size.bytes = size.bytes.saturating_add(new_bytes(&Tree::new(indexes), &ids, &mut counted));
    }
    size
}

/// Adds up the files of a tree that were not counted yet.
fn new_bytes(tree: &Tree, ids: &[u32], counted: &mut HashSet<(u32, usize)>) -> u64 {
    let mut bytes: u64 = 0;
    for node in tree.iter() {
        let (layer, entry) = node.content();
        if entry.size() == 0 {
            continue;
        }
        let Some(index) = tree.layers().get(layer) else { continue };
        let (Some(id), Some(position)) = (ids.get(layer), index.position(&entry.path)) else { continue };
        if counted.insert((*id, position)) {
            bytes = bytes.saturating_add(entry.size());
        }
    }
    bytes
}

/// More names than this are only counted in [`summary`].
const MAX_NAMES: usize = 3;

/// Writes the line that ends a build: `myapp:latest  14.9 MB  (builder 1.13 GB left behind, 98.7 % smaller)`.
///
/// `discarded` are the names of the stages whose trees make up `left_behind`.
pub fn summary(name: &str, size: Size, discarded: &[String], left_behind: Size) -> String {
    let mut line = format!("{name}  {}", show(size));
    if discarded.is_empty() || left_behind.bytes == 0 {
        return line;
    }
    let names = match discarded.len() {
        1..=MAX_NAMES => discarded.join(", "),
        many => format!("{many} stages"),
    };
    line.push_str(&format!("  ({names} {} left behind", show(left_behind)));
    // Compressed bytes compare with compressed ones only.
    if size.bytes < left_behind.bytes && size.compressed == left_behind.compressed {
        line.push_str(&format!(", {} % smaller", percent_smaller(size.bytes, left_behind.bytes)));
    }
    line.push(')');
    line
}

fn show(size: Size) -> String {
    let compressed = if size.compressed { " compressed" } else { "" };
    format!("{}{compressed}", human_size(size.bytes))
}

/// Rounded to a tenth, but nothing is 100 % smaller.
fn percent_smaller(small: u64, large: u64) -> String {
    let rounded = (u128::from(large - small) * 2000 / u128::from(large)).div_ceil(2);
    let permille = rounded.min(999);
    format!("{}.{}", permille / 10, permille % 10)
}

const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/// Formats a number of bytes in units of 1000 with three significant digits: `14.9 MB`.
pub fn human_size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    // 999.5 rounds to 1000 in three digits, which is 1 of the next unit.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 => 0,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    let number = format!("{value:.digits$}");
    let number = if digits > 0 { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    format!("{number} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use jettison_layer::{Entry, Kind};

    use super::*;

    fn layer(id: &str, files: &[(&str, Kind)]) -> StageLayer {
        let entry =
            |(path, kind): &(&str, Kind)| Entry { mode: 0o644, ..Entry::new(path.as_bytes(), kind.clone()) };
        let index = Index { entries: files.iter().map(entry).collect() };
        StageLayer { id: id.to_owned(), content: LayerContent::Index(Arc::new(index)) }
    }

    fn file(size: u64) -> Kind {
        Kind::File { size, digest: None }
    }

    fn stage(name: &str, layers: &[&StageLayer]) -> Stage {
        Stage { name: name.to_owned(), layers: layers.iter().copied().cloned().collect() }
    }

    #[test]
    fn a_shared_base_counts_once_and_dead_bytes_do_not() {
        let base = layer("base", &[("a", file(1000)), ("b", file(200))]);
        let one = layer("one", &[("a", Kind::Whiteout), ("c", file(30))]);
        let two = layer("two", &[("b", file(4))]);
        let link = layer("link", &[("d", Kind::Hardlink { target: b"b".to_vec() })]);
        for (stages, bytes) in [
            (vec![stage("base", &[&base])], 1200),
            (vec![stage("one", &[&base, &one])], 230),
            (vec![stage("two", &[&base, &two])], 1004),
            (vec![stage("one", &[&base, &one]), stage("two", &[&base, &two])], 1234),
            (vec![stage("one", &[&base]), stage("two", &[&base])], 1200),
            (vec![stage("link", &[&base, &link]), stage("two", &[&base])], 1200),
            (vec![], 0),
        ] {
            assert_eq!(measure(&stages), Size { bytes, compressed: false });
        }
    }

    #[test]
    fn what_was_never_read_counts_as_it_came() {
        let blob = StageLayer { id: "blob".into(), content: LayerContent::Compressed(500) };
        let top = layer("top", &[("c", file(30))]);
        let stages = [stage("one", &[&blob, &top]), stage("two", &[&blob])];
        assert_eq!(measure(&stages), Size { bytes: 530, compressed: true });
    }

    #[test]
    fn the_last_line_says_what_was_saved() {
        let plain = |bytes| Size { bytes, compressed: false };
        let packed = |bytes| Size { bytes, compressed: true };
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        for (size, discarded, left, line) in [
            (
                plain(14_900_000),
                names(&["builder"]),
                plain(1_130_000_000),
                "app  14.9 MB  (builder 1.13 GB left behind, 98.7 % smaller)",
            ),
            (plain(14_900_000), names(&[]), plain(0), "app  14.9 MB"),
            (
                plain(1),
                names(&["a", "b"]),
                plain(1_000_000_000_000),
                "app  1 B  (a, b 1 TB left behind, 99.9 % smaller)",
            ),
            (plain(10), names(&["a", "b", "c", "d"]), plain(5), "app  10 B  (4 stages 5 B left behind)"),
            (packed(10), names(&["a"]), plain(50), "app  10 B compressed  (a 50 B left behind)"),
            (
                packed(10),
                names(&["a"]),
                packed(50),
                "app  10 B compressed  (a 50 B compressed left behind, 80.0 % smaller)",
            ),
        ] {
            assert_eq!(summary("app", size, &discarded, left), line);
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1 kB"),
            (1234, "1.23 kB"),
            (14_949_999, "14.9 MB"),
            (14_950_001, "15 MB"),
            (100_000_000, "100 MB"),
            (999_499, "999 kB"),
            (999_999, "1 MB"),
            (1_130_000_000, "1.13 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
    }
}
