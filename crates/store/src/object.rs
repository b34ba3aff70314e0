//! What the store holds, as names: leases and the journal are lists of these.

use std::fmt;
use std::str::FromStr;

use jettison_image::Digest;

use crate::LayerId;

/// The name of something in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Object {
    /// A blob.
    Blob(Digest),
    /// A layer.
    Layer(LayerId),
    /// A cache record, by kind and key.
    Record(String, Digest),
    /// An image, by the digest of its config.
    Image(Digest),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Blob(digest) => write!(f, "blob.{}", digest.hex()),
            Object::Layer(id) => write!(f, "layer.{id}"),
            Object::Record(kind, key) => write!(f, "record.{kind}.{}", key.hex()),
            Object::Image(config) => write!(f, "image.{}", config.hex()),
        }
    }
}

impl FromStr for Object {
    type Err = ();

    /// Reads what `Display` wrote; anything else is an error without words, as nobody typed it.
    fn from_str(text: &str) -> Result<Object, ()> {
        let digest = |hex| Digest::from_hex(hex).map_err(|_| ());
        match text.split_once('.').ok_or(())? {
            ("blob", hex) => Ok(Object::Blob(digest(hex)?)),
            ("layer", id) => Ok(Object::Layer(id.parse().map_err(|_| ())?)),
            ("image", hex) => Ok(Object::Image(digest(hex)?)),
            ("record", rest) => {
                let (kind, hex) = rest.split_once('.').ok_or(())?;
                Ok(Object::Record(kind.to_owned(), digest(hex)?))
            }
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        let digest = Digest::of(b"x");
        for object in [
            Object::Blob(digest),
            Object::Layer(LayerId::random()),
            Object::Layer(LayerId::chain(&digest)),
            Object::Record("run-1".to_owned(), digest),
            Object::Image(digest),
        ] {
            assert_eq!(object.to_string().parse(), Ok(object));
        }
        for bad in ["", "blob.", "blob.12", "layer.../x", "record.x", "tag.x"] {
            assert_eq!(bad.parse::<Object>(), Err(()), "{bad}");
        }
    }
}
