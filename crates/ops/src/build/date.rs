//! `--timestamp`: the date of an image that the command line names, before all others.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jettison_plan::SOURCE_DATE_EPOCH;

use crate::Error;
use crate::settings::{BuildSettings, Context, Date};

/// Gives the plan the date as the build argument that it would also come as.
pub(super) fn choose(
    settings: &BuildSettings,
    now: Duration,
    plan: &mut jettison_plan::Request,
) -> Result<(), Error> {
    let seconds = match settings.date {
        None => return Ok(()),
        Some(Date::Seconds(seconds)) => seconds,
        Some(Date::Now) => i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        Some(Date::Git) => of_commit(&settings.context)?,
    };
    plan.build_args.insert(SOURCE_DATE_EPOCH.to_owned(), seconds.to_string());
    Ok(())
}

/// Returns when the last commit was made of the repository in which a context lies.
fn of_commit(context: &Context) -> Result<i64, Error> {
    let Context::Directory(path) = context else {
        return Err(Error::request("--timestamp git: the build context is no directory of a git repository"));
    };
    let time = last_commit(path);
    time.map_err(|why| Error::request(format!("--timestamp git: {}: {why}", path.display())))
}

fn last_commit(directory: &Path) -> Result<i64, String> {
    let mut command = Command::new("git");
    command.args([
        "-c",
        "safe.directory=*",
        "-c",
        "core.fsmonitor=false",
        "log",
        "-1",
        "--no-show-signature",
    ]);
    let output = command.arg("--format=%ct").current_dir(directory).output();
    let output = output.map_err(|error| format!("git cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| format!("git says \"{}\", which is no time", text.trim()))
}
