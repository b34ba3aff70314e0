//! RPM's databases: SQLite (Fedora, RHEL 9), ndb (SUSE) and Berkeley DB (RHEL 8 and before). Each holds package headers
//! (rpm: `docs/manual/format_header.md`), all big-endian.

mod bdb;
mod ndb;
mod sqlite;

use jettison_layer::join;

use super::Inventory;
use crate::files::Files;

/// Reads the headers out of one kind of database; `None` where it is damaged.
type Headers = fn(&[u8]) -> Option<Vec<Vec<u8>>>;

const FOLDERS: [&[u8]; 2] = [b"usr/lib/sysimage/rpm", b"var/lib/rpm"];
const FORMATS: [(&str, Headers); 3] =
    [("rpmdb.sqlite", sqlite::blobs), ("Packages.db", ndb::blobs), ("Packages", bdb::blobs)];

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const DIRECTORY_NUMBERS: u32 = 1116;
const BASE_NAMES: u32 = 1117;
const DIRECTORIES: u32 = 1118;

/// Files of one package.
const MAX_FILES: u32 = 1_000_000;

/// Finds RPM packages.
pub(super) fn find(files: &Files<'_>, found: &mut Inventory) {
    let mut seen = None;
    for folder in FOLDERS {
        for (name, headers) in FORMATS {
            let path = join(folder, name.as_bytes());
            // One folder is usually a link to the other.
            let real = files.find(&path).map(|(real, _)| real);
            if real.is_none() || real == seen {
                continue;
            }
            seen = real;
            let Some(database) = files.database(&path, found) else { continue };
            match headers(&database) {
                Some(headers) => headers.iter().for_each(|header| package(files, header, &path, found)),
                None => found.note("rpm database not read", &path),
            }
        }
    }
}

fn package(files: &Files<'_>, bytes: &[u8], database: &[u8], found: &mut Inventory) {
    let Some(header) = Header::new(bytes) else { return };
    let text = |tag| header.texts(tag).first().map(|text| String::from_utf8_lossy(text).into_owned());
    // Keys for signatures are in the database as if they were packages.
    let Some(name) = text(NAME).filter(|name| name != "gpg-pubkey") else { return };
    let version = format!("{}-{}", text(VERSION).unwrap_or_default(), text(RELEASE).unwrap_or_default());
    let directories = header.texts(DIRECTORIES);
    let names = header.texts(BASE_NAMES).into_iter().zip(header.numbers(DIRECTORY_NUMBERS));
    let paths = names.filter_map(|(name, number)| {
        let directory = directories.get(number as usize)?;
        files.real(&[directory, name].concat())
    });
    found.add("rpm", &name, &version, database, paths.collect());
}

/// A package header: a list of tags, and the data they point into.
struct Header<'a> {
    tags: &'a [u8],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    fn new(bytes: &'a [u8]) -> Option<Header<'a>> {
        let (count, length) = (big(bytes, 0)? as usize, big(bytes, 4)? as usize);
        let data_start = 8 + count.checked_mul(16)?;
        Some(Header {
            tags: bytes.get(8..data_start)?,
            data: bytes.get(data_start..data_start.checked_add(length)?)?,
        })
    }

    /// Returns where a tag's values are, and how many.
    fn tag(&self, wanted: u32) -> Option<(&'a [u8], u32)> {
        let entry = self.tags.chunks_exact(16).find(|entry| big(entry, 0) == Some(wanted))?;
        Some((self.data.get(big(entry, 8)? as usize..)?, big(entry, 12)?.min(MAX_FILES)))
    }

    fn texts(&self, tag: u32) -> Vec<&'a [u8]> {
        let Some((data, count)) = self.tag(tag) else { return Vec::new() };
        data.split(|byte| *byte == 0).take(count as usize).collect()
    }

    fn numbers(&self, tag: u32) -> Vec<u32> {
        let Some((data, count)) = self.tag(tag) else { return Vec::new() };
        data.chunks_exact(4).take(count as usize).filter_map(|number| big(number, 0)).collect()
    }
}

fn big(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn little(bytes: &[u8], at: usize) -> Option<u32> {
    big(bytes, at).map(u32::swap_bytes)
}
