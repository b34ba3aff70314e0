//! The last lines of each step's output, for the report of a failure.

use std::collections::{BTreeMap, VecDeque};

use jettison_build::{Event, StepId, StepInfo};

use super::lines::Lines;

/// How many lines of a step are kept.
const KEPT: usize = 20;

/// The last lines of output by step, and the steps' names.
#[derive(Debug, Default)]
pub struct Tails {
    steps: BTreeMap<StepId, StepInfo>,
    tails: BTreeMap<StepId, Tail>,
}

#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<Vec<u8>>,
    partial: Lines,
}

impl Tails {
    /// Takes note of an event.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Planned { steps } => self.steps.extend(steps.iter().map(|step| (step.id, step.clone()))),
            Event::Output { step, bytes, .. } => {
                let tail = self.tails.entry(*step).or_default();
                for line in tail.partial.push(bytes) {
                    tail.push(line);
                }
            }
            Event::Finished { step, .. } => {
                if let Some(tail) = self.tails.get_mut(step)
                    && let Some(line) = tail.partial.finish()
                {
                    tail.push(line);
                }
            }
            _ => {}
        }
    }

    /// Returns a step's name.
    pub fn name(&self, step: StepId) -> Option<&str> {
        self.steps.get(&step).map(|step| step.name.as_str())
    }

    /// Returns a step's last lines, without newlines.
    pub fn lines(&self, step: StepId) -> impl Iterator<Item = &[u8]> {
        self.tails.get(&step).into_iter().flat_map(|tail| tail.lines.iter().map(Vec::as_slice))
    }

    /// Returns how many steps the build has.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }
}

impl Tail {
    fn push(&mut self, line: Vec<u8>) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}
