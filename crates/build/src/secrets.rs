//! Secrets: read when a command needs them, and shown to nobody else. They are in no key, no layer and no message.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use jettison_dockerfile::Span;
use jettison_plan::Run;
use jettison_sandbox::Hidden;

use crate::Error;
use crate::engine::Engine;
use crate::request::SecretSource;

/// The largest secret, in bytes. BuildKit: `session/secrets/secrets.go`.
pub const MAX_SECRET: u64 = 500 * 1024;

impl Engine<'_> {
    /// Returns a secret; `None` if nobody gave one and it is not required.
    pub(crate) fn secret(&self, id: &str, required: bool, span: Span) -> Result<Option<Hidden>, Error> {
        let refused = |message: String, help: Option<String>| Error::Instruction { span, message, help };
        match read_secret(&self.request.secrets, id) {
            Ok(None) if required => {
                let help = Some(format!("--secret id={id},src=FILE or id={id},env=NAME gives it"));
                Err(refused(format!("secret {id}: not found"), help))
            }
            Ok(secret) => Ok(secret),
            Err(error) => Err(refused(error.to_string(), None)),
        }
    }

    /// Returns the environment of a command, the variables that are secrets in the place of others of their names.
    pub(crate) fn environment(&self, run: &Run, span: Span) -> Result<Vec<String>, Error> {
        let mut env: Vec<String> = run.env.iter().chain(&run.proxy_env).cloned().collect();
        for variable in &run.secret_env {
            let value = self.secret(&variable.id, variable.required, span)?.map(|value| value.0);
            let value = String::from_utf8(value.unwrap_or_default()).map_err(|_| Error::Instruction {
                span,
                message: format!("secret {}: not text, so it cannot be a variable", variable.id),
                help: None,
            })?;
            env.retain(|pair| pair.split('=').next() != Some(&variable.name));
            env.push(format!("{}={value}", variable.name));
        }
        Ok(env)
    }
}

/// A secret that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("secret {id}: failed to read {}: {source}", path.display())]
pub struct SecretError {
    /// Its ID.
    id: String,
    /// Where it should be.
    path: PathBuf,
    /// Why not.
    source: io::Error,
}

/// Returns a secret; `None` if nobody gave one.
pub(crate) fn read_secret(
    secrets: &BTreeMap<String, SecretSource>,
    id: &str,
) -> Result<Option<Hidden>, SecretError> {
    match secrets.get(id) {
        None => Ok(None),
        Some(SecretSource::Value(value)) => Ok(Some(value.clone())),
        Some(SecretSource::File(path)) => {
            let bytes = File::open(path).and_then(read_limited);
            let failed = |source| SecretError { id: id.to_owned(), path: path.clone(), source };
            bytes.map(|bytes| Some(Hidden(bytes))).map_err(failed)
        }
    }
}

fn read_limited(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_SECRET + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_SECRET {
        true => Err(io::Error::other(format!("it is larger than {MAX_SECRET} bytes"))),
        false => Ok(bytes),
    }
}
