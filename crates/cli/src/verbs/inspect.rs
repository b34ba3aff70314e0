//! `inspect`.

use serde_json::Value;

use super::workplace;
use crate::args::InspectArgs;
use crate::environment::Environment;
use crate::failure::{Failure, code};
use crate::format::Template;
use crate::output::{note, print};

/// Shows all that is known of images. Those that are found are shown even if others are not.
pub fn inspect(args: &InspectArgs, environment: &Environment) -> Result<u8, Failure> {
    if let Some(kind) = args.kind.as_deref().filter(|kind| !matches!(*kind, "image" | "")) {
        return Err(Failure::usage(format!("--type \"{kind}\": there are no objects but images")));
    }
    let template = match args.format.as_deref() {
        None | Some("" | "json") => None,
        Some(text) => {
            Some(Template::parse(text).map_err(|error| Failure::usage(format!("--format: {error}")))?)
        }
    };
    let place = workplace::open(environment)?;
    let mut found = Vec::new();
    let mut failed = None;
    for image in &args.images {
        match jettison_ops::inspect(&place.store, image) {
            Ok(value) => found.push(value),
            Err(error) => {
                let failure = Failure::from(error);
                note(&failure.render(crate::output::colors(environment.no_color)));
                failed = Some(failure.code);
            }
        }
    }
    print(&render(&found, args.format.as_deref(), template.as_ref())?)?;
    Ok(failed.unwrap_or(code::OK))
}

fn render(found: &[Value], format: Option<&str>, template: Option<&Template>) -> Result<String, Failure> {
    if let Some(template) = template {
        let bad = |error| Failure::usage(format!("--format: {error}"));
        let mut text = String::new();
        for value in found {
            text += &template.render(value).map_err(bad)?;
            text.push('\n');
        }
        return Ok(text);
    }
    if format == Some("json") {
        return Ok(Value::from(found).to_string() + "\n");
    }
    // docker indents by four.
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    serde::Serialize::serialize(&Value::from(found), &mut serializer)
        .map_err(|error| Failure::command(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned() + "\n")
}
