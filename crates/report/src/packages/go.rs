//! What Go writes into its programs: the modules they are made of (Go: `debug/buildinfo`, `cmd/go: "go version -m"`).

use super::Inventory;
use crate::elf;
use crate::files::Files;

/// Smaller than any Go program.
const LEAST: u64 = 200 << 10;
/// The largest list of modules that is read, in bytes.
const MAX_LIST: u64 = 4 << 20;
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Go wraps the list in 16 bytes on either side.
const MARK: usize = 16;

/// Finds Go programs and the modules in them.
pub(super) fn find(files: &Files<'_>, found: &mut Inventory) {
    let programs: Vec<Vec<u8>> = files
        .regular()
        .filter(|(_, size, mode)| *size >= LEAST && mode & 0o111 != 0)
        .map(|(path, ..)| path.to_vec())
        .collect();
    for path in programs {
        let Ok(Some(mut content)) = files.content(&path) else { continue };
        let Ok(Some(section)) = elf::section(&mut *content, b".go.buildinfo", MAX_LIST) else { continue };
        if let Some(list) = modules(&section) {
            add(&list, &path, found);
        }
    }
}

/// Returns the list of modules in the section, of Go 1.18 or later: two strings with their lengths, the version and the
/// list.
fn modules(section: &[u8]) -> Option<String> {
    const INLINE: u8 = 2;
    let start = section.windows(MAGIC.len()).position(|window| window == MAGIC)?;
    let header = section.get(start..start + 32)?;
    if header[15] & INLINE == 0 {
        return None;
    }
    let (_, rest) = string(&section[start + 32..])?;
    let (list, _) = string(rest)?;
    let list = list.get(MARK..list.len().checked_sub(MARK)?)?;
    Some(String::from_utf8_lossy(list).into_owned())
}

/// Splits off a string with its length before it, a varint.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length: u64 = 0;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return bytes[at + 1..].split_at_checked(usize::try_from(length).ok()?);
        }
    }
    None
}

/// Lines are `mod PATH VERSION SUM` for the main module, `dep …` for others, `=> …` for what replaces the one before.
fn add(list: &str, program: &[u8], found: &mut Inventory) {
    let mut modules: Vec<(&str, &str, bool)> = Vec::new();
    for line in list.lines() {
        let mut words = line.split('\t');
        let (kind, name, version) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        match kind {
            "mod" | "dep" => modules.push((name, version, kind == "mod")),
            "=>" => {
                if let Some(last) = modules.last_mut() {
                    (last.0, last.1) = (name, version);
                }
            }
            _ => {}
        }
    }
    if !modules.iter().any(|(.., main)| *main) {
        modules
            .insert(0, (list.lines().find_map(|line| line.strip_prefix("path\t")).unwrap_or("go"), "", true));
    }
    for (name, version, main) in modules {
        let files = if main { vec![program.to_vec()] } else { Vec::new() };
        found.add("go", name, version, program, files);
    }
}
