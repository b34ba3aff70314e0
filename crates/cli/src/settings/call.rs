//! `--call METHOD[,format=text|json][,ignorestatus]` and `--check`, as buildx reads them.

use jettison_ops::Call;

use crate::args::BuildArgs;
use crate::failure::Failure;

/// A question about a Dockerfile, and how the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calling {
    /// The question.
    pub method: Call,
    /// Whether the answer is JSON.
    pub json: bool,
    /// Whether warnings leave the exit code alone.
    pub ignore_status: bool,
}

/// Reads the flags; none where an image is to be built.
pub fn call(args: &BuildArgs) -> Result<Option<Calling>, Failure> {
    let text = if args.check { "check" } else { args.call.as_str() };
    let mut fields = text.split(',');
    let method = match fields.next().unwrap_or_default() {
        "" | "build" => return Ok(None),
        "check" | "lint" => Call::Check,
        "outline" => Call::Outline,
        "targets" => Call::Targets,
        other => {
            return Err(Failure::usage(format!(
                "--call \"{other}\": expected build, check, outline or targets"
            )));
        }
    };
    let mut calling = Calling { method, json: false, ignore_status: false };
    for field in fields {
        match field.split_once('=').unwrap_or((field, "true")) {
            ("format", "json") => calling.json = true,
            ("format", "text") => calling.json = false,
            ("ignorestatus", "true" | "1") => calling.ignore_status = true,
            ("ignorestatus", "false" | "0") => calling.ignore_status = false,
            _ => {
                let message = format!("--call \"{text}\": expected format=text, format=json or ignorestatus");
                return Err(Failure::usage(message));
            }
        }
    }
    Ok(Some(calling))
}
