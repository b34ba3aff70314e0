//! Names in layer tars: how they become paths, and those that mean deletions.
//!
//! OCI image spec, layer.md, "Representing Changes".

use crate::Error;
use crate::path::{MAX_PATH, file_name, parent};

/// Marks a path of lower layers as deleted: `.wh.` before its name.
pub(crate) const WHITEOUT: &[u8] = b".wh.";

/// Marks a directory that hides what lower layers have in it.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";

/// Names that AUFS made for itself; docker skips them.
const AUFS: &[u8] = b".wh..wh.";

/// Attributes by which overlayfs steers itself; from a layer they would steer ours.
pub(crate) const OVERLAY_XATTRS: [&[u8]; 2] = [b"user.overlay.", b"trusted.overlay."];

/// What a name in a layer stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A path of the layer.
    Path(Vec<u8>),
    /// This path is deleted.
    Whiteout(Vec<u8>),
    /// What is below this directory is hidden.
    Opaque(Vec<u8>),
    /// Nothing.
    Ignored,
}

/// Cleans a name as Go's `filepath.Clean` does, without the leading slash. One that leads out is refused, as docker
/// does.
pub(crate) fn clean(name: &[u8]) -> Result<Vec<u8>, Error> {
    let mut path: Vec<u8> = Vec::with_capacity(name.len());
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if path.is_empty() && name.starts_with(b"/") => {}
            b".." if path.is_empty() => return Err(Error::entry(name, "leads out of the layer")),
            b".." => path.truncate(parent(&path).unwrap_or_default().len()),
            _ if component.contains(&0) => return Err(Error::entry(name, "has a zero byte in its name")),
            component => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(component);
            }
        }
    }
    if path.len() > MAX_PATH {
        return Err(Error::entry(&path[..80], format!("… has a path longer than {MAX_PATH} bytes")));
    }
    Ok(path)
}

/// Tells what a cleaned path means in a layer.
pub(crate) fn meaning(path: Vec<u8>) -> Result<Meaning, Error> {
    let name = file_name(&path);
    let directory = parent(&path).unwrap_or_default();
    if name == OPAQUE {
        return Ok(Meaning::Opaque(directory.to_vec()));
    }
    if name.starts_with(AUFS) || path.starts_with(AUFS) {
        return Ok(Meaning::Ignored);
    }
    if directory.split(|byte| *byte == b'/').any(|component| component.starts_with(WHITEOUT)) {
        return Err(Error::entry(&path, "is below a whiteout"));
    }
    match name.strip_prefix(WHITEOUT) {
        None => Ok(Meaning::Path(path)),
        Some(b"" | b"." | b"..") => Err(Error::entry(&path, "is a whiteout of nothing")),
        Some(hidden) => Ok(Meaning::Whiteout(crate::path::join(directory, hidden))),
    }
}

/// Returns the name in a tar that deletes `path`.
pub(crate) fn whiteout_name(path: &[u8]) -> Vec<u8> {
    let hidden = [WHITEOUT, file_name(path)].concat();
    crate::path::join(parent(path).unwrap_or_default(), &hidden)
}

/// Returns whether an attribute is one by which overlayfs steers itself.
pub(crate) fn is_overlay_xattr(name: &[u8]) -> bool {
    OVERLAY_XATTRS.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_as_docker_does() {
        let cases: [(&str, Option<&str>); 12] = [
            ("a/b", Some("a/b")),
            ("./a//b/", Some("a/b")),
            ("/a", Some("a")),
            ("./", Some("")),
            ("", Some("")),
            ("a/../b", Some("b")),
            ("a/b/../../c", Some("c")),
            ("/../a", Some("a")),
            ("..", None),
            ("../a", None),
            ("a/../../b", None),
            ("..a/b..", Some("..a/b..")),
        ];
        for (name, path) in cases {
            assert_eq!(clean(name.as_bytes()).ok(), path.map(|path| path.as_bytes().to_vec()), "{name}");
        }
        assert!(clean(&[b'a'; MAX_PATH + 1]).is_err());
    }

    #[test]
    fn names_have_meanings() {
        let of = |path: &str| meaning(path.as_bytes().to_vec());
        assert_eq!(of("a/.wh.b").unwrap(), Meaning::Whiteout(b"a/b".to_vec()));
        assert_eq!(of(".wh.b").unwrap(), Meaning::Whiteout(b"b".to_vec()));
        assert_eq!(of("a/.wh..wh..opq").unwrap(), Meaning::Opaque(b"a".to_vec()));
        assert_eq!(of(".wh..wh..opq").unwrap(), Meaning::Opaque(b"".to_vec()));
        assert_eq!(of(".wh..wh.plnk/1").unwrap(), Meaning::Ignored);
        assert_eq!(of("a/.wh..wh.aufs").unwrap(), Meaning::Ignored);
        assert!(
            of("a/.wh.").is_err()
                && of("a/.wh...").is_err()
                && of("a/.wh..").is_err()
                && of(".wh.a/b").is_err()
        );
        assert_eq!(whiteout_name(b"a/b"), b"a/.wh.b");
        assert_eq!(whiteout_name(b"b"), b".wh.b");
    }
}
