//! The little of URLs that `hyper::Uri` leaves out: relative locations, queries, percent signs.

use hyper::Uri;

/// Resolves the `Location` of an answer to a request of `base` (RFC 3986, section 5.2, without dot segments).
pub(crate) fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or(location);
    let scheme = base.scheme_str()?;
    let authority = base.authority()?;
    let path = base.path();
    let text = if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{path}{location}")
    } else {
        let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
        format!("{scheme}://{authority}{folder}{location}")
    };
    let uri: Uri = text.parse().ok()?;
    let usable =
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
    // A user in a URL from a registry is nothing we would send anywhere.
    (usable && !uri.authority()?.as_str().contains('@')).then_some(uri)
}

/// Adds query parameters, percent-encoded, to a URL that may have some.
pub(crate) fn with_query(url: &str, parameters: &[(&str, &str)]) -> String {
    let mut url = url.to_owned();
    for (name, value) in parameters {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(name);
        url.push('=');
        url.push_str(&percent_encode(value));
    }
    url
}

/// Encodes form fields as `application/x-www-form-urlencoded`.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    with_query("", fields).split_off(1)
}

/// Percent-encodes all but RFC 3986's unreserved characters, and `:` and `/`, which queries may hold as they are.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Undoes percent-encoding; what is not an escape stays as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits =
            text.get(at + 1..at + 3).filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let escape = digits.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, escape) {
            (b'%', Some(value)) => {
                decoded.push(value);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Tells whether two URLs have the same scheme, host and port.
pub(crate) fn same_origin(one: &Uri, other: &Uri) -> bool {
    let port =
        |uri: &Uri| uri.port_u16().or(if uri.scheme_str() == Some("https") { Some(443) } else { Some(80) });
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    one.scheme_str() == other.scheme_str() && host(one) == host(other) && port(one) == port(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_resolve_against_the_request() {
        let base = "https://r.example:5000/v2/a/blobs/uploads/?x=1".parse().unwrap();
        for (location, full) in [
            ("/v2/u?s=1", "https://r.example:5000/v2/u?s=1"),
            ("u1", "https://r.example:5000/v2/a/blobs/uploads/u1"),
            ("?s=2", "https://r.example:5000/v2/a/blobs/uploads/?s=2"),
            ("//s.example/b", "https://s.example/b"),
            ("http://s.example/b#x", "http://s.example/b"),
        ] {
            assert_eq!(resolve(&base, location).unwrap().to_string(), full);
        }
        for bad in ["ftp://x/", "file:///etc/passwd", "https://u:p@x/", "http://"] {
            assert_eq!(resolve(&base, bad), None, "{bad}");
        }
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(with_query("/a", &[("d", "sha256:1"), ("f", "a b&c")]), "/a?d=sha256:1&f=a%20b%26c");
        assert_eq!(with_query("/a?x", &[("d", "1")]), "/a?x&d=1");
        assert_eq!(form(&[("a", "1"), ("b", "+")]), "a=1&b=%2B");
        assert_eq!(percent_decode("a%20b%2"), "a b%2");
    }

    #[test]
    fn origins_know_default_ports() {
        let same = |one: &str, other: &str| same_origin(&one.parse().unwrap(), &other.parse().unwrap());
        assert!(same("https://A/x", "https://a:443/y"));
        assert!(!same("https://a/x", "http://a/x"));
        assert!(!same("https://a/x", "https://a.b/x"));
    }
}
