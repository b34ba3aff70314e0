//! Names of images that may be smaller than a base and serve the same programs.

use jettison_image::Reference;

/// The base that is no image.
pub const SCRATCH: &str = "scratch";

/// Parts of tags that name a variant of an image, not a version of what is in it.
const VARIANTS: [&str; 12] = [
    "alpine", "slim", "bookworm", "bullseye", "buster", "trixie", "stretch", "jammy", "noble", "focal",
    "jdk", "jre",
];

/// Official images that are an operating system and no more: their tags name its releases.
const SYSTEMS: [&str; 7] = ["debian", "ubuntu", "fedora", "rockylinux", "almalinux", "amazonlinux", "alpine"];

/// Official images of compilers, whose programs need nothing of them.
const COMPILERS: [&str; 3] = ["golang", "rust", "gcc"];

/// Official images of Java, most with its compiler.
const JAVA: [&str; 3] = ["eclipse-temurin", "openjdk", "amazoncorretto"];

/// Returns names that may exist in registries, in no order. The tags are those of Docker's official images, which other
/// publishers follow; only official images have relatives in other repositories: alpine, distroless (its `README.md` lists
/// the images) and [`SCRATCH`].
pub fn relatives(base: &Reference) -> Vec<String> {
    let repository = base.familiar_name();
    let tag = base.tag().unwrap_or("latest");
    let official = !repository.contains(['/', '.', ':']);
    let system = official && SYSTEMS.contains(&repository.as_str());
    let stem = if system { tag.split("-slim").next().unwrap_or(tag) } else { stem(tag) };
    let tagged = |variant: &str| match stem {
        "" | "latest" => format!("{repository}:{variant}"),
        stem => format!("{repository}:{stem}-{variant}"),
    };
    let mut names = vec![tagged("slim")];
    if !system {
        names.push(tagged("alpine"));
    }
    if JAVA.contains(&repository.rsplit('/').next().unwrap_or_default()) {
        names.extend(["jre", "jre-alpine"].map(tagged));
    }
    if system {
        names.push("alpine:latest".to_owned());
    }
    if official {
        names.extend(distroless(&repository, stem));
    }
    if system || official && COMPILERS.contains(&repository.as_str()) {
        names.push(SCRATCH.to_owned());
    }
    let own = base.familiar();
    names.retain(|name| *name != own);
    names
}

/// The version in a tag: `3.11` of `3.11-slim-bookworm`, nothing of `slim` and `latest`.
fn stem(tag: &str) -> &str {
    let is_variant = |part: &str| VARIANTS.iter().any(|variant| part.starts_with(variant));
    let mut end = 0;
    for part in tag.split('-') {
        if is_variant(part) || part == "latest" {
            break;
        }
        end += part.len() + 1;
    }
    &tag[..end.saturating_sub(1)]
}

/// The images of distroless for what an official image is for.
fn distroless(repository: &str, version: &str) -> Vec<String> {
    let major = version.split(['.', '-', '_']).next().unwrap_or_default();
    let major = Some(major).filter(|major| major.parse::<u16>().is_ok());
    let names = match repository {
        "python" => vec!["python3".to_owned()],
        "node" => major.map(|major| format!("nodejs{major}")).into_iter().collect(),
        _ if JAVA.contains(&repository) => major.map(|major| format!("java{major}")).into_iter().collect(),
        _ if COMPILERS.contains(&repository) || SYSTEMS.contains(&repository) => {
            ["base", "cc", "static"].map(str::to_owned).to_vec()
        }
        _ => Vec::new(),
    };
    names.into_iter().map(|name| format!("gcr.io/distroless/{name}-debian12:latest")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(base: &str) -> Vec<String> {
        relatives(&Reference::parse(base).unwrap())
    }

    #[test]
    fn a_version_is_what_comes_before_variants() {
        for (tag, version) in [
            ("3.11-slim-bookworm", "3.11"),
            ("20", "20"),
            ("17-jdk-jammy", "17"),
            ("slim", ""),
            ("latest", ""),
            ("1.25-alpine3.19", "1.25"),
            ("3.12-rc-slim", "3.12-rc"),
        ] {
            assert_eq!(stem(tag), version, "{tag}");
        }
    }

    #[test]
    fn relatives_keep_version_and_purpose() {
        let python = ["python:3.11-slim", "python:3.11-alpine", "gcr.io/distroless/python3-debian12:latest"];
        let found = of("python:3.11");
        assert!(python.iter().all(|name| found.iter().any(|found| found == name)), "{found:?}");
        assert!(!found.contains(&SCRATCH.to_owned()), "a script needs its interpreter");
        assert!(of("node:20.1").contains(&"gcr.io/distroless/nodejs20-debian12:latest".to_owned()));
        assert!(of("python:3.11-slim").iter().all(|name| name != "python:3.11-slim"));
        assert!(of("golang").contains(&"golang:alpine".to_owned()));
        assert!(of("golang").contains(&SCRATCH.to_owned()));
        assert_eq!(of("debian:bookworm-slim")[0], "alpine:latest");
        assert!(of("eclipse-temurin:17-jdk-jammy").contains(&"eclipse-temurin:17-jre-alpine".to_owned()));
        assert!(of("python:3.11").iter().all(|name| !name.contains("jre")));
        assert_eq!(of("debian:12")[0], "debian:12-slim");
    }

    #[test]
    fn other_registries_are_not_left() {
        let found = of("registry.example/team/python:3.11");
        assert!(found.iter().all(|name| name.starts_with("registry.example/team/python:3.11-")), "{found:?}");
    }
}
