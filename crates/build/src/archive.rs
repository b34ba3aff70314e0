//! ADD of a local archive: telling what one is, and reading it.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use jettison_layer::{Content, Entry, Index, Tree};

use crate::Error;

/// An archive that can be unpacked.
#[derive(Clone)]
pub(crate) struct Opened {
    /// What it holds, with the directories that it uses without listing them.
    pub(crate) tree: Arc<Tree>,
    /// What it lists.
    pub(crate) listed: Arc<Index>,
    /// Its files.
    pub(crate) content: Arc<dyn Content>,
}

/// Opens a file as an archive; `None` where it is none, and is copied like any file.
///
/// What has to be decompressed goes to a file without a name in `scratch`.
pub(crate) fn open(content: &dyn Content, entry: &Entry, scratch: &Path) -> Result<Option<Opened>, Error> {
    if entry.size() == 0 {
        return Ok(None);
    }
    let failed = |source| Error::Io {
        action: "read",
        path: String::from_utf8_lossy(&entry.path).into_owned().into(),
        source,
    };
    let file = match content.open_file(entry).map_err(failed)? {
        Some(file) => file,
        None => spool(content, entry, scratch).map_err(failed)?,
    };
    if !jettison_layer::is_archive(&file) {
        return Ok(None);
    }
    let mut archive = jettison_layer::read_archive(file, tempfile::tempfile_in(scratch).map_err(failed)?)?;
    jettison_layer::fill_digests(&mut archive.index.entries, &archive.content, 1)?;
    let listed = Arc::new(archive.index);
    let tree = Arc::new(Tree::new([listed.clone()]));
    Ok(Some(Opened { tree, listed, content: Arc::new(archive.content) }))
}

/// Gives the content of a file that is not one on disk a file of its own.
fn spool(content: &dyn Content, entry: &Entry, scratch: &Path) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(scratch)?;
    io::copy(&mut content.open(entry)?, &mut file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}
