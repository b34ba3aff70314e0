//! Sizes and durations.

use std::time::Duration;

/// Formats a number of bytes as docker's tables do: `14.9MB`.
pub fn docker_size(bytes: u64) -> String {
    jettison_ops::human_size(bytes).replace(' ', "")
}

/// Formats how long something took: `0.1s`, `12.3s`, `3m 5s`.
pub fn duration(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    if seconds < 60 {
        return format!("{:.1}s", elapsed.as_secs_f64());
    }
    if seconds < 3600 {
        return format!("{}m {}s", seconds / 60, seconds % 60);
    }
    format!("{}h {}m {}s", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Reads a number of bytes as docker's flags do: `1024`, `10GB` (of 1000), `10GiB` and `10g` (of 1024).
///
/// go-units: `RAMInBytes`, in which every suffix counts in 1024; here `GB` is what it says, as `du` prints it.
pub fn parse_size(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..split].parse().ok()?;
    let factor: f64 = match text[split..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0_f64.powi(2),
        "g" | "gib" => 1024.0_f64.powi(3),
        "t" | "tib" => 1024.0_f64.powi(4),
        _ => return None,
    };
    let bytes = number * factor;
    (bytes.is_finite() && bytes < u64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_in_tables_have_no_space() {
        assert_eq!(docker_size(7_800_000), "7.8MB");
    }

    #[test]
    fn durations() {
        for (millis, text) in
            [(49, "0.0s"), (1250, "1.2s"), (59_000, "59.0s"), (185_000, "3m 5s"), (3_725_000, "1h 2m 5s")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn sizes_are_read_in_both_kinds_of_units() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("10GB", Some(10_000_000_000)),
            ("1.5kB", Some(1500)),
            ("2g", Some(2 << 30)),
            ("2 MiB", Some(2 << 20)),
            ("", None),
            ("x", None),
            ("5 apples", None),
            ("1.2.3", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }
}
