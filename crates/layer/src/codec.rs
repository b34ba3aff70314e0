//! The stored form of an index.
//!
//! `magic, version, count`, then the entries in order. Numbers are LEB128; a path is the number of leading bytes that
//! it shares with the one before, and the rest. Equal indexes have equal bytes.

use jettison_fs::Timestamp;
use jettison_image::Digest;

use crate::path::{MAX_PATH, compare_paths, is_normal};
use crate::{Entry, Index, Kind};

const MAGIC: &[u8] = b"jettison-index\n";
const VERSION: u64 = 1;

/// Bytes of the shortest entry: what bounds the number of entries by the length of the text.
const MIN_ENTRY: usize = 9;

const FOLLOWS: u8 = 0x80;
const FRESH: u8 = 0x40;
const OPAQUE: u8 = 0x20;
const DIGEST: u8 = 0x10;
const KIND: u8 = 0x0f;

/// Why stored bytes are not an index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It was written by a newer version of this program.
    #[error("layer index has format {0}, which is newer than this program (it knows {VERSION})")]
    Newer(u64),
    /// The bytes are something else, or damaged.
    #[error("not a layer index: {0}")]
    Malformed(&'static str),
}

impl Index {
    /// Writes the index in its stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put(&mut out, VERSION);
        put(&mut out, self.entries.len() as u64);
        let mut before: &[u8] = b"";
        for entry in &self.entries {
            let shared = before.iter().zip(&entry.path).take_while(|(a, b)| a == b).count();
            put(&mut out, shared as u64);
            put_bytes(&mut out, &entry.path[shared..]);
            put_entry(&mut out, entry);
            before = &entry.path;
        }
        out
    }

    /// Reads the stored form. Whatever the bytes are, this ends soon, allocates in proportion and never panics.
    pub fn decode(bytes: &[u8]) -> Result<Index, DecodeError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(DecodeError::Malformed("it starts otherwise"))?;
        let mut input = Input(rest);
        match input.number()? {
            VERSION => {}
            newer if newer > VERSION => return Err(DecodeError::Newer(newer)),
            _ => return Err(DecodeError::Malformed("it has format 0")),
        }
        let count = input.number()?;
        if count > (rest.len() / MIN_ENTRY) as u64 {
            return Err(DecodeError::Malformed("it is too short for its number of entries"));
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let path = input.path(entries.last().map_or(b"", |entry| entry.path.as_slice()))?;
            if entries.last().is_some_and(|last| compare_paths(&last.path, &path).is_ge()) {
                return Err(DecodeError::Malformed("its paths are out of order"));
            }
            entries.push(input.entry(path)?);
        }
        if !input.0.is_empty() {
            return Err(DecodeError::Malformed("something follows its end"));
        }
        Ok(Index { entries })
    }
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    let tag = match &entry.kind {
        Kind::Directory { opaque } => 1 | if *opaque { OPAQUE } else { 0 },
        Kind::File { digest, .. } => 2 | if digest.is_some() { DIGEST } else { 0 },
        Kind::Hardlink { .. } => 3,
        Kind::Symlink { .. } => 4,
        Kind::CharacterDevice { .. } => 5,
        Kind::BlockDevice { .. } => 6,
        Kind::Fifo => 7,
        Kind::Whiteout => 8,
    };
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(tag | flag(entry.fresh, FRESH) | flag(entry.follows, FOLLOWS));
    match &entry.kind {
        Kind::File { size, digest } => {
            put(out, *size);
            out.extend(digest.iter().flat_map(Digest::as_bytes));
        }
        Kind::Hardlink { target } | Kind::Symlink { target } => put_bytes(out, target),
        Kind::CharacterDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            put(out, u64::from(*major));
            put(out, u64::from(*minor));
        }
        Kind::Directory { .. } | Kind::Fifo | Kind::Whiteout => {}
    }
    put(out, u64::from(entry.mode));
    put(out, u64::from(entry.uid));
    put(out, u64::from(entry.gid));
    // Zigzag: small negative numbers stay short.
    put(out, (entry.mtime.seconds << 1 ^ entry.mtime.seconds >> 63) as u64);
    put(out, u64::from(entry.mtime.nanoseconds));
    put(out, entry.xattrs.len() as u64);
    for (name, value) in &entry.xattrs {
        put_bytes(out, name);
        put_bytes(out, value);
    }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What is left to decode.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Result<u8, DecodeError> {
        let (byte, rest) = self.0.split_first().ok_or(DecodeError::Malformed("it breaks off"))?;
        self.0 = rest;
        Ok(*byte)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(length).ok().filter(|length| *length <= self.0.len());
        let (taken, rest) = self.0.split_at(length.ok_or(DecodeError::Malformed("it breaks off"))?);
        self.0 = rest;
        Ok(taken)
    }

    fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.number()?;
        self.take(length)
    }

    fn number(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // One form for each number: no bits beyond 64, no zero byte at the end.
            if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(DecodeError::Malformed("it has a number in an unknown form"))
    }

    fn small(&mut self, limit: u32) -> Result<u32, DecodeError> {
        let number = u32::try_from(self.number()?).ok().filter(|number| *number <= limit);
        number.ok_or(DecodeError::Malformed("it has a number out of range"))
    }

    fn path(&mut self, before: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let shared = usize::try_from(self.number()?).ok().and_then(|shared| before.get(..shared));
        let shared = shared.ok_or(DecodeError::Malformed("a path shares more than there is"))?;
        let path = [shared, self.bytes()?].concat();
        if path.len() > MAX_PATH || !is_normal(&path) {
            return Err(DecodeError::Malformed("it has an impossible path"));
        }
        // One form for each path: what could be shared is.
        if before.get(shared.len()).is_some_and(|byte| path.get(shared.len()) == Some(byte)) {
            return Err(DecodeError::Malformed("a path shares less than there is"));
        }
        Ok(path)
    }

    fn entry(&mut self, path: Vec<u8>) -> Result<Entry, DecodeError> {
        let tag = self.byte()?;
        let kind = self.kind(tag)?;
        let (fresh, follows) = (tag & FRESH != 0, tag & FOLLOWS != 0);
        let (mode, uid, gid) = (self.small(0o7777)?, self.small(u32::MAX)?, self.small(u32::MAX)?);
        let zigzag = self.number()?;
        let seconds = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        let mtime = Timestamp { seconds, nanoseconds: self.small(999_999_999)? };
        let mut xattrs = Vec::new();
        for _ in 0..self.number()? {
            let pair = (self.bytes()?.to_vec(), self.bytes()?.to_vec());
            if xattrs.last().is_some_and(|(name, _)| *name >= pair.0) {
                return Err(DecodeError::Malformed("its attributes are out of order"));
            }
            xattrs.push(pair);
        }
        Ok(Entry { path, kind, mode, uid, gid, mtime, fresh, follows, xattrs })
    }

    fn kind(&mut self, tag: u8) -> Result<Kind, DecodeError> {
        let allowed = match tag & KIND {
            1 => OPAQUE,
            2 => DIGEST | FOLLOWS,
            _ => 0,
        };
        if tag & !(KIND | FRESH | allowed) != 0 {
            return Err(DecodeError::Malformed("it has an entry of an unknown kind"));
        }
        Ok(match tag & KIND {
            1 => Kind::Directory { opaque: tag & OPAQUE != 0 },
            2 => Kind::File { size: self.number()?, digest: self.digest(tag & DIGEST != 0)? },
            3 => Kind::Hardlink { target: self.target()? },
            4 => Kind::Symlink { target: self.bytes()?.to_vec() },
            5 => Kind::CharacterDevice { major: self.small(u32::MAX)?, minor: self.small(u32::MAX)? },
            6 => Kind::BlockDevice { major: self.small(u32::MAX)?, minor: self.small(u32::MAX)? },
            7 => Kind::Fifo,
            8 => Kind::Whiteout,
            _ => return Err(DecodeError::Malformed("it has an entry of an unknown kind")),
        })
    }

    fn target(&mut self) -> Result<Vec<u8>, DecodeError> {
        let target = self.bytes()?;
        match is_normal(target) {
            true => Ok(target.to_vec()),
            false => Err(DecodeError::Malformed("it has an impossible path")),
        }
    }

    fn digest(&mut self, present: bool) -> Result<Option<Digest>, DecodeError> {
        if !present {
            return Ok(None);
        }
        let bytes = self.take(32)?.try_into().map_err(|_| DecodeError::Malformed("it breaks off"))?;
        Ok(Some(Digest::from_bytes(bytes)))
    }
}
