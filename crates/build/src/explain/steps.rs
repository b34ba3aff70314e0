//! The steps of a build's last run: as they are stored, and which of them a step of this run was.

use jettison_image::Digest;
use serde::{Deserialize, Serialize};

use crate::keys::Key;

/// Bytes of the digest before the steps.
const SUM: usize = 32;

/// A step as the last run had it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Step {
    /// Its stage and platform, as in its name.
    stage: String,
    /// Such as `RUN go build`.
    pub(super) instruction: String,
    pub(super) key: Key,
}

impl Step {
    pub(super) fn new(name: &str, key: Key) -> Step {
        let (stage, instruction) = split(name);
        Step { stage: stage.to_owned(), instruction: instruction.to_owned(), key }
    }

    /// Returns the word that the instruction begins with.
    pub(super) fn kind(&self) -> &str {
        first_word(&self.instruction)
    }
}

/// Returns the instruction's first word of a step's name.
pub(super) fn kind(name: &str) -> &str {
    first_word(split(name).1)
}

fn first_word(instruction: &str) -> &str {
    instruction.split(' ').next().unwrap_or_default()
}

/// Reads the stored form; what cannot be read is nothing.
pub(super) fn read(stored: &[u8]) -> Vec<Step> {
    stored.get(SUM..).and_then(|steps| serde_json::from_slice(steps).ok()).unwrap_or_default()
}

/// Writes the stored form: `sum` tells whether it must be written again.
pub(super) fn write(sum: &Digest, steps: &[Step]) -> Vec<u8> {
    // Plain structs: serialising to memory has nothing that can fail.
    [sum.as_bytes().as_slice(), &serde_json::to_vec(steps).expect("keys are plain data")].concat()
}

/// Finds what step `id` of a build with these names was before, and whether its instruction reads the same: of equal
/// instructions the one in the same place among them, else the one in the same place of the stage that no step is
/// like.
pub(super) fn find<'s>(before: &'s [Step], names: &[&str], id: usize) -> Option<(&'s Step, bool)> {
    let (stage, instruction) = split(names[id]);
    let of_stage: Vec<&Step> = before.iter().filter(|step| step.stage == stage).collect();
    let now: Vec<&str> =
        names.iter().map(|name| split(name)).filter(|(of, _)| *of == stage).map(|(_, i)| i).collect();
    let earlier = |is: &dyn Fn(&str) -> bool| {
        names[..id].iter().map(|name| split(name)).filter(|(of, words)| *of == stage && is(words)).count()
    };
    let equal = of_stage.iter().filter(|step| step.instruction == instruction);
    if let Some(step) =
        equal.clone().nth(earlier(&|words| words == instruction)).or(equal.clone().next_back())
    {
        return Some((step, true));
    }
    let step = of_stage.get(earlier(&|_| true))?;
    (!now.contains(&step.instruction.as_str())).then_some((*step, false))
}

/// Splits `[linux/arm64 builder 2/5] RUN go build` into `linux/arm64 builder` and `RUN go build`.
fn split(name: &str) -> (&str, &str) {
    let Some((place, instruction)) = name.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else {
        return ("", name);
    };
    (place.rsplit_once(' ').map_or("", |(stage, _)| stage), instruction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;

    fn step(name: &str) -> Step {
        Step::new(name, keys::image(name, "", &Digest::of(b"")))
    }

    #[test]
    fn a_step_is_found_by_its_words_then_by_its_place() {
        let before = ["[a 1/4] FROM x", "[a 2/4] RUN 1", "[a 3/4] RUN 2", "[a 4/4] RUN 2", "[1/1] RUN 1"];
        let before: Vec<Step> = before.into_iter().map(step).collect();
        let names = [
            "[a 1/5] FROM x",
            "[a 2/5] RUN new",
            "[a 3/5] RUN 1",
            "[a 4/5] RUN 3",
            "[a 5/5] RUN 2",
            "[1/1] RUN 2",
        ];
        let found = |id| find(&before, &names, id).map(|(step, same)| (step.instruction.as_str(), same));
        assert_eq!(found(0), Some(("FROM x", true)));
        assert_eq!(found(1), None, "what was in its place is still there");
        assert_eq!(found(2), Some(("RUN 1", true)));
        assert_eq!(found(3), None);
        assert_eq!(found(4), Some(("RUN 2", true)));
        assert_eq!(found(5), Some(("RUN 1", false)));
    }

    #[test]
    fn what_was_written_is_read_and_what_is_torn_is_nothing() {
        let stored = write(&Digest::of(b"sum"), &[step("[a 1/1] RUN x")]);
        assert_eq!(read(&stored)[0].instruction, "RUN x");
        for cut in 0..stored.len() {
            assert!(read(&stored[..cut]).is_empty(), "cut at {cut}");
        }
    }
}
