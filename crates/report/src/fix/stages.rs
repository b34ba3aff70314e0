//! From one stage with a compiler to two: what builds stays behind, what runs goes on the smallest base that will do.

use jettison_dockerfile::{Instruction, Kind};

use super::edit::{Edit, uses};
use super::runtimes::{Shipment, command, shipments};
use super::{Class, Draft, Rewrite};

/// The name of the stage that stays behind, where it has none.
const BUILD: &str = "build";

pub(super) fn rewrites(draft: &Draft<'_>, found: &mut Vec<Rewrite>) {
    let stages = draft.stages();
    let [stage] = stages.as_slice() else { return };
    let [from, steps @ ..] = stage else { return };
    let Kind::From { image, .. } = &from.kind else { return };
    let Some(program) = command(draft).into_iter().next() else { return };
    let Some(last) = steps.iter().rposition(makes_files) else { return };
    for shipment in shipments(draft, &image.text, &program) {
        let split = Split { draft, from, before: &steps[..=last], after: &steps[last + 1..] };
        found.push(split.rewrite(&shipment));
    }
}

/// A stage cut in two behind the last step that makes files.
struct Split<'a> {
    draft: &'a Draft<'a>,
    from: &'a Instruction,
    before: &'a [Instruction],
    after: &'a [Instruction],
}

impl Split<'_> {
    fn rewrite(&self, shipment: &Shipment) -> Rewrite {
        let Shipment { rule, base, carried, prune, command } = shipment;
        let draft = self.draft;
        let paths: Vec<&str> = carried.iter().map(|copy| copy.source.as_str()).collect();
        let mut what = format!("build in a stage of its own, ship {} on {base}", paths.join(", "));
        if let Some(prune) = prune {
            what += &format!(" after `{prune}`");
        }
        let mut rewrite = Rewrite::new(rule.name, self.from, what);
        rewrite.class = Class::Smoke;
        let name = match &self.from.kind {
            Kind::From { name: Some(name), .. } => name.text.as_str(),
            _ => {
                rewrite.edits.push(Edit::insert(self.from.span.end, format!(" AS {BUILD}")));
                BUILD
            }
        };
        // What follows the last step that makes files belongs to the new stage, its comments too.
        let at = self.after.first().map_or(draft.text.len(), |next| comments_start(draft, next));
        let mut text = String::new();
        if !draft.text[..at].ends_with('\n') {
            text.push('\n');
        }
        prune.iter().for_each(|prune| text += &format!("RUN {prune}\n"));
        text += &format!("\nFROM {base}\n");
        self.restated().iter().for_each(|setting| text += &format!("{setting}\n"));
        for copy in carried {
            let owner = copy.owner.as_ref().map_or(String::new(), |owner| format!("--chown={owner} "));
            text += &format!("COPY --from={name} {owner}{} {}\n", copy.source, copy.destination);
        }
        if let Some(command) = command {
            let starts = |step: &&Instruction| matches!(step.kind, Kind::Cmd(_) | Kind::Entrypoint(_));
            rewrite.edits.extend(self.after.iter().filter(starts).map(|step| draft.remove_lines(step)));
            text += &format!("{command}\n");
        }
        rewrite.edits.push(Edit::insert(at, text));
        rewrite
    }

    /// The instructions of the first stage that the second has to say again: how the program runs, and the arguments
    /// that they use.
    fn restated(&self) -> Vec<&str> {
        let raw = |step: &Instruction| self.draft.raw(step).trim_end();
        let settings: Vec<&Instruction> = self.before.iter().filter(|step| is_setting(step)).collect();
        let used = |step: &Instruction| match &step.kind {
            Kind::Arg(arguments) => {
                let used_by = |name: &str| {
                    settings.iter().copied().chain(self.after).any(|step| uses(self.draft.raw(step), name))
                };
                arguments.iter().any(|argument| used_by(&argument.name.text))
            }
            _ => is_setting(step),
        };
        self.before.iter().filter(|step| used(step)).map(raw).collect()
    }
}

fn makes_files(step: &Instruction) -> bool {
    matches!(step.kind, Kind::Run(_) | Kind::Copy(_) | Kind::Add(_))
}

/// Tells whether an instruction says how the program runs, and not only how it is built.
fn is_setting(step: &Instruction) -> bool {
    !makes_files(step) && !matches!(step.kind, Kind::Arg(_) | Kind::Shell(_) | Kind::Onbuild { .. })
}

/// The start of the comment lines directly above an instruction.
fn comments_start(draft: &Draft<'_>, instruction: &Instruction) -> usize {
    let mut start = draft.line_start(instruction.span.start);
    while start > 0 {
        let above = draft.line_start(start - 1);
        if !draft.text[above..start].trim_start().starts_with('#') {
            break;
        }
        start = above;
    }
    start
}
