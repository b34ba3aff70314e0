//! Where an exporter's output goes.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jettison_fs::Dir;

use super::error::{ExportError, Result};

/// Where an exporter's output goes.
pub enum Place<'a> {
    /// A file, which appears when it is whole. Something there that is no regular file, such as a pipe, is written to.
    File(&'a Path),
    /// A stream, such as standard output.
    Stream(&'a mut dyn Write),
}

impl Place<'_> {
    /// Lets `write` write the output.
    pub(super) fn fill(self, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        let path = match self {
            Place::Stream(stream) => {
                let mut stream = BufWriter::with_capacity(256 << 10, stream);
                write(&mut stream)?;
                return stream.flush().map_err(ExportError::Stream);
            }
            Place::File(path) => path,
        };
        match fs::metadata(path) {
            Ok(there) if there.is_dir() => {
                Err(ExportError::InTheWay { path: path.to_owned(), why: "it is a directory".to_owned() })
            }
            Ok(there) if !there.is_file() => {
                let file = File::options().write(true).open(path);
                write_to(file.map_err(|source| ExportError::file("open", path, source))?, path, write)
            }
            _ => replace(path, write),
        }
    }
}

/// Writes a file beside `path` and renames it.
pub(super) fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let temporary = Temporary::beside(path);
    let file =
        File::create_new(&temporary.0).map_err(|source| ExportError::file("create", &temporary.0, source))?;
    write_to(file, &temporary.0, write)?;
    fs::rename(&temporary.0, path).map_err(|source| ExportError::file("write", path, source))
}

fn write_to(file: File, path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut writer = BufWriter::with_capacity(256 << 10, file);
    write(&mut writer).map_err(|error| name_the_file(error, path))?;
    writer.flush().map_err(|source| ExportError::file("write", path, source))
}

/// A writer knows only streams; here the stream is a file with a name.
fn name_the_file(error: ExportError, path: &Path) -> ExportError {
    match error {
        ExportError::Stream(source) => ExportError::file("write", path, source),
        other => other,
    }
}

/// A file or directory beside the one that is to be, removed unless it was renamed.
pub(super) struct Temporary(pub PathBuf);

impl Temporary {
    /// Makes a name that nobody uses, in the same directory as `path`. Nothing is created.
    pub fn beside(path: &Path) -> Temporary {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A random part, so that two exports to one name do not meet.
        let unique = jettison_store::LayerId::random();
        // Names may be 255 bytes long; most of a longer one is dropped.
        let name: String = name.chars().take(50).collect();
        Temporary(path.with_file_name(format!(".{name}.{unique}.tmp")))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let (Some(parent), Some(name)) = (self.0.parent(), self.0.file_name()) else { return };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        // Renamed, it is not there any more; else an error was reported already, and this one would hide it.
        let _ = Dir::open(parent).and_then(|parent| parent.remove_tree(name.as_bytes()));
    }
}
