//! What a final stage needs of its base, from its instructions and, where it was built, from its own programs.

use std::io::{Read, Seek, SeekFrom};

use jettison_dockerfile::{Command, Healthcheck, Instruction, Kind, LineIndex, Parsed};
use jettison_layer::Tree;

use super::{Need, Part};
use crate::advice::Chain;
use crate::files::Open;
use crate::lint::run_text;
use crate::{Report, Script, elf};

/// Bytes of a script's first line that are read.
const FIRST_LINE: u64 = 128;

/// The image of a Dockerfile.
pub struct Built<'a> {
    /// Its bytes: what is its base's and what its own.
    pub report: &'a Report,
    /// Its files.
    pub tree: &'a Tree,
    /// Opens them.
    pub open: &'a Open<'a>,
}

/// Tells what the stage `target` (the last one if absent), with the stages it starts from, needs; each part once, for the first reason. Which C library its
/// programs need, only the image tells.
pub fn needs(parsed: &Parsed, target: Option<&str>, built: Option<&Built<'_>>) -> Vec<Need> {
    let chain = Chain::of(parsed, target);
    let lines = LineIndex::new(&parsed.text);
    let mut needs = Vec::new();
    for instruction in &chain.instructions {
        let line = lines.line(instruction.span.start);
        let why = format!("{}, line {line}", instruction.keyword.text.to_uppercase());
        for part in parts_for(instruction, &chain) {
            add(&mut needs, part, why.clone());
        }
    }
    if let Some(built) = built {
        let command = command(&chain);
        for (path, file) in built.programs() {
            for part in built.parts_for(&file, command.as_deref().is_some_and(|name| is_called(&path, name)))
            {
                add(&mut needs, part, path.clone());
            }
        }
    }
    needs
}

fn add(needs: &mut Vec<Need>, part: Part, why: String) {
    if !needs.iter().any(|need| need.part == part) {
        needs.push(Need { part, why });
    }
}

fn parts_for(instruction: &Instruction, chain: &Chain<'_>) -> Vec<Part> {
    let command = match &instruction.kind {
        Kind::Run(run) => {
            let script = Script::parse(&run_text(run));
            let managers = script.commands.iter().filter_map(|command| Part::manager(&command.name));
            return needs_shell(&run.command).then_some(Part::Shell).into_iter().chain(managers).collect();
        }
        // Of several the last counts.
        Kind::Cmd(command) | Kind::Entrypoint(command) if is_last(instruction, chain) => command,
        Kind::Healthcheck(Healthcheck::Command { command, .. }) if is_last(instruction, chain) => command,
        _ => return Vec::new(),
    };
    needs_shell(command).then_some(Part::Shell).into_iter().collect()
}

fn is_last(instruction: &Instruction, chain: &Chain<'_>) -> bool {
    let same = |other: &&&Instruction| {
        std::mem::discriminant(&other.kind) == std::mem::discriminant(&instruction.kind)
    };
    chain.instructions.iter().rfind(same).is_some_and(|last| last.span == instruction.span)
}

fn needs_shell(command: &Command) -> bool {
    match command {
        Command::Shell(_) => true,
        Command::Exec(words) => words.first().is_some_and(|word| is_shell(word)),
    }
}

fn is_shell(program: &str) -> bool {
    ["sh", "ash", "bash", "dash"].contains(&program.rsplit('/').next().unwrap_or_default())
}

/// The program that a container starts with, where it is written in exec form.
fn command(chain: &Chain<'_>) -> Option<String> {
    let of = |wanted: fn(&Kind) -> Option<&Command>| {
        chain.instructions.iter().rev().find_map(|instruction| wanted(&instruction.kind))
    };
    let entrypoint = of(|kind| if let Kind::Entrypoint(command) = kind { Some(command) } else { None });
    let cmd = of(|kind| if let Kind::Cmd(command) = kind { Some(command) } else { None });
    match entrypoint.or(cmd)? {
        Command::Exec(words) => words.first().cloned(),
        Command::Shell(_) => None,
    }
}

fn is_called(path: &str, program: &str) -> bool {
    let program = program.trim_start_matches("./");
    path == program || !program.starts_with('/') && path.ends_with(&format!("/{program}"))
}

impl Built<'_> {
    /// Returns the own files that may be programs or libraries, with their paths as a process names them.
    fn programs(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        let report = self.report;
        let own = |layer: usize| report.layers.get(layer).is_some_and(|layer| !layer.base);
        let live = report.files.iter().filter(move |file| file.dead.is_none() && own(file.layer));
        live.filter_map(|file| {
            let path = file.path.trim_start_matches('/').as_bytes();
            let mode = self.tree.get(path)?.content().1.mode;
            (mode & 0o111 != 0 || file.path.contains(".so")).then(|| (file.path.clone(), path.to_vec()))
        })
    }

    /// Tells what a file needs; of a script only if it `starts` the container.
    fn parts_for(&self, path: &[u8], starts: bool) -> Vec<Part> {
        let Ok(Some(mut content)) = (self.open)(path) else { return Vec::new() };
        if let Ok(program) = elf::read(content.as_mut()) {
            return libraries(&program).into_iter().collect();
        }
        let mut start = Vec::new();
        if !starts || content.seek(SeekFrom::Start(0)).is_err() {
            return Vec::new();
        }
        // What cannot be read is no script.
        let _ = content.take(FIRST_LINE).read_to_end(&mut start);
        let text = String::from_utf8_lossy(&start);
        let line = text.lines().next().and_then(|line| line.strip_prefix("#!")).unwrap_or_default();
        let shell = line.split_whitespace().take(2).any(is_shell);
        shell.then_some(Part::Shell).into_iter().collect()
    }
}

/// The C library that a program or library is linked with.
fn libraries(program: &elf::Elf) -> Option<Part> {
    let interpreter = program.interpreter.as_deref().map(String::from_utf8_lossy);
    let loader = interpreter.and_then(|path| Part::of_loader(path.rsplit('/').next().unwrap_or_default()));
    loader.or_else(|| {
        let needs = |name: &[u8]| program.needed.iter().any(|needed| needed.starts_with(name));
        match () {
            () if needs(b"libc.so.6") => Some(Part::Glibc),
            () if needs(b"libc.musl-") => Some(Part::Musl),
            () => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use jettison_dockerfile::parse;

    use super::*;

    fn of(text: &str) -> Vec<(Part, String)> {
        needs(&parse(text.as_bytes()), None, None).into_iter().map(|need| (need.part, need.why)).collect()
    }

    #[test]
    fn instructions_need_shells_and_package_managers() {
        let text = "FROM a AS build\nRUN apk add x\nFROM b\nRUN apt-get update && apt-get install -y ed\nCMD [\"x\"]\n";
        let expected = [(Part::Shell, "RUN, line 4".to_owned()), (Part::Apt, "RUN, line 4".to_owned())];
        assert_eq!(of(text), expected, "a stage left behind needs nothing");
        assert_eq!(of("FROM a\nCOPY x /x\nENTRYPOINT [\"/x\"]\n"), []);
        assert_eq!(of("FROM a\nCMD run it\nCMD [\"/x\"]\n"), [], "the last CMD counts");
        assert_eq!(
            of("FROM a\nCMD [\"/bin/bash\", \"-c\", \"x\"]\n"),
            [(Part::Shell, "CMD, line 2".to_owned())]
        );
        assert_eq!(of("FROM a\nRUN [\"/x\"]\n"), []);
    }
}
