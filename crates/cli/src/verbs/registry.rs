//! `push`, `pull`, `login` and `logout`.

use std::io::{self, BufRead, IsTerminal, Read};
use std::time::Instant;

use jettison_build::{Event, Outcome, StepInfo};
use jettison_image::{Digest, Platform, Reference};
use jettison_ops::Transfer;

use super::workplace;
use crate::args::{LoginArgs, LogoutArgs, ProgressMode, PullArgs, PushArgs};
use crate::environment::{Environment, registry_client, registry_settings};
use crate::failure::{Failure, code};
use crate::interrupt;
use crate::output::{note, print_line};
use crate::progress::{Screen, renderer};
use crate::settings;

/// Docker Hub, as docker names it in its configuration.
const DOCKER_HUB: &str = "docker.io";

/// Pushes an image, or all of a repository.
pub fn push(args: &PushArgs, environment: &Environment) -> Result<u8, Failure> {
    let name = Reference::parse(&args.name).map_err(|error| Failure::usage(error.to_string()))?;
    let place = workplace::open(environment)?;
    let (client, cancel) = (registry_client(), interrupt::watch()?);
    let names = if args.all_tags { jettison_ops::tags_of(&place.store, &name)? } else { vec![name] };
    for name in names {
        let pushed = shown(&format!("pushing {}", name.familiar()), args.quiet, environment, |progress| {
            let transfer = Transfer { client: &client, cancel: &cancel, progress, now: workplace::now() };
            jettison_ops::push(&place.store, &name, transfer)
        })?;
        let tag = name.tag().unwrap_or_default();
        match args.quiet {
            true => print_line(&name.to_string())?,
            false => print_line(&format!("{tag}: digest: {} size: {}", pushed.digest, pushed.size))?,
        }
    }
    Ok(code::OK)
}

/// Pulls an image.
pub fn pull(args: &PullArgs, environment: &Environment) -> Result<u8, Failure> {
    let name = Reference::parse(&args.name).map_err(|error| Failure::usage(error.to_string()))?;
    let platform: Vec<String> = args.platform.clone().into_iter().collect();
    let platform = settings::platform(&platform)?.unwrap_or_else(Platform::host);
    let place = workplace::open(environment)?;
    let (client, cancel) = (registry_client(), interrupt::watch()?);
    let pulled = shown(&format!("pulling {}", name.familiar()), args.quiet, environment, |progress| {
        let transfer = Transfer { client: &client, cancel: &cancel, progress, now: workplace::now() };
        jettison_ops::pull(&place.store, &name, &platform, transfer)
    })?;
    if !args.quiet {
        print_line(&format!("Digest: {}", pulled.digest))?;
        let what = if pulled.is_new { "Downloaded newer image" } else { "Image is up to date" };
        print_line(&format!("Status: {what} for {}", name.familiar()))?;
    }
    print_line(&name.to_string())?;
    Ok(code::OK)
}

/// Told what is moved: its short digest, bytes so far, bytes in all if known.
type Progress<'a> = &'a (dyn Fn(&str, u64, Option<u64>) + Sync);

/// Shows a transfer as builds show a step.
fn shown<T>(
    name: &str,
    quiet: bool,
    environment: &Environment,
    transfer: impl FnOnce(Progress<'_>) -> Result<T, jettison_ops::Error>,
) -> Result<T, jettison_ops::Error> {
    let mode = if quiet { ProgressMode::Quiet } else { ProgressMode::Auto };
    let screen = Screen::start(renderer(mode, environment.no_color));
    let sink = screen.sink();
    let step = 0;
    let info =
        StepInfo { id: step, name: name.to_owned(), digest: Digest::of(name.as_bytes()), inputs: Vec::new() };
    sink(Event::Planned { steps: vec![info] });
    sink(Event::Started { step });
    let started = Instant::now();
    let result =
        transfer(&|item, done, total| sink(Event::Progress { step, item: item.to_owned(), done, total }));
    let outcome = match &result {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::Failed(error.to_string()),
    };
    sink(Event::Finished { step, outcome, elapsed: started.elapsed() });
    drop(sink);
    screen.finish();
    result
}

/// Checks credentials and keeps them where docker does.
pub fn login(args: &LoginArgs, _environment: &Environment) -> Result<u8, Failure> {
    let server = args.server.as_deref().unwrap_or(DOCKER_HUB);
    let Some(user) = &args.username else {
        return Err(Failure::usage("a user name is needed").help("give --username and --password-stdin"));
    };
    let password = match &args.password {
        Some(password) => {
            note("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
            password.clone()
        }
        None if args.password_stdin => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        None if io::stdin().is_terminal() => {
            return Err(Failure::usage("a password is needed").help("pipe it in with --password-stdin"));
        }
        None => {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line)?;
            line.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    let cancel = interrupt::watch()?;
    jettison_ops::login(&registry_settings(), server, user, &password, &cancel)?;
    print_line("Login Succeeded")?;
    Ok(code::OK)
}

/// Forgets credentials.
pub fn logout(args: &LogoutArgs, _environment: &Environment) -> Result<u8, Failure> {
    let server = args.server.as_deref().unwrap_or(DOCKER_HUB);
    match jettison_ops::logout(&registry_settings(), server)? {
        true => print_line(&format!("Removing login credentials for {server}"))?,
        false => print_line(&format!("Not logged in to {server}"))?,
    }
    Ok(code::OK)
}
