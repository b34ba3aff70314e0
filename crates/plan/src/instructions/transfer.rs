//! `COPY` and `ADD`

use jettison_dockerfile::{Add, Copy as CopySyntax, Source, Transfer, Word};

use super::{Scope, Step, clean, join};
use crate::error::{Error, invalid, unsupported};
use crate::graph::{Chmod, Copy, InlineFile, Origin};
use crate::history;
use crate::stages::State;

pub(super) fn copy(scope: &Scope<'_>, state: &mut State, copy: &CopySyntax) -> Result<Step, Error> {
    if let Some(from) = &copy.from
        && from.text.contains('$')
    {
        let message = "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround";
        return Err(invalid("from", from.span, message));
    }
    if copy.parents {
        return Err(unsupported(copy.transfer.destination.span, "COPY --parents"));
    }
    let mut step = transfer(scope, state, &copy.transfer)?;
    if let Some(url) = step.sources.iter().find(|source| is_url(source) || is_git(source)) {
        let span = copy.transfer.destination.span;
        return Err(invalid("copy-url", span, format!("source can't be a URL for COPY: {url}")));
    }
    history::layer(&mut state.config, history_text("COPY", &step));
    root_sources(&mut step);
    Ok(Step::Copy(step, copy.from.clone()))
}

pub(super) fn add(scope: &Scope<'_>, state: &mut State, add: &Add) -> Result<Step, Error> {
    let mut step = transfer(scope, state, &add.transfer)?;
    step.extract = add.unpack.unwrap_or(true);
    if let Some(url) = step.sources.iter().find(|source| is_url(source) || is_git(source)) {
        return Err(unsupported(add.transfer.destination.span, format!("ADD of {url}")));
    }
    if let Some(checksum) = &add.checksum {
        return Err(invalid("checksum", checksum.span, "checksum requires a single HTTP or Git source"));
    }
    history::layer(&mut state.config, history_text("ADD", &step));
    root_sources(&mut step);
    Ok(Step::Copy(step, None))
}

fn transfer(scope: &Scope<'_>, state: &State, transfer: &Transfer) -> Result<Copy, Error> {
    let expand = |word: &Word| scope.expand(word, state);
    let mut sources = Vec::new();
    let mut files = Vec::new();
    for source in &transfer.sources {
        match source {
            Source::Path(word) => sources.push(expand(word)?),
            Source::Heredoc(heredoc) => {
                let content = if heredoc.expand {
                    scope.words.heredoc(&heredoc.body, heredoc.span, &state.env)?
                } else {
                    heredoc.body.clone()
                };
                files.push(InlineFile { name: heredoc.name.clone(), content });
            }
        }
    }
    let chmod = transfer.chmod.as_ref().map(|word| chmod(&expand(word)?, word)).transpose()?;
    Ok(Copy {
        from: Origin::Context,
        sources,
        files,
        destination: destination(&state.config.config.working_dir, &expand(&transfer.destination)?),
        chown: transfer.chown.as_ref().map(expand).transpose()?.filter(|owner| !owner.is_empty()),
        chmod: chmod.flatten(),
        exclude: transfer.exclude.iter().map(|word| word.text.clone()).collect(),
        parents: false,
        link: transfer.link,
        extract: false,
    })
}

/// Makes the destination absolute; a trailing slash, `.` or nothing says that it is a directory.
fn destination(working_dir: &str, path: &str) -> String {
    let directory = path.is_empty() || path.ends_with('/') || path == "." || path.ends_with("/.");
    let path = clean(&join(working_dir, path));
    if directory && path != "/" { path + "/" } else { path }
}

fn chmod(text: &str, word: &Word) -> Result<Option<Chmod>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let octal = text.bytes().all(|b| b.is_ascii_digit());
    if octal {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
        let message = || {
            format!("invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")
        };
        return mode
            .map(|mode| Some(Chmod::Octal(mode)))
            .ok_or_else(|| invalid("chmod", word.span, message()));
    }
    if is_symbolic(text) {
        return Ok(Some(Chmod::Symbolic(text.to_owned())));
    }
    Err(invalid("chmod", word.span, format!("invalid chmod parameter: '{text}'")))
}

/// Tells whether a text is a list of changes such as `u=rwX,go-w`. POSIX, chmod(1).
fn is_symbolic(text: &str) -> bool {
    text.split(',').all(|clause| {
        let actions = clause.trim_start_matches(['u', 'g', 'o', 'a']);
        let valid = |b: u8| b"+-=rwxXstugo".contains(&b);
        actions.starts_with(['+', '-', '=']) && actions.bytes().all(valid)
    })
}

/// `COPY --chown=a src dest # buildkit`, with what was expanded, and without `--from` and `--link`.
fn history_text(keyword: &str, copy: &Copy) -> String {
    let mut text = keyword.to_owned();
    if let Some(chown) = &copy.chown {
        text += &format!(" --chown={chown}");
    }
    match &copy.chmod {
        Some(Chmod::Octal(mode)) => text += &format!(" --chmod={mode:o}"),
        Some(Chmod::Symbolic(mode)) => text += &format!(" --chmod={mode}"),
        None => {}
    }
    for source in &copy.sources {
        text += &format!(" {source}");
    }
    for file in &copy.files {
        text += &format!(" <<{}", file.name);
    }
    format!("{text} {} # buildkit", copy.destination)
}

/// Sources are rooted: a leading slash means nothing and `..` cannot leave.
fn root_sources(copy: &mut Copy) {
    for source in &mut copy.sources {
        *source = clean(source).trim_start_matches('/').to_owned();
    }
}

fn is_url(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// `github.com/x` without a scheme is a path here. BuildKit: `util/gitutil`.
fn is_git(source: &str) -> bool {
    source.starts_with("git://") || source.starts_with("git@") || source.starts_with("ssh://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_keep_what_says_directory() {
        for (path, absolute) in [
            ("", "/w/"),
            (".", "/w/"),
            ("a", "/w/a"),
            ("a/", "/w/a/"),
            ("./a/.", "/w/a/"),
            ("/", "/"),
            ("../b", "/b"),
            ("/x/../y", "/y"),
        ] {
            assert_eq!(destination("/w", path), absolute, "{path}");
        }
    }
}
