//! Java archives: Maven's `pom.properties`, else the manifest (JAR File Specification; zip: APPNOTE 4.3).

use std::io::{Read, SeekFrom};

use super::Inventory;
use crate::elf::Content;
use crate::files::Files;

/// The largest central directory that is read, in bytes.
const MAX_DIRECTORY: u64 = 16 << 20;
/// The largest manifest that is read, in bytes.
const MAX_TEXT: u64 = 1 << 20;

/// Finds Java archives and, by their names, those within them.
pub(super) fn find(files: &Files<'_>, found: &mut Inventory) {
    let archive = |path: &[u8]| [&b".jar"[..], b".war", b".ear"].iter().any(|end| path.ends_with(end));
    let paths: Vec<Vec<u8>> =
        files.regular().map(|(path, ..)| path.to_vec()).filter(|path| archive(path)).collect();
    for path in paths {
        let Ok(Some(mut content)) = files.content(&path) else { continue };
        let Some(members) = directory(&mut *content) else {
            found.note("not a readable archive", &path);
            continue;
        };
        let (name, version) = describe(&mut *content, &members).unwrap_or_else(|| from_name(&path));
        found.add("java", &name, &version, &path, vec![path.clone()]);
        for member in members.iter().filter(|member| archive(&member.name)) {
            let (name, version) = from_name(&member.name);
            found.add("java", &name, &version, &path, Vec::new());
        }
    }
}

/// A file in an archive.
struct Member {
    name: Vec<u8>,
    deflated: bool,
    compressed: u64,
    offset: u64,
}

/// Reads the list at the end of the archive.
fn directory(content: &mut dyn Content) -> Option<Vec<Member>> {
    const END: usize = 22;
    const LONGEST_COMMENT: u64 = 65_535;
    let length = content.seek(SeekFrom::End(0)).ok()?;
    let tail_start = length.saturating_sub(LONGEST_COMMENT + END as u64);
    let tail = read(content, tail_start, length - tail_start)?;
    let at = (0..=tail.len().checked_sub(END)?).rev().find(|at| tail[*at..].starts_with(b"PK\x05\x06"))?;
    let (size, offset) = (number(&tail, at + 12, 4)?, number(&tail, at + 16, 4)?);
    if size > MAX_DIRECTORY {
        return None;
    }
    let list = read(content, offset, size)?;
    let mut members = Vec::new();
    let mut at = 0;
    while list.get(at..)?.starts_with(b"PK\x01\x02") {
        let lengths = [28, 30, 32].map(|field| number(&list, at + field, 2));
        let [name, extra, comment] = [lengths[0]? as usize, lengths[1]? as usize, lengths[2]? as usize];
        members.push(Member {
            name: list.get(at + 46..at + 46 + name)?.to_vec(),
            deflated: number(&list, at + 10, 2)? == 8,
            compressed: number(&list, at + 20, 4)?,
            offset: number(&list, at + 42, 4)?,
        });
        at += 46 + name + extra + comment;
    }
    Some(members)
}

fn describe(content: &mut dyn Content, members: &[Member]) -> Option<(String, String)> {
    let mut poms = members
        .iter()
        .filter(|m| m.name.starts_with(b"META-INF/maven/") && m.name.ends_with(b"/pom.properties"));
    // More than one: other archives were merged into this one, and none speaks for it.
    if let (Some(pom), None) = (poms.next(), poms.next()) {
        let text = text(content, pom)?;
        let value = |key: &str| {
            let mut values = text.lines().filter_map(|line| line.split_once('='));
            values.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().to_owned())
        };
        return Some((format!("{}:{}", value("groupId")?, value("artifactId")?), value("version")?));
    }
    let manifest = text(content, members.iter().find(|member| member.name == b"META-INF/MANIFEST.MF")?)?;
    let value = |keys: [&str; 3]| keys.iter().find_map(|key| super::field(&manifest, key)).map(str::to_owned);
    let name = value(["Bundle-SymbolicName", "Automatic-Module-Name", "Implementation-Title"])?;
    let version =
        value(["Implementation-Version", "Bundle-Version", "Specification-Version"]).unwrap_or_default();
    Some((name.split(';').next().unwrap_or_default().to_owned(), version))
}

fn text(content: &mut dyn Content, member: &Member) -> Option<String> {
    let header = read(content, member.offset, 30)?;
    let skip = 30 + number(&header, 26, 2)? + number(&header, 28, 2)?;
    let bytes = read(content, member.offset.checked_add(skip)?, member.compressed.min(MAX_TEXT))?;
    if !member.deflated {
        return Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    let mut text = Vec::new();
    flate2::read::DeflateDecoder::new(&bytes[..]).take(MAX_TEXT).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// `lib/guava-33.0.jar` is `guava` in version `33.0`.
fn from_name(path: &[u8]) -> (String, String) {
    let name = String::from_utf8_lossy(jettison_layer::file_name(path)).into_owned();
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    let dash =
        stem.match_indices('-').find(|(at, _)| stem[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    match dash {
        Some((at, _)) => (stem[..at].to_owned(), stem[at + 1..].to_owned()),
        None => (stem.to_owned(), String::new()),
    }
}

fn read(content: &mut dyn Content, offset: u64, length: u64) -> Option<Vec<u8>> {
    content.seek(SeekFrom::Start(offset)).ok()?;
    let mut bytes = Vec::new();
    content.take(length).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == length).then_some(bytes)
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
