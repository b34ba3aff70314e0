//! `--max-size`, `--max-growth`, `--max-dead`.

use jettison_ops::{Budgets, Share};

use crate::args::BuildArgs;
use crate::failure::Failure;

/// Reads the budgets; `named` tells whether the image gets a name.
pub fn budgets(args: &BuildArgs, named: bool) -> Result<Budgets, Failure> {
    let size = args.max_size.as_deref().map(|text| {
        size(text).ok_or_else(|| {
            Failure::usage(format!("--max-size \"{text}\": expected a number and a unit, such as 50MB"))
                .help("units are B, kB, MB, GB, TB (of 1000) and KiB, MiB, GiB, TiB (of 1024)")
        })
    });
    let share = |flag: &str, text: &Option<String>| {
        text.as_deref().map(|text| {
            percent(text).ok_or_else(|| {
                Failure::usage(format!("{flag} \"{text}\": expected a percentage, such as 5% or 0.5%"))
            })
        })
    };
    if args.baseline.is_some() && args.max_growth.is_none() {
        return Err(Failure::usage("--baseline is for --max-growth, which is not there"));
    }
    if args.max_growth.is_some() && args.baseline.is_none() && !named {
        return Err(Failure::usage("--max-growth has nothing to compare with: add --baseline or --tag"));
    }
    Ok(Budgets {
        size: size.transpose()?,
        growth: share("--max-growth", &args.max_growth).transpose()?,
        dead: share("--max-dead", &args.max_dead).transpose()?,
    })
}

/// A number of bytes. docker's one-letter units are not taken: `50m` is 1024 based for some of its flags.
fn size(text: &str) -> Option<u64> {
    let start = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(start);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000 * 1000,
        "gb" => 1000 * 1000 * 1000,
        "tb" => 1000 * 1000 * 1000 * 1000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    let millionths = u128::from(millionths(number.trim())?) * u128::from(factor);
    u64::try_from(millionths / 1_000_000).ok()
}

fn percent(text: &str) -> Option<Share> {
    let number = text.strip_suffix('%')?;
    Some(Share::of_millionths(millionths(number.trim())? / 100))
}

/// Reads a number with up to six decimal places, in millionths.
fn millionths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 6 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = format!("{fraction:0<6}").parse().ok()?;
    whole.checked_mul(1_000_000)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_percentages() {
        for (text, bytes) in [
            ("50MB", Some(50_000_000)),
            ("1.5 GB", Some(1_500_000_000)),
            ("1MiB", Some(1 << 20)),
            ("12", Some(12)),
            ("50m", None),
            ("MB", None),
            ("-1MB", None),
            ("1.2.3MB", None),
            ("18446744073709551615TB", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
        for (text, share) in
            [("5%", Some(50_000)), ("0.5 %", Some(5_000)), ("0%", Some(0)), ("5", None), ("%", None)]
        {
            assert_eq!(percent(text), share.map(Share::of_millionths), "{text}");
        }
    }
}
