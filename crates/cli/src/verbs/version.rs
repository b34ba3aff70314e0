//! `version`.

use jettison_image::Platform;
use serde_json::json;

use crate::args::VersionArgs;
use crate::failure::{Failure, code};
use crate::format::Template;
use crate::output::print_line;

/// Shows the version. Scripts ask docker with `--format '{{.Client.Version}}'`.
pub fn version(args: &VersionArgs) -> Result<u8, Failure> {
    let platform = Platform::host();
    let version = env!("CARGO_PKG_VERSION");
    let text = match args.format.as_deref() {
        None | Some("") => format!("jettison version {version}, {platform}"),
        Some(format) => {
            let value = json!({
                "Version": version,
                "Client": { "Version": version, "Os": platform.os, "Arch": platform.architecture },
            });
            match format {
                "json" => value.to_string(),
                _ => Template::parse(format)
                    .and_then(|template| template.render(&value))
                    .map_err(|error| Failure::usage(format!("--format: {error}")))?,
            }
        }
    };
    print_line(&text)?;
    Ok(code::OK)
}
