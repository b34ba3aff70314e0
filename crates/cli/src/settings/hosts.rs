//! `--add-host`: docker's `host:ip` and `host=ip`.

use std::net::IpAddr;

use crate::failure::Failure;

/// Reads one value; an IPv6 address may stand in brackets (docker/cli: `opts.ValidateExtraHost`).
pub fn extra_host(text: &str) -> Result<(String, String), Failure> {
    let bad = || Failure::usage(format!("--add-host \"{text}\": expected HOST:IP"));
    let (host, address) = text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(bad)?;
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(bad());
    }
    if address == "host-gateway" {
        return Err(Failure::usage(format!(
            "--add-host \"{text}\": host-gateway is not supported, there is no bridge with a gateway"
        ))
        .help("use --network host and the address 127.0.0.1"));
    }
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    let address: IpAddr = bare
        .parse()
        .map_err(|_| Failure::usage(format!("--add-host \"{text}\": \"{address}\" is not an IP address")))?;
    Ok((host.to_owned(), address.to_string()))
}
