//! `--secret` and `--ssh`: what of the user's a RUN may see. buildx: `util/buildflags`; BuildKit: `secretsprovider`,
//! `sshprovider`.

use std::path::PathBuf;

use jettison_ops::{Hidden, SecretSource};

use super::csv;
use crate::failure::Failure;

/// The variable by which programs find an SSH agent.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// Reads one `--secret`: `[type=file|env,]id=ID[,src=FILE|,env=NAME]`. Without a source it is the variable of that name
/// if there is one, else the file.
pub fn secret(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(String, SecretSource), Failure> {
    let bad = |why: &str| Failure::usage(format!("--secret \"{text}\": {why}"));
    let (mut id, mut path, mut env, mut kind) = (None, None, None, None);
    for (key, value) in csv::pairs("--secret", text)? {
        match key.as_str() {
            "id" => id = Some(value),
            "src" | "source" => path = Some(value),
            "env" => env = Some(value),
            "type" if ["file", "env"].contains(&value.as_str()) => kind = Some(value),
            "type" => return Err(bad(&format!("unsupported secret type \"{value}\": expected file or env"))),
            other => return Err(bad(&format!("unexpected key \"{other}\""))),
        }
    }
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| bad("id is missing"))?;
    if kind.as_deref() == Some("env") && env.is_none() {
        env = path.take();
    }
    let value = |name: &str| SecretSource::Value(Hidden(variable(name).unwrap_or_default().into_bytes()));
    let source = match (path, env) {
        (Some(path), _) => SecretSource::File(PathBuf::from(path)),
        (None, Some(name)) => value(&name),
        (None, None) if variable(&id).is_some() => value(&id),
        (None, None) => SecretSource::File(PathBuf::from(&id)),
    };
    Ok((id, source))
}

/// Reads one `--ssh`: `ID[=SOCKET]`, by default the socket that `SSH_AUTH_SOCK` names.
pub fn agent(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<(String, PathBuf), Failure> {
    let (id, path) = text.split_once('=').unwrap_or((text, ""));
    let id = if id.is_empty() { "default" } else { id };
    if path.contains(',') {
        return Err(Failure::usage(format!("--ssh \"{text}\": only one socket is possible for an ID"))
            .help("keys are not read from files: ssh-add them to an agent"));
    }
    let own = || variable(AGENT_VARIABLE).filter(|path| !path.is_empty());
    match Some(path.to_owned()).filter(|path| !path.is_empty()).or_else(own) {
        Some(path) => Ok((id.to_owned(), PathBuf::from(path))),
        None => Err(Failure::usage(format!(
            "--ssh \"{text}\": invalid empty ssh agent socket: make sure {AGENT_VARIABLE} is set"
        ))),
    }
}
