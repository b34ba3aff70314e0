//! Platforms: operating system, architecture and variant, in containerd's normal form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An operating system and processor, such as `linux/amd64` or `linux/arm/v7`.
///
/// Parsing and normalisation follow containerd's `platforms` package, which docker and BuildKit use.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// Go's name of the processor, such as `amd64`.
    pub architecture: String,
    /// Go's name of the operating system, such as `linux`.
    pub os: String,
    /// The version of the operating system; Windows only.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features the operating system must have; Windows only.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// The processor's variant, such as `v7`; absent where the default is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A text that names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a platform: expected OS/ARCH[/VARIANT], such as linux/amd64 or linux/arm/v7")]
pub struct PlatformError(pub String);

impl Platform {
    /// Makes a platform and brings it to normal form.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        let (architecture, variant) = normal_architecture(architecture, variant.unwrap_or_default());
        Platform {
            architecture,
            os: normal_os(os),
            os_version: None,
            os_features: Vec::new(),
            variant: (!variant.is_empty()).then_some(variant),
        }
    }

    /// Returns the platform this binary was compiled for.
    pub fn host() -> Platform {
        Platform::new("linux", std::env::consts::ARCH, None)
    }

    /// Tells whether an image for `candidate` can serve where `self` is wanted, ignoring the ARM variants below.
    pub fn matches(&self, candidate: &Platform) -> bool {
        let candidate = candidate.clone().normalized();
        self.os == candidate.os
            && self.architecture == candidate.architecture
            && (self.variant == candidate.variant || candidate.variant.is_none() && self.default_variant())
    }

    /// Ranks `candidate` where `self` is wanted: lower is better, `None` does not serve.
    ///
    /// An ARM processor runs the code of older variants too, and the newest of those is best.
    pub fn rank(&self, candidate: &Platform) -> Option<u32> {
        if self.matches(candidate) {
            return Some(0);
        }
        let candidate = candidate.clone().normalized();
        let level = |platform: &Platform| -> Option<u32> {
            let variant = platform.variant.as_deref();
            match platform.architecture.as_str() {
                "arm" => variant.unwrap_or("v7").strip_prefix('v')?.parse().ok(),
                "amd64" => variant.unwrap_or("v1").strip_prefix('v')?.parse().ok(),
                _ => None,
            }
        };
        if self.os != candidate.os || self.architecture != candidate.architecture {
            return None;
        }
        let (wanted, offered) = (level(self)?, level(&candidate)?);
        (offered < wanted).then(|| wanted - offered)
    }

    /// Returns the platform in normal form: what came from a manifest may not be.
    pub fn normalized(self) -> Platform {
        let normal = Platform::new(&self.os, &self.architecture, self.variant.as_deref());
        Platform { os_version: self.os_version, os_features: self.os_features, ..normal }
    }

    fn default_variant(&self) -> bool {
        matches!(
            (self.architecture.as_str(), self.variant.as_deref()),
            ("arm", Some("v7")) | ("arm64", Some("v8"))
        )
    }
}

fn normal_os(os: &str) -> String {
    match os.to_ascii_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        other => other.to_owned(),
    }
}

fn normal_architecture(architecture: &str, variant: &str) -> (String, String) {
    let architecture = architecture.to_ascii_lowercase();
    let variant = variant.to_ascii_lowercase();
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386" | "x86", _) => ("386", String::new()),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", String::new()),
        ("x86_64" | "x86-64" | "amd64", _) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", String::new()),
        ("aarch64" | "arm64", _) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7".to_owned()),
        ("armel", _) => ("arm", "v6".to_owned()),
        ("arm", "" | "7") => ("arm", "v7".to_owned()),
        ("arm", "5" | "6" | "8") => ("arm", format!("v{variant}")),
        (other, _) => (other, variant),
    };
    (architecture.to_owned(), variant)
}

const KNOWN_OS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "illumos",
    "ios",
    "js",
    "linux",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "windows",
    "macos",
];

const KNOWN_ARCHITECTURES: &[&str] = &[
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le",
    "riscv64", "s390x", "wasm", "x86_64", "x86-64", "i386", "x86", "aarch64", "armhf", "armel",
];

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Platform, PlatformError> {
        let bad = || PlatformError(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        let plain = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        };
        if !parts.iter().all(plain) {
            return Err(bad());
        }
        let host = Platform::host();
        match parts[..] {
            [os] if KNOWN_OS.contains(&os.to_ascii_lowercase().as_str()) => {
                Ok(Platform::new(os, &host.architecture, host.variant.as_deref()))
            }
            [arch] if KNOWN_ARCHITECTURES.contains(&arch.to_ascii_lowercase().as_str()) => {
                Ok(Platform::new(&host.os, arch, None))
            }
            [os, arch] => Ok(Platform::new(os, arch, None)),
            [os, arch, variant] => Ok(Platform::new(os, arch, Some(variant))),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_to_normal_form() {
        for (text, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v2", "linux/amd64/v2"),
            ("arm64", "linux/arm64"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), normal, "{text}");
        }
        for bad in ["", "/", "linux/", "a/b/c/d", "toaster", "linux/am d64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn arm_takes_the_newest_older_variant() {
        let want: Platform = "linux/arm/v7".parse().unwrap();
        let rank = |text: &str| want.rank(&text.parse().unwrap());
        assert_eq!(rank("linux/arm/v7"), Some(0));
        assert!(rank("linux/arm/v6") < rank("linux/arm/v5"));
        assert_eq!(rank("linux/arm/v8"), None);
        assert_eq!(rank("linux/amd64"), None);
    }
}
