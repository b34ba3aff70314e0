//! Local archives that ADD unpacks.

use std::fs::File;
use std::io::{self, Seek, Write};

use crate::compress::decompress;
use crate::read::Rules;
use crate::tar::TarReader;
use crate::{Error, Index, TarContent};

/// An archive that was read: its entries, and where their content is.
#[derive(Debug)]
pub struct Archive {
    /// Its entries with their owners, as the archive has them. Directories that it uses without listing them are not
    /// among them, nor is its root. `.wh.` names are plain names here.
    pub index: Index,
    /// Serves the files of `index`, by the paths there.
    pub content: TarContent,
}

/// Returns whether a file is what ADD unpacks: a tar, plain or compressed with gzip, bzip2, xz or zstd, whose first header
/// can be read. moby: `pkg/archive`, `IsArchivePath`. The file is read from its current position.
pub fn is_archive(file: &File) -> bool {
    let Ok(reader) = decompress(file) else { return false };
    matches!(TarReader::new(reader).next(), Ok(Some(_)))
}

/// Reads an archive. A compressed one is decompressed into `spool`, an empty file that must stay; a plain one stays where
/// it is and must not change.
pub fn read_archive(mut file: File, mut spool: File) -> Result<Archive, Error> {
    let length = file.metadata().map_err(Error::Input)?.len();
    file.rewind().map_err(Error::Input)?;
    let plain = TarReader::new(&file).next().is_ok();
    let tar = if plain && length > 0 {
        file
    } else {
        file.rewind().map_err(Error::Input)?;
        let mut reader = decompress(&file).map_err(Error::Input)?;
        io::copy(&mut reader, &mut spool).map_err(Error::Input)?;
        spool.flush().map_err(Error::Output)?;
        drop(reader);
        spool
    };
    read_plain(tar)
}

fn read_plain(mut tar: File) -> Result<Archive, Error> {
    tar.rewind().map_err(Error::Input)?;
    let (content, listing) = TarContent::scan(tar, Rules::Archive)?;
    Ok(Archive { index: listing.index, content })
}
