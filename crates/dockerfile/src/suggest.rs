//! "Did you mean": the nearest of some names by edit distance (BuildKit's `util/suggest`).

/// Names at this distance or farther are not suggested.
const MAX_DISTANCE: usize = 3;

/// Finds the name nearest to a word, if one is near; none if the word is itself one of the names.
pub fn nearest<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let mut best = None;
    let mut limit = MAX_DISTANCE;
    for name in names {
        if word == *name {
            return None;
        }
        let distance = distance(word, name, MAX_DISTANCE);
        // Of names at one distance, one with the same letters was meant: letters are swapped more often than replaced.
        if distance < limit || distance == limit && limit < MAX_DISTANCE && is_anagram(word, name) {
            (best, limit) = (Some(*name), distance);
        }
    }
    best
}

fn is_anagram(a: &str, b: &str) -> bool {
    let letters = |text: &str| {
        let mut letters: Vec<char> = text.to_lowercase().chars().collect();
        letters.sort_unstable();
        letters
    };
    letters(a) == letters(b)
}

/// Counts the insertions, deletions and substitutions between two words. Words whose lengths differ by `limit` or more
/// are not compared.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    if a.len().abs_diff(b.len()) >= limit * 4 {
        return limit;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        let names = ["copy", "from", "healthcheck"];
        assert_eq!(nearest("cpoy", &names), Some("copy"));
        assert_eq!(nearest("foo", &names), Some("from"));
        assert_eq!(nearest("helthchek", &names), Some("healthcheck"));
        assert_eq!(nearest("bogus", &names), None);
        assert_eq!(nearest("copy", &names), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), &names), None);
    }
}
