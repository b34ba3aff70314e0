//! Build contexts: a folder of files for one test.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::tools;

/// A folder of files, removed when dropped. Every user of the machine may read it.
pub struct Context {
    folder: TempDir,
}

impl Default for Context {
    fn default() -> Context {
        Context::new()
    }
}

impl Context {
    /// Makes an empty context.
    pub fn new() -> Context {
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path());
        Context { folder }
    }

    /// Makes a context with the Dockerfile `text`.
    pub fn of(text: &str) -> Context {
        Context::new().file("Dockerfile", text)
    }

    /// Makes a context with what is in `folder`.
    pub fn copy_of(folder: &Path) -> Context {
        let context = Context::new();
        tools::checked(Command::new("cp").arg("-R").arg(folder.join(".")).arg(context.path()));
        context
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the folder as an argument.
    pub fn argument(&self) -> &str {
        self.path().to_str().expect("temporary folders have plain names")
    }

    /// Adds (or replaces) a file with mode 0644, and the folders above it.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Context {
        self.file_with_mode(path, 0o644, content)
    }

    /// Adds (or replaces) a file with `mode`, and the folders above it.
    #[must_use]
    pub fn file_with_mode(self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Context {
        self.write(path, content);
        fs::set_permissions(self.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Adds a folder with `mode`, and the folders above it.
    #[must_use]
    pub fn dir(self, path: &str, mode: u32) -> Context {
        let folder = self.path().join(path);
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Adds a symbolic link at `path` that points to `target`.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Context {
        let link = self.path().join(path);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, link).unwrap();
        self
    }

    /// Writes `content` to the file at `path` between two builds; its mode stays.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        file
    }
}

/// Lets every user of the machine enter and read `folder`: builds run as other users, too.
pub(crate) fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}
