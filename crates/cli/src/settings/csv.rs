//! One line of comma-separated values (RFC 4180), as docker's structured flags are written.

use crate::failure::Failure;

/// Splits a line at its commas; a field in double quotes may hold commas, and quotes written twice.
pub fn fields(line: &str) -> Result<Vec<String>, Failure> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, tail) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted, line)?,
            None => match rest.split_once(',') {
                Some((field, tail)) => (field.to_owned(), Some(tail)),
                None => (rest.to_owned(), None),
            },
        };
        if !rest.starts_with('"') && field.contains('"') {
            return Err(Failure::usage(format!(
                "\"{line}\": a quote stands inside a field that does not start with one"
            )));
        }
        fields.push(field);
        match tail {
            Some(tail) => rest = tail,
            None => return Ok(fields),
        }
    }
}

fn quoted_field<'a>(text: &'a str, line: &str) -> Result<(String, Option<&'a str>), Failure> {
    let bad = || {
        Failure::usage(format!("\"{line}\": a quoted field is not closed, or text follows its closing quote"))
    };
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (piece, tail) = rest.split_once('"').ok_or_else(bad)?;
        field.push_str(piece);
        if let Some(more) = tail.strip_prefix('"') {
            field.push('"');
            rest = more;
            continue;
        }
        return match tail.strip_prefix(',') {
            Some(next) => Ok((field, Some(next))),
            None if tail.is_empty() => Ok((field, None)),
            None => Err(bad()),
        };
    }
}

/// Splits a line into `key=value`; keys come in lower case. `flag` is named in errors.
pub fn pairs(flag: &str, line: &str) -> Result<Vec<(String, String)>, Failure> {
    let lower = |(key, value): (String, String)| (key.to_ascii_lowercase(), value);
    Ok(pairs_as_written(flag, line)?.into_iter().map(lower).collect())
}

/// Like [`pairs`], with keys as they were written.
pub fn pairs_as_written(flag: &str, line: &str) -> Result<Vec<(String, String)>, Failure> {
    let pair = |field: &String| match field.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.to_owned())),
        None => Err(Failure::usage(format!("{flag} \"{line}\": \"{field}\" is not key=value"))),
    };
    fields(line)?.iter().map(pair).collect()
}
