//! Variables: the global scope before the first FROM, and that of a stage.

use std::collections::BTreeMap;

use jettison_dockerfile::words::Expander;
use jettison_dockerfile::{Argument, Instruction, Kind, Span, Word};
use jettison_image::Platform;

use crate::error::{Error, invalid};
use crate::request::Request;

/// Build arguments that reach RUN without being declared, and stay out of history and cache keys.
/// BuildKit: `dockerfile2llb/convert.go`, `proxyEnvFromBuildArgs`.
const PROXY_ARGS: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Arguments that steer the builder and never become part of an environment.
pub const NON_ENV_ARGS: &[&str] = &["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// Expands words of one Dockerfile.
#[derive(Clone, Copy)]
pub struct Words {
    escape: char,
}

impl Words {
    /// Takes the escape character of the Dockerfile.
    pub fn new(escape: char) -> Words {
        Words { escape }
    }

    /// Expands a word with the variables of `env`.
    pub fn expand(&self, word: &Word, env: &Env) -> Result<String, Error> {
        self.expand_text(&word.text, word.span, env)
    }

    /// Expands a text that stands at `span`.
    pub(crate) fn expand_text(&self, text: &str, span: Span, env: &Env) -> Result<String, Error> {
        let expansion = Expander::new(self.escape).expand(text, &|name| env.get(name).map(str::to_owned));
        expansion
            .map(|expansion| expansion.text)
            .map_err(|error| invalid("expansion", span, error.to_string()))
    }

    /// Expands a word and splits it at unquoted blanks, as EXPOSE does.
    pub(crate) fn split(&self, word: &Word, env: &Env) -> Result<Vec<String>, Error> {
        Expander::new(self.escape)
            .expand_words(&word.text, &|name| env.get(name).map(str::to_owned))
            .map_err(|error| invalid("expansion", word.span, error.to_string()))
    }

    /// Expands the body of a here-document: quotes are text there, and `\` is the escape character.
    pub(crate) fn heredoc(&self, body: &str, span: Span, env: &Env) -> Result<String, Error> {
        let expansion = Expander::heredoc().expand(body, &|name| env.get(name).map(str::to_owned));
        expansion
            .map(|expansion| expansion.text)
            .map_err(|error| invalid("expansion", span, error.to_string()))
    }
}

/// Variables in the order in which they were first set.
#[derive(Debug, Clone, Default)]
pub struct Env {
    names: Vec<String>,
    values: BTreeMap<String, String>,
}

impl Env {
    /// Returns the value of a variable that is set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Returns the names in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Sets a variable; one that was set before keeps its place.
    pub fn set(&mut self, name: &str, value: &str) {
        if self.values.insert(name.to_owned(), value.to_owned()).is_none() {
            self.names.push(name.to_owned());
        }
    }

    /// Returns `NAME=value` words in order.
    pub fn pairs(&self) -> Vec<String> {
        self.names.iter().filter_map(|name| Some(format!("{name}={}", self.values.get(name)?))).collect()
    }
}

/// The global scope: the platform arguments, then the ARGs before the first FROM.
pub fn globals(
    request: &Request,
    words: Words,
    before_from: &[Instruction],
    target_stage: &str,
) -> Result<Env, Error> {
    let mut env = Env::default();
    for (name, value) in automatic(request, target_stage) {
        let value = request.build_args.get(name).map_or(value, String::clone);
        env.set(name, &value);
    }
    for instruction in before_from {
        let Kind::Arg(arguments) = &instruction.kind else { continue };
        for argument in arguments {
            if let Some(value) = global_value(request, words, argument, &env)? {
                env.set(&argument.name.text, &value);
            }
        }
    }
    Ok(env)
}

fn global_value(
    request: &Request,
    words: Words,
    argument: &Argument,
    env: &Env,
) -> Result<Option<String>, Error> {
    match (request.build_args.get(&argument.name.text), &argument.default) {
        (Some(value), _) => Ok(Some(value.clone())),
        (None, Some(default)) => words.expand(default, env).map(Some),
        (None, None) => Ok(None),
    }
}

/// The automatic platform arguments. BuildKit: `dockerfile2llb/platform.go`.
fn automatic(request: &Request, target_stage: &str) -> Vec<(&'static str, String)> {
    let target = request.platform.as_ref().unwrap_or(&request.build_platform);
    let of = |platform: &Platform| {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        (text(&platform.os_version), text(&platform.variant))
    };
    let ((target_version, target_variant), (build_version, build_variant)) =
        (of(target), of(&request.build_platform));
    vec![
        ("BUILDPLATFORM", request.build_platform.to_string()),
        ("BUILDOS", request.build_platform.os.clone()),
        ("BUILDOSVERSION", build_version),
        ("BUILDARCH", request.build_platform.architecture.clone()),
        ("BUILDVARIANT", build_variant),
        ("TARGETPLATFORM", target.to_string()),
        ("TARGETOS", target.os.clone()),
        ("TARGETOSVERSION", target_version),
        ("TARGETARCH", target.architecture.clone()),
        ("TARGETVARIANT", target_variant),
        ("TARGETSTAGE", target_stage.to_owned()),
    ]
}

/// The proxy variables for RUN, each in both spellings, from build arguments that no ARG declares.
pub(crate) fn proxy_env(request: &Request) -> Vec<String> {
    let mut pairs = Vec::new();
    for (name, value) in &request.build_args {
        let upper = name.to_ascii_uppercase();
        if PROXY_ARGS.contains(&upper.as_str()) {
            pairs.push(format!("{upper}={value}"));
            pairs.push(format!("{}={value}", upper.to_ascii_lowercase()));
        }
    }
    pairs
}
