//! How a command fails: a message, what to do about it, and the exit code.

use std::fmt::Write as _;

use crate::format::printable;

/// Why the command ends without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One of [`code`], or a container's own.
    pub code: u8,
    /// Already rendered in full, such as a diagnostic with its source lines; else a lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether `message` is printed as it is.
    pub rendered: bool,
}

/// The exit codes, as the README documents them.
pub mod code {
    /// All went well.
    pub const OK: u8 = 0;
    /// The build or the command failed.
    pub const FAILED: u8 = 1;
    /// The command line cannot be understood.
    pub const USAGE: u8 = 2;
    /// The machine lacks something: user namespaces, disk space, a readable store.
    pub const ENVIRONMENT: u8 = 3;
    /// `run`: the container could not be made. The sandbox gives docker's 126 and 127.
    pub const RUN_FAILED: u8 = 125;
    /// Ctrl-C.
    pub const INTERRUPTED: u8 = 130;
}

impl Failure {
    /// The build or command failed.
    pub fn command(message: impl Into<String>) -> Failure {
        Failure { code: code::FAILED, message: message.into(), help: None, rendered: false }
    }

    /// The arguments make no sense.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { code: code::USAGE, ..Failure::command(message) }
    }

    /// The machine lacks something.
    pub fn environment(message: impl Into<String>) -> Failure {
        Failure { code: code::ENVIRONMENT, ..Failure::command(message) }
    }

    /// A failure that has already been told.
    pub fn silent(code: u8) -> Failure {
        Failure { code, rendered: true, ..Failure::command("") }
    }

    /// Adds what to do about it.
    pub fn help(self, help: impl Into<String>) -> Failure {
        Failure { help: Some(help.into()), ..self }
    }

    /// Returns the same failure with another exit code.
    pub fn with_code(self, code: u8) -> Failure {
        Failure { code, ..self }
    }

    /// Takes over an error with all its causes.
    pub fn from_error(error: &(dyn std::error::Error + 'static)) -> Failure {
        Failure { code: exit_code(error), ..Failure::command(chain(error)) }
    }

    /// Writes the failure as standard error shows it; empty if it was told already.
    pub fn render(&self, color: bool) -> String {
        let (red, bold, reset) = if color { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
        let mut text = String::new();
        if self.rendered {
            text.push_str(&self.message);
        } else {
            let _ = writeln!(text, "{red}error{reset}{bold}:{reset} {}", printable(&self.message));
        }
        if let Some(help) = &self.help {
            let _ = writeln!(text, "{bold}help:{reset} {}", printable(help));
        }
        text
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::from_error(&error)
    }
}

/// Joins an error's message with those of its causes, leaving out causes that are in it already.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// A full disk, or one that cannot be written, is the machine's fault and not the build's.
fn exit_code(error: &(dyn std::error::Error + 'static)) -> u8 {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::*;
            if matches!(io.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem) {
                return code::ENVIRONMENT;
            }
        }
        cause = error.source();
    }
    code::FAILED
}

impl From<jettison_ops::Error> for Failure {
    fn from(error: jettison_ops::Error) -> Failure {
        use jettison_ops::Error;
        match error {
            Error::Request { message, help } => Failure { help, ..Failure::command(message) },
            Error::Environment { message, help } => Failure { help, ..Failure::environment(message) },
            Error::Interrupted => Failure::command("interrupted").with_code(code::INTERRUPTED),
            Error::Store(error) if error.is_no_space() => Failure::environment(error.to_string())
                .help("`jettison prune` removes what is not in use; JETTISON_ROOT moves the store"),
            other => Failure::from_error(&other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write blob")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_are_told_and_a_full_disk_is_the_machines_fault() {
        let full = Outer(std::io::Error::from_raw_os_error(28));
        let failure = Failure::from_error(&full);
        assert_eq!(failure.code, code::ENVIRONMENT);
        assert!(failure.message.starts_with("cannot write blob: No space left"), "{}", failure.message);
        let other = Outer(std::io::Error::from_raw_os_error(2));
        assert_eq!(Failure::from_error(&other).code, code::FAILED);
    }

    #[test]
    fn hostile_names_in_messages_cannot_move_the_cursor() {
        let text = Failure::command("no such file: \x1b[2J").help("x\ry").render(false);
        assert_eq!(text, "error: no such file: \\u{1b}[2J\nhelp: x\\ry\n");
    }
}
