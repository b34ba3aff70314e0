//! The fixed block before each member.

use super::BLOCK;

/// One header block.
pub(crate) type Block = [u8; BLOCK];

/// Where a field lies: offset and length.
pub(crate) type Field = (usize, usize);

pub(crate) const NAME: Field = (0, 100);
pub(crate) const MODE: Field = (100, 8);
pub(crate) const UID: Field = (108, 8);
pub(crate) const GID: Field = (116, 8);
pub(crate) const SIZE: Field = (124, 12);
pub(crate) const MTIME: Field = (136, 12);
pub(crate) const CHECKSUM: Field = (148, 8);
pub(crate) const TYPE: usize = 156;
pub(crate) const LINK: Field = (157, 100);
pub(crate) const MAGIC: Field = (257, 8);
pub(crate) const DEVICE_MAJOR: Field = (329, 8);
pub(crate) const DEVICE_MINOR: Field = (337, 8);
pub(crate) const PREFIX: Field = (345, 155);

/// POSIX's magic and version.
pub(crate) const USTAR: &[u8] = b"ustar\x0000";
/// GNU tar's. Its last 167 bytes mean other things than POSIX's prefix.
pub(crate) const GNU: &[u8] = b"ustar  \0";

pub(crate) fn field(block: &Block, (start, length): Field) -> &[u8] {
    &block[start..start + length]
}

pub(crate) fn field_mut(block: &mut Block, (start, length): Field) -> &mut [u8] {
    &mut block[start..start + length]
}

/// Returns a text field up to its NUL.
pub(crate) fn text(block: &Block, at: Field) -> &[u8] {
    until_nul(field(block, at))
}

pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Returns whether a block is all zero: two of them end the archive.
pub(crate) fn is_zero(block: &[u8]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

/// Reads a number: octal text, or GNU's base-256 where the first bit is set. `None` where it is neither, or too large.
pub(crate) fn number(bytes: &[u8]) -> Option<i64> {
    match bytes.first() {
        Some(first) if first & 0x80 != 0 => base_256(bytes),
        _ => octal(bytes),
    }
}

fn octal(bytes: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let start = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
    let digits = bytes[start..].split(blank).next().unwrap_or_default();
    digits.iter().try_fold(0i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// Two's complement, big endian; the very first bit is the mark, the second the sign.
fn base_256(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.first()? & 0x40 != 0;
    let fill: u8 = if negative { 0xff } else { 0 };
    let mut value: i64 = if negative { -1 } else { 0 };
    for (i, byte) in bytes.iter().enumerate() {
        let byte = if i == 0 { byte & 0x7f | fill & 0x80 } else { *byte };
        value = value.checked_mul(256)?.checked_add(i64::from(byte))?;
    }
    Some(value)
}

/// Writes `value` as zero-padded octal with a NUL; false where it does not fit.
#[must_use]
pub(crate) fn put_octal(field: &mut [u8], value: i64) -> bool {
    let digits = field.len() - 1;
    let fits = value >= 0 && (digits >= 21 || value < 1 << (3 * digits));
    let mut rest = if fits { value } else { 0 };
    for byte in field[..digits].iter_mut().rev() {
        *byte = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
    field[digits] = 0;
    fits
}

/// Fills in the checksum, the last thing to do.
pub(crate) fn seal(block: &mut Block) {
    let (sum, _) = checksums(block);
    let at = field_mut(block, CHECKSUM);
    // Six digits always suffice: 512 × 255 < 8⁶.
    let fits = put_octal(&mut at[..7], sum);
    debug_assert!(fits);
    at[7] = b' ';
}

/// Returns whether the checksum is right, counted with unsigned bytes as POSIX says or with signed ones as old tars did.
pub(crate) fn is_sealed(block: &Block) -> bool {
    let (unsigned, signed) = checksums(block);
    octal(field(block, CHECKSUM)).is_some_and(|sum| sum == unsigned || sum == signed)
}

/// The checksum field itself counts as spaces.
fn checksums(block: &Block) -> (i64, i64) {
    let (start, length) = CHECKSUM;
    let mut sums = (0, 0);
    for (i, byte) in block.iter().enumerate() {
        let byte = if (start..start + length).contains(&i) { b' ' } else { *byte };
        sums.0 += i64::from(byte);
        sums.1 += i64::from(byte as i8);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let cases: [(&[u8], Option<i64>); 9] = [
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777777\0", Some(0o77777777777)),
            (b"0000648\0", None),
            (b"-000001\0", None),
            (b"\x80\0\0\0\x01\0\0\0", Some(1 << 24)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ];
        for (bytes, value) in cases {
            assert_eq!(number(bytes), value, "{bytes:?}");
        }
    }

    #[test]
    fn octal_fits_or_says_so() {
        let mut field = [1; 8];
        assert!(put_octal(&mut field, 0o7777777));
        assert_eq!(&field, b"7777777\0");
        assert!(!put_octal(&mut field, 0o10000000));
        assert!(!put_octal(&mut field, -1));
        assert_eq!(&field, b"0000000\0");
    }
}
