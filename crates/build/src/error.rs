//! Why a build fails.

use std::path::PathBuf;

use jettison_dockerfile::Span;
use jettison_image::{Digest, Platform};
use jettison_sandbox::{Foreign, Refused};

use crate::fetch::FetchError;
use crate::users::UserError;

/// Why a build fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Dockerfile cannot be planned.
    #[error(transparent)]
    Plan(#[from] jettison_plan::Error),
    /// An instruction cannot be carried out.
    #[error("{message}")]
    Instruction {
        /// The instruction.
        span: Span,
        /// What is wrong.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// A command failed.
    #[error("process {command:?} did not complete successfully: exit code: {code}")]
    Run {
        /// The step, as the user knows it.
        step: String,
        /// The RUN.
        span: Span,
        /// The command's words, joined.
        command: String,
        /// Its exit code; 128 and more for a signal.
        code: i32,
        /// The last lines that it wrote.
        tail: Vec<String>,
    },
    /// The kernel refused a command to change ids that are not there.
    #[error("{}", refused_message(.refused))]
    Refused {
        /// The step, as the user knows it.
        step: String,
        /// The RUN.
        span: Span,
        /// What was refused.
        refused: Vec<Refused>,
        /// What makes more ids available.
        remedy: String,
    },
    /// A command is for another processor.
    #[error("{}", foreign_message(.foreign))]
    Foreign {
        /// The step, as the user knows it.
        step: String,
        /// The RUN.
        span: Span,
        /// What could not be started.
        foreign: Foreign,
    },
    /// A step cannot run as its user.
    #[error("{source}")]
    User {
        /// The instruction.
        span: Span,
        /// Who is missing.
        source: UserError,
    },
    /// The sandbox could not start a step.
    #[error("{source}")]
    Sandbox {
        /// The RUN.
        span: Span,
        /// What went wrong.
        source: jettison_sandbox::Error,
    },
    /// This machine allows no commands at all.
    #[error("RUN is not possible here, for want of a user namespace: {why}")]
    NoSandbox {
        /// The RUN.
        span: Span,
        /// What is missing.
        why: String,
    },
    /// A base image could not be had.
    #[error("{0}")]
    Registry(#[from] jettison_registry::Error),
    /// The registry's image does not fit this build.
    #[error("{image}: {why}")]
    Image {
        /// Which.
        image: String,
        /// Why not.
        why: String,
    },
    /// Something from the network could not be had.
    #[error("failed to fetch {url}: {source}")]
    Fetch {
        /// The instruction that asks for it.
        span: Span,
        /// Its URL, without passwords.
        url: String,
        /// Why not.
        source: Box<FetchError>,
    },
    /// A file changed while it was copied.
    #[error("{path} changed during the build: {expected} became {found}")]
    Changed {
        /// Which file.
        path: String,
        /// What it was when the build began.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] jettison_store::Error),
    /// An image on disk could not be read.
    #[error(transparent)]
    Archive(#[from] jettison_store::ArchiveError),
    /// A layer could not be read or made.
    #[error(transparent)]
    Layer(#[from] jettison_layer::Error),
    /// A file system call failed.
    #[error(transparent)]
    Files(#[from] jettison_fs::Error),
    /// Reading or writing a file failed.
    #[error("failed to {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The user interrupted, or another step failed.
    #[error("canceled")]
    Canceled,
}

impl Error {
    /// Returns what to do about the error, where that is known.
    pub fn help(&self) -> Option<&str> {
        match self {
            Error::Instruction { help, .. } => help.as_deref(),
            Error::Refused { remedy, .. } => Some(remedy),
            Error::Plan(jettison_plan::Error::Invalid(diagnostic)) => diagnostic.help.as_deref(),
            Error::Plan(jettison_plan::Error::Base { help, .. }) => help.as_deref(),
            Error::Foreign { foreign, .. } if foreign.emulator_missing => Some(EMULATOR_MISSING),
            Error::Foreign { .. } => Some(NO_EMULATOR),
            Error::Fetch { source, .. } => source.help(),
            Error::NoSandbox { .. } => Some("`jettison doctor` tells what is missing and how to allow it"),
            _ => None,
        }
    }

    /// Returns the place in the Dockerfile that the error is about.
    pub fn span(&self) -> Option<Span> {
        match self {
            Error::Plan(error) => Some(error.span()),
            Error::Instruction { span, .. }
            | Error::Run { span, .. }
            | Error::Refused { span, .. }
            | Error::Foreign { span, .. }
            | Error::User { span, .. }
            | Error::Fetch { span, .. }
            | Error::NoSandbox { span, .. }
            | Error::Sandbox { span, .. } => Some(*span),
            _ => None,
        }
    }
}

/// What to do where the kernel has no emulator for a processor.
const NO_EMULATOR: &str = "install emulation as root: `apt-get install qemu-user-static binfmt-support`, or your \
    distribution's like; or do the work in a stage of `FROM --platform=$BUILDPLATFORM` and copy the result";

/// What to do where the kernel has an emulator that the image's root file system hides.
const EMULATOR_MISSING: &str = "an emulator is registered with the kernel, but without the flag F (\"fix binary\"), so \
    that it would have to be in the image: register a static one with that flag, as Debian's qemu-user-static does";

fn foreign_message(foreign: &Foreign) -> String {
    let host = Platform::host();
    let Foreign { program, architecture, emulator_missing } = foreign;
    let why = match emulator_missing {
        true => "and the emulator for it is not in the image",
        false => "and no emulator for it is registered with the kernel",
    };
    format!("{program} is a program for linux/{architecture}, this machine is {host}, {why}")
}

fn refused_message(refused: &[Refused]) -> String {
    let Some(first) = refused.first() else { return "the kernel refused to change ids".to_owned() };
    let path = first.path.as_ref().map(|path| format!(" of {path}")).unwrap_or_default();
    let more = match refused.len() {
        0 | 1 => String::new(),
        more => format!(" (and {} more)", more - 1),
    };
    format!("{}{path} to id {} was refused: this build has one id only{more}", first.call, first.id)
}
