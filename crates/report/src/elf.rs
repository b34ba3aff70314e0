//! What an ELF file needs to start: its interpreter and its libraries. Every offset comes from outside and is checked.
//!
//! Formats: System V ABI, "Object Files" and "Dynamic Linking"; the field offsets are those of `elf(5)`.

use std::io::{self, Read, Seek, SeekFrom};

/// What can be read piece by piece: a file, or bytes in memory.
pub trait Content: Read + Seek {}

impl<T: Read + Seek> Content for T {}

/// The part of an ELF file that says what it needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elf {
    /// The processor, as Go names it; `None` for one that no image platform has.
    pub architecture: Option<&'static str>,
    /// `PT_INTERP`: the program that loads this one.
    pub interpreter: Option<Vec<u8>>,
    /// `DT_NEEDED`: libraries by file name.
    pub needed: Vec<Vec<u8>>,
    /// `DT_RPATH`, split at colons; only counts where there is no `DT_RUNPATH`.
    pub rpath: Vec<Vec<u8>>,
    /// `DT_RUNPATH`, split at colons.
    pub runpath: Vec<Vec<u8>>,
}

/// Why an ELF file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// It does not follow the format.
    #[error("damaged ELF file: {0}")]
    Malformed(&'static str),
    /// It cannot be read at all.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The first four bytes of every ELF file.
pub const MAGIC: &[u8; 4] = b"\x7fELF";

/// Program headers in one file; the largest binaries have some twenty.
const MAX_PROGRAM_HEADERS: usize = 512;
/// Bytes of a dynamic section; 16 bytes an entry.
const MAX_DYNAMIC: u64 = 1 << 20;
/// Libraries that one file asks for.
const MAX_NEEDED: usize = 1024;
/// `PATH_MAX`, which bounds every name.
const MAX_STRING: usize = 4096;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// Reads an ELF file.
pub fn read(content: &mut dyn Content) -> Result<Elf, ElfError> {
    let mut ident = [0; 64];
    let header = read_up_to(content, 0, &mut ident)?;
    if !header.starts_with(MAGIC) {
        return Err(ElfError::Malformed("it does not begin with the magic number"));
    }
    let layout = Layout::of(header)?;
    let machine = layout.half(header, 18)?;
    let mut elf = Elf { architecture: architecture(machine, layout), ..Elf::default() };
    let headers = program_headers(content, layout, header)?;
    if let Some(interp) = headers.iter().find(|header| header.kind == PT_INTERP) {
        let size = usize::try_from(interp.size).unwrap_or(usize::MAX).min(MAX_STRING);
        let mut name = vec![0; size];
        let name = read_up_to(content, interp.offset, &mut name)?;
        elf.interpreter = Some(until_nul(name).to_vec());
    }
    if let Some(dynamic) = headers.iter().find(|header| header.kind == PT_DYNAMIC) {
        read_dynamic(content, layout, &headers, dynamic, &mut elf)?;
    }
    Ok(elf)
}

/// How numbers are laid out.
#[derive(Debug, Clone, Copy)]
struct Layout {
    wide: bool,
    little: bool,
}

struct ProgramHeader {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

impl Layout {
    fn of(header: &[u8]) -> Result<Layout, ElfError> {
        let wide = match header.get(4) {
            Some(1) => false,
            Some(2) => true,
            _ => return Err(ElfError::Malformed("its class is neither 32 nor 64 bits")),
        };
        let little = match header.get(5) {
            Some(1) => true,
            Some(2) => false,
            _ => return Err(ElfError::Malformed("its byte order is unknown")),
        };
        Ok(Layout { wide, little })
    }

    fn number(self, bytes: &[u8], at: usize, length: usize) -> Result<u64, ElfError> {
        let end = at.checked_add(length);
        let field = end.and_then(|end| bytes.get(at..end)).ok_or(ElfError::Malformed("it is cut off"))?;
        let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Ok(if self.little { field.iter().rev().fold(0, fold) } else { field.iter().fold(0, fold) })
    }

    fn half(self, bytes: &[u8], at: usize) -> Result<u16, ElfError> {
        Ok(self.number(bytes, at, 2)? as u16)
    }

    fn word(self, bytes: &[u8], at: usize) -> Result<u32, ElfError> {
        Ok(self.number(bytes, at, 4)? as u32)
    }

    /// Reads a number that is as wide as the class: at `narrow` in a 32-bit file, at `wide` in a 64-bit one.
    fn address(self, bytes: &[u8], narrow: usize, wide: usize) -> Result<u64, ElfError> {
        if self.wide { self.number(bytes, wide, 8) } else { self.number(bytes, narrow, 4) }
    }
}

/// Returns the bytes of the section called `name`; `None` where there is none, or it is longer than `limit`.
pub(crate) fn section(
    content: &mut dyn Content,
    name: &[u8],
    limit: u64,
) -> Result<Option<Vec<u8>>, ElfError> {
    let mut ident = [0; 64];
    let header = read_up_to(content, 0, &mut ident)?;
    if !header.starts_with(MAGIC) {
        return Ok(None);
    }
    let layout = Layout::of(header)?;
    let offset = layout.address(header, 32, 40)?;
    let fields = if layout.wide { [58, 60, 62] } else { [46, 48, 50] };
    let size = usize::from(layout.half(header, fields[0])?);
    let count = usize::from(layout.half(header, fields[1])?);
    let names = usize::from(layout.half(header, fields[2])?);
    let least = if layout.wide { 64 } else { 40 };
    if size < least || size > 4 * least || names >= count {
        return Ok(None);
    }
    let mut table = vec![0; size * count];
    let table = read_up_to(content, offset, &mut table)?;
    let place = |section: &[u8]| -> Result<(u64, u64), ElfError> {
        Ok((layout.address(section, 16, 24)?, layout.address(section, 20, 32)?))
    };
    let Some(strings) = table.chunks(size).nth(names) else { return Ok(None) };
    let (strings, _) = place(strings)?;
    for section in table.chunks_exact(size) {
        let at = strings.saturating_add(u64::from(layout.word(section, 0)?));
        let mut found = vec![0; name.len() + 1];
        if read_up_to(content, at, &mut found)?.strip_suffix(&[0]) != Some(name) {
            continue;
        }
        let (offset, length) = place(section)?;
        if length > limit {
            return Ok(None);
        }
        let mut bytes = vec![0; length as usize];
        return Ok(Some(read_up_to(content, offset, &mut bytes)?.to_vec()));
    }
    Ok(None)
}

fn program_headers(
    content: &mut dyn Content,
    layout: Layout,
    header: &[u8],
) -> Result<Vec<ProgramHeader>, ElfError> {
    let offset = layout.address(header, 28, 32)?;
    let (size_at, count_at) = if layout.wide { (54, 56) } else { (42, 44) };
    let size = usize::from(layout.half(header, size_at)?);
    let count = usize::from(layout.half(header, count_at)?);
    if count == 0 {
        return Ok(Vec::new());
    }
    let least = if layout.wide { 56 } else { 32 };
    if count > MAX_PROGRAM_HEADERS || size < least || size > 4 * least {
        return Err(ElfError::Malformed("its program headers make no sense"));
    }
    let mut table = vec![0; size * count];
    let table = read_up_to(content, offset, &mut table)?;
    let one = |header: &[u8]| {
        Ok(ProgramHeader {
            kind: layout.word(header, 0)?,
            offset: layout.address(header, 4, 8)?,
            address: layout.address(header, 8, 16)?,
            size: layout.address(header, 16, 32)?,
        })
    };
    table.chunks(size).map(one).collect()
}

fn read_dynamic(
    content: &mut dyn Content,
    layout: Layout,
    headers: &[ProgramHeader],
    dynamic: &ProgramHeader,
    elf: &mut Elf,
) -> Result<(), ElfError> {
    if dynamic.size > MAX_DYNAMIC {
        return Err(ElfError::Malformed("its dynamic section is too large"));
    }
    let mut section = vec![0; dynamic.size as usize];
    let section = read_up_to(content, dynamic.offset, &mut section)?;
    let width = if layout.wide { 8 } else { 4 };
    let mut entries = Vec::new();
    for entry in section.chunks_exact(2 * width) {
        let tag = layout.number(entry, 0, width)?;
        if tag == DT_NULL {
            break;
        }
        entries.push((tag, layout.number(entry, width, width)?));
    }
    let Some((_, strings)) = entries.iter().find(|(tag, _)| *tag == DT_STRTAB) else { return Ok(()) };
    let strings =
        file_offset(headers, *strings).ok_or(ElfError::Malformed("its string table lies in no segment"))?;
    for (tag, value) in entries {
        if !matches!(tag, DT_NEEDED | DT_RPATH | DT_RUNPATH) {
            continue;
        }
        let at = strings.checked_add(value).ok_or(ElfError::Malformed("a name lies outside the file"))?;
        let mut buffer = vec![0; MAX_STRING];
        let text = until_nul(read_up_to(content, at, &mut buffer)?).to_vec();
        match tag {
            DT_NEEDED if elf.needed.len() == MAX_NEEDED => {
                return Err(ElfError::Malformed("it asks for too many libraries"));
            }
            DT_NEEDED => elf.needed.push(text),
            DT_RPATH => elf.rpath = colons(&text),
            _ => elf.runpath = colons(&text),
        }
    }
    Ok(())
}

/// Where a memory address stands in the file.
fn file_offset(headers: &[ProgramHeader], address: u64) -> Option<u64> {
    let load = headers.iter().find(|header| {
        header.kind == PT_LOAD && address >= header.address && address - header.address < header.size
    })?;
    load.offset.checked_add(address - load.address)
}

fn colons(text: &[u8]) -> Vec<Vec<u8>> {
    text.split(|b| *b == b':').filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect()
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

/// Reads at `offset` until `buffer` is full or the file ends.
fn read_up_to<'a>(content: &mut dyn Content, offset: u64, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    content.seek(SeekFrom::Start(offset))?;
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&buffer[..filled])
}

/// The numbers are `e_machine`'s (`elf.h`), the names `GOARCH`'s.
fn architecture(machine: u16, layout: Layout) -> Option<&'static str> {
    Some(match (machine, layout.wide, layout.little) {
        (3, false, true) => "386",
        (8, false, false) => "mips",
        (8, false, true) => "mipsle",
        (8, true, false) => "mips64",
        (8, true, true) => "mips64le",
        (21, true, false) => "ppc64",
        (21, true, true) => "ppc64le",
        (22, true, false) => "s390x",
        (40, false, true) => "arm",
        (62, _, true) => "amd64",
        (183, true, true) => "arm64",
        (243, true, true) => "riscv64",
        (258, true, true) => "loong64",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_dynamic_program_names_its_interpreter_and_libraries() {
        let elf = read(&mut File::open("/bin/ls").unwrap()).unwrap();
        assert!(elf.needed.iter().any(|name| name.starts_with(b"libc.so")), "{elf:?}");
        let interpreter = String::from_utf8(elf.interpreter.unwrap()).unwrap();
        assert!(interpreter.contains("/ld-") && std::path::Path::new(&interpreter).exists(), "{interpreter}");
        assert_eq!(elf.architecture, Some(jettison_image::Platform::host().architecture.as_str()));
    }

    #[test]
    fn any_cut_or_changed_byte_of_the_headers_is_survived() {
        let whole = std::fs::read("/bin/ls").unwrap();
        for length in 0..400 {
            let _ = read(&mut Cursor::new(&whole[..length]));
        }
        let mut changed = whole.clone();
        for at in 4..1200 {
            for value in [0, 1, 0x7f, 0xff] {
                let old = std::mem::replace(&mut changed[at], value);
                let _ = read(&mut Cursor::new(&changed));
                changed[at] = old;
            }
        }
    }

    #[test]
    fn what_is_no_elf_file_is_refused() {
        for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x09\x01", b"\x7fELF\x02\x09"] {
            assert!(matches!(read(&mut Cursor::new(bytes)), Err(ElfError::Malformed(_))), "{bytes:?}");
        }
    }
}
