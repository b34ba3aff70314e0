//! Files with holes: how GNU tar stores them, in all four of its ways.

use std::io::{self, Read};

use super::{BLOCK, header, pax};

/// A piece of a file's content, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Stored in the archive.
    Data(u64),
    /// Zeros that are not stored.
    Hole(u64),
}

/// Pieces of data that one file may have.
const MAX_REGIONS: usize = 1 << 20;

/// The length that a file with holes may have: a few bytes of archive must not become an endless file.
const MAX_SIZE: u64 = 1 << 36;

/// Offset and length of a piece of data.
pub(crate) type Region = (u64, u64);

/// Turns `regions` of a file of `size` bytes into segments; `None` where they overlap, exceed the file, or are not
/// `stored` bytes in all.
pub(crate) fn segments(regions: &[Region], size: u64, stored: u64) -> Option<Vec<Segment>> {
    if regions.len() > MAX_REGIONS || size > MAX_SIZE {
        return None;
    }
    let mut segments = Vec::new();
    let (mut position, mut data) = (0u64, 0u64);
    for (offset, length) in regions {
        let hole = offset.checked_sub(position)?;
        if hole > 0 {
            segments.push(Segment::Hole(hole));
        }
        if *length > 0 {
            segments.push(Segment::Data(*length));
        }
        position = offset.checked_add(*length)?;
        data += length;
    }
    let rest = size.checked_sub(position)?;
    if rest > 0 {
        segments.push(Segment::Hole(rest));
    }
    (data == stored).then_some(segments)
}

/// Reads the old GNU form: regions in the header (type `S`) and in blocks behind it. Returns the regions and the file's
/// length.
pub(crate) fn old_gnu(
    block: &header::Block,
    mut next_block: impl FnMut() -> io::Result<header::Block>,
) -> io::Result<Option<(Vec<Region>, u64)>> {
    let Some(size) = number(&block[483..495]) else { return Ok(None) };
    let mut regions = Vec::new();
    let mut more = add_pairs(&mut regions, &block[386..482]).then_some(block[482] != 0);
    while more == Some(true) {
        let extension = next_block()?;
        more = add_pairs(&mut regions, &extension[..504]).then_some(extension[504] != 0);
    }
    Ok(more.map(|_| (regions, size)))
}

/// Adds pairs of 12-byte numbers up to the first empty one; false where they are wrong or too many.
fn add_pairs(regions: &mut Vec<Region>, pairs: &[u8]) -> bool {
    for pair in pairs.chunks_exact(24).take_while(|pair| pair[0] != 0) {
        match (number(&pair[..12]), number(&pair[12..])) {
            (Some(offset), Some(length)) if regions.len() < MAX_REGIONS => regions.push((offset, length)),
            _ => return false,
        }
    }
    true
}

fn number(field: &[u8]) -> Option<u64> {
    u64::try_from(header::number(field)?).ok()
}

/// Reads PAX form 0.1, `offset,length,offset,length…`.
pub(crate) fn pax_0_1(map: &[u8]) -> Option<Vec<Region>> {
    let numbers: Option<Vec<u64>> = map.split(|byte| *byte == b',').map(pax::decimal).collect();
    let numbers = numbers.filter(|numbers| numbers.len() % 2 == 0)?;
    Some(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

/// Reads PAX form 1.0 from the start of the content: the number of regions and their pairs, one number a line, filled
/// up to whole blocks. Returns the regions and the bytes read; `None` where it has another form.
pub(crate) fn pax_1_0(data: &mut impl Read) -> io::Result<Option<(Vec<Region>, u64)>> {
    let mut lines = Lines { data, block: [0; BLOCK], position: BLOCK, read: 0 };
    let Some(count) = lines.number()?.filter(|count| *count <= MAX_REGIONS as u64) else { return Ok(None) };
    let mut regions = Vec::new();
    for _ in 0..count {
        match (lines.number()?, lines.number()?) {
            (Some(offset), Some(length)) => regions.push((offset, length)),
            _ => return Ok(None),
        }
    }
    Ok(Some((regions, lines.read)))
}

struct Lines<'a, R> {
    data: &'a mut R,
    block: header::Block,
    position: usize,
    read: u64,
}

impl<R: Read> Lines<'_, R> {
    fn number(&mut self) -> io::Result<Option<u64>> {
        /// Digits of the largest number.
        const MAX_DIGITS: usize = 20;
        let mut line = Vec::new();
        while line.len() <= MAX_DIGITS {
            if self.position == BLOCK {
                self.data.read_exact(&mut self.block)?;
                self.position = 0;
                self.read += BLOCK as u64;
            }
            let byte = self.block[self.position];
            self.position += 1;
            if byte == b'\n' {
                return Ok(pax::decimal(&line));
            }
            line.push(byte);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_become_segments() {
        use Segment::{Data, Hole};
        assert_eq!(segments(&[(0, 2), (4, 1)], 9, 3), Some(vec![Data(2), Hole(2), Data(1), Hole(4)]));
        assert_eq!(segments(&[(5, 0)], 5, 0), Some(vec![Hole(5)]));
        for (regions, size, stored) in
            [(&[(0, 2), (1, 1)][..], 9, 3), (&[(0, 9)], 8, 9), (&[(0, 2)], 9, 3), (&[(u64::MAX, 2)], 9, 2)]
        {
            assert_eq!(segments(regions, size, stored), None, "{regions:?}");
        }
        assert_eq!(segments(&[], MAX_SIZE + 1, 0), None);
    }
}
