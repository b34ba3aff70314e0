//! Image references and their normal form.

use std::fmt;
use std::str::FromStr;

use crate::Digest;

/// The name of an image: registry, repository, and a tag or a digest or both.
///
/// The grammar and the defaults (`docker.io`, `library/`, `latest`) are those of `github.com/distribution/reference`,
/// whose "normalized" form this type always holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The text does not follow the grammar.
    #[error("invalid reference format: \"{text}\": {why}")]
    Malformed {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The part after `@` is not a digest.
    #[error("invalid reference format: \"{text}\": {source}")]
    Digest {
        /// The text as given.
        text: String,
        /// What is wrong with its digest.
        source: crate::DigestError,
    },
}

const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";
/// distribution/reference: NameTotalLengthMax.
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

impl Reference {
    /// Parses a reference and fills in docker's defaults. A name without tag and digest gets the tag `latest`.
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        let mut reference = Reference::parse_untagged(text)?;
        if reference.tag.is_none() && reference.digest.is_none() {
            reference.tag = Some(DEFAULT_TAG.to_owned());
        }
        Ok(reference)
    }

    /// Parses a reference, leaving a name without tag and digest as it is.
    pub fn parse_untagged(text: &str) -> Result<Reference, ReferenceError> {
        let bad = |why| ReferenceError::Malformed { text: text.to_owned(), why };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        if Digest::from_hex(text).is_ok() {
            return Err(bad("64 hex digits are an image ID, not a name"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest
                    .parse()
                    .map_err(|source| ReferenceError::Digest { text: text.to_owned(), source })?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        // A colon after the last slash starts a tag; one before it belongs to a port.
        let name_end = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[name_end..].find(':') {
            Some(colon) => (&rest[..name_end + colon], Some(&rest[name_end + colon + 1..])),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad("the tag is not valid"));
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, path))
                if first.contains(['.', ':'])
                    || first == "localhost"
                    || first.chars().any(char::is_uppercase) =>
            {
                (first, path)
            }
            _ => (DEFAULT_REGISTRY, name),
        };
        if !is_registry(registry) {
            return Err(bad("the registry's name is not valid"));
        }
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        if path.chars().any(char::is_uppercase) {
            return Err(bad("the repository's name must be lower-case"));
        }
        if !path.split('/').all(is_path_component) {
            return Err(bad("the repository's name is not valid"));
        }
        let official = registry == DEFAULT_REGISTRY && !path.contains('/');
        let repository = if official { format!("library/{path}") } else { path.to_owned() };
        if registry.len() + 1 + repository.len() > MAX_NAME {
            return Err(bad("the name is longer than 255 characters"));
        }
        Ok(Reference { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
    }

    /// Returns the registry's host and port, `docker.io` for Docker Hub.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the repository's path in its registry, such as `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag, if there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, if there is one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Returns the same image by digest instead of tag.
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Returns the same repository under another tag.
    pub fn with_tag(&self, tag: &str) -> Result<Reference, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Malformed { text: tag.to_owned(), why: "the tag is not valid" });
        }
        Ok(Reference { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// Returns the name without tag and digest as docker shows it: `alpine` for `docker.io/library/alpine`.
    pub fn familiar_name(&self) -> String {
        match self.repository.strip_prefix("library/") {
            _ if self.registry != DEFAULT_REGISTRY => format!("{}/{}", self.registry, self.repository),
            Some(official) if !official.contains('/') => official.to_owned(),
            _ => self.repository.clone(),
        }
    }

    /// Returns the whole reference as docker shows it: `alpine:3.20`.
    pub fn familiar(&self) -> String {
        self.familiar_name() + &self.suffix()
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        tag + &digest
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.registry, self.repository, self.suffix())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        Reference::parse(text)
    }
}

fn is_tag(tag: &str) -> bool {
    tag.len() <= MAX_TAG
        && tag
            .bytes()
            .enumerate()
            .all(|(at, b)| b.is_ascii_alphanumeric() || b == b'_' || at > 0 && b".-".contains(&b))
        && !tag.is_empty()
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.rfind(':') {
        Some(colon) if !registry.ends_with(']') => (&registry[..colon], Some(&registry[colon + 1..])),
        _ => (registry, None),
    };
    let port_ok = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    let ipv6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_ok = match ipv6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }),
    };
    port_ok && host_ok
}

/// A path component: lower-case letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let mut separator = String::new();
    let mut seen = false;
    for c in component.chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            let joined =
                matches!(separator.as_str(), "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
            if !joined || !seen && !separator.is_empty() {
                return false;
            }
            separator.clear();
            seen = true;
        } else if matches!(c, '.' | '_' | '-') {
            separator.push(c);
        } else {
            return false;
        }
    }
    seen && separator.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_dockers() {
        for (text, full, familiar) in [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("me/app:1", "docker.io/me/app:1", "me/app:1"),
            ("index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("localhost:5000/a/b:c", "localhost:5000/a/b:c", "localhost:5000/a/b:c"),
            (
                "gcr.io/distroless/static-debian12",
                "gcr.io/distroless/static-debian12:latest",
                "gcr.io/distroless/static-debian12:latest",
            ),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
        }
    }

    #[test]
    fn a_digest_needs_no_tag() {
        let text = format!("alpine@{}", Digest::of(b""));
        let reference = Reference::parse(&text).unwrap();
        assert_eq!(reference.tag(), None);
        assert_eq!(reference.familiar(), text);
    }

    #[test]
    fn what_the_grammar_forbids_is_refused() {
        for bad in [
            "",
            "Alpine",
            "a//b",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a:",
            "a:-x",
            "a b",
            "a@sha256:12",
            "/a",
            "a/",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
        for good in ["a__b", "a---b", "a.b_c", "x/y/z"] {
            assert!(Reference::parse(good).is_ok(), "{good}");
        }
    }
}
