//! `build`: progress while it goes on, then what came of it.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use jettison_ops::lint::{self, Finding};
use jettison_ops::{BuildReport, Destination, Error, ImageReport, SourceFile};

use super::{call, workplace};
use crate::args::{BuildArgs, ProgressMode};
use crate::diagnostic;
use crate::environment::{Environment, registry_client, user_variable};
use crate::failure::{Failure, code};
use crate::format::{docker_size, duration, printable};
use crate::output::{colors, note, print_line};
use crate::progress::{Screen, Timeline, renderer};
use crate::{interrupt, settings};

/// Builds an image.
pub fn build(args: &BuildArgs, environment: &Environment) -> Result<u8, Failure> {
    let settings = settings::build(args, environment, &user_variable)?;
    let calling = settings::call(args)?;
    let color = colors(environment.no_color);
    let started = Instant::now();
    let place = workplace::open(environment)?;
    let client = registry_client();
    let cancel = interrupt::watch()?;
    if let Some(calling) = calling {
        let workplace = place.with(&client, &cancel, &|_| {});
        let (file, answer) = jettison_ops::call(calling.method, &settings, &workplace, &mut io::stdin())
            .map_err(|error| explain(error, color))?;
        return call::answer(calling, &file, &answer);
    }
    let quiet = args.quiet || args.progress == ProgressMode::Quiet;
    let mode = if quiet { ProgressMode::Quiet } else { args.progress };
    let screen = Screen::start(renderer(mode, environment.no_color));
    let result = {
        let sink = screen.sink();
        let workplace = place.with(&client, &cancel, &sink);
        jettison_ops::build(&settings, &workplace, &mut io::stdin())
    };
    let timeline = screen.finish();
    if let Some(path) = &args.trace {
        let text = timeline.trace().to_string();
        fs::write(path, text)
            .map_err(|error| Failure::command(format!("cannot write {}: {error}", path.display())))?;
    }
    if args.explain && mode != ProgressMode::Rawjson {
        note(&explanation(&timeline));
    }
    if cancel.is_cancelled() {
        return Err(Failure::command("interrupted").with_code(code::INTERRUPTED));
    }
    let report = result.map_err(|error| explain(error, color))?;
    let to_stdout = settings.outputs.iter().any(|output| output.destination == Some(Destination::Stdout));
    if quiet {
        return if to_stdout { Ok(code::OK) } else { print_line(&report.id.to_string()).map(|()| code::OK) };
    }
    if mode != ProgressMode::Rawjson {
        note(&summary(&report, &timeline, started.elapsed(), color));
    }
    Ok(code::OK)
}

/// Says of each step whether its result was in the cache, and if not, why.
fn explanation(timeline: &Timeline) -> String {
    let mut text = "\n".to_owned();
    for (step, reasons) in timeline.explained() {
        let found = if reasons.is_empty() { "hit " } else { "miss" };
        text += &format!("{found}  {}\n", printable(step));
        for reason in reasons {
            text += &format!("        {}\n", printable(reason));
        }
    }
    text
}

fn summary(report: &BuildReport, timeline: &Timeline, elapsed: Duration, color: bool) -> String {
    let mut text = String::new();
    if !report.warnings.diagnostics.is_empty() {
        text += &diagnostic::render_all(&report.warnings.file, &report.warnings.diagnostics, color);
    }
    text += &check_lines(&report.checks);
    if let Some(path) = timeline.critical_path() {
        text += "\nthe build waited for\n";
        for (step, took) in path {
            text += &format!("  {:>9}  {}\n", duration(took), printable(&step));
        }
    }
    for image in &report.images {
        text += &image_summary(image, report.images.len() > 1);
    }
    text += &advice_lines(report);
    for (name, digest) in &report.pushed {
        text += &format!("pushed {} {digest}\n", name.familiar());
    }
    text += &format!("{}  in {:.2} s\n", report.id, elapsed.as_secs_f64());
    text
}

/// How many findings the end of a build names.
const ADVICE: usize = 3;

/// The first advice, and how to have all of it measured.
fn advice_lines(report: &BuildReport) -> String {
    let mut text = String::new();
    for advice in report.advice.iter().take(ADVICE) {
        let instruction = advice.instruction.split_whitespace().collect::<Vec<_>>().join(" ");
        let instruction: String = printable(&instruction).chars().take(60).collect();
        text += &format!("advice: {} {instruction}: {}\n", advice.rule.name, advice.why);
    }
    if let (false, Some(image)) = (report.advice.is_empty(), report.images.first()) {
        let name = report.tags.first().map_or_else(|| image.id.short(), |tag| tag.familiar());
        text += &format!("        `jettison advise {name}` measures it, and says what to write instead\n");
    }
    text
}

/// Tells of one image; `several` says that there are others, for other platforms.
fn image_summary(image: &ImageReport, several: bool) -> String {
    let mut text = String::new();
    for problem in &image.problems {
        text += &format!("warning: the image may not start: {}\n", printable(&problem.message));
        if let Some(help) = &problem.help {
            text += &format!("help: {}\n", printable(help));
        }
    }
    text += "\n";
    if several {
        text += &format!("{}  {}\n", image.platform, image.id);
    }
    for (instruction, size) in &image.layers {
        let instruction: String = printable(instruction).chars().take(90).collect();
        text += &format!("  {:>9}  {instruction}\n", docker_size(*size));
    }
    text += &format!("{}\n", image.size);
    text
}

/// What the build checks found, as docker lists it at the end of a build.
fn check_lines(findings: &[Finding]) -> String {
    let mut text = match findings.len() {
        0 => return String::new(),
        1 => "\n 1 warning found (use --check to see the place):\n".to_owned(),
        count => format!("\n {count} warnings found (use --check to see the places):\n"),
    };
    for finding in findings {
        text += &format!(" - {}\n", printable(&lint::warning_line(finding)));
    }
    text
}

/// Shows an error with its place in the Dockerfile.
pub(super) fn explain(error: Error, color: bool) -> Failure {
    match error {
        Error::Dockerfile(faults) => {
            rendered(diagnostic::render_all(&faults.file, &faults.diagnostics, color))
        }
        Error::Checks { file, findings } => {
            let names = Error::Checks { file, findings: findings.clone() }.to_string();
            rendered(format!("{}error: {names}\n", check_lines(&findings)))
        }
        Error::OverBudget { image, exceeded } => {
            let clean = |text: &str| printable(text).replace('\n', "\\n");
            let flags = exceeded.iter().map(|exceeded| exceeded.flag).collect::<Vec<_>>().join(", ");
            let text = jettison_ops::exceeded_text(&exceeded, &clean);
            let mut failure = Failure::command(format!("{image} is over budget: {flags}")).render(color);
            failure += &text;
            rendered(failure).help("nothing was tagged, written or pushed")
        }
        Error::Build { dockerfile, source } => explain_build(&dockerfile, &source, color),
        other => Failure::from(other),
    }
}

fn explain_build(file: &SourceFile, error: &jettison_build::Error, color: bool) -> Failure {
    use jettison_build::Error;
    use jettison_sandbox::Error::{UnmappedGroup, UnmappedUser};
    let mut before = String::new();
    let mut exit = code::FAILED;
    match error {
        Error::Run { step, tail, .. } => {
            before += &format!("------\n > {}:\n", printable(step));
            for line in tail {
                before += &format!("{}\n", printable(line));
            }
            before += "------\n";
        }
        Error::Store(store) if store.is_no_space() => exit = code::ENVIRONMENT,
        Error::Sandbox { source: UnmappedUser { .. } | UnmappedGroup { .. }, .. } => {}
        Error::Sandbox { .. } | Error::NoSandbox { .. } => exit = code::ENVIRONMENT,
        _ => {}
    }
    let failure = Failure::from_error(error);
    // A place of no length is in no file: the error is about the command line.
    let span = error.span().filter(|span| span.end > span.start);
    let text = before + &diagnostic::render_error(file, &failure.message, span, error.help(), color);
    Failure { code: exit.max(failure.code), ..rendered(text) }
}

fn rendered(message: String) -> Failure {
    Failure { rendered: true, ..Failure::command(message) }
}
