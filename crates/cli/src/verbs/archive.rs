//! `save` and `load`.

use std::io::{self, IsTerminal};
use std::path::Path;

use jettison_image::Platform;
use jettison_ops::{Input, Target, Transfer};

use super::workplace;
use crate::args::{LoadArgs, SaveArgs};
use crate::environment::{Environment, registry_client};
use crate::failure::{Failure, code};
use crate::interrupt;
use crate::output::print_line;

/// Writes images as a docker archive.
pub fn save(args: &SaveArgs, environment: &Environment) -> Result<u8, Failure> {
    if args.output.is_none() && io::stdout().is_terminal() {
        return Err(
            Failure::usage("cowardly refusing to save to a terminal").help("use -o FILE, or redirect")
        );
    }
    let place = workplace::open(environment)?;
    let (client, cancel) = (registry_client(), interrupt::watch()?);
    let transfer =
        Transfer { client: &client, cancel: &cancel, progress: &|_, _, _| (), now: workplace::now() };
    let mut stdout = io::stdout();
    let target = match &args.output {
        Some(path) => Target::File(Path::new(path)),
        None => Target::Stream(&mut stdout),
    };
    jettison_ops::save(&place.store, &args.images, target, transfer)?;
    Ok(code::OK)
}

/// Takes the images of an archive or layout into the store.
pub fn load(args: &LoadArgs, environment: &Environment) -> Result<u8, Failure> {
    let place = workplace::open(environment)?;
    let mut stdin = io::stdin();
    let input = match &args.input {
        Some(path) => Input::File(Path::new(path)),
        None => Input::Stream(&mut stdin),
    };
    for loaded in jettison_ops::load(&place.store, input, &Platform::host())? {
        if loaded.names.is_empty() {
            print_line(&format!("Loaded image ID: {}", loaded.image))?;
        }
        for name in &loaded.names {
            print_line(&format!("Loaded image: {}", name.familiar()))?;
        }
    }
    Ok(code::OK)
}
