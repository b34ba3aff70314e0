//! The commands of a shell script, found without running it: what a RUN step calls, with which arguments.
//!
//! The grammar is POSIX's with bash's extras, as far as it decides where a command begins and ends. Expansions are not
//! made: each stands as [`EXPANSION`] in its word, and the commands in a `$(…)` count like all others.

mod command;
mod scanner;
#[cfg(test)]
mod tests;

pub use command::ShellCommand;

use scanner::Scanner;

/// What stands for an expansion, whose value is not known.
pub const EXPANSION: &str = "${VAR}";

/// The commands of a script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// The commands in order, those of conditions, loops, functions and substitutions included. Those whose name is the
    /// result of an expansion are left out.
    pub commands: Vec<ShellCommand>,
    /// Whether there is a pipe anywhere.
    pub pipes: bool,
}

impl Script {
    /// Reads a script. What no shell would run, such as one with a quote that is never closed, has no commands.
    pub fn parse(text: &str) -> Script {
        Scanner::new(text, 0).script().unwrap_or_default()
    }

    /// Tells whether some command is so.
    pub fn any(&self, test: impl Fn(&ShellCommand) -> bool) -> bool {
        self.commands.iter().any(test)
    }

    /// Tells whether a program is called.
    pub fn calls(&self, program: &str) -> bool {
        self.any(|command| command.name == program)
    }
}
