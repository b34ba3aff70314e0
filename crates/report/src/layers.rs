//! The layers of an image by the instructions that made them.

use jettison_image::{Config, Digest};

/// One entry of an image's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRow {
    /// When, RFC 3339, as the config has it.
    pub created: Option<String>,
    /// The instruction.
    pub created_by: String,
    /// What the tool that made it has to say.
    pub comment: String,
    /// The layer, if it made one: its number in the config, and its diff ID.
    pub layer: Option<(usize, Digest)>,
}

/// Joins history and layers, oldest first (OCI image spec, config.md: entries that are not `empty_layer` stand for the
/// layers in order). Layers that no entry tells of come last, without an instruction.
pub fn layer_rows(config: &Config) -> Vec<LayerRow> {
    let mut layers = config.rootfs.diff_ids.iter().copied().enumerate();
    let mut rows: Vec<LayerRow> = config
        .history
        .iter()
        .map(|entry| LayerRow {
            created: entry.created.clone(),
            created_by: entry.created_by.clone().unwrap_or_default(),
            comment: entry.comment.clone().unwrap_or_default(),
            layer: if entry.empty_layer { None } else { layers.next() },
        })
        .collect();
    rows.extend(layers.map(|layer| LayerRow {
        created: None,
        created_by: String::new(),
        comment: String::new(),
        layer: Some(layer),
    }));
    rows
}

#[cfg(test)]
mod tests {
    use jettison_image::{History, Platform};

    use super::*;

    #[test]
    fn layers_go_to_the_instructions_that_made_one() {
        let mut config = Config::scratch(&Platform::host());
        config.rootfs.diff_ids = ["a", "b", "c"].map(|text| Digest::of(text.as_bytes())).to_vec();
        let entry = |text: &str, empty_layer| History {
            created_by: Some(text.into()),
            empty_layer,
            ..History::default()
        };
        config.history = vec![entry("COPY", false), entry("CMD", true), entry("RUN", false)];
        let rows: Vec<_> =
            layer_rows(&config).into_iter().map(|row| (row.created_by, row.layer.map(|l| l.0))).collect();
        let expected = [("COPY", Some(0)), ("CMD", None), ("RUN", Some(1)), ("", Some(2))];
        assert_eq!(rows, expected.map(|(text, layer)| (text.to_owned(), layer)));
    }
}
