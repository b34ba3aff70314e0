//! Extended attributes of a name in a directory, symbolic links not followed.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::{Dir, Result};

/// Bytes of an attribute's value that are tried before asking for its size.
const USUAL_SIZE: usize = 256;

/// The path that leads to `name` in `fd`. Before Linux 6.13 no xattr call takes a directory and a name.
pub(crate) fn proc_path(fd: &impl AsFd, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()).into_bytes();
    if !name.is_empty() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

impl Dir {
    /// Returns the extended attributes of `name` with their values, sorted; none where the file system has none.
    pub fn xattrs(&self, name: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut attributes = Vec::new();
        for attribute in self.xattr_names(name)? {
            if let Some(value) = self.xattr(name, &attribute)? {
                attributes.push((attribute, value));
            }
        }
        Ok(attributes)
    }

    /// Returns the names of the extended attributes of `name`, sorted; none where the file system has none.
    pub fn xattr_names(&self, name: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.check_name("list the extended attributes of", name)?;
        let path = proc_path(self, name);
        let list = match read_growing(|buffer| rustix::fs::llistxattr(&path, buffer)) {
            Ok(list) => list,
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(errno) => return Err(self.error("list the extended attributes of", name, errno)),
        };
        let mut names: Vec<Vec<u8>> =
            list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Returns the value of extended attribute `attribute` of `name`, or `None` where it has none.
    pub fn xattr(&self, name: &[u8], attribute: &[u8]) -> Result<Option<Vec<u8>>> {
        self.check_name("read an extended attribute of", name)?;
        let path = proc_path(self, name);
        match read_growing(|buffer| rustix::fs::lgetxattr(&path, attribute, buffer)) {
            Ok(value) => Ok(Some(value)),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(self.error("read an extended attribute of", name, errno)),
        }
    }

    /// Sets extended attribute `attribute` of `name`.
    pub fn set_xattr(&self, name: &[u8], attribute: &[u8], value: &[u8]) -> Result<()> {
        self.check_name("set an extended attribute of", name)?;
        rustix::fs::lsetxattr(proc_path(self, name), attribute, value, XattrFlags::empty())
            .map_err(|errno| self.error("set an extended attribute of", name, errno))
    }

    /// Removes extended attribute `attribute` of `name`; it must have it (`ENODATA`).
    pub fn remove_xattr(&self, name: &[u8], attribute: &[u8]) -> Result<()> {
        self.check_name("remove an extended attribute of", name)?;
        rustix::fs::lremovexattr(proc_path(self, name), attribute)
            .map_err(|errno| self.error("remove an extended attribute of", name, errno))
    }
}

/// Calls `read` with a buffer that grows until the result fits.
fn read_growing(mut read: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0; USUAL_SIZE];
    loop {
        match read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) => {
                let needed = read(&mut [])?;
                buffer.resize(needed.max(buffer.len() * 2), 0);
            }
            Err(errno) => return Err(errno),
        }
    }
}
