//! The flags of an instruction (BuildKit's `bflag.go`).

use super::{Error, error, split_word};
use crate::{Diagnostic, Word, suggest};

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// `--flag`, `--flag=true` or `--flag=false`.
    Bool,
    /// `--flag=text`, once.
    Text,
    /// `--flag=text`, any number of times.
    Texts,
}

/// The flags of an instruction, checked.
#[derive(Debug, Default)]
pub(super) struct Flags {
    values: Vec<(&'static str, Word)>,
}

impl Flags {
    /// Checks flags against those that the instruction has.
    pub(super) fn read(words: &[Word], known: &[(&'static str, Takes)]) -> Result<Flags, Error> {
        let mut flags = Flags::default();
        for word in words {
            let (flag, value) = split_word(word);
            let Some((name, takes)) =
                known.iter().find(|(known, _)| flag.text.strip_prefix("--") == Some(*known))
            else {
                return Err(unknown(&flag, known));
            };
            if *takes != Takes::Texts && flags.values.iter().any(|(seen, _)| seen == name) {
                return Err(error(
                    "duplicate-flag",
                    format!("duplicate flag specified: --{name}"),
                    flag.span,
                ));
            }
            let value = match value {
                Some(value) if *takes == Takes::Bool => boolean(name, value)?,
                Some(value) => value,
                None if *takes == Takes::Bool => Word { text: "true".to_owned(), span: word.span },
                None => return Err(missing_value(name, word)),
            };
            flags.values.push((name, value));
        }
        Ok(flags)
    }

    /// Takes the value of a flag, if it was given, also the empty one.
    pub(super) fn given(&self, name: &str) -> Option<Word> {
        self.values.iter().find(|(seen, _)| *seen == name).map(|(_, word)| word.clone())
    }

    /// Takes the value of a flag for which the empty value means the same as none.
    pub(super) fn text(&self, name: &str) -> Option<Word> {
        self.given(name).filter(|word| !word.text.is_empty())
    }

    /// Takes all values of a flag.
    pub(super) fn texts(&self, name: &str) -> Vec<Word> {
        self.values.iter().filter(|(seen, _)| *seen == name).map(|(_, word)| word.clone()).collect()
    }

    /// Takes a flag that is on or off.
    pub(super) fn bool(&self, name: &str) -> Option<bool> {
        self.given(name).map(|word| word.text == "true")
    }
}

fn unknown(flag: &Word, known: &[(&'static str, Takes)]) -> Error {
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let name = flag.text.strip_prefix("--").unwrap_or(&flag.text);
    let help = suggest::nearest(name, &names).map(|name| format!("did you mean --{name}?"));
    let message = format!("unknown flag: --{name}");
    Box::new(Diagnostic::error("unknown-flag", message, flag.span).with_help(help))
}

fn missing_value(name: &str, word: &Word) -> Error {
    error("missing-flag-value", format!("missing a value on flag: --{name}"), word.span)
}

fn boolean(name: &str, value: Word) -> Result<Word, Error> {
    match value.text.to_lowercase().as_str() {
        "" => Err(missing_value(name, &value)),
        "true" => Ok(Word { text: "true".to_owned(), ..value }),
        "false" => Ok(Word { text: "false".to_owned(), ..value }),
        _ => {
            let message = format!("expecting boolean value for flag --{name}, not: {}", value.text);
            Err(error("invalid-flag-value", message, value.span))
        }
    }
}
