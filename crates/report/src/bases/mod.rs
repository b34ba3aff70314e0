//! The base of the final stage and its smaller relatives: what each has, against what the final stage needs.
//!
//! Which images exist, and what is in them, is for the caller to find out; nothing here asks a registry.

mod needs;
mod relatives;
mod text;

use std::collections::BTreeSet;

use jettison_dockerfile::{Kind, LineIndex, Parsed};
use jettison_image::Platform;
use jettison_layer::Tree;
use jettison_plan::{Request, Stage, Words, globals};
use serde::Serialize;

pub use needs::{Built, needs};
pub use relatives::{SCRATCH, relatives};
pub use text::{bases_json, bases_notes, bases_rows};

/// A part of a base image that a final stage may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// `/bin/sh` or another shell.
    Shell,
    /// GNU's C library, by its loader.
    Glibc,
    /// musl, by its loader.
    Musl,
    /// Debian's package manager.
    Apt,
    /// Alpine's package manager.
    Apk,
    /// `dnf`, `microdnf` or `yum`.
    Dnf,
    /// SUSE's package manager.
    Zypper,
}

impl Part {
    /// Returns what it is called.
    pub fn name(self) -> &'static str {
        match self {
            Part::Shell => "shell",
            Part::Glibc => "glibc",
            Part::Musl => "musl",
            Part::Apt => "apt",
            Part::Apk => "apk",
            Part::Dnf => "dnf",
            Part::Zypper => "zypper",
        }
    }

    /// Returns the package manager that a command belongs to.
    fn manager(command: &str) -> Option<Part> {
        Some(match command {
            "apt" | "apt-get" => Part::Apt,
            "apk" => Part::Apk,
            "dnf" | "microdnf" | "yum" => Part::Dnf,
            "zypper" => Part::Zypper,
            _ => return None,
        })
    }

    /// Returns the C library that a loader belongs to, by its file name: `ld-linux-x86-64.so.2`, `ld-musl-x86_64.so.1`.
    fn of_loader(name: &str) -> Option<Part> {
        match name {
            _ if name.starts_with("ld-musl-") => Some(Part::Musl),
            _ if name.starts_with("ld-linux") || name.starts_with("ld64.so") => Some(Part::Glibc),
            _ => None,
        }
    }
}

/// Something that the final stage needs of its base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need {
    /// What it needs.
    pub part: Part,
    /// What of it needs that: an instruction with its line, or a file.
    pub why: String,
}

/// An image that the final stage starts from or could start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// Its name, as FROM takes it.
    pub name: String,
    /// The bytes of its layers as a registry sends them, by its manifest.
    pub compressed: u64,
    /// What is in it; `None` where its layers were not read.
    pub contents: Option<BaseContents>,
}

/// What is in a base image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BaseContents {
    /// How many packages it has, of all package managers.
    pub packages: usize,
    /// The parts it has.
    pub has: BTreeSet<Part>,
}

/// The base of a final stage beside its smaller relatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bases {
    /// The base in use, as FROM names it with the defaults of its arguments.
    pub base: String,
    /// The line of that FROM.
    pub line: usize,
    /// What the final stage needs.
    pub needs: Vec<Need>,
    /// The base in use, where it could be read, and those that exist and are smaller, the largest first.
    pub images: Vec<BaseImage>,
    /// What could not be found out, for the user.
    pub notes: Vec<String>,
}

impl BaseImage {
    /// Returns what the final stage needs and this image lacks; `None` where its layers were not read.
    pub fn misses(&self, needs: &[Need]) -> Option<Vec<Part>> {
        let has = &self.contents.as_ref()?.has;
        let missing: BTreeSet<Part> =
            needs.iter().map(|need| need.part).filter(|part| !has.contains(part)).collect();
        Some(missing.into_iter().collect())
    }
}

/// The image that a final stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseInUse {
    /// Its name.
    pub name: String,
    /// The line of that FROM.
    pub line: usize,
    /// What `--platform` of that FROM says.
    pub platform: Option<Platform>,
}

/// Returns the image that the target of `request`, or the stages it starts from, start from. Arguments are those of `request`,
/// else their defaults; `None` where those do not tell.
pub fn base_in_use(parsed: &Parsed, request: &Request) -> Option<BaseInUse> {
    let chain = crate::advice::Chain::of(parsed, request.target.as_deref());
    let from = chain.instructions.first()?;
    let Kind::From { image, platform, .. } = &from.kind else { return None };
    let words = Words::new(parsed.dockerfile.directives.escape);
    let (before_from, _) = Stage::split(&parsed.dockerfile);
    let env = globals(request, words, before_from, request.target.as_deref().unwrap_or_default()).ok()?;
    let name = words.expand(image, &env).ok().filter(|name| !name.is_empty())?;
    let platform = platform.as_ref().and_then(|word| words.expand(word, &env).ok()?.parse().ok());
    Some(BaseInUse { name, line: LineIndex::new(&parsed.text).line(from.span.start), platform })
}

/// Finds the parts of an image by its files.
pub fn parts(tree: &Tree) -> BTreeSet<Part> {
    let mut parts = BTreeSet::new();
    for node in tree.iter() {
        let path = String::from_utf8_lossy(&node.entry.path);
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let is_program = ["bin", "sbin"].contains(&folder.rsplit('/').next().unwrap_or_default());
        let shell = ["sh", "ash", "bash", "dash"].contains(&name).then_some(Part::Shell);
        let program = shell.or_else(|| Part::manager(name)).filter(|_| is_program);
        let is_library = folder.split('/').any(|part| part.starts_with("lib"));
        parts.extend(program.or_else(|| Part::of_loader(name).filter(|_| is_library)));
    }
    parts
}
