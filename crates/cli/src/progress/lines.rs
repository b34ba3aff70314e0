//! Cuts a stream of output into lines.

/// The longest line that is held in memory; a longer one is shown in pieces.
const MAX_LINE: usize = 64 << 10;

/// Collects the pieces of one stream until a line is whole.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Adds `bytes` and returns the lines that are whole now, without their newlines.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut whole = Vec::new();
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|b| *b == b'\n') {
            self.partial.extend_from_slice(&rest[..at]);
            whole.push(std::mem::take(&mut self.partial));
            rest = &rest[at + 1..];
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() > MAX_LINE {
            whole.push(std::mem::take(&mut self.partial));
        }
        whole
    }

    /// Returns what is left without a newline.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        (!self.partial.is_empty()).then(|| std::mem::take(&mut self.partial))
    }

    /// Returns the line so far.
    pub fn partial(&self) -> &[u8] {
        &self.partial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        for pieces in
            [vec!["one\ntwo\nrest"], vec!["on", "e\ntw", "o\n", "rest"], vec!["one", "\n", "two\nre", "st"]]
        {
            let mut lines = Lines::default();
            let whole: Vec<Vec<u8>> = pieces.iter().flat_map(|piece| lines.push(piece.as_bytes())).collect();
            assert_eq!(whole, [b"one".to_vec(), b"two".to_vec()]);
            assert_eq!(lines.finish(), Some(b"rest".to_vec()));
            assert_eq!(lines.finish(), None);
        }
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            lines.push(&[b'x'; 4096]);
            assert!(lines.partial().len() <= MAX_LINE);
        }
    }
}
