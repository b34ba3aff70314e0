//! Credential helpers: programs named `docker-credential-NAME` (github.com/docker/docker-credential-helpers).

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Credential;
use crate::Error;
use crate::answer::clean;

/// A helper may ask for a passphrase; longer than this nobody waits.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The most output of a helper that is read, in bytes.
const MAX_OUTPUT: u64 = 1 << 20;
/// What helpers say, on standard output, when they know nothing of a server.
const NOT_FOUND: [&str; 2] = ["credentials not found in native keychain", "no credentials server URL"];
/// The user name that marks the secret as an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    #[serde(rename = "ServerURL", default)]
    server: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks helper `name` for the credentials of `server`; `None` if it has none.
pub(super) fn get(path: Option<&OsStr>, name: &str, server: &str) -> Result<Option<Credential>, Error> {
    let output = match run(path, name, "get", server.as_bytes())? {
        Output { success: true, stdout } => stdout,
        Output { stdout, .. } => {
            let text = String::from_utf8_lossy(&stdout);
            let none =
                text.to_lowercase().contains("credentials not found") || NOT_FOUND.contains(&text.trim());
            return if none { Ok(None) } else { Err(failed(name, said("get", &stdout))) };
        }
    };
    let secret: Secret = serde_json::from_slice(&output).map_err(|error| failed(name, error.to_string()))?;
    Ok(match secret.username.as_str() {
        _ if secret.secret.is_empty() => None,
        TOKEN_USER => Some(Credential::Identity(secret.secret)),
        _ => Some(Credential::Basic { user: secret.username, password: secret.secret }),
    })
}

/// Gives helper `name` credentials to keep.
pub(super) fn store(
    path: Option<&OsStr>,
    name: &str,
    server: &str,
    user: &str,
    password: &str,
) -> Result<(), Error> {
    let secret = Secret { server: server.to_owned(), username: user.to_owned(), secret: password.to_owned() };
    let input = serde_json::to_vec(&secret).map_err(|error| failed(name, error.to_string()))?;
    match run(path, name, "store", &input)? {
        Output { success: true, .. } => Ok(()),
        Output { stdout, .. } => Err(failed(name, said("store", &stdout))),
    }
}

/// Makes helper `name` forget `server`. What it says when it never knew it differs, so failure is not looked at.
pub(super) fn erase(path: Option<&OsStr>, name: &str, server: &str) -> Result<bool, Error> {
    Ok(run(path, name, "erase", server.as_bytes())?.success)
}

struct Output {
    success: bool,
    stdout: Vec<u8>,
}

fn run(path: Option<&OsStr>, name: &str, verb: &str, input: &[u8]) -> Result<Output, Error> {
    let program = find(path, name)?;
    let mut command = Command::new(program);
    command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let mut child = command.spawn().map_err(|error| failed(name, error.to_string()))?;
    let stdin = child.stdin.take();
    let stdout = child.stdout.take();
    let input = input.to_owned();
    let (sender, receiver) = mpsc::channel();
    // In a thread of its own: a helper that neither reads nor writes must not hold us longer than the timeout.
    thread::spawn(move || {
        let mut output = Vec::new();
        // A helper that does not read its input closes the pipe early; what it answers counts.
        let _ = stdin.map(|mut stdin| stdin.write_all(&input));
        let read = stdout.map_or(Ok(0), |stdout| stdout.take(MAX_OUTPUT).read_to_end(&mut output));
        let _ = sender.send(read.map(|_| output));
    });
    let deadline = Instant::now() + TIMEOUT;
    let output = receiver.recv_timeout(TIMEOUT);
    let success = match output {
        Ok(_) => wait(&mut child, deadline).map_err(|error| failed(name, error.to_string()))?,
        Err(_) => None,
    };
    let (Some(success), Ok(Ok(stdout))) = (success, output) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(failed(name, format!("it did not answer \"{verb}\" within {} s", TIMEOUT.as_secs())));
    };
    Ok(Output { success, stdout })
}

/// Waits for the end of a child that has closed its output, until `deadline`.
fn wait(child: &mut Child, deadline: Instant) -> io::Result<Option<bool>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn find(path: Option<&OsStr>, name: &str) -> Result<PathBuf, Error> {
    let program = format!("docker-credential-{name}");
    if name.contains('/') {
        return Err(failed(name, "its name must not have a slash".to_owned()));
    }
    let is_program = |file: &PathBuf| {
        file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let folders = path.map(std::env::split_paths).into_iter().flatten();
    let mut programs = folders.filter(|folder| folder.is_absolute()).map(|folder| folder.join(&program));
    programs.find(is_program).ok_or_else(|| failed(name, format!("{program} is not in PATH")))
}

fn said(verb: &str, stdout: &[u8]) -> String {
    match clean(&String::from_utf8_lossy(stdout)) {
        text if text.is_empty() => format!("\"{verb}\" failed"),
        text => format!("\"{verb}\" failed: {text}"),
    }
}

fn failed(name: &str, why: String) -> Error {
    Error::Helper { helper: name.to_owned(), why }
}
