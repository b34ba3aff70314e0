//! Whether a container of an image can start, found out before anyone waits for it to fail.
//!
//! The checks are what runc and the kernel will do: find the command in `PATH`, execute it, load its interpreter.

use jettison_image::{Config, DEFAULT_PATH, RunConfig};
use jettison_layer::{Kind, Tree};

use crate::elf::{self, Elf};
use crate::files::{Files, Open, show};
use crate::libraries::{self, Missing};
use crate::owner::{self, Owner};

/// One reason why a container would not start.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// What is wrong and what is missing: a lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Bytes of a `#!` line that the kernel reads: `BINPRM_BUF_SIZE`.
const MAX_SCRIPT_LINE: usize = 256;
/// How often a script's interpreter may itself be a script: Linux, `exec_binprm`.
const MAX_SCRIPTS: usize = 5;

/// Checks that a container of the image can start. An image without any command is fine: somebody builds upon it.
pub fn startable(tree: &Tree, open: &Open<'_>, config: &Config) -> Vec<Problem> {
    let files = Files { tree, open };
    let mut check = Check { files: &files, config, owner: None, problems: Vec::new() };
    match owner::resolve(&files, &config.config.user) {
        Ok(owner) => check.owner = owner,
        Err(message) => {
            check.problem(message, Some("create the user in the final stage, or give USER as numbers"))
        }
    }
    check.working_directory();
    check.command();
    check.problems
}

struct Check<'a> {
    files: &'a Files<'a>,
    config: &'a Config,
    owner: Option<Owner>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn problem(&mut self, message: impl Into<String>, help: Option<&str>) {
        self.problems.push(Problem { message: message.into(), help: help.map(str::to_owned) });
    }

    fn run(&self) -> &RunConfig {
        &self.config.config
    }

    fn working_directory(&mut self) {
        let path = self.run().working_dir.clone();
        let root = path.bytes().all(|b| b == b'/');
        if root {
            return;
        }
        match self.files.find(path.as_bytes()) {
            None => self.problem(format!("working directory {path} is not in the image"), None),
            Some((_, entry)) if !entry.is_directory() => {
                self.problem(format!("working directory {path} is not a directory"), None);
            }
            Some(_) => {}
        }
    }

    fn command(&mut self) {
        let entrypoint = self.run().entrypoint.clone().unwrap_or_default();
        let cmd = self.run().cmd.clone().unwrap_or_default();
        let what = if entrypoint.is_empty() { "CMD" } else { "ENTRYPOINT" };
        let words = if entrypoint.is_empty() { cmd } else { entrypoint };
        let Some(program) = words.first().filter(|word| !word.is_empty()) else { return };
        let shell_form = self.is_shell_form(&words);
        let Some(path) = self.look_up(program) else {
            self.not_found(what, program, shell_form);
            return;
        };
        self.executable(what, program, &path, 0);
    }

    /// Docker keeps the shell form as the shell's words and one more.
    fn is_shell_form(&self, words: &[String]) -> bool {
        let default = ["/bin/sh".to_owned(), "-c".to_owned()];
        let shell = self.run().shell.as_deref().unwrap_or(&default);
        words.len() == shell.len() + 1 && words.starts_with(shell)
    }

    fn not_found(&mut self, what: &str, program: &str, shell_form: bool) {
        let bare = !self.files.tree.iter().any(|node| node.entry.path.ends_with(b"bin/sh"));
        let why = match program.contains('/') {
            true => format!("{program} is not in the image"),
            false => format!("\"{program}\" is not in the image's PATH ({})", self.path()),
        };
        if shell_form {
            let shell = if bare { ": the image has no shell" } else { "" };
            let message = format!("{what} is in shell form, but {why}{shell}");
            self.problem(message, Some("write it in exec form: [\"/program\", \"argument\"]"));
            return;
        }
        let message = format!("{what}: {why}");
        self.problem(message, None);
    }

    fn path(&self) -> &str {
        self.run().env("PATH").unwrap_or(DEFAULT_PATH)
    }

    /// Finds a command as `execvp` does, from the working directory; returns its path, links not yet followed.
    fn look_up(&self, program: &str) -> Option<Vec<u8>> {
        let in_directory = |directory: &str, name: &str| {
            let path = match directory.starts_with('/') {
                true => format!("{directory}/{name}"),
                false => format!("{}/{directory}/{name}", self.run().working_dir),
            };
            path.into_bytes()
        };
        if program.starts_with('/') {
            return Some(program.as_bytes().to_vec()).filter(|path| self.files.find(path).is_some());
        }
        if program.contains('/') {
            return Some(in_directory(&self.run().working_dir, program))
                .filter(|path| self.files.find(path).is_some());
        }
        let candidates = self.path().split(':').map(|directory| in_directory(directory, program));
        let candidates: Vec<Vec<u8>> = candidates.filter(|path| self.files.is_file(path)).collect();
        // One that may not be executed is passed over for a later one that may.
        let executable =
            |path: &&Vec<u8>| self.files.find(path).is_some_and(|(_, entry)| entry.mode & 0o111 != 0);
        candidates.iter().find(executable).or(candidates.first()).cloned()
    }

    /// Checks what the kernel does with the file at `path`.
    fn executable(&mut self, what: &str, name: &str, path: &[u8], depth: usize) {
        let files = self.files;
        let Some((path, entry)) = files.find(path) else { return };
        if !matches!(entry.kind, Kind::File { .. }) {
            self.problem(format!("{what}: {name} is not a file"), None);
            return;
        }
        if let Some(message) = self.refused(name, &path) {
            self.problem(
                format!("{what}: {message}"),
                Some("COPY --chmod=755, or RUN chmod +x, makes it executable"),
            );
            return;
        }
        let Ok(Some(mut content)) = files.content(&path) else { return };
        let mut start = vec![0; MAX_SCRIPT_LINE];
        let length = content.read(&mut start).unwrap_or(0);
        start.truncate(length);
        if let Some(line) = start.strip_prefix(b"#!") {
            self.script(what, name, line, depth);
        } else if start.starts_with(elf::MAGIC) {
            match elf::read(content.as_mut()) {
                Ok(program) => self.program(what, name, &path, &program),
                Err(error) => self.problem(format!("{what}: {name}: {error}"), None),
            }
        } else {
            let message =
                format!("{what}: {name} is neither a program nor a script with \"#!\" in its first line");
            self.problem(message, None);
        }
    }

    /// Tells why the user may not execute a file, if so: its own mode, or that of a directory above.
    fn refused(&self, name: &str, path: &[u8]) -> Option<String> {
        let tree = self.files.tree;
        let entry = tree.get(path)?.content().1;
        if entry.mode & 0o111 == 0 {
            return Some(format!("{name} is not executable (mode {:04o})", entry.mode));
        }
        let owner = self.owner.as_ref()?;
        if !owner.may_execute(entry) {
            return Some(format!("user {} may not execute {name} (mode {:04o})", owner.uid, entry.mode));
        }
        let mut directory = jettison_layer::parent(path);
        while let Some(path) = directory {
            if let Some(node) = tree.get(path)
                && !owner.may_execute(node.entry)
            {
                let mode = node.entry.mode;
                return Some(format!("user {} may not enter /{} (mode {mode:04o})", owner.uid, show(path)));
            }
            directory = jettison_layer::parent(path);
        }
        None
    }

    fn script(&mut self, what: &str, name: &str, line: &[u8], depth: usize) {
        let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
        let text = show(line);
        let mut words = text.split_whitespace();
        let Some(interpreter) = words.next() else {
            self.problem(format!("{what}: the script {name} names no interpreter after \"#!\""), None);
            return;
        };
        if line.ends_with(b"\r") {
            let message = format!("{what}: the first line of the script {name} ends with a carriage return");
            self.problem(message, Some("save it with Unix line endings"));
            return;
        }
        if self.files.find(interpreter.as_bytes()).is_none() {
            let message = format!("{what}: the script {name} needs {interpreter}, which is not in the image");
            self.problem(message, None);
            return;
        }
        if let Some(program) = words.next().filter(|_| interpreter.ends_with("/env"))
            && !program.starts_with('-')
            && !program.contains('=')
            && self.look_up(program).is_none()
        {
            let message =
                format!("{what}: the script {name} needs \"{program}\", which is not in the image's PATH");
            self.problem(message, None);
            return;
        }
        if depth + 1 < MAX_SCRIPTS {
            self.executable(what, interpreter, interpreter.as_bytes(), depth + 1);
        }
    }

    fn program(&mut self, what: &str, name: &str, path: &[u8], program: &Elf) {
        if let Some(found) = program.architecture
            && !runs_on(found, &self.config.architecture)
        {
            let wanted = &self.config.architecture;
            let message = format!("{what}: {name} is built for {found}, the image is for {wanted}");
            self.problem(message, None);
            return;
        }
        if let Some(interpreter) = &program.interpreter
            && self.files.find(interpreter).is_none()
        {
            let loader = show(interpreter);
            let libc = if loader.contains("musl") { "musl" } else { "glibc" };
            let message =
                format!("{what}: {name} is linked dynamically and needs {loader}, which is not in the image");
            let help = format!("link it statically, or use a base image with {libc}");
            self.problem(message, Some(&help));
            return;
        }
        let library_path = self.run().env("LD_LIBRARY_PATH");
        let missing = libraries::missing(self.files, path, program, library_path);
        for Missing { library, needed_by } in missing {
            self.problem(
                format!("{what}: {needed_by} needs the library {library}, which is not in the image"),
                None,
            );
        }
    }
}

/// Kernels run the 32-bit programs of their own family.
fn runs_on(program: &str, image: &str) -> bool {
    program == image || matches!((program, image), ("386", "amd64") | ("arm", "arm64"))
}

#[cfg(test)]
mod tests;
