//! What several tests need: entries, tars made by hand, trees on disk.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use jettison_fs::Dir;
use jettison_layer::{
    Content, Entry, Index, Kind, NoSink, Ownership, Timestamp, Tree, TreeContent, read_layer,
};

/// Far in the future: nothing is fresh.
pub const NEVER: Timestamp = Timestamp { seconds: 1 << 40, nanoseconds: 0 };

/// Whether owners can be set; without, everything is ours.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether files can have owners: as root with all ids, not with one id only.
pub fn has_ids() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let count: u64 = map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum();
    is_root() && count > 60_000
}

pub fn ownership() -> Ownership {
    if has_ids() { Ownership::Native } else { Ownership::Squashed }
}

/// An owner that files of these tests can have.
pub fn some_id(number: u32) -> u32 {
    if has_ids() { number } else { 0 }
}

pub fn open(path: &Path) -> Dir {
    Dir::open(path).unwrap()
}

pub fn at(path: &str, kind: Kind, mode: u32) -> Entry {
    let mtime = Timestamp { seconds: 1_600_000_000, nanoseconds: 0 };
    Entry { mode, mtime, uid: some_id(0), gid: some_id(0), ..Entry::new(path.as_bytes(), kind) }
}

pub fn dir(path: &str) -> Entry {
    at(path, Kind::Directory { opaque: false }, 0o755)
}

pub fn opaque(path: &str) -> Entry {
    at(path, Kind::Directory { opaque: true }, 0o755)
}

pub fn file(path: &str, size: u64) -> Entry {
    at(path, Kind::File { size, digest: None }, 0o644)
}

pub fn symlink(path: &str, target: &str) -> Entry {
    at(path, Kind::Symlink { target: target.into() }, 0o777)
}

pub fn hardlink(path: &str, target: &str) -> Entry {
    at(path, Kind::Hardlink { target: target.into() }, 0o644)
}

pub fn whiteout(path: &str) -> Entry {
    Entry::whiteout(path.as_bytes())
}

pub fn index(entries: impl IntoIterator<Item = Entry>) -> Index {
    Index::from_entries(entries.into_iter().collect())
}

pub fn tree(layers: impl IntoIterator<Item = Index>) -> Tree {
    Tree::new(layers.into_iter().map(Arc::new))
}

/// One line an entry, for comparing by eye: `d 755 0:0 path`.
pub fn lines(index: &Index) -> Vec<String> {
    index.entries.iter().map(line).collect()
}

pub fn line(entry: &Entry) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (tag, detail) = match &entry.kind {
        Kind::Directory { opaque: false } => ("d", String::new()),
        Kind::Directory { opaque: true } => ("o", String::new()),
        Kind::File { size, .. } => ("f", format!(" {size}")),
        Kind::Hardlink { target } => ("h", format!(" -> {}", text(target))),
        Kind::Symlink { target } => ("l", format!(" -> {}", text(target))),
        Kind::CharacterDevice { major, minor } => ("c", format!(" {major},{minor}")),
        Kind::BlockDevice { major, minor } => ("b", format!(" {major},{minor}")),
        Kind::Fifo => ("p", String::new()),
        Kind::Whiteout => return format!("w {}", text(&entry.path)),
    };
    format!("{tag} {:o} /{}{detail}", entry.mode, text(&entry.path))
}

/// Content by path.
#[derive(Default, Clone)]
pub struct MapContent(pub HashMap<Vec<u8>, Vec<u8>>);

impl MapContent {
    pub fn new(files: &[(&str, &str)]) -> MapContent {
        MapContent(
            files.iter().map(|(path, text)| (path.as_bytes().to_vec(), text.as_bytes().to_vec())).collect(),
        )
    }
}

impl Content for MapContent {
    fn open(&self, entry: &Entry) -> io::Result<Box<dyn Read + Send + '_>> {
        let bytes = self.0.get(&entry.path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(bytes.as_slice()))
    }
}

/// A tar made header by header, right or wrong.
#[derive(Default, Clone)]
pub struct RawTar(pub Vec<u8>);

pub struct RawMember<'a> {
    pub name: &'a [u8],
    pub flag: u8,
    pub link: &'a [u8],
    pub mode: u32,
    pub uid: u32,
    pub mtime: u64,
    pub device: (u32, u32),
    pub data: &'a [u8],
}

impl Default for RawMember<'_> {
    fn default() -> Self {
        RawMember {
            name: b"",
            flag: b'0',
            link: b"",
            mode: 0o644,
            uid: 0,
            mtime: 1_600_000_000,
            device: (0, 0),
            data: b"",
        }
    }
}

impl RawTar {
    pub fn member(mut self, member: &RawMember<'_>) -> RawTar {
        let mut block = [0u8; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &member.name[..member.name.len().min(100)]);
        put(100, format!("{:07o}", member.mode).as_bytes());
        put(108, format!("{:07o}", member.uid).as_bytes());
        put(116, b"0000000");
        put(124, format!("{:011o}", member.data.len()).as_bytes());
        put(136, format!("{:011o}", member.mtime).as_bytes());
        put(148, b"        ");
        put(156, &[member.flag]);
        put(157, &member.link[..member.link.len().min(100)]);
        put(257, b"ustar\x0000");
        put(329, format!("{:07o}", member.device.0).as_bytes());
        put(337, format!("{:07o}", member.device.1).as_bytes());
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self.0.extend_from_slice(member.data);
        let padding = member.data.len().wrapping_neg() % 512;
        self.0.extend(std::iter::repeat_n(0, padding));
        self
    }

    pub fn file(self, name: &str, data: &str) -> RawTar {
        self.member(&RawMember { name: name.as_bytes(), data: data.as_bytes(), ..RawMember::default() })
    }

    pub fn dir(self, name: &str) -> RawTar {
        self.member(&RawMember { name: name.as_bytes(), flag: b'5', mode: 0o755, ..RawMember::default() })
    }

    pub fn link(self, flag: u8, name: &str, link: &str) -> RawTar {
        self.member(&RawMember { name: name.as_bytes(), flag, link: link.as_bytes(), ..RawMember::default() })
    }

    pub fn pax(self, records: &[(&str, &[u8])]) -> RawTar {
        let mut text = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length =
                (1..).map(|digits| rest + digits).find(|l| l.to_string().len() + rest == *l).unwrap();
            text.extend_from_slice(format!("{length} {key}=").as_bytes());
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        self.member(&RawMember { name: b"pax", flag: b'x', data: &text, ..RawMember::default() })
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }

    pub fn list(self) -> Result<jettison_layer::Listing, jettison_layer::Error> {
        read_layer(&mut self.end().as_slice(), &mut NoSink)
    }
}

/// Runs a shell script; its working directory is `$1`.
pub fn shell(directory: &Path, script: &str) -> String {
    let output = Command::new("sh").arg("-ec").arg(script).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a script in an overlay of `lower` (lowest first) and `upper`, in a mount namespace of its own.
pub fn in_overlay(lower: &[&Path], upper: &Path, script: &str) -> String {
    let base = tempfile::tempdir_in(upper.parent().unwrap()).unwrap();
    let (work, merged) = (base.path().join("work"), base.path().join("merged"));
    std::fs::create_dir(&work).unwrap();
    std::fs::create_dir(&merged).unwrap();
    let lower: Vec<String> = lower.iter().rev().map(|path| path.display().to_string()).collect();
    let mount = format!(
        "mount -t overlay overlay -o userxattr,lowerdir={},upperdir={},workdir={} {merged}\ncd {merged}\n{script}",
        lower.join(":"),
        upper.display(),
        work.display(),
        merged = merged.display(),
    );
    let flags = if is_root() { "-m" } else { "-Urm" };
    let output = Command::new("unshare").args([flags, "sh", "-ec", &mount]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn tree_content(layers: Vec<Arc<dyn Content>>) -> TreeContent {
    TreeContent::new(layers)
}
