//! The report of an image as one plain document: the JSON that `docs/report.schema.json` describes, and what the terminal
//! and the page show.

mod make;

use serde::{Deserialize, Serialize};

use crate::{BuildRecord, Cause, Sums};

pub use make::{Subject, report};

/// The version of the document's form.
pub const SCHEMA: u32 = 1;

/// All that is to be said of an image's bytes. Paths and names that are not UTF-8 have U+FFFD in the places that are not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The version of this form.
    pub schema: u32,
    /// Which image.
    pub image: ImageInfo,
    /// The whole image.
    pub totals: Sums,
    /// What was built on the base image.
    pub own: Sums,
    /// The base image; `None` where it is not known what that is, and all counts as own.
    pub base: Option<Base>,
    /// The history, oldest first.
    pub instructions: Vec<Instruction>,
    /// The layers, lowest first.
    pub layers: Vec<LayerReport>,
    /// Its packages, by bytes.
    pub packages: Vec<PackageReport>,
    /// Files of no package.
    pub unpackaged: Sums,
    /// Every file of every layer.
    pub files: Vec<FileReport>,
    /// What the build remembers of itself; `None` for an image built elsewhere.
    pub build: Option<BuildRecord>,
    /// What could not be found out.
    pub notes: Vec<String>,
}

/// Which image a report is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageInfo {
    /// As the user named it.
    pub name: String,
    /// The digest of its config.
    pub id: String,
    /// `linux/amd64`.
    pub platform: String,
    /// RFC 3339, as the config has it.
    pub created: Option<String>,
    /// What a container of it runs, and how.
    pub config: Vec<(String, String)>,
}

/// The base image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Base {
    /// Its bytes.
    pub sums: Sums,
    /// How many layers it has.
    pub layers: usize,
    /// How that is known: `build` (from the build's record), or the name of an image of the store whose layers those are.
    pub known_from: String,
}

/// An instruction of the image's history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Instruction {
    /// As the history has it.
    pub text: String,
    /// RFC 3339.
    pub created: Option<String>,
    /// The number of the layer it made, if it made one.
    pub layer: Option<usize>,
    /// Whether it is the base image's.
    pub base: bool,
}

/// A layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LayerReport {
    /// The digest of its tar.
    pub diff_id: String,
    /// The number of its instruction, if the history tells.
    pub instruction: Option<usize>,
    /// Whether it belongs to the base image.
    pub base: bool,
    /// Its bytes.
    pub sums: Sums,
}

/// A package. One that is compiled into a program has no bytes of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackageReport {
    /// Who manages it: `deb`, `apk`, `rpm`, `python`, `node`, `java`, `go` or `rust`.
    pub kind: String,
    /// Its name there.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The database, folder or program that tells of it.
    pub place: String,
    /// The layer that has most of its live bytes.
    pub layer: Option<usize>,
    /// Its bytes, dead ones of its paths included.
    pub sums: Sums,
}

/// A file of a layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileReport {
    /// With a leading slash.
    pub path: String,
    /// The number of its layer.
    pub layer: usize,
    /// In bytes.
    pub size: u64,
    /// Why it is dead; `None` for a live one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<Cause>,
    /// The layer that made it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<usize>,
    /// Whether an earlier live file has the same content.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
    /// The number of its package in the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<usize>,
    /// Its share of the layer's compressed blob, by the share of bytes.
    pub compressed_approximate: u64,
}

impl Report {
    /// Returns the instruction that made a layer, or what can be said instead.
    pub fn instruction_of(&self, layer: usize) -> String {
        let number = self.layers.get(layer).and_then(|layer| layer.instruction);
        match number.and_then(|number| self.instructions.get(number)) {
            Some(found) if !found.text.is_empty() => as_written(&found.text),
            _ => format!("layer {layer} (no history)"),
        }
    }
}

/// Brings an instruction of a history back to how a Dockerfile has it: BuildKit ends with `# buildkit` and writes the
/// shell of RUN out, docker's old builder marks what is no command with `#(nop)`.
fn as_written(text: &str) -> String {
    let text = text.strip_suffix("# buildkit").unwrap_or(text).trim();
    if let Some((_, instruction)) = text.split_once("#(nop)") {
        return instruction.trim().to_owned();
    }
    match text.strip_prefix("RUN ").unwrap_or(text).strip_prefix("/bin/sh -c ") {
        Some(command) => format!("RUN {}", command.trim()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::as_written;

    #[test]
    fn instructions_are_shown_as_they_were_written() {
        for (text, shown) in [
            ("RUN /bin/sh -c make all # buildkit", "RUN make all"),
            ("/bin/sh -c #(nop) ADD file:abc in / ", "ADD file:abc in /"),
            ("/bin/sh -c apt-get update", "RUN apt-get update"),
            ("COPY a /b # buildkit", "COPY a /b"),
            ("RUN |1 V=1 /bin/sh -c x", "RUN |1 V=1 /bin/sh -c x"),
        ] {
            assert_eq!(as_written(text), shown);
        }
    }
}
