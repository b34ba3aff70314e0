//! What a later layer deletes, or stores once more for its owner or mode.

use jettison_dockerfile::{Instruction, Kind, Source, Span, Transfer};

use super::edit::{Edit, plain, single_call};
use super::{Draft, Rewrite};
use crate::advice::rules;

/// How many RUN steps back one is moved.
const BACK: usize = 3;

pub(super) fn rewrites(draft: &Draft<'_>, stage: &[Instruction], found: &mut Vec<Rewrite>) {
    for (number, instruction) in stage.iter().enumerate() {
        let Some((run, command)) = plain(instruction) else { continue };
        archive(draft, &stage[..number], instruction, command, found);
        let Some(words) = single_call(command) else { continue };
        let rule = match words.first() {
            Some(&"rm") => rules::DELETED.name,
            Some(&("chown" | "chmod")) => rules::METADATA.name,
            _ => continue,
        };
        if rule == rules::METADATA.name {
            copy_flag(draft, &stage[..number], instruction, &words, found);
        }
        if run.mounts.is_empty() {
            merge(draft, &stage[..number], instruction, rule, command, found);
        }
    }
}

/// Moves a step into one of the RUN steps before it. Who and where it runs must be the same there.
fn merge(
    draft: &Draft<'_>,
    before: &[Instruction],
    later: &Instruction,
    rule: &'static str,
    command: &str,
    found: &mut Vec<Rewrite>,
) {
    let same_place = before.iter().rev().take_while(|instruction| {
        !matches!(instruction.kind, Kind::User(_) | Kind::Workdir(_) | Kind::Shell(_) | Kind::From { .. })
    });
    let runs = same_place.filter(|instruction| plain(instruction).is_some());
    for earlier in runs.take(BACK) {
        let line = draft.text[..earlier.span.start].matches('\n').count() + 1;
        let what = format!("move `{}` into the RUN of line {line}", command.trim());
        let mut rewrite = Rewrite::new(rule, later, what);
        rewrite.edits = vec![draft.append(earlier, command.trim()), draft.remove_lines(later)];
        found.push(rewrite);
    }
}

/// Lets COPY set owner or mode: `chown -R USER[:GROUP] PATH…` after a COPY.
fn copy_flag(
    draft: &Draft<'_>,
    before: &[Instruction],
    later: &Instruction,
    words: &[&str],
    found: &mut Vec<Rewrite>,
) {
    let [program, flag, value, paths @ ..] = words else { return };
    if !matches!(*flag, "-R" | "--recursive") || paths.is_empty() || value.starts_with('-') {
        return;
    }
    let chown = *program == "chown";
    let inside = |place: &str| {
        paths.iter().any(|path| {
            let path = path.trim_end_matches('/');
            place == path || place.starts_with(&format!("{path}/")) || path == "."
        })
    };
    let mut edits = Vec::new();
    let mut workdir = String::from("/");
    for instruction in before {
        if let Kind::Workdir(path) = &instruction.kind {
            workdir = absolute(&workdir, &path.text);
        }
        let transfer = match &instruction.kind {
            Kind::Copy(copy) => &copy.transfer,
            Kind::Add(add) => &add.transfer,
            _ => continue,
        };
        let set = if chown { transfer.chown.is_some() } else { transfer.chmod.is_some() };
        if set || !inside(absolute(&workdir, &transfer.destination.text).trim_end_matches('/')) {
            continue;
        }
        // Without a group chown keeps the one that is there, which is root's; COPY would take the user's number.
        let flag = match (chown, value.contains(':')) {
            (true, true) => format!("--chown={value}"),
            (true, false) => format!("--chown={value}:0"),
            (false, _) => format!("--chmod={value}"),
        };
        edits.push(Edit::flag(instruction, &flag));
    }
    if edits.is_empty() {
        return;
    }
    let rule = rules::METADATA.name;
    let what = format!("COPY sets what `{}` sets", words.join(" "));
    let mut rewrite = Rewrite::new(rule, later, what.clone());
    rewrite.edits = edits.clone();
    rewrite.edits.push(draft.remove_lines(later));
    found.push(rewrite);
    // The directory itself may be WORKDIR's.
    let raw = draft.raw(later);
    let Some(at) = raw.find(flag) else { return };
    let start = later.span.start + at;
    let mut rewrite = Rewrite::new(rule, later, format!("{what}, but for the directory itself"));
    rewrite.edits = edits;
    rewrite.edits.push(Edit::remove(Span { start, end: start + flag.len() + 1 }));
    found.push(rewrite);
}

/// Mounts an archive that is copied, unpacked and removed, instead of copying it.
fn archive(
    draft: &Draft<'_>,
    before: &[Instruction],
    run: &Instruction,
    command: &str,
    found: &mut Vec<Rewrite>,
) {
    let mut workdir = String::from("/");
    for instruction in before {
        if let Kind::Workdir(path) = &instruction.kind {
            workdir = absolute(&workdir, &path.text);
        }
        let Kind::Copy(copy) = &instruction.kind else { continue };
        let Some((source, target)) = copied_file(&copy.transfer, &workdir) else { continue };
        let Some(removal) = removal(draft.raw(run), &target) else { continue };
        if copy.from.is_some() || !command.contains(&target) {
            continue;
        }
        let source = source.trim_start_matches("./");
        let mount = format!("--mount=type=bind,source={source},target={target}");
        let what = format!("mount {source} instead of copying it into a layer");
        let mut rewrite = Rewrite::new(rules::ARCHIVE.name, instruction, what);
        rewrite.edits = vec![draft.remove_lines(instruction), Edit::flag(run, &mount)];
        let start = run.span.start + removal.start;
        rewrite.edits.push(Edit::remove(Span { start, end: run.span.start + removal.end }));
        found.push(rewrite);
    }
}

/// The one file that a COPY copies, and where to.
fn copied_file<'t>(transfer: &'t Transfer, workdir: &str) -> Option<(&'t str, String)> {
    let [Source::Path(source)] = transfer.sources.as_slice() else { return None };
    let name = source.text.rsplit('/').next()?;
    if name.is_empty() || source.text.contains(['*', '?', '[', '$']) || !name.contains('.') {
        return None;
    }
    let destination = &transfer.destination.text;
    let target = absolute(workdir, destination);
    let folder = destination.ends_with('/') || matches!(destination.as_str(), "." | "..");
    Some((&source.text, if folder { absolute(&target, name) } else { target }))
}

/// Finds ` && rm -f TARGET` in a RUN.
fn removal(raw: &str, target: &str) -> Option<std::ops::Range<usize>> {
    ["rm ", "rm -f ", "rm -rf ", "rm -r "].iter().find_map(|rm| {
        let call = format!("{rm}{target}");
        let at = raw.find(&call)?;
        let after = at + call.len();
        // More than this file is removed, or it is only the beginning of a name.
        let rest = raw[after..].trim_start();
        if !(rest.is_empty() || rest.starts_with("&&"))
            || raw[after..].starts_with(|c: char| c.is_alphanumeric())
        {
            return None;
        }
        let and = raw[..at].rfind("&&")?;
        let between = raw[and + 2..at].trim_matches(|c: char| c.is_whitespace() || c == '\\');
        let start = raw[..and].trim_end_matches(|c: char| c.is_whitespace() || c == '\\').len();
        between.is_empty().then_some(start..after)
    })
}

/// Joins a path of a Dockerfile to the directory in which it is meant.
pub(super) fn absolute(workdir: &str, path: &str) -> String {
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{workdir}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
