//! Directory-relative file system calls: walks, openat2, xattrs, statx.
