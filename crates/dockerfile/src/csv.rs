//! One record of comma-separated values (RFC 4180), as `RUN --mount=` has it.

/// Why a text is no record; in the words of Go's `encoding/csv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CsvError {
    /// A quote inside a field that does not begin with one. The column counts bytes from 1.
    #[error("parse error on line 1, column {0}: bare \" in non-quoted-field")]
    BareQuote(usize),
    /// A quoted field that does not end, or goes on after its end.
    #[error("parse error on line 1, column {0}: extraneous or missing \" in quoted-field")]
    Quote(usize),
    /// No field at all.
    #[error("EOF")]
    Empty,
}

/// Splits a record into its fields. A field in quotes may contain commas, and quotes that are doubled.
pub fn csv_fields(text: &str) -> Result<Vec<String>, CsvError> {
    if text.is_empty() {
        return Err(CsvError::Empty);
    }
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let column = text.len() - rest.len() + 1;
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted, column)?,
            None => plain_field(rest, column)?,
        };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

fn plain_field(text: &str, column: usize) -> Result<(String, Option<&str>), CsvError> {
    let (field, rest) = match text.split_once(',') {
        Some((field, rest)) => (field, Some(rest)),
        None => (text, None),
    };
    match field.find('"') {
        Some(at) => Err(CsvError::BareQuote(column + at)),
        None => Ok((field.to_owned(), rest)),
    }
}

/// Reads a field from after its first quote on.
fn quoted_field(text: &str, column: usize) -> Result<(String, Option<&str>), CsvError> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let Some((part, after)) = rest.split_once('"') else {
            return Err(CsvError::Quote(column + text.len() + 1));
        };
        field.push_str(part);
        if after.is_empty() {
            return Ok((field, None));
        }
        if let Some(after) = after.strip_prefix(',') {
            return Ok((field, Some(after)));
        }
        let Some(after_pair) = after.strip_prefix('"') else {
            return Err(CsvError::Quote(column + text.len() - after.len()));
        };
        field.push('"');
        rest = after_pair;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_split_at_commas_outside_of_quotes() {
        assert_eq!(csv_fields("a,b=c,,d").as_deref(), Ok(&["a", "b=c", "", "d"].map(String::from)[..]));
        assert_eq!(csv_fields("\"a,b\",\"c\"\"d\"").as_deref(), Ok(&["a,b", "c\"d"].map(String::from)[..]));
        assert_eq!(csv_fields("a,").as_deref(), Ok(&["a", ""].map(String::from)[..]));
    }

    #[test]
    fn stray_quotes_are_errors() {
        assert_eq!(csv_fields("a\"b"), Err(CsvError::BareQuote(2)));
        assert_eq!(csv_fields("\"a"), Err(CsvError::Quote(3)));
        assert_eq!(csv_fields("\"a\"b"), Err(CsvError::Quote(3)));
        assert_eq!(csv_fields(""), Err(CsvError::Empty));
    }
}
