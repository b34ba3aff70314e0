//! `fix`: rewrites of a Dockerfile and its ignore file, each proven by building before and after.

mod prove;
mod smoke;
mod sources;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jettison_report::fix::{Class, Draft, Rewrite, apply, rewrites};

use self::prove::{Built, Prover, Verdict};
use self::sources::Sources;
use crate::settings::FixSettings;
use crate::{Error, Workplace};

/// How many rewrites are tried, kept or not. Each is a build.
const MAX_TRIED: usize = 60;

/// What `fix` found.
#[derive(Debug, Clone)]
pub struct FixReport {
    /// The Dockerfile and the ignore file, those that change.
    pub files: Vec<FixedFile>,
    /// The rewrites in the order in which they were tried.
    pub tried: Vec<Tried>,
    /// The image as it was.
    pub before: Measured,
    /// The image with all that was kept; as before where nothing was.
    pub after: Measured,
    /// How many paths differ between two builds of the Dockerfile as it was.
    pub noise: usize,
    /// Whether the files were written.
    pub written: bool,
}

/// A file that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it says; `None` where there is none.
    pub before: Option<String>,
    /// What it ought to say.
    pub after: String,
}

/// A rewrite and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// The rule that asks for it.
    pub rule: &'static str,
    /// What is done.
    pub what: String,
    /// The line of the Dockerfile, as it was when this was tried; from 1.
    pub line: usize,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a rewrite.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is right, and better.
    Kept {
        /// How that is known.
        proof: String,
        /// Stored bytes that it saves.
        saved: u64,
        /// The seconds of steps that need not run again when a source changes.
        seconds: Option<f64>,
    },
    /// It is not.
    Refused {
        /// Why.
        why: String,
    },
}

/// What an image weighs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// The bytes of files in all layers.
    pub stored: u64,
    /// The bytes that the final tree shows.
    pub live: u64,
    /// How long a build took that found nothing in the cache, in seconds.
    pub seconds: f64,
}

/// Rewrites the Dockerfile that `settings` build. `say` is told what goes on, a fragment at a time.
pub fn fix(
    settings: &FixSettings,
    workplace: &Workplace<'_>,
    say: &dyn Fn(&str),
) -> Result<FixReport, Error> {
    let original = Sources::read(&settings.build)?;
    let mut prover = Prover::new(settings, workplace);
    say("building twice as it is: what differs is noise");
    let first = prover.build(&original, &[], true)?;
    let before = prover.build(&original, &[], true)?;
    prover.learn_noise(&first, &before);
    prover.check_smoke(&before)?;
    let (mut current, mut best) = (original.clone(), before);
    let (mut tried, mut seen, mut secrets) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(rewrite) = next(settings, &current, &best, &mut seen)? {
        if tried.len() == MAX_TRIED {
            break;
        }
        // One base instead of another needs a run as well.
        if rewrite.class == Class::Smoke
            && settings.smoke.is_none()
            && tried.iter().any(|known: &Tried| known.rule == rewrite.rule && rewrite.ignore.is_empty())
        {
            continue;
        }
        let line = current.text[..rewrite.span.start.min(current.text.len())].matches('\n').count() + 1;
        say(&format!("line {line}: {}", rewrite.what));
        let changed = current.with(apply(&current.text, &rewrite.edits), &rewrite.ignore);
        let given = [secrets.as_slice(), &rewrite.secrets].concat();
        let outcome = match prover.judge(&best, &changed, &rewrite, &given)? {
            Verdict::Kept { built, proof, seconds } => {
                let saved = best.stored.saturating_sub(built.stored);
                (current, best, secrets) = (changed, *built, given);
                Outcome::Kept { proof, saved, seconds }
            }
            Verdict::Refused(why) => Outcome::Refused { why },
        };
        tried.push(Tried { rule: rewrite.rule, what: rewrite.what.clone(), line, outcome });
    }
    finish(settings, &mut prover, &original, &current, (tried, secrets), say)
}

/// Returns the first rewrite that was not tried yet.
fn next(
    settings: &FixSettings,
    current: &Sources,
    built: &Built,
    seen: &mut Vec<String>,
) -> Result<Option<Rewrite>, Error> {
    let parsed = current.parse()?;
    let context = current.names()?;
    let draft = Draft {
        text: &parsed.text,
        dockerfile: &parsed.dockerfile,
        target: settings.build.target.as_deref(),
        context: &context,
        config: &built.config.config,
        tree: &built.tree,
        base_layers: built.base_layers,
    };
    for rewrite in rewrites(&draft) {
        let key = rewrite.key(&parsed.text);
        if !seen.contains(&key) {
            seen.push(key);
            return Ok(Some(rewrite));
        }
    }
    Ok(None)
}

/// Measures what was kept by a build without the cache, and writes it if asked.
fn finish(
    settings: &FixSettings,
    prover: &mut Prover<'_>,
    original: &Sources,
    current: &Sources,
    (tried, secrets): (Vec<Tried>, Vec<(String, String)>),
    say: &dyn Fn(&str),
) -> Result<FixReport, Error> {
    let files = original.changes(current);
    let before = prover.measured_before();
    let mut after = before;
    if !files.is_empty() {
        say("building once more without the cache, for the time it takes");
        after = prover.build(current, &secrets, true)?.measured();
    }
    if settings.write {
        for file in &files {
            replace(&file.path, &file.after).map_err(|source| Error::io("write", &file.path, source))?;
        }
    }
    let written = settings.write && !files.is_empty();
    Ok(FixReport { files, tried, before, after, noise: prover.noise(), written })
}

/// Puts `text` in the place of a file at once, so that no kill leaves half of it. Mode and owner stay; behind a link it is
/// the file that is replaced.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut written = tempfile::NamedTempFile::new_in(folder)?;
    written.write_all(text.as_bytes())?;
    match fs::metadata(&path) {
        Ok(old) => {
            // Where owners cannot be given away, the file is the user's, who wrote it.
            let _ = std::os::unix::fs::fchown(written.as_file(), Some(old.uid()), Some(old.gid()));
            written.as_file().set_permissions(old.permissions())?;
        }
        Err(_) => written.as_file().set_permissions(fs::Permissions::from_mode(0o644))?,
    }
    written.persist(&path)?;
    Ok(())
}
