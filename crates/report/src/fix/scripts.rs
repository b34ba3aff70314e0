//! Dependencies: installed before the sources come, and only those that the program needs.

use jettison_dockerfile::{Instruction, Span};

use super::context::is_whole;
use super::edit::{Edit, plain};
use super::{Class, Draft, Gain, Rewrite};
use crate::advice::rules;

/// Installers, and the files of the context that say what they install.
const INSTALLERS: [(&[&str], &[&str]); 6] = [
    (&["npm ci", "npm install"], &["package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc"]),
    (&["yarn install", "yarn"], &["package.json", "yarn.lock", ".yarnrc.yml"]),
    (&["pip install", "pip3 install"], &["requirements.txt", "constraints.txt"]),
    (&["go mod download"], &["go.mod", "go.sum"]),
    (&["bundle install"], &["Gemfile", "Gemfile.lock"]),
    (&["composer install"], &["composer.json", "composer.lock"]),
];

pub(super) fn rewrites(draft: &Draft<'_>, stage: &[Instruction], found: &mut Vec<Rewrite>) {
    for pair in stage.windows(2) {
        let [copy, run] = pair else { continue };
        if is_whole(copy) {
            split_copy(draft, copy, run, found);
        }
    }
    for instruction in stage {
        omit_development(draft, instruction, found);
        omit_recommended(draft, instruction, found);
    }
}

/// Copies the list of dependencies and installs them before the sources are copied.
fn split_copy(draft: &Draft<'_>, copy: &Instruction, run: &Instruction, found: &mut Vec<Rewrite>) {
    let Some((_, command)) = plain(run) else { return };
    let called = |calls: &[&str]| calls.iter().any(|call| !draft.ends_of(run, call).is_empty());
    for (calls, lists) in INSTALLERS {
        let there = |list: &&&str| draft.context.iter().any(|name| name == **list);
        let lists: Vec<&str> = lists.iter().filter(there).copied().collect();
        // pip says which file; all others know theirs.
        let named = !calls[0].starts_with("pip") || lists.iter().any(|list| command.contains(list));
        if !called(calls) || lists.is_empty() || !named {
            continue;
        }
        // The same flags, but the list of dependencies in the place of the whole context.
        let raw = draft.raw(copy);
        let Some(whole) = raw.rfind(" . ").or_else(|| raw.rfind(" ./ ")) else { continue };
        let (flags, destination) = (&raw[..whole], raw[whole + 1..].split_whitespace().nth(1).unwrap_or("."));
        let folder = if destination == "." { "./" } else { destination };
        let slash = if folder.ends_with('/') { "" } else { "/" };
        let text = format!("{flags} {} {folder}{slash}\n{}\n", lists.join(" "), draft.raw(run).trim_end());
        let what = format!("install what {} asks for before the sources are copied", lists[0]);
        let mut rewrite = Rewrite::new(rules::COPY_FIRST.name, copy, what);
        rewrite.edits = vec![Edit::insert(draft.line_start(copy.span.start), text), draft.remove_lines(run)];
        rewrite.gain = Gain::Rebuild;
        found.push(rewrite);
        return;
    }
}

/// Leaves dependencies of the development away.
fn omit_development(draft: &Draft<'_>, instruction: &Instruction, found: &mut Vec<Rewrite>) {
    let Some((_, command)) = plain(instruction) else { return };
    if ["--omit", "--production", "--only=prod"].iter().any(|done| command.contains(done)) {
        return;
    }
    let ends: Vec<usize> =
        ["npm ci", "npm install"].iter().flat_map(|call| draft.ends_of(instruction, call)).collect();
    // `npm install NAME` installs that, and -g for the whole image.
    let names_none = |end: &usize| {
        let rest =
            draft.text[*end..instruction.span.end].split(['&', ';', '|', '\n']).next().unwrap_or_default();
        rest.split_whitespace().all(|word| (word.starts_with("--") && word != "--global") || word == "\\")
    };
    if ends.is_empty() || !ends.iter().all(names_none) {
        return;
    }
    let mut rewrite = Rewrite::new(
        rules::DEV_DEPENDENCIES.name,
        instruction,
        "leave development dependencies away: --omit=dev",
    );
    let edit = |end: &usize| Edit { span: Span { start: *end, end: *end }, text: " --omit=dev".to_owned() };
    rewrite.edits = ends.iter().map(edit).collect();
    rewrite.class = Class::Smoke;
    found.push(rewrite);
}

/// Leaves packages away that others only recommend.
fn omit_recommended(draft: &Draft<'_>, instruction: &Instruction, found: &mut Vec<Rewrite>) {
    let Some((_, command)) = plain(instruction) else { return };
    let ends = draft.ends_of(instruction, "apt-get");
    let install = |end: &usize| {
        let call = draft.text[*end..instruction.span.end].split(['&', ';', '|']).next().unwrap_or_default();
        call.split_whitespace().find(|word| !word.starts_with('-')) == Some("install")
    };
    let ends: Vec<usize> = ends.into_iter().filter(install).collect();
    if ends.is_empty() || command.contains("nstall-recommends") || command.contains("nstall-Recommends") {
        return;
    }
    let what = "leave packages away that are only recommended: --no-install-recommends";
    let mut rewrite = Rewrite::new(rules::RECOMMENDED.name, instruction, what);
    rewrite.edits = ends.iter().map(|end| Edit::insert(*end, " --no-install-recommends")).collect();
    rewrite.class = Class::Smoke;
    found.push(rewrite);
}
