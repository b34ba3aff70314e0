//! How old files from the network are.

use std::fs::File;
use std::io;

use jettison_layer::Index;
use jettison_plan::Remote;

use crate::{FetchError, Fetcher};

impl Fetcher<'_> {
    /// Returns the date of files from the network in seconds since 1970: of the newest entry of an archive, else of the
    /// file. BuildKit: `dockerfile2llb/epoch.go`.
    pub fn date(&self, remote: &Remote) -> Result<Option<i64>, FetchError> {
        let (id, _) = self.fetch(remote)?;
        let Some(layer) = self.store.layer(&id)? else { return Ok(None) };
        if let (Remote::File(file), Some(folder)) = (remote, layer.fs()) {
            let archive = File::open(folder.join(&file.name))?;
            if jettison_layer::is_archive(&archive) {
                let archive = jettison_layer::read_archive(archive, self.store.temporary_file()?);
                return Ok(newest(&archive.map_err(io::Error::other)?.index));
            }
        }
        Ok(newest(&layer.index()?))
    }
}

fn newest(index: &Index) -> Option<i64> {
    index.entries.iter().map(|entry| entry.mtime.seconds).max()
}
