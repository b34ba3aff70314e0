//! Writing a layer as a tar, byte-stable by contract.

use std::io::{Read, Write};

use crate::names::{OPAQUE, WHITEOUT, whiteout_name};
use crate::path::{MAX_PATH, file_name, join, show};
use crate::pyc::follow_source;
use crate::tar::{Member, TarWriter};
use crate::{Content, Entry, Error, Index, Kind, Times};

/// Bytes of content moved at once.
const BUFFER: usize = 256 * 1024;

/// Writes `index` with its content as an uncompressed layer tar: entries in the order of the index, times in whole
/// seconds, as `times` says. Compiled Python files record the time that their source takes.
///
/// Equal indexes, contents and times give equal bytes, for ever. A file that is not as long as its entry says is an
/// error, as is a name that a reader would take for a whiteout.
pub fn write_layer(
    index: &Index,
    content: &dyn Content,
    times: Times,
    out: &mut dyn Write,
) -> Result<(), Error> {
    write_part(index, index, content, times, out)
}

/// Like [`write_layer`], but writes only `part` of the layer `whole`, each file as it is in the tar of the whole.
pub fn write_part(
    part: &Index,
    whole: &Index,
    content: &dyn Content,
    times: Times,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut tar = TarWriter::new(out);
    let mut buffer = vec![0; BUFFER];
    for entry in &part.entries {
        check(entry)?;
        start(&mut tar, entry, times)?;
        if let Kind::File { size, .. } = entry.kind {
            if size > 0 {
                let reader =
                    content.open(entry).and_then(|reader| follow_source(reader, entry, whole, times));
                let reader = reader.map_err(|source| Error::content(&entry.path, source))?;
                write_content(&mut tar, entry, size, reader, &mut buffer)?;
            }
            tar.pad(size).map_err(Error::Output)?;
        }
        if entry.kind == (Kind::Directory { opaque: true }) {
            mark_opaque(&mut tar, entry, times)?;
        }
    }
    tar.finish().map_err(Error::Output)
}

/// Returns the length in bytes of the tar that [`write_layer`] writes, without any content at hand.
pub fn tar_size(index: &Index, times: Times) -> Result<u64, Error> {
    let mut headers = Count(0);
    let mut tar = TarWriter::new(&mut headers);
    let mut content: u64 = 0;
    for entry in &index.entries {
        start(&mut tar, entry, times)?;
        tar.pad(entry.size()).map_err(Error::Output)?;
        content = content.saturating_add(entry.size());
        if entry.kind == (Kind::Directory { opaque: true }) {
            mark_opaque(&mut tar, entry, times)?;
        }
    }
    tar.finish().map_err(Error::Output)?;
    Ok(content.saturating_add(headers.0))
}

/// Counts bytes instead of writing them.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn mark_opaque(tar: &mut TarWriter<'_>, directory: &Entry, times: Times) -> Result<(), Error> {
    let name = join(&directory.path, OPAQUE);
    let marker =
        Member { name: &name, type_flag: b'0', mtime: times.of_mark(directory), ..Member::default() };
    tar.start(&marker).map_err(Error::Output)
}

fn start(tar: &mut TarWriter<'_>, entry: &Entry, times: Times) -> Result<(), Error> {
    let name = match &entry.kind {
        Kind::Whiteout => whiteout_name(&entry.path),
        Kind::Directory { .. } if entry.path.is_empty() => b"./".to_vec(),
        Kind::Directory { .. } => [entry.path.as_slice(), b"/"].concat(),
        _ => entry.path.clone(),
    };
    let mut member = Member {
        name: &name,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        size: entry.size(),
        mtime: times.of(entry),
        xattrs: &entry.xattrs,
        ..Member::default()
    };
    (member.type_flag, member.link, member.device) = match &entry.kind {
        Kind::File { .. } | Kind::Whiteout => (b'0', &b""[..], (0, 0)),
        Kind::Hardlink { target } => (b'1', target.as_slice(), (0, 0)),
        Kind::Symlink { target } => (b'2', target.as_slice(), (0, 0)),
        Kind::CharacterDevice { major, minor } => (b'3', &b""[..], (*major, *minor)),
        Kind::BlockDevice { major, minor } => (b'4', &b""[..], (*major, *minor)),
        Kind::Directory { .. } => (b'5', &b""[..], (0, 0)),
        Kind::Fifo => (b'6', &b""[..], (0, 0)),
    };
    tar.start(&member).map_err(Error::Output)
}

fn write_content(
    tar: &mut TarWriter<'_>,
    entry: &Entry,
    size: u64,
    mut reader: Box<dyn Read + Send + '_>,
    buffer: &mut [u8],
) -> Result<(), Error> {
    let mut done = 0;
    loop {
        // At the end one byte more is asked for: a file that grew must not go unnoticed.
        let wanted = usize::try_from(size - done).unwrap_or(BUFFER).clamp(1, BUFFER);
        let count = match reader.read(&mut buffer[..wanted]) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(Error::content(&entry.path, source)),
        };
        match (count, done == size) {
            (0, true) => return Ok(()),
            (0, false) => return Err(size_changed(entry, size, done)),
            (_, true) => return Err(size_changed(entry, size, done + 1)),
            (count, false) => {
                tar.content(&buffer[..count]).map_err(Error::Output)?;
                done += count as u64;
            }
        }
    }
}

fn size_changed(entry: &Entry, expected: u64, found: u64) -> Error {
    Error::SizeChanged { path: show(&entry.path), expected, found }
}

fn check(entry: &Entry) -> Result<(), Error> {
    if file_name(&entry.path).starts_with(WHITEOUT) {
        return Err(Error::entry(
            &entry.path,
            "cannot be in a layer: its name would mean that a file is deleted",
        ));
    }
    if entry.path.len() > MAX_PATH {
        return Err(Error::entry(&entry.path[..80], format!("… has a path longer than {MAX_PATH} bytes")));
    }
    if entry.xattrs.iter().any(|(name, _)| name.is_empty() || name.contains(&b'=')) {
        return Err(Error::entry(&entry.path, "has an extended attribute whose name no tar can hold"));
    }
    if entry.path.is_empty() && !entry.is_directory() {
        return Err(Error::entry(&entry.path, "is the root, but no directory"));
    }
    Ok(())
}
