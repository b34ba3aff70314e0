//! Just enough of SQLite's file format (sqlite.org: "Database File Format") to read one table: `Packages`, whose second
//! column is a header.

use super::big;

/// Levels of a tree; the format's limits allow some twenty.
const MAX_DEPTH: usize = 24;
const LEAF: u8 = 0x0d;
const INTERIOR: u8 = 0x05;

/// Reads the headers of all packages.
pub(super) fn blobs(database: &[u8]) -> Option<Vec<Vec<u8>>> {
    if !database.starts_with(b"SQLite format 3\0") {
        return None;
    }
    let size = match u16::from_be_bytes([database[16], *database.get(17)?]) {
        1 => 65_536,
        size => usize::from(size),
    };
    let usable = size.checked_sub(usize::from(*database.get(20)?)).filter(|usable| *usable >= 480)?;
    let file = Database { bytes: database, size, usable };
    let schema = file.rows(1)?;
    let root = schema.iter().find_map(|row| {
        let columns = columns(row)?;
        let is_packages = columns.first()? == b"table" && columns.get(1)? == b"Packages";
        is_packages.then(|| columns.get(3).map(|root| integer(root)))?
    })?;
    let rows = file.rows(u32::try_from(root).ok()?)?;
    rows.iter().map(|row| columns(row)?.get(1).map(|header| header.to_vec())).collect()
}

struct Database<'a> {
    bytes: &'a [u8],
    size: usize,
    /// Of a page.
    usable: usize,
}

impl<'a> Database<'a> {
    fn page(&self, number: u32) -> Option<&'a [u8]> {
        let start = (number as usize).checked_sub(1)?.checked_mul(self.size)?;
        self.bytes.get(start..start.checked_add(self.size)?)
    }

    /// Returns the records of the table whose tree begins at page `root`.
    fn rows(&self, root: u32) -> Option<Vec<Vec<u8>>> {
        let mut rows = Vec::new();
        let mut left = self.bytes.len() / self.size + 1;
        self.walk(root, MAX_DEPTH, &mut left, &mut rows)?;
        Some(rows)
    }

    /// `left` counts pages down, so that a tree with a loop ends.
    fn walk(&self, number: u32, depth: usize, left: &mut usize, rows: &mut Vec<Vec<u8>>) -> Option<()> {
        *left = left.checked_sub(1)?;
        let page = self.page(number)?;
        // The first page begins with the header of the file.
        let start = if number == 1 { 100 } else { 0 };
        let cells = usize::from(half(page, start + 3)?);
        let (kind, pointers) = match page[start] {
            LEAF => (LEAF, start + 8),
            INTERIOR if depth > 0 => (INTERIOR, start + 12),
            _ => return None,
        };
        for cell in 0..cells {
            let cell = page.get(usize::from(half(page, pointers + 2 * cell)?)..)?;
            match kind {
                LEAF => rows.push(self.record(cell)?),
                _ => self.walk(big(cell, 0)?, depth - 1, left, rows)?,
            }
        }
        if kind == INTERIOR {
            self.walk(big(page, start + 8)?, depth - 1, left, rows)?;
        }
        Some(())
    }

    /// Puts a record together that may go on on other pages.
    fn record(&self, cell: &[u8]) -> Option<Vec<u8>> {
        let (length, rest) = varint(cell)?;
        let (_row, rest) = varint(rest)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= self.bytes.len())?;
        let most = self.usable - 35;
        if length <= most {
            return Some(rest.get(..length)?.to_vec());
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let fitting = least + (length - least) % (self.usable - 4);
        let local = if fitting <= most { fitting } else { least };
        let mut record = rest.get(..local)?.to_vec();
        let mut next = big(rest, local)?;
        while record.len() < length {
            let page = self.page(next)?;
            let take = (length - record.len()).min(self.usable - 4);
            record.extend_from_slice(page.get(4..4 + take)?);
            next = big(page, 0)?;
        }
        Some(record)
    }
}

/// Splits a record into its columns.
fn columns(record: &[u8]) -> Option<Vec<&[u8]>> {
    let (header, _) = varint(record)?;
    let mut types = record.get(record.len() - varint(record)?.1.len()..usize::try_from(header).ok()?)?;
    let mut content = record.get(usize::try_from(header).ok()?..)?;
    let mut columns = Vec::new();
    while !types.is_empty() {
        let (kind, rest) = varint(types)?;
        types = rest;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => (kind - 12) / 2,
        };
        let (column, rest) = content.split_at_checked(usize::try_from(length).ok()?)?;
        columns.push(column);
        content = rest;
    }
    Some(columns)
}

fn integer(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number: u64 = 0;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        if at == 8 {
            return Some((number << 8 | u64::from(*byte), &bytes[9..]));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
