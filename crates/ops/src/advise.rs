//! `advise`: what to write instead, for an image or for a Dockerfile alone.

mod bases;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jettison_dockerfile::Parsed;
use jettison_dockerfile::ignore::Patterns;
use jettison_layer::Tree;
use jettison_report::{Advice, Bases, Built, DockerfileRecord, Question, lint};
use jettison_store::Store;

use crate::Error;
use crate::build::{default_dockerfile, ignore_file, read_file};
use crate::report::{find, known, of_stored};
use crate::settings::AdviseSettings;
use crate::stored::Stored;
use crate::transfer::Transfer;

/// Advice, and the Dockerfile that it is about, where that is known.
#[derive(Debug)]
pub struct Advised {
    /// The Dockerfile's name; empty where there is none.
    pub name: String,
    /// The Dockerfile.
    pub dockerfile: Option<Parsed>,
    /// What to write instead, the heaviest first.
    pub advice: Vec<Advice>,
    /// The base of the final stage beside its smaller relatives, if they were asked for.
    pub bases: Option<Bases>,
}

/// Gives advice on the subject of `settings`: a directory with a Dockerfile, a Dockerfile, or an image as `report` finds it.
/// The Dockerfile of an image is the one named, or the one that its build remembers, and so is its target.
pub fn advise(store: &Store, settings: &AdviseSettings, transfer: Transfer<'_>) -> Result<Advised, Error> {
    let bases = |dockerfile: Option<&Parsed>, target: Option<&str>, built: Option<&Built<'_>>| {
        settings.bases.then(|| bases::bases(store, settings, dockerfile, target, built, transfer)).transpose()
    };
    let dockerfile = settings.dockerfile.as_deref();
    if let Some(mut text) = written(Path::new(&settings.subject), dockerfile, settings.target.as_deref())? {
        text.bases = bases(text.dockerfile.as_ref(), settings.target.as_deref(), None)?;
        return Ok(text);
    }
    let stored = Stored::open(store, find::find(store, &settings.subject, &settings.platform(), transfer)?)?;
    let report = of_stored(&stored, &settings.subject)?;
    let remembered = stored.record.build.as_ref().and_then(DockerfileRecord::of);
    let (name, text, has_ignore_file) = match (dockerfile, remembered) {
        (Some(path), _) => (path.display().to_string(), Some(read_file(path)?), None),
        (None, Some(known)) => (known.name, Some(known.text), known.has_ignore_file),
        (None, None) => (String::new(), None, None),
    };
    let dockerfile = text.map(|text| jettison_dockerfile::parse(text.as_bytes()));
    let built_stage = report.build.as_ref().and_then(|build| build.stages.iter().find(|stage| stage.target));
    let target = settings.target.as_deref().or(built_stage.map(|stage| stage.name.as_str()));
    if let Some(parsed) = &dockerfile {
        check_target(parsed, settings.target.as_deref())?;
    }
    let tree = stored.tree()?.unwrap_or_else(|| Tree::new(Vec::new()));
    let contents = known::contents(&stored)?;
    let open = known::opener(&tree, &contents);
    let question = Question {
        dockerfile: dockerfile.as_ref(),
        target,
        has_ignore_file,
        context: &[],
        report: Some(&report),
        open: Some(&open),
    };
    let advice = jettison_report::advise(&question);
    let built = Built { report: &report, tree: &tree, open: &open };
    let bases = bases(dockerfile.as_ref(), target, Some(&built))?;
    Ok(Advised { name, dockerfile, advice, bases })
}

/// Refuses a target that the Dockerfile does not have, in BuildKit's words.
fn check_target(parsed: &Parsed, target: Option<&str>) -> Result<(), Error> {
    let Some(target) = target else { return Ok(()) };
    match lint::targets(parsed).iter().any(|known| known.name.eq_ignore_ascii_case(target)) {
        true => Ok(()),
        false => Err(Error::request(format!("target stage \"{target}\" could not be found"))),
    }
}

/// Gives advice on a Dockerfile alone; `None` where `subject` is no context and no Dockerfile.
fn written(
    subject: &Path,
    dockerfile: Option<&Path>,
    target: Option<&str>,
) -> Result<Option<Advised>, Error> {
    let (root, path, text): (PathBuf, PathBuf, String) = match (subject.is_dir(), dockerfile) {
        (true, Some(path)) => (subject.to_owned(), path.to_owned(), read_file(path)?),
        (true, None) if is_layout(subject) => return Ok(None),
        (true, None) => {
            let (path, text) = default_dockerfile(subject)?;
            (subject.to_owned(), path, text)
        }
        (false, None) if is_dockerfile(subject) => {
            let root = subject.parent().map(Path::to_owned).unwrap_or_default();
            (root, subject.to_owned(), read_file(subject)?)
        }
        (false, _) => return Ok(None),
    };
    let parsed = jettison_dockerfile::parse(text.as_bytes());
    check_target(&parsed, target)?;
    let ignore = ignore_file(&root, &path)?;
    let context = names(&root, &ignore)?;
    let question = Question {
        dockerfile: Some(&parsed),
        target,
        has_ignore_file: Some(!ignore.is_empty()),
        context: &context,
        report: None,
        open: None,
    };
    let advice = jettison_report::advise(&question);
    Ok(Some(Advised { name: path.display().to_string(), dockerfile: Some(parsed), advice, bases: None }))
}

/// An OCI layout is a directory too.
fn is_layout(path: &Path) -> bool {
    path.join("oci-layout").exists() && path.join("index.json").exists()
}

fn is_dockerfile(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    path.is_file() && (name.contains("dockerfile") || name.contains("containerfile"))
}

/// Lists the context's top folder, less what is ignored.
fn names(root: &Path, ignore: &Patterns) -> Result<Vec<String>, Error> {
    let failed = |source: io::Error| Error::io("read", root, source);
    let mut names = Vec::new();
    for entry in
        fs::read_dir(if root.as_os_str().is_empty() { Path::new(".") } else { root }).map_err(failed)?
    {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if !ignore.matches_or_parent_matches(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Gives advice on the Dockerfile of a build of `target`, from its text alone.
pub(crate) fn of_build(dockerfile: &Parsed, target: Option<&str>, record: &DockerfileRecord) -> Vec<Advice> {
    let question = Question {
        dockerfile: Some(dockerfile),
        target,
        has_ignore_file: record.has_ignore_file,
        context: &[],
        report: None,
        open: None,
    };
    jettison_report::advise(&question)
}
