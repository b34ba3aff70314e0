//! Writing members. The bytes are a contract: they depend on the members alone and never change between versions,
//! because layer digests are made of them.
//!
//! The form is that of Go's `archive/tar` with `FormatPAX`, which containerd and BuildKit write: ustar headers, PAX
//! records (sorted) only for what ustar cannot hold, no prefix field, no user and group names.

use std::io::{self, Write};

use super::header::{self, Block, put_octal};
use super::{BLOCK, XATTR_PREFIX, pax};

/// All of a member but its content.
#[derive(Debug, Default)]
pub(crate) struct Member<'a> {
    /// A directory's ends with a slash.
    pub name: &'a [u8],
    /// POSIX's type flag.
    pub type_flag: u8,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Of the content that follows.
    pub size: u64,
    /// Whole seconds since 1970.
    pub mtime: i64,
    /// Where a link points.
    pub link: &'a [u8],
    /// Major and minor number.
    pub device: (u32, u32),
    /// Sorted by name.
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

/// Writes members one after the other. The caller writes their content and calls [`TarWriter::pad`].
pub(crate) struct TarWriter<'a> {
    out: &'a mut dyn Write,
}

impl<'a> TarWriter<'a> {
    pub fn new(out: &'a mut dyn Write) -> TarWriter<'a> {
        TarWriter { out }
    }

    /// Writes the headers of a member.
    pub fn start(&mut self, member: &Member<'_>) -> io::Result<()> {
        let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let block = main_header(member, &mut records)?;
        for (name, value) in member.xattrs {
            records.push(([XATTR_PREFIX, name].concat(), value.clone()));
        }
        if !records.is_empty() {
            self.pax_member(member.name, records)?;
        }
        self.out.write_all(&block)
    }

    /// Passes content on.
    pub fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Fills the last block of a content of `size` bytes.
    pub fn pad(&mut self, size: u64) -> io::Result<()> {
        let used = (size % BLOCK as u64) as usize;
        if used == 0 {
            return Ok(());
        }
        self.out.write_all(&[0; BLOCK][used..])
    }

    /// Ends the archive.
    pub fn finish(self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK])
    }

    fn pax_member(&mut self, name: &[u8], mut records: Vec<(Vec<u8>, Vec<u8>)>) -> io::Result<()> {
        records.sort();
        let mut text = Vec::new();
        for (key, value) in &records {
            pax::put_record(&mut text, key, value);
        }
        let mut block: Block = [0; BLOCK];
        put_text(header::field_mut(&mut block, header::NAME), &pax_name(name));
        for field in [header::MODE, header::UID, header::GID, header::MTIME] {
            put_number(&mut block, field, 0)?;
        }
        put_number(&mut block, header::SIZE, text.len() as i64)?;
        block[header::TYPE] = b'x';
        header::field_mut(&mut block, header::MAGIC).copy_from_slice(header::USTAR);
        header::seal(&mut block);
        self.out.write_all(&block)?;
        self.out.write_all(&text)?;
        self.pad(text.len() as u64)
    }
}

/// Makes the ustar header; what it cannot hold goes to `records`.
fn main_header(member: &Member<'_>, records: &mut Vec<(Vec<u8>, Vec<u8>)>) -> io::Result<Block> {
    let mut block: Block = [0; BLOCK];
    for (field, text, key) in [(header::NAME, member.name, "path"), (header::LINK, member.link, "linkpath")] {
        if text.len() > field.1 || !text.is_ascii() {
            records.push((key.into(), text.to_vec()));
        }
        put_text(header::field_mut(&mut block, field), &ascii(text));
    }
    let size = i64::try_from(member.size).map_err(|_| too_large("size"))?;
    let numbers = [
        (header::UID, i64::from(member.uid), "uid"),
        (header::GID, i64::from(member.gid), "gid"),
        (header::SIZE, size, "size"),
        (header::MTIME, member.mtime, "mtime"),
    ];
    for (field, value, key) in numbers {
        if !put_octal(header::field_mut(&mut block, field), value) {
            records.push((key.into(), value.to_string().into_bytes()));
        }
    }
    put_number(&mut block, header::MODE, i64::from(member.mode))?;
    put_number(&mut block, header::DEVICE_MAJOR, i64::from(member.device.0))?;
    put_number(&mut block, header::DEVICE_MINOR, i64::from(member.device.1))?;
    block[header::TYPE] = member.type_flag;
    header::field_mut(&mut block, header::MAGIC).copy_from_slice(header::USTAR);
    header::seal(&mut block);
    Ok(block)
}

fn put_number(block: &mut Block, field: header::Field, value: i64) -> io::Result<()> {
    match put_octal(header::field_mut(block, field), value) {
        true => Ok(()),
        false => Err(too_large("number")),
    }
}

fn too_large(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("a {what} is too large for a tar"))
}

/// Go's `formatString`: cut off; and no slash at the cut, since old readers take such a name for a directory's.
fn put_text(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
    if text.len() > field.len() && field.ends_with(b"/") {
        let kept = field.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        field[kept] = 0;
    }
}

/// Go's `toASCII`: other characters are left out, the PAX record has them.
fn ascii(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| byte.is_ascii() && *byte != 0).collect()
}

/// Go's name of the header of a member's records: `PaxHeaders.0` before the last component.
fn pax_name(name: &[u8]) -> Vec<u8> {
    let split = name.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (directory, file) = name.split_at(split);
    let mut result = ascii(&[directory, b"PaxHeaders.0/", file].concat());
    result.truncate(header::NAME.1);
    while result.ends_with(b"/") {
        result.pop();
    }
    result
}
