//! Tables as docker lays them out: columns at least ten wide, three spaces between them.

use unicode_width::UnicodeWidthStr;

/// docker/cli: `formatter.Context.postFormat`, which sets a Go tabwriter so.
const LEAST_WIDTH: usize = 10;
const GAP: usize = 3;

/// Lays out rows; the first is the head. Rows may be shorter than others.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width());
        (cells.max().unwrap_or(0) + GAP).max(LEAST_WIDTH)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
                text.extend(std::iter::repeat_n(' ', widths[column] - cell.width()));
            }
        }
        text.push('\n');
    }
    text
}

/// Cuts a text to `length` characters, the last of which is then `…`.
pub fn ellipsis(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(length.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_dockers() {
        let rows = [vec!["A", "IMAGE ID", "SIZE"], vec!["long/repository", "abc", "1kB"]];
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(table(&rows), "A                 IMAGE ID   SIZE\nlong/repository   abc        1kB\n");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn long_texts_end_in_dots() {
        assert_eq!(ellipsis("short", 5), "short");
        assert_eq!(ellipsis("größer", 5), "größ…");
    }
}
