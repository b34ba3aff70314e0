//! A listing in the forms that `--format` can ask for: a table, a table of chosen fields, JSON, or a template.

use serde_json::{Map, Value};

use super::{Template, printable, table};
use crate::failure::Failure;

/// A field of a listing: its name in templates, and what stands above it in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Such as `CreatedSince`.
    pub field: &'static str,
    /// Such as `CREATED`.
    pub head: &'static str,
}

/// Rows of texts by field.
#[derive(Debug, Clone)]
pub struct Listing {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Listing {
    /// Starts a listing with these fields.
    pub fn new(columns: &[(&'static str, &'static str)]) -> Listing {
        let columns = columns.iter().map(|(field, head)| Column { field, head }).collect();
        Listing { columns, rows: Vec::new() }
    }

    /// Adds a row, a text for each field.
    pub fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    /// Writes the listing as `format` says; without one, as a table of the fields in `default`.
    pub fn render(&self, format: Option<&str>, default: &[&str]) -> Result<String, Failure> {
        match format {
            None | Some("" | "table") => Ok(self.table(default)),
            Some("json") => Ok(self.rows.iter().map(|row| self.object(row).to_string() + "\n").collect()),
            Some(format) => self.template(format),
        }
    }

    fn table(&self, fields: &[&str]) -> String {
        let place = |field: &&str| self.columns.iter().position(|column| column.field == *field);
        let places: Vec<usize> = fields.iter().filter_map(place).collect();
        let mut lines = vec![places.iter().map(|at| self.columns[*at].head.to_owned()).collect()];
        lines.extend(self.rows.iter().map(|row| places.iter().map(|at| one_line(&row[*at])).collect()));
        table(&lines)
    }

    fn template(&self, format: &str) -> Result<String, Failure> {
        // docker/cli: `formatter.Context.preFormat` lets a shell's `\t` and `\n` through.
        let format = format.replace("\\t", "\t").replace("\\n", "\n");
        let (format, tabular) = match format.strip_prefix("table ") {
            Some(format) => (format, true),
            None => (format.as_str(), false),
        };
        let bad = |error: super::TemplateError| Failure::usage(format!("--format: {error}"));
        let template = Template::parse(format).map_err(bad)?;
        let mut lines = Vec::new();
        if tabular {
            let heads = self.columns.iter().map(|column| (column.field.to_owned(), column.head.into()));
            lines.push(template.render(&Value::Object(heads.collect())).map_err(bad)?);
        }
        for row in &self.rows {
            lines.push(template.render(&self.object(row)).map_err(bad)?);
        }
        if !tabular {
            return Ok(lines.iter().map(|line| line.clone() + "\n").collect());
        }
        let cells: Vec<Vec<String>> =
            lines.iter().map(|line| line.split('\t').map(one_line).collect()).collect();
        Ok(table(&cells))
    }

    fn object(&self, row: &[String]) -> Value {
        let pairs = self.columns.iter().zip(row);
        Value::Object(
            pairs.map(|(column, text)| (column.field.to_owned(), text.clone().into())).collect::<Map<_, _>>(),
        )
    }
}

fn one_line(text: &str) -> String {
    printable(&text.replace(['\n', '\t'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        let mut listing = Listing::new(&[("ID", "IMAGE ID"), ("Tag", "TAG")]);
        listing.push(vec!["ab".into(), "one".into()]);
        listing.push(vec!["cd".into(), "t\x1bo".into()]);
        listing
    }

    #[test]
    fn formats_are_dockers() {
        for (format, text) in [
            (None, "TAG        IMAGE ID\none        ab\nt\\u{1b}o   cd\n"),
            (Some("table"), "TAG        IMAGE ID\none        ab\nt\\u{1b}o   cd\n"),
            (Some("{{.ID}}"), "ab\ncd\n"),
            (Some("{{.ID}}\\t{{.Tag}}"), "ab\tone\ncd\tt\x1bo\n"),
            (Some("table {{.ID}}\\t{{.Tag}}"), "IMAGE ID   TAG\nab         one\ncd         t\\u{1b}o\n"),
            (Some("json"), "{\"ID\":\"ab\",\"Tag\":\"one\"}\n{\"ID\":\"cd\",\"Tag\":\"t\\u001bo\"}\n"),
        ] {
            assert_eq!(listing().render(format, &["Tag", "ID"]).unwrap(), text, "{format:?}");
        }
        assert!(listing().render(Some("{{.Nope}}"), &[]).unwrap_err().message.contains("Nope"));
    }
}
