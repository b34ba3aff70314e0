//! Rewrites of a Dockerfile and its `.dockerignore`: edits of the text by byte spans, so that comments and layout stay.
//!
//! A [`Rewrite`] is a proposal, made from text alone. Whoever applies it builds before and after, and keeps it only if
//! [`unexplained`] finds no difference between the trees that the rewrite does not name, or if the user's smoke test
//! passes where the tree is meant to change.

mod caches;
mod context;
mod edit;
mod layers;
mod proof;
mod runtimes;
mod scripts;
mod secrets;
mod stages;
#[cfg(test)]
mod tests;

use jettison_dockerfile::{Dockerfile, Instruction, Kind, Span};
use jettison_image::RunConfig;
use jettison_layer::Tree;

pub use edit::{Edit, apply};
pub use proof::{Waste, unexplained};

/// A change of the Dockerfile or its ignore file that ought to make the image better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// The rule that asks for it, as `advise` calls it.
    pub rule: &'static str,
    /// What is done, in a few words.
    pub what: String,
    /// The instruction that it is about.
    pub span: Span,
    /// Changes of the Dockerfile, in any order, not overlapping.
    pub edits: Vec<Edit>,
    /// Lines for the end of the ignore file.
    pub ignore: Vec<String>,
    /// How it is proven.
    pub class: Class,
    /// What may be missing afterwards.
    pub waste: Vec<Waste>,
    /// What it must bring.
    pub gain: Gain,
    /// Build arguments that become secrets: the name of the argument, which is the variable, and the secret's ID.
    pub secrets: Vec<(String, String)>,
}

/// How a rewrite is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The final tree is the same but for the named waste.
    Provable,
    /// The tree changes: only a run of the program tells whether that is right.
    Smoke,
}

/// What a rewrite must bring to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gain {
    /// Fewer stored bytes.
    Bytes,
    /// A step that need not run again when a source changes.
    Rebuild,
    /// A secret that the image does not tell.
    Secret,
}

/// A Dockerfile to be rewritten.
pub struct Draft<'a> {
    /// Its text.
    pub text: &'a str,
    /// The same, parsed: without errors.
    pub dockerfile: &'a Dockerfile,
    /// The stage that is built; the last one if absent.
    pub target: Option<&'a str>,
    /// The names directly in the build context that the ignore file lets through.
    pub context: &'a [String],
    /// The config of the image that it builds.
    pub config: &'a RunConfig,
    /// The final tree of that image.
    pub tree: &'a Tree,
    /// How many of the layers are those of the base.
    pub base_layers: usize,
}

/// Proposes rewrites for the stages that ship, those that save most for sure first. What is proposed together may
/// overlap: after one is applied, ask anew.
pub fn rewrites(draft: &Draft<'_>) -> Vec<Rewrite> {
    let mut found = Vec::new();
    for stage in draft.shipping() {
        layers::rewrites(draft, stage, &mut found);
        caches::rewrites(draft, stage, &mut found);
        secrets::rewrites(draft, stage, &mut found);
        scripts::rewrites(draft, stage, &mut found);
    }
    context::rewrites(draft, &mut found);
    stages::rewrites(draft, &mut found);
    found
}

impl Rewrite {
    fn new(rule: &'static str, instruction: &Instruction, what: impl Into<String>) -> Rewrite {
        Rewrite {
            rule,
            what: what.into(),
            span: instruction.span,
            edits: Vec::new(),
            ignore: Vec::new(),
            class: Class::Provable,
            waste: Vec::new(),
            gain: Gain::Bytes,
            secrets: Vec::new(),
        }
    }

    /// Tells rewrites apart, wherever in `text` they stand.
    pub fn key(&self, text: &str) -> String {
        let mut key = format!("{} {}", self.rule, self.what);
        for edit in &self.edits {
            key += &format!("\n-{}\n+{}", text.get(edit.span.range()).unwrap_or_default(), edit.text);
        }
        key + &self.ignore.join("\n")
    }
}

impl<'a> Draft<'a> {
    /// Returns the stages whose layers are in the image, each with its FROM.
    fn shipping(&self) -> Vec<&'a [Instruction]> {
        let stages = self.stages();
        let named = |name: &str| {
            stages.iter().rposition(|stage| {
                let Some(Kind::From { name: Some(own), .. }) = stage.first().map(|from| &from.kind) else {
                    return false;
                };
                own.text.eq_ignore_ascii_case(name)
            })
        };
        let last = stages.len().checked_sub(1);
        let number = |target: &str| named(target).or_else(|| target.parse().ok());
        let mut next = self.target.map_or(last, number);
        let mut shipping = Vec::new();
        while let Some(stage) = next.and_then(|number| stages.get(number)) {
            shipping.insert(0, *stage);
            next = match stage.first().map(|from| &from.kind) {
                // A stage begins with one above it only.
                Some(Kind::From { image, .. }) => named(&image.text).filter(|number| Some(*number) < next),
                _ => None,
            };
        }
        shipping
    }

    /// Splits the instructions into stages.
    fn stages(&self) -> Vec<&'a [Instruction]> {
        let all = &self.dockerfile.instructions;
        let starts: Vec<usize> =
            (0..all.len()).filter(|number| matches!(all[*number].kind, Kind::From { .. })).collect();
        let ends = starts.iter().skip(1).copied().chain([all.len()]);
        starts.iter().zip(ends).map(|(start, end)| &all[*start..end]).collect()
    }
}
