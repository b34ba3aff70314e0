//! The texts of an image's history, as BuildKit writes them (`dockerfile2llb/convert.go`).

use jettison_image::{Config, Healthcheck, History};

/// BuildKit's signature in the history; tools tell BuildKit's images by it.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// BuildKit's comment on layers that no instruction made.
const UNTOLD: &str = "buildkit.exporter.image.v0";

/// Adds what it takes for each of a base's `layers` to have a line, as tools expect. BuildKit has these lines too, but at
/// the end, where they belong to other layers.
pub(crate) fn tell_all(config: &mut Config, layers: usize) {
    let told = config.history.iter().filter(|entry| !entry.empty_layer).count();
    let untold = History { comment: Some(UNTOLD.to_owned()), ..History::default() };
    config.history.extend(vec![untold; layers.saturating_sub(told)]);
}

/// Adds an instruction that makes a layer.
pub(crate) fn layer(config: &mut Config, text: String) {
    push(config, text, false);
}

/// Adds an instruction that changes the config alone.
pub(crate) fn metadata(config: &mut Config, text: String) {
    push(config, text, true);
}

fn push(config: &mut Config, text: String, empty_layer: bool) {
    config.history.push(History {
        created: None,
        created_by: Some(text),
        author: config.author.clone(),
        comment: Some(COMMENT.to_owned()),
        empty_layer,
    });
}

/// Formats words as Go's `%q` does a slice: `["a" "b"]`.
pub(crate) fn quoted(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| go_quote(word)).collect();
    format!("[{}]", quoted.join(" "))
}

/// Formats words as Go's `%v` does a slice: `[a b]`.
pub(crate) fn plain(words: &[String]) -> String {
    format!("[{}]", words.join(" "))
}

/// Formats a health check as Go's `%v` does BuildKit's struct.
pub(crate) fn healthcheck(check: &Healthcheck) -> String {
    format!(
        "HEALTHCHECK {{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        plain(&check.test),
        go_duration(check.interval),
        go_duration(check.timeout),
        go_duration(check.start_period),
        go_duration(check.start_interval),
        check.retries
    )
}

/// Quotes a string as Go's `strconv.Quote` does.
fn go_quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Formats nanoseconds as Go's `Duration.String` does: `1h0m5s`, `1.5s`, `2ms`, `0s`.
fn go_duration(nanoseconds: i64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let fraction = |value: u64, unit: u64| {
        let digits = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() || unit == 1 {
            format!("{}", value / unit)
        } else {
            format!("{}.{digits}", value / unit)
        }
    };
    if total == 0 {
        return "0s".to_owned();
    }
    if total < 1_000 {
        return format!("{sign}{total}ns");
    }
    if total < 1_000_000 {
        return format!("{sign}{}µs", fraction(total, 1_000));
    }
    if total < SECOND {
        return format!("{sign}{}ms", fraction(total, 1_000_000));
    }
    let (hours, minutes) = (total / (3_600 * SECOND), total / (60 * SECOND) % 60);
    let seconds = fraction(total % (60 * SECOND), SECOND);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (5_000_000_000, "5s"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_605_000_000_000, "1h0m5s"),
            (2_000_000, "2ms"),
            (1_500, "1.5µs"),
        ] {
            assert_eq!(go_duration(nanoseconds), text);
        }
    }

    #[test]
    fn quoting_is_gos() {
        assert_eq!(
            quoted(&["a\"b".into(), "c\\d".into(), "e\n\u{1}".into()]),
            r#"["a\"b" "c\\d" "e\n\x01"]"#
        );
    }
}
