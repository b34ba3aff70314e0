//! `--output`: the names of an image, and the places it is sent to.

use std::io::{self, Read, Write};
use std::path::Path;

use jettison_build::export::{self, CompressionOptions, DaemonAddress, EarlyPush, Place, Prepared};
use jettison_build::{Built, StepId};
use jettison_image::{Descriptor, Digest, Reference};
use jettison_layer::{Compression, Content, Entry, Index, Kind, Merged};
use jettison_report::Budgets;
use jettison_store::ImageRecord;

use super::vertex::{Progress, Vertex};
use super::{Workplace, annotations};
use crate::Error;
use crate::settings::{Annotation, BuildSettings, Destination, Output, OutputKind};
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

/// Refuses, before anything is built, what several platforms cannot be written to. The messages are BuildKit's.
pub(super) fn refuse_unfit(settings: &BuildSettings) -> Result<(), Error> {
    let docker = settings.outputs.iter().any(|output| output.kind == OutputKind::Docker);
    if settings.platforms.len() < 2 || !docker {
        return Ok(());
    }
    Err(Error::request_with_help(
        "docker exporter does not currently support exporting manifest lists",
        "use type=oci or push for several platforms, or give one --platform",
    ))
}

/// Returns the compression in which the layers of the images leave, if they do.
pub(super) fn compression(settings: &BuildSettings) -> Result<Option<CompressionOptions>, Error> {
    let leaves =
        |output: &&Output| pushes(output) || matches!(output.kind, OutputKind::Oci | OutputKind::Docker);
    let options = settings.outputs.iter().find(leaves).map(compression_of).transpose()?;
    // Without dead bytes they are other layers.
    Ok(options.filter(|options| !settings.drop_dead && options.compression != Compression::None))
}

fn compression_of(output: &Output) -> Result<CompressionOptions, Error> {
    let attribute = |name: &str| output.attributes.get(name).map(String::as_str);
    CompressionOptions::default()
        .with(attribute("compression"), attribute("compression-level"), attribute("force-compression"))
        .map_err(|error| Error::request(format!("--output: {error}")))
}

/// Returns the names to which layers that leave in `compression` may be pushed while the build goes on.
pub(super) fn early_names(
    settings: &BuildSettings,
    compression: Option<CompressionOptions>,
) -> Result<Vec<Reference>, Error> {
    // Of an image that exceeds a budget nothing is pushed, and only the end knows.
    if settings.budgets != Budgets::default() {
        return Ok(Vec::new());
    }
    for output in settings.outputs.iter().filter(|output| pushes(output)) {
        if compression == Some(compression_of(output)?) {
            return names(settings);
        }
    }
    Ok(Vec::new())
}

/// What outputs made known.
#[derive(Default)]
pub(super) struct Exported {
    pub(super) manifest: Option<Descriptor>,
    pub(super) pushed: Vec<(Reference, Digest)>,
}

/// Sends what was built to its places.
pub(super) struct Exporter<'a> {
    pub(super) settings: &'a BuildSettings,
    pub(super) workplace: &'a Workplace<'a>,
    pub(super) built: &'a [Built],
    /// The same images, opened.
    pub(super) stored: &'a [Stored<'a>],
    pub(super) names: &'a [Reference],
    /// The number of the first export among the steps of the build.
    pub(super) first_step: StepId,
    /// What pushes while the build goes on.
    pub(super) early: &'a EarlyPush<'a>,
}

impl Exporter<'_> {
    /// Sends the images to their places.
    pub(super) fn export(&self, exported: &mut Exported) -> Result<(), Error> {
        let inputs: Vec<StepId> =
            self.built.iter().filter_map(|built| Some(built.steps.last()?.id)).collect();
        let outputs = self.settings.outputs.iter().filter_map(|output| Some((title(output)?, output)));
        for (number, (title, output)) in outputs.enumerate() {
            let step = (self.first_step + number, title, inputs.clone());
            let Workplace { events, cancel, .. } = *self.workplace;
            Vertex::run(events, cancel, step, |vertex| self.export_to(output, vertex, exported))?;
        }
        Ok(())
    }

    /// Sends the images to one place.
    fn export_to(&self, output: &Output, vertex: &Vertex<'_>, exported: &mut Exported) -> Result<(), Error> {
        let attribute = |name: &str| output.attributes.get(name).map(String::as_str);
        let options = compression_of(output)?;
        if matches!(output.kind, OutputKind::Tar | OutputKind::Local) {
            return vertex.part("copying files", None, |told| self.write_files(output, told));
        }
        let images = vertex.part("exporting layers", None, |told| {
            self.prepare(&options, &output.annotations, exported, told)
        })?;
        let mut stdout = io::stdout();
        match output.kind {
            OutputKind::Image | OutputKind::Registry if pushes(output) => {
                let total = export::push_size(&images);
                let client = self.workplace.client;
                let pushed = vertex.part("pushing layers", Some(total), |told| {
                    self.early.wait(self.context(told));
                    Ok(export::push(client, &images, self.context(told))?)
                })?;
                exported.pushed.extend(pushed.into_iter().map(|pushed| (pushed.reference, pushed.digest)));
                Ok(())
            }
            OutputKind::Oci => vertex.part("sending tarball", None, |told| {
                let context = self.context(told);
                match (place(output)?, attribute("tar")) {
                    (Some(path), Some("false")) => export::write_oci_layout(&images, path, context)?,
                    (Some(path), _) => export::write_oci_archive(&images, Place::File(path), context)?,
                    (None, _) => export::write_oci_archive(&images, Place::Stream(&mut stdout), context)?,
                }
                Ok(())
            }),
            OutputKind::Docker if output.destination.is_none() => {
                let address = DaemonAddress::parse(self.settings.docker_host.as_deref())?;
                vertex.part("importing to docker", None, |told| {
                    export::load_into_daemon(&address, &images, self.context(told))?;
                    Ok(())
                })
            }
            OutputKind::Docker => vertex.part("sending tarball", None, |told| {
                let context = self.context(told);
                match place(output)? {
                    Some(path) => export::write_docker_archive(&images, Place::File(path), context)?,
                    None => export::write_docker_archive(&images, Place::Stream(&mut stdout), context)?,
                }
                Ok(())
            }),
            _ => Ok(()),
        }
    }

    /// Makes the manifest, or the index over images of several platforms, for nobody but those who ask for its digest.
    pub(super) fn make_manifest(&self, exported: &mut Exported) -> Result<(), Error> {
        self.prepare(&CompressionOptions::default(), &[], exported, &|_, _, _| ()).map(drop)
    }

    fn context<'c>(&'c self, progress: &'c Progress<'c>) -> export::Context<'c> {
        let now = i64::try_from(self.workplace.now.as_secs()).unwrap_or(i64::MAX);
        let (client, cancel) = (self.workplace.client, self.workplace.cancel);
        export_context(self.workplace.store, Transfer { client, cancel, progress, now })
    }

    /// Brings the images into the form in which they leave.
    fn prepare(
        &self,
        options: &CompressionOptions,
        annotations: &[Annotation],
        exported: &mut Exported,
        told: &Progress<'_>,
    ) -> Result<Vec<Prepared<'_>>, Error> {
        let mut images = Vec::new();
        for (built, stored) in self.built.iter().zip(self.stored) {
            let mut source = stored.source(self.names.to_vec())?;
            for (layer, origin) in source.layers.iter_mut().zip(&built.origins) {
                if layer.origin.is_none() {
                    layer.origin.clone_from(origin);
                }
            }
            source.annotations = annotations::of(self.settings, annotations, &built.image.platform);
            let image = export::prepare(source, options, self.context(told))?;
            if !image.annotations.manifest.is_empty() {
                self.keep_manifest(built, &image)?;
            }
            images.push(image);
        }
        exported.manifest = Some(export::top(&images).descriptor());
        Ok(images)
    }

    /// Keeps a manifest that says more than its image does: a later push sends this one.
    fn keep_manifest(&self, built: &Built, image: &Prepared<'_>) -> Result<(), Error> {
        let store = self.workplace.store;
        store.blobs().write(&image.manifest.bytes)?;
        let manifest = Some(image.manifest.descriptor());
        Ok(store.put_image(&ImageRecord { manifest, ..built.image.clone() })?)
    }

    /// Writes the files alone; of several platforms, each in a directory of its own, as BuildKit does.
    fn write_files(&self, output: &Output, told: &Progress<'_>) -> Result<(), Error> {
        let mut parts = Vec::new();
        for stored in self.stored {
            let folder = match self.stored.len() {
                1 => String::new(),
                _ => stored.record.platform.to_string().replace('/', "_"),
            };
            parts.push((folder.into_bytes(), stored.root_fs()?));
        }
        let files = Platforms(parts);
        let index = files.index();
        let times = self.settings.times();
        let tree = move |out: &mut dyn Write| {
            jettison_layer::write_layer(&index, &files, times, out).map_err(io::Error::other)
        };
        let context = self.context(told);
        match (output.kind, place(output)?) {
            (OutputKind::Local, Some(path)) => export::write_local(&tree, path, context)?,
            (_, Some(path)) => export::write_tar(&tree, Place::File(path), context)?,
            (_, None) => export::write_tar(&tree, Place::Stream(&mut io::stdout()), context)?,
        }
        Ok(())
    }
}

/// What the export to an output is called, in BuildKit's words; `None` where nothing is to be done.
fn title(output: &Output) -> Option<&'static str> {
    match output.kind {
        OutputKind::CacheOnly => None,
        OutputKind::Image if !pushes(output) && output.annotations.is_empty() => None,
        OutputKind::Image | OutputKind::Registry => Some("exporting to image"),
        OutputKind::Oci => Some("exporting to oci image format"),
        OutputKind::Docker => Some("exporting to docker image format"),
        OutputKind::Tar => Some("exporting to client tarball"),
        OutputKind::Local => Some("exporting to client directory"),
    }
}

/// Tells whether an output is a registry.
pub(super) fn pushes(output: &Output) -> bool {
    match output.kind {
        OutputKind::Registry => true,
        OutputKind::Image => output.attributes.get("push").is_some_and(|push| push == "true"),
        _ => false,
    }
}

/// The file or directory that an output names; `None` for standard output.
fn place(output: &Output) -> Result<Option<&Path>, Error> {
    match &output.destination {
        Some(Destination::Path(path)) => Ok(Some(path)),
        Some(Destination::Stdout) => Ok(None),
        None => Err(Error::request("--output: dest= is required for this type")),
    }
}

/// The files of images side by side, each below its folder; the folder of a single one is the root.
struct Platforms(Vec<(Vec<u8>, Merged)>);

impl Platforms {
    fn index(&self) -> Index {
        if let [(_, only)] = self.0.as_slice() {
            return only.index();
        }
        let mut entries = Vec::new();
        for (folder, files) in &self.0 {
            let index = files.index();
            if index.get(b"").is_none() {
                let root = Entry::new(folder.clone(), Kind::Directory { opaque: false });
                entries.push(Entry { mode: 0o755, fresh: true, ..root });
            }
            entries.extend(index.below(folder).entries);
        }
        Index::from_entries(entries)
    }

    fn of(&self, entry: &Entry) -> io::Result<(&Merged, Entry)> {
        if let [(_, only)] = self.0.as_slice() {
            return Ok((only, entry.clone()));
        }
        for (folder, files) in &self.0 {
            if let Some(path) = entry.path.strip_prefix(folder.as_slice()).and_then(|p| p.strip_prefix(b"/"))
            {
                return Ok((files, Entry { path: path.to_vec(), ..entry.clone() }));
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }
}

impl Content for Platforms {
    fn open(&self, entry: &Entry) -> io::Result<Box<dyn Read + Send + '_>> {
        let (files, entry) = self.of(entry)?;
        files.open(&entry)
    }
}
