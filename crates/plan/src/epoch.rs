//! `SOURCE_DATE_EPOCH` as a build argument: the date of the image. BuildKit: `dockerfile2llb/epoch.go`.

use jettison_dockerfile::{Argument, Kind, Parsed, Source, Span};

use crate::context::context_key;
use crate::error::{Error, invalid};
use crate::remote::Remote;
use crate::request::{ContextKind, Request};
use crate::scope::{self, Env, Words};
use crate::stage::Stage;

/// The argument.
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The date that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Epoch {
    /// Seconds since 1970.
    Seconds(i64),
    /// The date of these files, and the place that asks for it.
    Remote(Remote, Span),
}

/// Returns the date that `--build-arg`, or else an ARG before the first FROM, asks for.
///
/// It is a number of seconds, or the name of a stage that is one file of a web server and nothing else; `context` and
/// named contexts stand for the date of those, and directories have none.
pub fn source_date_epoch(parsed: &Parsed, request: &Request) -> Result<Option<Epoch>, Error> {
    let (before_from, stages) = Stage::split(&parsed.dockerfile);
    let arguments = before_from.iter().filter_map(|instruction| match &instruction.kind {
        Kind::Arg(arguments) => Some(arguments),
        _ => None,
    });
    let argument = arguments.flatten().rfind(|argument| argument.name.text == SOURCE_DATE_EPOCH);
    let words = Words::new(parsed.dockerfile.directives.escape);
    let globals = scope::globals(request, words, before_from, "default")?;
    let value = match (request.build_args.get(SOURCE_DATE_EPOCH), argument) {
        (Some(given), _) => Some(given.as_str()),
        (None, Some(_)) => globals.get(SOURCE_DATE_EPOCH),
        (None, None) => None,
    };
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    if let Ok(seconds) = value.parse() {
        return Ok(Some(Epoch::Seconds(seconds)));
    }
    let span = argument.map_or(Span::default(), place);
    match request.contexts.get(&context_key(value)) {
        Some(ContextKind::Directory) => return Ok(None),
        Some(ContextKind::Remote(remote)) => return Ok(Some(Epoch::Remote(remote.clone(), span))),
        None if value == "context" => return Ok(None),
        Some(_) | None => {}
    }
    let stage = stages.iter().rfind(|stage| stage.name.is_some_and(|name| name.text.to_lowercase() == value));
    let Some(stage) = stage else {
        return Err(invalid("epoch", span, format!("invalid SOURCE_DATE_EPOCH: {value}")));
    };
    match only_source(stage, words, &globals).and_then(|source| Remote::parse(&source).ok().flatten()) {
        Some(remote) => Ok(Some(Epoch::Remote(remote, span))),
        None => {
            let message = "SOURCE_DATE_EPOCH stage does not meet source-only requirements";
            Err(invalid("epoch", span, message))
        }
    }
}

fn place(argument: &Argument) -> Span {
    argument.default.as_ref().unwrap_or(&argument.name).span
}

/// Returns what the ADD takes that is all of a stage on `scratch`.
fn only_source(stage: &Stage<'_>, words: Words, globals: &Env) -> Option<String> {
    let scratch = matches!(&stage.from.kind, Kind::From { image, .. } if image.text == "scratch");
    let [only] = stage.instructions else { return None };
    let Kind::Add(add) = &only.kind else { return None };
    let [Source::Path(source)] = &add.transfer.sources[..] else { return None };
    words.expand(source, globals).ok().filter(|_| scratch)
}

#[cfg(test)]
mod tests {
    use jettison_dockerfile::parse;

    use super::*;
    use crate::tests::request;

    fn epoch(text: &str, given: Option<&str>) -> Result<Option<Epoch>, String> {
        let mut request = request();
        request.build_args.extend(given.map(|given| (SOURCE_DATE_EPOCH.to_owned(), given.to_owned())));
        request.contexts.insert("files".to_owned(), ContextKind::Directory);
        source_date_epoch(&parse(text.as_bytes()), &request).map_err(|error| error.to_string())
    }

    #[test]
    fn the_epoch_is_an_argument() {
        let with = |value: &str| {
            format!(
                "ARG D=1\nARG SOURCE_DATE_EPOCH={value}\nFROM scratch AS one\nADD a /\nFROM scratch AS web\nADD http://x/y /\n"
            )
        };
        let seconds = |seconds| Ok(Some(Epoch::Seconds(seconds)));
        assert_eq!(epoch("FROM scratch\nARG SOURCE_DATE_EPOCH=5\n", None), Ok(None));
        assert_eq!(epoch("FROM scratch\n", Some("7")), seconds(7));
        assert_eq!(epoch(&with("${D}0"), None), seconds(10));
        assert_eq!(epoch(&with("10"), Some("7")), seconds(7));
        assert!(
            matches!(epoch(&with("web"), None), Ok(Some(Epoch::Remote(remote, _))) if remote.shown() == "http://x/y")
        );
        for none in ["", "context", "files"] {
            assert_eq!(epoch(&with(none), None), Ok(None), "{none}");
        }
        for (wrong, message) in [
            ("soon", "invalid SOURCE_DATE_EPOCH: soon"),
            ("one", "SOURCE_DATE_EPOCH stage does not meet source-only requirements"),
        ] {
            assert_eq!(epoch(&with(wrong), None), Err(message.to_owned()));
        }
        assert_eq!(epoch("FROM scratch\n", Some("soon")), Err("invalid SOURCE_DATE_EPOCH: soon".to_owned()));
    }
}
