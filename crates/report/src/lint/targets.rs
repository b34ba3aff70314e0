//! `--call=targets`: the stages of a Dockerfile (BuildKit's `frontend/subrequests/targets`).

use jettison_dockerfile::{Instruction, Kind, LineIndex, Parsed};
use jettison_plan::Stage;

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name in lower case; empty if it has none.
    pub name: String,
    /// Whether it is built where nothing else is asked for.
    pub default: bool,
    /// What the comment above its FROM says of it.
    pub description: String,
    /// What it starts from, as written.
    pub base: String,
    /// `--platform`, as written.
    pub platform: String,
    /// The first and the last line of its FROM.
    pub lines: (usize, usize),
}

/// Lists the stages of a Dockerfile that has no errors.
pub fn targets(dockerfile: &Parsed) -> Vec<Target> {
    let lines = LineIndex::new(&dockerfile.text);
    let (_, stages) = Stage::split(&dockerfile.dockerfile);
    let target = |stage: &Stage<'_>| {
        let Kind::From { platform, image, .. } = &stage.from.kind else { return None };
        let name = stage.name.map(|name| name.text.to_lowercase()).unwrap_or_default();
        Some(Target {
            default: stage.index + 1 == stages.len(),
            description: description(stage.from, &name),
            base: image.text.clone(),
            platform: platform.as_ref().map(|word| word.text.clone()).unwrap_or_default(),
            lines: lines.lines(stage.from.span),
            name,
        })
    };
    stages.iter().filter_map(target).collect()
}

/// Returns what a comment of the form `# NAME text` above an instruction says of a stage or an argument.
pub(super) fn description(instruction: &Instruction, name: &str) -> String {
    if name.is_empty() {
        return String::new();
    }
    let of_name = |comment: &String| Some(comment.strip_prefix(name)?.strip_prefix(' ')?.to_owned());
    instruction.comments.iter().find_map(of_name).unwrap_or_default()
}
