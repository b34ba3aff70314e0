//! `advise`: arguments to settings.

use std::path::PathBuf;

use jettison_ops::AdviseSettings;

use super::build::{build_args, named_context};
use super::platform;
use crate::args::AdviseArgs;
use crate::failure::Failure;

/// Turns arguments into settings. `variable` looks a name up in the user's environment, for `--build-arg NAME`.
pub fn advise(
    args: &AdviseArgs,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<AdviseSettings, Failure> {
    let contexts = args.build_contexts.iter().map(|text| named_context(text));
    Ok(AdviseSettings {
        subject: args.subject.clone(),
        dockerfile: args.file.as_ref().map(PathBuf::from),
        target: args.target.clone(),
        build_args: build_args(&args.build_args, variable)?,
        named_contexts: contexts.collect::<Result<_, _>>()?,
        platform: platform(args.platform.as_slice())?,
        bases: args.bases,
    })
}
