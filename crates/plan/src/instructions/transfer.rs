//! `COPY` and `ADD`

use jettison_dockerfile::{Add, Copy as CopySyntax, Source, Span, Transfer, Word};

use super::{Elsewhere, Scope, Step, clean, join};
use crate::error::{Error, invalid};
use crate::graph::{Chmod, Copy, CopySource, InlineFile, Origin};
use crate::history;
use crate::planner::State;
use crate::remote::Remote;

/// What COPY and ADD have in common, expanded but otherwise as written.
struct Written {
    sources: Vec<(String, Span)>,
    files: Vec<InlineFile>,
    destination: String,
    chown: Option<String>,
    chmod: Option<String>,
}

pub(super) fn copy(scope: &Scope<'_>, state: &mut State, copy: &CopySyntax) -> Result<Step, Error> {
    if let Some(from) = &copy.from
        && from.text.contains('$')
    {
        let message = "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround";
        return Err(invalid("from", from.span, message));
    }
    let written = expand(scope, state, &copy.transfer)?;
    for (source, span) in &written.sources {
        let what = match Remote::parse(source).map_err(|why| invalid("git-url", *span, why))? {
            None => continue,
            Some(Remote::Git(_)) => "a git ref",
            Some(Remote::File(_)) => "a URL",
        };
        return Err(invalid("copy-url", *span, format!("source can't be {what} for COPY: {source}")));
    }
    let source = if copy.parents { with_parents } else { without_parents };
    let mut step = transfer(state, &copy.transfer, &written)?;
    step.sources = written.sources.iter().map(|(path, span)| source(path, *span)).collect();
    let keyword = if copy.parents { "COPY --parents" } else { "COPY" };
    history::layer(&mut state.config, history_text(keyword, &written));
    Ok(Step::Copy(step, Elsewhere::From(copy.from.clone())))
}

pub(super) fn add(scope: &Scope<'_>, state: &mut State, add: &Add) -> Result<Step, Error> {
    let written = expand(scope, state, &add.transfer)?;
    let checksum = checksum(scope, state, add, &written)?;
    let mut step = transfer(state, &add.transfer, &written)?;
    let mut remotes = Vec::new();
    for (number, (source, span)) in written.sources.iter().enumerate() {
        let refused = |why: String| invalid("git-url", *span, why);
        let Some(remote) = Remote::parse(source).map_err(refused)? else {
            let extract = add.unpack.unwrap_or(true);
            step.sources.push(CopySource { extract, ..without_parents(source, *span) });
            continue;
        };
        // What comes from the network is unpacked only where that is asked for.
        let (path, extract) = match &remote {
            Remote::File(file) => (file.name.clone(), add.unpack == Some(true)),
            Remote::Git(_) => (String::new(), false),
        };
        let remote = remote.with(add.keep_git_dir, checksum.as_deref());
        remotes.push((number, remote.map_err(refused)?));
        step.sources.push(CopySource {
            span: Some(*span),
            from: Origin::Context,
            path,
            include: None,
            extract,
        });
    }
    history::layer(&mut state.config, history_text("ADD", &written));
    Ok(Step::Copy(step, Elsewhere::Remote(remotes)))
}

/// Returns what `--checksum` asks of the one source that it may be given for.
fn checksum(scope: &Scope<'_>, state: &State, add: &Add, written: &Written) -> Result<Option<String>, Error> {
    let Some(word) = &add.checksum else { return Ok(None) };
    let refused = |message: &str| Err(invalid("checksum", word.span, message));
    let checksum = scope.expand(word, state)?;
    if checksum.is_empty() {
        return Ok(None);
    }
    let [(source, _)] = written.sources.as_slice() else {
        return refused("checksum can't be specified for multiple sources");
    };
    match Remote::parse(source) {
        Ok(None) => refused("checksum requires HTTP(S) or Git sources"),
        _ => Ok(Some(checksum)),
    }
}

fn expand(scope: &Scope<'_>, state: &State, transfer: &Transfer) -> Result<Written, Error> {
    let expand = |word: &Word| scope.expand(word, state);
    let given = |word: &Option<Word>| -> Result<Option<String>, Error> {
        Ok(word.as_ref().map(expand).transpose()?.filter(|text| !text.is_empty()))
    };
    let mut sources = Vec::new();
    let mut files = Vec::new();
    for source in &transfer.sources {
        match source {
            Source::Path(word) => sources.push((expand(word)?, word.span)),
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
    let destination = expand(&transfer.destination)?;
    Ok(Written {
        sources,
        files,
        destination,
        chown: given(&transfer.chown)?,
        chmod: given(&transfer.chmod)?,
    })
}

/// Returns the step, whose sources are yet to be told.
fn transfer(state: &State, transfer: &Transfer, written: &Written) -> Result<Copy, Error> {
    let chmod = match (&written.chmod, &transfer.chmod) {
        (Some(text), Some(word)) => Some(chmod(text, word)?),
        _ => None,
    };
    Ok(Copy {
        sources: Vec::new(),
        files: written.files.clone(),
        destination: destination(&state.config.config.working_dir, &written.destination),
        chown: written.chown.clone(),
        chmod,
        exclude: transfer.exclude.iter().map(|word| word.text.clone()).collect(),
        link: transfer.link,
    })
}

/// A source is rooted: a leading slash means nothing, and `..` cannot leave.
fn without_parents(path: &str, span: Span) -> CopySource {
    CopySource { span: Some(span), from: Origin::Context, path: rooted(path), include: None, extract: false }
}

/// With `--parents`, the first `/./` ends the directories that are left out, and the rest is a pattern.
fn with_parents(path: &str, span: Span) -> CopySource {
    let (base, include) = path.split_once("/./").unwrap_or(("", path));
    CopySource { include: Some(rooted(include)), ..without_parents(base, span) }
}

fn rooted(path: &str) -> String {
    clean(path).trim_start_matches('/').to_owned()
}

/// Makes the destination absolute; a trailing slash, `.` or nothing says that it is a directory.
fn destination(working_dir: &str, path: &str) -> String {
    let directory = path.is_empty() || path.ends_with('/') || path == "." || path.ends_with("/.");
    let path = clean(&join(working_dir, path));
    if directory && path != "/" { path + "/" } else { path }
}

fn chmod(text: &str, word: &Word) -> Result<Chmod, Error> {
    let octal = text.bytes().all(|b| b.is_ascii_digit());
    if octal {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
        let message = || {
            format!("invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")
        };
        return mode.map(Chmod::Octal).ok_or_else(|| invalid("chmod", word.span, message()));
    }
    if is_symbolic(text) {
        return Ok(Chmod::Symbolic(text.to_owned()));
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

/// `COPY --chown=a src dest # buildkit`: what was expanded, without `--from`, `--link` and `--exclude`.
fn history_text(keyword: &str, written: &Written) -> String {
    let mut text = keyword.to_owned();
    for (flag, value) in [("chown", &written.chown), ("chmod", &written.chmod)] {
        if let Some(value) = value {
            text += &format!(" --{flag}={value}");
        }
    }
    for (source, _) in &written.sources {
        text += &format!(" {source}");
    }
    for file in &written.files {
        text += &format!(" <<{}", file.name);
    }
    format!("{text} {} # buildkit", written.destination)
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

    #[test]
    fn the_pivot_divides_a_source() {
        for (path, base, include) in [
            ("./x/a.txt", "", "x/a.txt"),
            ("./x/./y/", "x", "y"),
            ("/t/a/./b/./c", "t/a", "b/c"),
            ("/t/a/d/.", "", "t/a/d"),
            ("../x/./../y", "x", "y"),
            ("/t/b*/./c/**/e", "t/b*", "c/**/e"),
            (".", "", ""),
        ] {
            let source = with_parents(path, Span { start: 0, end: 0 });
            assert_eq!((source.path.as_str(), source.include.as_deref()), (base, Some(include)), "{path}");
        }
    }
}
