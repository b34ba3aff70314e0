//! `run`: starts a container of an image for a smoke test.

use std::os::fd::AsFd;

use jettison_image::Platform;
use jettison_registry::{Cancel, Client};
use jettison_sandbox::{Identity, Mount, MountSource, Outcome, Root, Running, Spec, Stdio3};
use jettison_store::{LayerDraft, Store};

use crate::Error;
use crate::settings::{Network, PullPolicy, RunSettings};
use crate::transfer::{Transfer, pull};

/// A container that runs. What it writes goes with it.
pub struct Launch {
    running: Running,
    _upper: LayerDraft,
}

impl Launch {
    /// Returns what ends it, from any thread.
    pub fn killer(&self) -> jettison_sandbox::Killer {
        self.running.killer()
    }

    /// Waits for its end.
    pub fn wait(self) -> Result<Outcome, Error> {
        let outcome = self.running.wait()?;
        // The directory of its changes goes now.
        jettison_sandbox::settle();
        Ok(outcome)
    }
}

/// Starts a container of an image, pulling the image if it has to.
pub fn launch(
    store: &Store,
    identity: &Identity,
    client: &Client,
    cancel: &Cancel,
    settings: &RunSettings,
    now: i64,
) -> Result<Launch, Error> {
    launch_with(store, identity, client, cancel, settings, now, stdio()?)
}

/// Like [`launch`], with other standard streams than one's own.
pub(crate) fn launch_with(
    store: &Store,
    identity: &Identity,
    client: &Client,
    cancel: &Cancel,
    settings: &RunSettings,
    now: i64,
    stdio: Stdio3,
) -> Result<Launch, Error> {
    let platform = settings.platform.clone().unwrap_or_else(Platform::host);
    let there = match settings.pull {
        PullPolicy::Always => None,
        PullPolicy::Missing | PullPolicy::Never => Some(store.resolve(&settings.image)),
    };
    let image = match there {
        Some(Ok(resolved)) => resolved.image,
        Some(Err(error)) if settings.pull == PullPolicy::Never => return Err(error.into()),
        _ => {
            let reference = settings.image.parse().map_err(|error| Error::request(format!("{error}")))?;
            let transfer = Transfer { client, cancel, progress: &|_, _, _| (), now };
            pull(store, &reference, &platform, transfer)?;
            store.resolve(&settings.image)?.image
        }
    };
    let config = store.config(&image)?.config;
    let unpacked = jettison_build::unpacked(store, identity, client, cancel, &image)
        .map_err(|error| Error::request(format!("{}: {error}", settings.image)))?;
    if !identity.mode.overlay() {
        let message = "`run` needs an overlay, which chroot mode does not have".to_owned();
        return Err(Error::Environment {
            message,
            help: Some("`jettison doctor` tells what is missing".to_owned()),
        });
    }
    let upper = store.draft_layer()?;
    let user = settings.user.as_deref().unwrap_or(&config.user);
    let mut env = config.env.clone();
    for pair in &settings.env {
        let name = pair.split('=').next().unwrap_or_default();
        env.retain(|old| old.split('=').next() != Some(name));
        env.push(pair.clone());
    }
    // moby: `container/container.go`, `CreateDaemonEnvironment`.
    if settings.tty && !env.iter().any(|pair| pair.split('=').next() == Some("TERM")) {
        env.push("TERM=xterm".to_owned());
    }
    let root = match unpacked.lower.is_empty() {
        true => Root::Directory(upper.fs()),
        false => Root::Overlay { lower: unpacked.lower.clone(), upper: upper.fs(), work: upper.work() },
    };
    let spec = Spec {
        root,
        args: words(settings, &config)?,
        env,
        cwd: match settings.workdir.as_deref().unwrap_or(&config.working_dir) {
            "" => "/".to_owned(),
            path => path.to_owned(),
        },
        user: unpacked.user(user).map_err(|error| Error::request(error.to_string()))?,
        hostname: settings.hostname.clone().unwrap_or_else(|| image.config.short()),
        extra_hosts: settings.extra_hosts.clone(),
        network: match settings.network {
            Network::None => jettison_sandbox::Network::None,
            Network::Default | Network::Host => jettison_sandbox::Network::Host,
        },
        mounts: settings
            .volumes
            .iter()
            .map(|volume| Mount {
                target: volume.target.clone(),
                source: MountSource::Bind(volume.source.clone()),
                read_only: volume.read_only,
            })
            .collect(),
        shm_size: None,
        limits: Vec::new(),
        cgroup_parent: None,
        insecure: false,
        interactive: settings.interactive,
    };
    let running = jettison_sandbox::spawn(identity, &spec, stdio)?;
    Ok(Launch { running, _upper: upper })
}

fn stdio() -> Result<Stdio3, Error> {
    let failed = |source| Error::io("use", "the standard streams", source);
    let own = |fd: std::io::Result<std::os::fd::OwnedFd>| fd.map_err(failed);
    Ok(Stdio3 {
        stdin: Some(own(std::io::stdin().as_fd().try_clone_to_owned())?),
        stdout: own(std::io::stdout().as_fd().try_clone_to_owned())?,
        stderr: own(std::io::stderr().as_fd().try_clone_to_owned())?,
    })
}

/// Entrypoint and command, as docker joins them.
fn words(settings: &RunSettings, config: &jettison_image::RunConfig) -> Result<Vec<String>, Error> {
    let mut words = match settings.entrypoint.as_deref() {
        Some("") => Vec::new(),
        Some(entrypoint) => vec![entrypoint.to_owned()],
        None => config.entrypoint.clone().unwrap_or_default(),
    };
    match settings.command.is_empty() {
        false => words.extend(settings.command.iter().cloned()),
        // A new entrypoint has no use for the arguments of the old one.
        true if settings.entrypoint.is_none() => words.extend(config.cmd.clone().unwrap_or_default()),
        true => {}
    }
    match words.is_empty() {
        true => Err(Error::request("no command specified: the image has neither CMD nor ENTRYPOINT")),
        false => Ok(words),
    }
}
