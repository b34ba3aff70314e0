//! The stages of a Dockerfile, as they stand there.

use jettison_dockerfile::{Dockerfile, Instruction, Kind, Span, Word};

use crate::error::{Error, invalid, invalid_with_help};
use crate::names::near;
use crate::request::Request;

/// A stage as it stands in the Dockerfile.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a> {
    /// Its number, from zero.
    pub index: usize,
    /// What it is called.
    pub name: Option<&'a Word>,
    /// Its FROM.
    pub from: &'a Instruction,
    /// What follows.
    pub instructions: &'a [Instruction],
}

impl Stage<'_> {
    /// Splits a Dockerfile into the instructions before the first FROM and the stages.
    pub fn split(dockerfile: &Dockerfile) -> (&[Instruction], Vec<Stage<'_>>) {
        let all = &dockerfile.instructions;
        let is_from = |instruction: &Instruction| matches!(instruction.kind, Kind::From { .. });
        let starts: Vec<usize> = (0..all.len()).filter(|at| is_from(&all[*at])).collect();
        let ends = starts.iter().skip(1).copied().chain([all.len()]);
        let stages = starts.iter().zip(ends).enumerate().map(|(index, (start, end))| {
            let name = match &all[*start].kind {
                Kind::From { name, .. } => name.as_ref(),
                _ => None,
            };
            Stage { index, name, from: &all[*start], instructions: &all[start + 1..end] }
        });
        let stages = stages.collect();
        (&all[..starts.first().copied().unwrap_or(all.len())], stages)
    }

    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name.is_some_and(|own| own.text.eq_ignore_ascii_case(name))
    }

    /// Returns its name in lower case, or `stage-N`.
    pub fn title(&self) -> String {
        self.name.map_or_else(|| format!("stage-{}", self.index), |name| name.text.to_ascii_lowercase())
    }
}

/// Returns the number of the stage that is asked for: the last one, if none is named.
pub(crate) fn find_target(stages: &[Stage<'_>], request: &Request) -> Result<usize, Error> {
    let Some(last) = stages.len().checked_sub(1) else {
        return Err(invalid("no-stage", Span::default(), "the Dockerfile has no stage: it needs a FROM"));
    };
    let Some(name) = &request.target else { return Ok(last) };
    let by_name = stages.iter().rev().find(|stage| stage.is_called(name)).map(|stage| stage.index);
    by_name.ok_or_else(|| {
        let names: Vec<String> =
            stages.iter().filter_map(|stage| stage.name).map(|name| name.text.clone()).collect();
        let help = near(name, &names).map(|near| format!("did you mean \"{near}\"?")).or_else(|| {
            let all = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            Some(if names.is_empty() { "no stage has a name".to_owned() } else { format!("there are {all}") })
        });
        invalid_with_help(
            "unknown-target",
            Span::default(),
            format!("target stage \"{name}\" could not be found"),
            help,
        )
    })
}
