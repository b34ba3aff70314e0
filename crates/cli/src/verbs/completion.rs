//! `completion`.

use clap_complete::Shell;

use crate::args;
use crate::failure::{Failure, code};
use crate::output::print;

/// Writes the script that completes commands in a shell.
pub fn completion(shell: Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "jettison", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(code::OK)
}
