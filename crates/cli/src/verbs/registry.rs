//! `push`, `pull`, `login` and `logout`.

use std::io::{self, BufRead, IsTerminal, Read};

use jettison_image::{Platform, Reference};
use jettison_ops::Transfer;

use super::workplace;
use crate::args::{LoginArgs, LogoutArgs, PullArgs, PushArgs};
use crate::environment::{Environment, registry_client, registry_settings};
use crate::failure::{Failure, code};
use crate::interrupt;
use crate::output::{note, print_line};
use crate::settings;

/// Docker Hub, as docker names it in its configuration.
const DOCKER_HUB: &str = "docker.io";

/// Pushes an image, or all of a repository.
pub fn push(args: &PushArgs, environment: &Environment) -> Result<u8, Failure> {
    let name = Reference::parse(&args.name).map_err(|error| Failure::usage(error.to_string()))?;
    let place = workplace::open(environment)?;
    let (client, cancel) = (registry_client(), interrupt::watch()?);
    let transfer =
        Transfer { client: &client, cancel: &cancel, progress: &|_, _, _| (), now: workplace::now() };
    let names = if args.all_tags { jettison_ops::tags_of(&place.store, &name)? } else { vec![name] };
    for name in names {
        let pushed = jettison_ops::push(&place.store, &name, transfer)?;
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
    let transfer =
        Transfer { client: &client, cancel: &cancel, progress: &|_, _, _| (), now: workplace::now() };
    let pulled = jettison_ops::pull(&place.store, &name, &platform, transfer)?;
    if !args.quiet {
        print_line(&format!("Digest: {}", pulled.digest))?;
        let what = if pulled.is_new { "Downloaded newer image" } else { "Image is up to date" };
        print_line(&format!("Status: {what} for {}", name.familiar()))?;
    }
    print_line(&name.to_string())?;
    Ok(code::OK)
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
