//! `fix`: a diff on standard output, and on standard error what was tried and how it is known to be right.

use std::io::{self, IsTerminal};

use jettison_ops::{FixReport, FixSettings, FixedFile, Outcome, Tried, human_size};
use similar::TextDiff;

use super::build::explain;
use super::workplace;
use crate::args::FixArgs;
use crate::environment::{Environment, registry_client, user_variable};
use crate::failure::{Failure, code};
use crate::format::printable;
use crate::output::{colors, note, print};
use crate::{interrupt, settings};

/// Rewrites a Dockerfile with proof.
pub fn fix(args: &FixArgs, environment: &Environment) -> Result<u8, Failure> {
    refuse_outputs(args)?;
    let build = settings::build(&args.build, environment, &user_variable)?;
    let settings = FixSettings { build, smoke: args.smoke.clone(), write: args.write };
    let place = workplace::open(environment)?;
    let (client, cancel) = (registry_client(), interrupt::watch()?);
    let workplace = place.with(&client, &cancel, &|_| {});
    let live = io::stderr().is_terminal();
    let say = |text: &str| {
        if live {
            note(&format!("… {}\n", printable(text)));
        }
    };
    let report = jettison_ops::fix(&settings, &workplace, &say)
        .map_err(|error| explain(error, colors(environment.no_color)))?;
    print(&report.files.iter().map(diff).collect::<String>())?;
    note(&summary(&report));
    Ok(code::OK)
}

/// An image is built for the proof alone: it gets no name and goes nowhere.
fn refuse_outputs(args: &FixArgs) -> Result<(), Failure> {
    let build = &args.build;
    for (given, flag) in [
        (!build.tags.is_empty(), "--tag"),
        (!build.outputs.is_empty(), "--output"),
        (build.push, "--push"),
        (build.load, "--load"),
        (build.iid_file.is_some(), "--iidfile"),
        (build.metadata_file.is_some(), "--metadata-file"),
        (build.trace.is_some(), "--trace"),
        (build.check || build.call != "build", "--call"),
        (build.quiet, "--quiet"),
        (build.max_size.is_some() || build.max_growth.is_some() || build.max_dead.is_some(), "--max-…"),
        (
            build.platform.iter().any(|platform| platform.contains(',')) || build.platform.len() > 1,
            "second --platform",
        ),
    ] {
        if given {
            return Err(Failure::usage(format!("fix has no {flag}: it changes files and makes no image"))
                .help("it takes the flags of build that say how the image is built"));
        }
    }
    Ok(())
}

fn diff(file: &FixedFile) -> String {
    let path = file.path.display().to_string();
    let old = if file.before.is_some() { path.clone() } else { "/dev/null".to_owned() };
    let before = file.before.as_deref().unwrap_or_default();
    TextDiff::from_lines(before, &file.after).unified_diff().header(&old, &path).to_string()
}

fn summary(report: &FixReport) -> String {
    let mut text = String::new();
    for tried in &report.tried {
        text += &line(tried);
    }
    if report.files.is_empty() {
        text += "nothing to change\n";
        return text;
    }
    let (before, after) = (report.before, report.after);
    let saved = before.stored.saturating_sub(after.stored);
    text += &format!(
        "stored {} -> {}, {} saved; final tree {} -> {}; build without cache {:.1} s -> {:.1} s\n",
        human_size(before.stored),
        human_size(after.stored),
        human_size(saved),
        human_size(before.live),
        human_size(after.live),
        before.seconds,
        after.seconds,
    );
    if report.noise > 0 {
        text +=
            &format!("{} paths differ between two builds of the same and were not compared\n", report.noise);
    }
    text += match report.written {
        true => "written\n",
        false => "not written: --write does\n",
    };
    text
}

fn line(tried: &Tried) -> String {
    let what = printable(&tried.what);
    let head = format!("line {} {}: {what}", tried.line, tried.rule);
    match &tried.outcome {
        Outcome::Kept { proof, saved, seconds } => {
            let gain = match seconds {
                Some(seconds) => format!("{seconds:.1} s saved when a source changes"),
                None if *saved == 0 => "nothing tells it any more".to_owned(),
                None => format!("{} saved", human_size(*saved)),
            };
            format!("kept     {head}\n         {gain}; {proof}\n")
        }
        Outcome::Refused { why } => {
            format!("refused  {head}\n         {}\n", printable(why).replace('\n', " "))
        }
    }
}
