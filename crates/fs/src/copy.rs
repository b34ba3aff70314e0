//! Copying the content of files the cheapest way that works.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::io::Errno;

/// Bytes copied in one call where the kernel does it.
const CHUNK: usize = 1 << 30;

/// Bytes copied in one call where we do it.
const BUFFER: usize = 256 * 1024;

/// Copies `length` bytes from the start of `source`, freshly opened, to the empty file `target`: by sharing blocks, else in
/// the kernel, else by reading and writing. Returns the number of bytes copied, which is less where `source` is shorter
/// and may be more where it grew; the caller knows the paths and what a difference means.
pub fn copy_data(source: &File, target: &File, length: u64) -> io::Result<u64> {
    if length > 0 && rustix::fs::ioctl_ficlone(target, source).is_ok() {
        return Ok(target.metadata()?.len());
    }
    let done = copy_in_kernel(source, target, length)?;
    Ok(done + copy_by_hand(source, target, length - done)?)
}

/// Returns how far it came; zero where the kernel cannot copy between these files.
fn copy_in_kernel(source: &File, target: &File, length: u64) -> io::Result<u64> {
    let mut done = 0;
    while done < length {
        let chunk = usize::try_from(length - done).unwrap_or(CHUNK).min(CHUNK);
        match rustix::fs::copy_file_range(source, None, target, None, chunk) {
            // Some special file systems answer 0 for files that do have content.
            Ok(0) => break,
            Ok(copied) => done += copied as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM | Errno::IO)
                if done == 0 =>
            {
                break;
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(done)
}

fn copy_by_hand(mut source: &File, mut target: &File, length: u64) -> io::Result<u64> {
    if length == 0 {
        return Ok(0);
    }
    let mut buffer = vec![0; usize::try_from(length).unwrap_or(BUFFER).min(BUFFER)];
    let mut done = 0;
    while done < length {
        let wanted = usize::try_from(length - done).unwrap_or(BUFFER).min(buffer.len());
        let count = match source.read(&mut buffer[..wanted]) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        target.write_all(&buffer[..count])?;
        done += count as u64;
    }
    Ok(done)
}
