//! The user's smoke test: a command in a container of an image, which must succeed.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;

use jettison_image::Digest;
use jettison_sandbox::Stdio3;

use crate::run::launch_with;
use crate::settings::{Network, PullPolicy, RunSettings};
use crate::{Error, Workplace};

/// Bytes of output that are shown of a test that failed.
const TAIL: usize = 400;

/// Runs `command` in the image, or the image's own if it is empty. The inner error says why the test failed.
pub(super) fn run(
    workplace: &Workplace<'_>,
    image: &Digest,
    command: &str,
) -> Result<Result<(), String>, Error> {
    let command = words(command)?;
    let settings = RunSettings {
        image: image.to_string(),
        entrypoint: (!command.is_empty()).then(String::new),
        command,
        env: Vec::new(),
        volumes: Vec::new(),
        user: None,
        workdir: None,
        hostname: None,
        extra_hosts: Vec::new(),
        network: Network::None,
        interactive: false,
        tty: false,
        pull: PullPolicy::Never,
        platform: None,
    };
    let mut output = workplace.store.temporary_file()?;
    let stdio = stdio(&output)?;
    let (store, client, cancel) = (workplace.store, workplace.client, workplace.cancel);
    let now = i64::try_from(workplace.now.as_secs()).unwrap_or(i64::MAX);
    let launched = match launch_with(store, workplace.identity, client, cancel, &settings, now, stdio) {
        Ok(launched) => launched,
        Err(Error::Sandbox(error)) => return Ok(Err(error.to_string())),
        Err(error) => return Err(error),
    };
    let code = match launched.wait() {
        Ok(outcome) => outcome.code,
        Err(Error::Sandbox(error)) => return Ok(Err(error.to_string())),
        Err(error) => return Err(error),
    };
    if code == 0 {
        return Ok(Ok(()));
    }
    let failed = |source| Error::io("read", store.root(), source);
    let mut text = Vec::new();
    output.rewind().map_err(failed)?;
    output.read_to_end(&mut text).map_err(failed)?;
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(TAIL)..]).into_owned();
    Ok(Err(format!("exit code {code}: {}", text.trim())))
}

fn stdio(output: &File) -> Result<Stdio3, Error> {
    let again = || -> Result<OwnedFd, Error> {
        let file = output.try_clone().map_err(|source| Error::io("use", "a temporary file", source))?;
        Ok(OwnedFd::from(file))
    };
    Ok(Stdio3 { stdin: None, stdout: again()?, stderr: again()? })
}

/// Splits a command at blanks; quotes keep them. There need be no shell in the image.
fn words(command: &str) -> Result<Vec<String>, Error> {
    let expander = jettison_dockerfile::words::Expander::new('\\');
    expander
        .expand_words(command, &|name| Some(format!("${name}")))
        .map_err(|error| Error::request(format!("--smoke: {error}")))
}
