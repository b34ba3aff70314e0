//! `tag` and `rmi`.

use jettison_ops::Removed;

use super::workplace;
use crate::args::{RmiArgs, TagArgs};
use crate::environment::Environment;
use crate::failure::{Failure, code};
use crate::output::{colors, note, print_line};
use crate::settings;

/// Gives an image another name.
pub fn tag(args: &TagArgs, environment: &Environment) -> Result<u8, Failure> {
    let target = settings::tag(&args.target)?;
    let place = workplace::open(environment)?;
    jettison_ops::tag(&place.store, &args.source, &target)?;
    Ok(code::OK)
}

/// Removes images, all that can be, and tells of the others.
pub fn rmi(args: &RmiArgs, environment: &Environment) -> Result<u8, Failure> {
    let place = workplace::open(environment)?;
    let (removed, errors) = jettison_ops::remove(&place.store, &args.images, args.force);
    for one in removed {
        match one {
            Removed::Untagged(name) => print_line(&format!("Untagged: {name}"))?,
            Removed::Deleted(digest) => print_line(&format!("Deleted: {digest}"))?,
        }
    }
    let mut exit = code::OK;
    for error in errors {
        let failure = Failure::from(error);
        note(&failure.render(colors(environment.no_color)));
        exit = exit.max(failure.code);
    }
    Ok(exit)
}
