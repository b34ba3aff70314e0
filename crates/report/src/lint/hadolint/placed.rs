//! Instructions with their stage, and the scripts of RUN read.

use jettison_dockerfile::{Command, Dockerfile, Instruction, Kind, Run, csv_fields};

use crate::lint::file::File;
use crate::lint::finding::Hit;
use crate::{Script, ShellCommand};

/// An instruction, or the one inside an ONBUILD.
pub(crate) struct Placed<'a> {
    pub(crate) instruction: &'a Instruction,
    /// The instruction of the file: where a finding is.
    pub(crate) outer: &'a Instruction,
    /// How many FROMs there are up to it.
    pub(crate) stage: usize,
    /// What a RUN runs.
    pub(crate) script: Script,
}

/// Lists the instructions of a file, those inside ONBUILD after their own.
pub(crate) fn place(dockerfile: &Dockerfile) -> Vec<Placed<'_>> {
    let mut placed = Vec::new();
    let mut stage = 0;
    for outer in &dockerfile.instructions {
        stage += usize::from(matches!(outer.kind, Kind::From { .. }));
        placed.push(Placed { instruction: outer, outer, stage, script: script(outer) });
        if let Kind::Onbuild { instruction: Some(inner), .. } = &outer.kind {
            placed.push(Placed { instruction: inner, outer, stage, script: script(inner) });
        }
    }
    placed
}

fn script(instruction: &Instruction) -> Script {
    let Kind::Run(run) = &instruction.kind else { return Script::default() };
    Script::parse(&run_text(run))
}

/// The text that a shell gets: the command with its here-documents, or the body of the one that is the script.
pub(crate) fn run_text(run: &Run) -> String {
    let text = match &run.command {
        Command::Exec(words) => return words.join(" "),
        Command::Shell(text) => text,
    };
    match run.heredocs.as_slice() {
        [] => text.clone(),
        [script] if is_read_by_shell(text) => script.body.clone(),
        all => {
            let bodies = all.iter().map(|heredoc| format!("\n{}{}", heredoc.raw_body, heredoc.name));
            text.clone() + &bodies.collect::<String>()
        }
    }
}

/// Tells whether a command is nothing but `<<NAME`, or that and a shell.
fn is_read_by_shell(text: &str) -> bool {
    let Some(rest) = text.trim_start().strip_prefix("<<") else { return false };
    let interpreter = rest.split_whitespace().nth(1).map(|word| word.rsplit('/').next().unwrap_or(word));
    interpreter.is_none_or(|name| ["sh", "bash", "ash", "dash", "zsh"].contains(&name))
}

impl<'a> Placed<'a> {
    pub(crate) fn is_onbuild(&self) -> bool {
        !std::ptr::eq(self.instruction, self.outer)
    }

    pub(crate) fn hit(&self, message: impl Into<String>) -> Hit {
        Hit::at(self.outer, message)
    }

    pub(crate) fn run(&self) -> Option<&'a Run> {
        match &self.instruction.kind {
            Kind::Run(run) => Some(run),
            _ => None,
        }
    }

    /// Tells whether a cache or a temporary file system is mounted at `folder` or below it.
    pub(crate) fn mounts(&self, folder: &str) -> bool {
        let mounts = self.run().map(|run| run.mounts.as_slice()).unwrap_or_default();
        mounts.iter().any(|mount| is_thrown_away(&mount.text, folder))
    }
}

fn is_thrown_away(mount: &str, folder: &str) -> bool {
    let fields = csv_fields(mount).unwrap_or_default();
    let value = |keys: &[&str]| {
        let pairs = fields.iter().filter_map(|field| field.split_once('='));
        pairs.into_iter().find(|(key, _)| keys.contains(key)).map(|(_, value)| value)
    };
    matches!(value(&["type"]), Some("cache" | "tmpfs"))
        && value(&["target", "dst", "destination"]).is_some_and(|target| target.starts_with(folder))
}

/// Instructions that are not inside ONBUILD.
pub(super) fn plain<'f, 'a>(file: &'f File<'a>) -> impl Iterator<Item = &'f Placed<'a>> {
    file.placed().iter().filter(|placed| !placed.is_onbuild())
}

/// Makes a hit of each instruction, ONBUILD's included, for which `test` holds.
pub(super) fn each(file: &File<'_>, message: &str, test: impl Fn(&Placed<'_>) -> bool) -> Vec<Hit> {
    file.placed().iter().filter(|placed| test(placed)).map(|placed| placed.hit(message)).collect()
}

/// Makes a hit of each instruction outside ONBUILD for which `test` holds.
pub(super) fn each_plain(file: &File<'_>, message: &str, test: impl Fn(&Placed<'_>) -> bool) -> Vec<Hit> {
    plain(file).filter(|placed| test(placed)).map(|placed| placed.hit(message)).collect()
}

/// Makes a hit of each RUN with a command for which `test` holds.
pub(super) fn each_command(file: &File<'_>, message: &str, test: impl Fn(&ShellCommand) -> bool) -> Vec<Hit> {
    each(file, message, |placed| placed.script.any(&test))
}

/// Removes the quotes around a word.
pub(super) fn unquoted(word: &str) -> &str {
    word.trim_matches(['"', '\''])
}
