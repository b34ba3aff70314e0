//! `--ulimit`, `--shm-size`, `--cgroup-parent` and `--allow`: what a RUN may use. docker/go-units: `ulimit.go`, `RAMInBytes`.

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

/// Reads `--cgroup-parent` into an absolute path without dots: a path from the root of the hierarchies, with or without a
/// slash before it (BuildKit: `executor/oci/spec.go`), or the name of a slice, which stands in those that its dashes name
/// (systemd.slice(5)). Empty for none.
pub fn cgroup_parent(text: &str) -> Result<Option<String>, Failure> {
    let bad = |why: &str| Failure::usage(format!("--cgroup-parent \"{text}\": {why}"));
    if text.is_empty() {
        return Ok(None);
    }
    if text.contains([':', '\0', '\n']) {
        return Err(bad("expected a path or the name of a slice"));
    }
    if let Some(name) = text.strip_suffix(".slice").filter(|name| !name.contains('/')) {
        let parts: Vec<&str> = if name == "-" { Vec::new() } else { name.split('-').collect() };
        if parts.contains(&"") {
            return Err(bad("a slice is named such as \"a-b.slice\""));
        }
        let slice = |end: usize| format!("/{}.slice", parts[..end].join("-"));
        return Ok(Some((1..=parts.len()).map(slice).collect()));
    }
    let mut clean: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    Ok(Some(clean.iter().map(|part| format!("/{part}")).collect()))
}

/// Reads one `--allow`.
pub fn entitlement(text: &str) -> Result<Entitlement, Failure> {
    let all = [Entitlement::HostNetwork, Entitlement::Insecure];
    all.into_iter().find(|entitlement| entitlement.as_str() == text).ok_or_else(|| {
        let names = all.map(Entitlement::as_str).join(" or ");
        Failure::usage(format!("--allow \"{text}\": expected {names}"))
    })
}
