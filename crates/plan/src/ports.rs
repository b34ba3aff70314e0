//! `EXPOSE`: port specifications and their ranges (`dockerfile2llb/convert_expose.go`).

/// The largest number of ports that one EXPOSE word may stand for: all there are.
const MAX_PORT: u32 = 65_535;

/// Reads `[ip:[host:]]port[-port][/protocol]` into `port/protocol` words.
pub fn expand(word: &str) -> Result<Vec<String>, String> {
    let (rest, protocol) = match word.split_once('/') {
        Some((rest, protocol)) => (rest, protocol.to_ascii_lowercase()),
        None => (word, "tcp".to_owned()),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let (address, port) = match rest.rsplit_once(':') {
        Some((address, port)) => (Some(address), port),
        None => (None, rest),
    };
    let (first, last) = range(port).ok_or_else(|| format!("invalid containerPort: {port}"))?;
    if let Some(address) = address {
        check_host_part(address, last - first)?;
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn range(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u32>().ok())?.filter(|port| *port <= MAX_PORT)
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    (first <= last).then_some((first, last))
}

/// The address and the host's port mean nothing in an image, but must be well formed.
fn check_host_part(text: &str, width: u32) -> Result<(), String> {
    let (ip, host) = match text.rsplit_once(':') {
        Some((ip, host)) if !text.ends_with(']') => (ip, host),
        _ if text.parse::<std::net::IpAddr>().is_ok() || text.starts_with('[') => (text, ""),
        _ => ("", text),
    };
    let ip = ip.trim_start_matches('[').trim_end_matches(']');
    if !ip.is_empty() && ip.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("invalid IP address: {ip}"));
    }
    if host.is_empty() {
        return Ok(());
    }
    let (first, last) = range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?;
    if last - first != width && width != 0 {
        return Err(format!("invalid ranges specified for container and host Ports: {host}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn forms() {
        for (word, ports) in [
            ("80", &["80/tcp"][..]),
            ("53/UDP", &["53/udp"]),
            ("8000-8002", &["8000/tcp", "8001/tcp", "8002/tcp"]),
            ("8080:80", &["80/tcp"]),
            ("127.0.0.1:8080:80", &["80/tcp"]),
            ("[::1]:8080:80", &["80/tcp"]),
        ] {
            assert_eq!(expand(word).unwrap(), ports, "{word}");
        }
        for bad in ["", "a", "80/x", "80-", "70000", "9-8", "1:2:3:80", "x:80"] {
            assert!(expand(bad).is_err(), "{bad}");
        }
    }
}
