//! One place where a repository can be reached.

use std::net::IpAddr;

use jettison_image::Reference;

/// Docker Hub's name in references, and the host of its API.
const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// A repository at a host, after all rewriting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The rewritten reference.
    pub(crate) reference: Reference,
    /// `registries.conf` says that certificates need not hold and that plain HTTP will do.
    pub(crate) insecure: bool,
}

impl Endpoint {
    pub(crate) fn new(reference: Reference, insecure: bool) -> Endpoint {
        Endpoint { reference, insecure }
    }

    /// The registry's name, by which credentials are known.
    pub(crate) fn registry(&self) -> &str {
        self.reference.registry()
    }

    /// The host and port of the API.
    pub(crate) fn host(&self) -> &str {
        api_host(self.registry())
    }

    /// The path of a part of the repository's API, such as `manifests/latest`.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.reference.repository())
    }
}

/// Returns the host and port of the API of `registry`.
pub(crate) fn api_host(registry: &str) -> &str {
    if registry == HUB.0 { HUB.1 } else { registry }
}

/// Tells whether `host[:port]` is this machine: docker treats 127.0.0.0/8 and ::1 as insecure registries.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => &host[..colon],
        _ => host,
    };
    let bare = bare.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_and_loopback_are_special() {
        assert_eq!(api_host("docker.io"), "registry-1.docker.io");
        assert_eq!(api_host("quay.io"), "quay.io");
        for (host, local) in [
            ("localhost:5000", true),
            ("127.0.0.2", true),
            ("[::1]:5000", true),
            ("localhost.example", false),
        ] {
            assert_eq!(is_loopback(host), local, "{host}");
        }
    }
}
