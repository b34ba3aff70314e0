//! Which instruction of a Dockerfile made which layer of the image.

use jettison_dockerfile::{Instruction, Kind, Parsed};
use jettison_plan::Stage;

use crate::Report;

/// The instructions of the stage that ships, with those of the stages it starts from, in order.
pub(crate) struct Chain<'a> {
    pub(crate) instructions: Vec<&'a Instruction>,
}

impl<'a> Chain<'a> {
    /// Follows the stage `target`, by its title, or the last one.
    pub(crate) fn of(parsed: &'a Parsed, target: Option<&str>) -> Chain<'a> {
        let (_, stages) = Stage::split(&parsed.dockerfile);
        let mut instructions = Vec::new();
        let mut number = match target {
            Some(target) => stages.iter().rposition(|stage| stage.title() == target.to_ascii_lowercase()),
            None => stages.len().checked_sub(1),
        };
        while let Some(stage) = number.and_then(|number| stages.get(number)) {
            instructions.splice(0..0, stage.instructions);
            let Kind::From { image, .. } = &stage.from.kind else { break };
            instructions.insert(0, stage.from);
            let is_base = |other: &Stage<'_>| {
                other.name.is_some_and(|name| name.text.eq_ignore_ascii_case(&image.text))
            };
            number = stages[..stage.index].iter().rposition(is_base);
        }
        Chain { instructions }
    }

    /// Returns the instruction that made a layer. Each RUN, COPY, ADD and WORKDIR is in the history, in order, so the
    /// last of a kind there is the last of its kind here.
    pub(super) fn instruction_of(&self, report: &Report, layer: usize) -> Option<&'a Instruction> {
        let number = report.layers.get(layer)?.instruction?;
        let keyword = keyword(&report.instructions.get(number)?.text)?;
        let later = report.instructions[number + 1..].iter();
        let same_later = later.filter(|other| self::keyword(&other.text) == Some(keyword)).count();
        let own = self.instructions.iter().rev();
        own.filter(|known| known.keyword.text.eq_ignore_ascii_case(keyword)).nth(same_later).copied()
    }
}

/// Returns what made an entry of a history; docker's old builder writes commands of RUN without it.
fn keyword(text: &str) -> Option<&'static str> {
    let text = text.split_once("#(nop)").map_or(text, |(_, text)| text).trim();
    let known = ["COPY", "ADD", "WORKDIR", "RUN"].into_iter().find(|known| text.starts_with(known));
    known.or_else(|| text.starts_with("/bin/sh -c").then_some("RUN"))
}
