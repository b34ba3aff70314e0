//! Why a verb fails.

use std::path::PathBuf;

use jettison_dockerfile::Diagnostic;
use jettison_report::Exceeded;
use jettison_report::lint::Finding;

/// Why a verb fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Dockerfile has errors.
    #[error("{}", first_message(.0))]
    Dockerfile(Box<Faults>),
    /// Checks found something, and the Dockerfile asks that this be an error.
    #[error("lint violation found for rules: {}", rules(findings))]
    Checks {
        /// The Dockerfile.
        file: Box<SourceFile>,
        /// What was found.
        findings: Vec<Finding>,
    },
    /// The build failed.
    #[error("{source}")]
    Build {
        /// The Dockerfile, to show the place that the error knows.
        dockerfile: Box<SourceFile>,
        /// Why.
        source: Box<jettison_build::Error>,
    },
    /// An image is larger, or has more dead bytes, than it may.
    #[error("{image} is over budget: {}", flags(exceeded))]
    OverBudget {
        /// Its name.
        image: String,
        /// The budgets, with the culprits.
        exceeded: Vec<Exceeded>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] jettison_store::Error),
    /// A build context could not be fetched.
    #[error("failed to fetch the build context {url}: {source}")]
    Fetch {
        /// Its URL, without passwords.
        url: String,
        /// Why not.
        source: Box<jettison_build::FetchError>,
    },
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] jettison_registry::Error),
    /// An image could not be pulled.
    #[error("cannot pull {reference}")]
    Pull {
        /// What was asked for.
        reference: String,
        /// Why.
        #[source]
        source: jettison_registry::Error,
    },
    /// An image could not be written somewhere.
    #[error(transparent)]
    Export(#[from] jettison_build::export::ExportError),
    /// An archive could not be read.
    #[error(transparent)]
    Archive(#[from] jettison_store::ArchiveError),
    /// A command could not be started.
    #[error(transparent)]
    Sandbox(#[from] jettison_sandbox::Error),
    /// A layer could not be read or unpacked.
    #[error(transparent)]
    Layer(#[from] jettison_layer::Error),
    /// A file system call failed.
    #[error(transparent)]
    Files(#[from] jettison_fs::Error),
    /// Reading or writing a file failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, such as `read`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// What was asked for does not make sense, or is not there.
    #[error("{message}")]
    Request {
        /// A lower-case fragment.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// The machine lacks something.
    #[error("{message}")]
    Environment {
        /// A lower-case fragment.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// The user interrupted.
    #[error("interrupted")]
    Interrupted,
}

/// A text that errors point into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceFile {
    /// What to call it, such as `Dockerfile`.
    pub name: String,
    /// The text that spans index into.
    pub text: String,
}

/// A Dockerfile with what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// The Dockerfile.
    pub file: SourceFile,
    /// At least one of them is an error.
    pub diagnostics: Vec<Diagnostic>,
}

impl Error {
    /// Makes an error of a request.
    pub fn request(message: impl Into<String>) -> Error {
        Error::Request { message: message.into(), help: None }
    }

    /// Makes an error of a request that says what to do about it.
    pub fn request_with_help(message: impl Into<String>, help: impl Into<String>) -> Error {
        Error::Request { message: message.into(), help: Some(help.into()) }
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Error {
        Error::Io { action, path: path.into(), source }
    }
}

/// The rules that were broken, each once, in order.
fn rules(findings: &[Finding]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for finding in findings {
        if !names.contains(&finding.rule.name) {
            names.push(finding.rule.name);
        }
    }
    names.join(", ")
}

/// The budgets that are exceeded.
fn flags(exceeded: &[Exceeded]) -> String {
    exceeded.iter().map(|exceeded| exceeded.flag).collect::<Vec<_>>().join(", ")
}

fn first_message(faults: &Faults) -> String {
    let error =
        faults.diagnostics.iter().find(|found| found.severity == jettison_dockerfile::Severity::Error);
    error.map(|found| found.message.clone()).unwrap_or_default()
}
