//! Annotations: free text beside an image, by key. OCI image spec, annotations.md.

use std::collections::BTreeMap;

/// The annotations of one image, by where they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    /// In its manifest.
    pub manifest: BTreeMap<String, String>,
    /// In the descriptor of its manifest, where an index or a layout has one.
    pub manifest_descriptor: BTreeMap<String, String>,
    /// In the index over it, for all images of which the first one's count.
    pub index: BTreeMap<String, String>,
    /// In the descriptor of that index, likewise.
    pub index_descriptor: BTreeMap<String, String>,
}
