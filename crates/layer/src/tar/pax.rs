//! PAX records: `length key=value\n`, the length counting all of the record.

/// Appends a record.
pub(crate) fn put_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // A space, an equals sign and a line feed.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    if rest + digits(length) != length {
        length = rest + digits(length);
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Splits records; `None` where the text has not this form.
pub(crate) fn records(mut text: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !text.is_empty() {
        let space = text.iter().position(|byte| *byte == b' ')?;
        let length = decimal(&text[..space])?;
        let record = text.get(space + 1..usize::try_from(length).ok()?)?;
        text = &text[space + 1 + record.len()..];
        let record = record.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=').filter(|equals| *equals > 0)?;
        records.push((&record[..equals], &record[equals + 1..]));
    }
    Some(records)
}

/// Reads digits alone.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Reads seconds with an optional fraction, `-1.5`, as whole seconds rounded down and nanoseconds.
pub(crate) fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let nanoseconds = match parts.next() {
        Some(fraction) => nanoseconds(fraction)?,
        None => 0,
    };
    match (negative, nanoseconds) {
        (false, nanoseconds) => Some((seconds, nanoseconds)),
        (true, 0) => Some((-seconds, 0)),
        (true, nanoseconds) => Some((-seconds - 1, 1_000_000_000 - nanoseconds)),
    }
}

fn nanoseconds(fraction: &[u8]) -> Option<u32> {
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    Some(digits.fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip_around_the_length_of_the_length() {
        for length in 0..1100 {
            let value = vec![b'x'; length];
            let mut text = Vec::new();
            put_record(&mut text, b"key", &value);
            put_record(&mut text, b"other", b"a\nb=c\0");
            let expected: [(&[u8], &[u8]); 2] = [(b"key", &value), (b"other", b"a\nb=c\0")];
            assert_eq!(records(&text).unwrap(), expected, "{length}");
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        let texts: [&[u8]; 7] =
            [b"x", b"6 a=b", b"7 a=b\n", b"5 a=b\n", b"6 =ab\n", b"99999999999999999999 a=b\n", b" a=b\n"];
        for text in texts {
            assert_eq!(records(text), None, "{text:?}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(time(b"12.1234567899"), Some((12, 123_456_789)));
        assert_eq!(time(b"-1.5"), Some((-2, 500_000_000)));
        assert_eq!(time(b"-3"), Some((-3, 0)));
        assert_eq!(time(b"1e9"), None);
        assert_eq!(time(b""), None);
    }
}
