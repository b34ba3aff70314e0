//! `--ulimit`, `--shm-size` and `--allow`: what a RUN may use. docker/go-units: `ulimit.go`, `RAMInBytes`.

use jettison_ops::{Entitlement, Limit, ram_in_bytes};
use jettison_sandbox::LIMITS;

use crate::failure::Failure;

/// Reads one `--ulimit`: `NAME=SOFT[:HARD]`, -1 for no limit.
pub fn limit(text: &str) -> Result<Limit, Failure> {
    let bad = |why: &str| Failure::usage(format!("--ulimit \"{text}\": {why}"));
    let (name, values) = text.split_once('=').ok_or_else(|| bad("expected NAME=SOFT[:HARD]"))?;
    if !LIMITS.contains(&name) {
        return Err(
            bad(&format!("invalid ulimit type: {name}")).help(format!("types are {}", LIMITS.join(", ")))
        );
    }
    let number = |value: &str| match value.trim() {
        "-1" => Ok(u64::MAX),
        value => value.parse::<u64>().map_err(|_| bad(&format!("\"{value}\" is not a number"))),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (number(soft)?, number(hard)?);
    if soft > hard {
        return Err(bad("ulimit soft limit must be less than or equal to hard limit"));
    }
    Ok(Limit { name: name.to_owned(), soft, hard })
}

/// Reads `--shm-size`; 0 stands for the default.
pub fn shm_size(text: &str) -> Result<Option<u64>, Failure> {
    let size = ram_in_bytes(text);
    let size = size.ok_or_else(|| {
        Failure::usage(format!("--shm-size \"{text}\": expected a number of bytes, such as 128m"))
    })?;
    Ok(Some(size).filter(|size| *size > 0))
}

/// Reads one `--allow`.
pub fn entitlement(text: &str) -> Result<Entitlement, Failure> {
    let all = [Entitlement::HostNetwork, Entitlement::Insecure];
    all.into_iter().find(|entitlement| entitlement.as_str() == text).ok_or_else(|| {
        let names = all.map(Entitlement::as_str).join(" or ");
        Failure::usage(format!("--allow \"{text}\": expected {names}"))
    })
}
