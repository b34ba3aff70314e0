//! `--output`: the names of an image, and the places it is sent to.

use std::io::{self, Write};
use std::path::Path;

use jettison_build::Built;
use jettison_build::export::{self, CompressionOptions, DaemonAddress, Place};
use jettison_image::{DEFAULT_EPOCH, Digest, Reference};

use super::Workplace;
use crate::Error;
use crate::settings::{BuildSettings, Destination, Output, OutputKind};
use crate::stored::Stored;
use crate::transfer::{Transfer, export_context};

/// The names of `--tag` and of outputs' `name=`.
pub(super) fn names(settings: &BuildSettings) -> Result<Vec<Reference>, Error> {
    let mut names = settings.tags.clone();
    for output in &settings.outputs {
        for name in output.attributes.get("name").iter().flat_map(|list| list.split(',')) {
            let name = Reference::parse(name).map_err(|error| Error::request(error.to_string()))?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// What outputs made known.
#[derive(Default)]
pub(super) struct Exported {
    pub(super) manifest: Option<Digest>,
    pub(super) pushed: Vec<(Reference, Digest)>,
}

/// Sends the image to one place.
pub(super) fn export_to(
    output: &Output,
    settings: &BuildSettings,
    built: &Built,
    stored: &Stored<'_>,
    names: &[Reference],
    workplace: &Workplace<'_>,
    exported: &mut Exported,
) -> Result<(), Error> {
    let progress = |_: &str, _: u64, _: Option<u64>| ();
    let now = i64::try_from(workplace.now.as_secs()).unwrap_or(i64::MAX);
    let transfer = Transfer { client: workplace.client, cancel: workplace.cancel, progress: &progress, now };
    let context = export_context(workplace.store, transfer);
    let attribute = |name: &str| output.attributes.get(name).map(String::as_str);
    let options = CompressionOptions::default()
        .with(attribute("compression"), attribute("compression-level"), attribute("force-compression"))
        .map_err(|error| Error::request(format!("--output: {error}")))?;
    let mut prepare = || -> Result<_, Error> {
        let mut source = stored.source(names.to_vec())?;
        for (layer, origin) in source.layers.iter_mut().zip(&built.origins) {
            if layer.origin.is_none() {
                layer.origin.clone_from(origin);
            }
        }
        let prepared = export::prepare(source, &options, context)?;
        exported.manifest = Some(prepared.manifest.digest());
        Ok(prepared)
    };
    let mut stdout = io::stdout();
    let place = || -> Result<Option<&Path>, Error> {
        match &output.destination {
            Some(Destination::Path(path)) => Ok(Some(path)),
            Some(Destination::Stdout) => Ok(None),
            None => Err(Error::request("--output: dest= is required for this type")),
        }
    };
    match output.kind {
        OutputKind::CacheOnly => {}
        OutputKind::Image if attribute("push") != Some("true") => {}
        OutputKind::Image | OutputKind::Registry => {
            let pushed = export::push(workplace.client, &prepare()?, context)?;
            exported.pushed.extend(pushed.into_iter().map(|pushed| (pushed.reference, pushed.digest)));
        }
        OutputKind::Oci => match (place()?, attribute("tar")) {
            (Some(path), Some("false")) => export::write_oci_layout(&[prepare()?], path, context)?,
            (Some(path), _) => export::write_oci_archive(&[prepare()?], Place::File(path), context)?,
            (None, _) => export::write_oci_archive(&[prepare()?], Place::Stream(&mut stdout), context)?,
        },
        OutputKind::Docker if output.destination.is_none() => {
            let address = DaemonAddress::parse(settings.docker_host.as_deref())?;
            export::load_into_daemon(&address, &[prepare()?], context)?;
        }
        OutputKind::Docker => match place()? {
            Some(path) => export::write_docker_archive(&[prepare()?], Place::File(path), context)?,
            None => export::write_docker_archive(&[prepare()?], Place::Stream(&mut stdout), context)?,
        },
        OutputKind::Tar | OutputKind::Local => {
            let files = stored.root_fs()?;
            let index = files.index();
            let epoch = settings.epoch.unwrap_or(DEFAULT_EPOCH);
            let tree = move |out: &mut dyn Write| {
                jettison_layer::write_layer(&index, &files, epoch, out).map_err(io::Error::other)
            };
            match (output.kind, place()?) {
                (OutputKind::Local, Some(path)) => export::write_local(&tree, path, context)?,
                (_, Some(path)) => export::write_tar(&tree, Place::File(path), context)?,
                (_, None) => export::write_tar(&tree, Place::Stream(&mut stdout), context)?,
            }
        }
    }
    Ok(())
}
