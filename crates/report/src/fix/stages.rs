//! From one stage with a compiler to two: what builds stays behind, what runs goes on the smallest base that will do.

use std::collections::BTreeSet;

use jettison_dockerfile::{Instruction, Kind};
use jettison_layer::{Tree, is_below};

use super::edit::{Edit, plain};
use super::layers::absolute;
use super::{Class, Draft, Rewrite};
use crate::advice::rules;

/// Bases for a program that is one file, the smallest first.
const FOR_PROGRAMS: [&str; 4] =
    ["scratch", "gcr.io/distroless/static-debian12", "alpine:3.20", "debian:bookworm-slim"];

/// Programs that make programs.
const COMPILERS: [&str; 14] = [
    "go build",
    "go install",
    "cargo build",
    "cargo install",
    "rustc",
    "gcc",
    "g++",
    "cc",
    "clang",
    "make",
    "cmake",
    "ghc",
    "zig build",
    "swift build",
];

pub(super) fn rewrites(draft: &Draft<'_>, found: &mut Vec<Rewrite>) {
    let stages = draft.stages();
    let [stage] = stages.as_slice() else { return };
    let [from, steps @ ..] = stage else { return };
    let Kind::From { image, name: None, .. } = &from.kind else { return };
    let Some(program) = command(draft).into_iter().next() else { return };
    let Some((carried, bases)) = what_runs(draft, &image.text, &program) else { return };
    let Some(last) = steps.iter().rposition(makes_files) else { return };
    // What follows the last step that makes files belongs to the new stage, its comments too.
    let at = steps.get(last + 1).map_or(draft.text.len(), |next| comments_start(draft, next));
    let restated: Vec<&str> = steps[..=last]
        .iter()
        .filter(|step| is_setting(step))
        .map(|step| draft.raw(step).trim_end())
        .collect();
    for base in bases {
        let mut text = String::new();
        if !draft.text[..at].ends_with('\n') {
            text.push('\n');
        }
        text += &format!("\nFROM {base}\n");
        restated.iter().for_each(|setting| text += &format!("{setting}\n"));
        carried.iter().for_each(|path| text += &format!("COPY --from=build {path} {path}\n"));
        let what = format!("build in a stage of its own, ship {} on {base}", carried.join(", "));
        let mut rewrite = Rewrite::new(rules::COMPILER.name, from, what);
        rewrite.edits = vec![Edit::insert(from.span.end, " AS build"), Edit::insert(at, text)];
        rewrite.class = Class::Smoke;
        found.push(rewrite);
    }
}

/// The words that a container runs.
fn command(draft: &Draft<'_>) -> Vec<String> {
    let words = draft.config.entrypoint.iter().chain(&draft.config.cmd).flatten().cloned();
    let words: Vec<String> = words.collect();
    match words.as_slice() {
        // A shell form: the first command's words, where it is that simple.
        [shell, flag, line] if shell.ends_with("sh") && flag == "-c" => {
            line.trim_start_matches("exec ").split_whitespace().map(str::to_owned).collect()
        }
        _ => words,
    }
}

/// Returns what must be carried over to run `program`, and the bases to try.
fn what_runs(draft: &Draft<'_>, base: &str, program: &str) -> Option<(Vec<String>, Vec<String>)> {
    let workdir = absolute("/", &draft.config.working_dir);
    if let Some(path) = own_program(draft, program, &workdir) {
        let compiles =
            |step: &Instruction| COMPILERS.iter().any(|call| !draft.ends_of(step, call).is_empty());
        let steps = &draft.dockerfile.instructions;
        if !steps.iter().any(|step| plain(step).is_some() && compiles(step)) {
            return None;
        }
        return Some((vec![path], FOR_PROGRAMS.iter().map(|base| (*base).to_owned()).collect()));
    }
    let (repository, tag) = base.rsplit_once(':').unwrap_or((base, "latest"));
    let version: String = tag.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let words = command(draft);
    match (program.rsplit('/').next()?, version.as_str()) {
        ("java", _) => {
            let jar = words.iter().skip_while(|word| *word != "-jar").nth(1)?;
            let major = tag.split(|c: char| !c.is_ascii_digit()).rfind(|part| !part.is_empty())?;
            let bases = ["jre-alpine", "jre"].map(|kind| format!("eclipse-temurin:{major}-{kind}"));
            Some((vec![absolute(&workdir, jar)], bases.to_vec()))
        }
        ("node", version) if !version.is_empty() && workdir != "/" && !tag.contains("alpine") => {
            let slim = (!tag.contains("slim")).then(|| format!("{repository}:{version}-slim"));
            let bases = [format!("{repository}:{version}-alpine")].into_iter().chain(slim);
            Some((vec![workdir], bases.collect()))
        }
        ("python" | "python3", version)
            if !version.is_empty() && !tag.contains("slim") && !tag.contains("alpine") =>
        {
            let mut carried = own_packages(draft);
            if workdir != "/" {
                carried.push(workdir);
            }
            (!carried.is_empty()).then(|| (carried, vec![format!("{repository}:{version}-slim")]))
        }
        _ => None,
    }
}

/// Returns the path of a program that the Dockerfile itself made.
fn own_program(draft: &Draft<'_>, program: &str, workdir: &str) -> Option<String> {
    let path = draft.config.env.iter().find_map(|variable| variable.strip_prefix("PATH="));
    let places: Vec<String> = match program.contains('/') {
        true => vec![absolute(workdir, program)],
        false => path.unwrap_or_default().split(':').map(|folder| absolute(folder, program)).collect(),
    };
    places.into_iter().find(|place| {
        let real = draft.tree.resolve(place.as_bytes(), true).unwrap_or_default();
        draft
            .tree
            .get(&real)
            .is_some_and(|node| node.layer >= draft.base_layers && node.content().1.size() > 0)
    })
}

/// Returns the directories of Python packages in which the Dockerfile installed something.
fn own_packages(draft: &Draft<'_>) -> Vec<String> {
    let own = |tree: &Tree, directory: &[u8]| {
        tree.subtree(directory).any(|node| node.layer >= draft.base_layers && !node.entry.is_directory())
    };
    let mut found: BTreeSet<Vec<u8>> = BTreeSet::new();
    for node in draft.tree.iter().filter(|node| node.entry.is_directory()) {
        let path = &node.entry.path;
        let packages = path.ends_with(b"/site-packages") || path.ends_with(b"/dist-packages");
        if packages && !found.iter().any(|known| is_below(path, known)) && own(draft.tree, path) {
            found.insert(path.clone());
        }
    }
    found.into_iter().map(|path| format!("/{}", String::from_utf8_lossy(&path))).collect()
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
