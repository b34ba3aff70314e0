//! Standard output and error. That the reader of a pipe went away is success: it has seen what it wanted.

use std::io::{self, IsTerminal, Write};

use crate::failure::{Failure, code};

/// Writes to standard output.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| on_write("standard output", error))
}

/// Writes a line to standard output.
pub fn print_line(text: &str) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}

/// Writes to standard error, on which nothing depends.
pub fn note(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Tells whether standard error takes colours.
pub fn colors(no_color: bool) -> bool {
    !no_color && io::stderr().is_terminal()
}

fn on_write(what: &str, error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(code::OK),
        _ => Failure::command(format!("cannot write to {what}: {error}")),
    }
}
