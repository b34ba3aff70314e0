//! What an error shows of a command's output.

use std::collections::VecDeque;

/// How many of a command's last lines an error shows.
const TAIL_LINES: usize = 20;

/// How much of a line an error shows, in bytes.
const TAIL_WIDTH: usize = 1_000;

/// The last lines of a command's output.
#[derive(Default)]
pub(crate) struct Tail {
    lines: VecDeque<Vec<u8>>,
    /// Whether the last line has not ended yet.
    open: bool,
}

impl Tail {
    /// Adds output as it comes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.open {
                self.lines.push_back(Vec::new());
                if self.lines.len() > TAIL_LINES {
                    self.lines.pop_front();
                }
            }
            let text = piece.strip_suffix(b"\n");
            self.open = text.is_none();
            if let Some(line) = self.lines.back_mut() {
                let room = TAIL_WIDTH.saturating_sub(line.len());
                let text = text.unwrap_or(piece);
                line.extend_from_slice(&text[..text.len().min(room)]);
            }
        }
    }

    /// Returns the lines.
    pub(crate) fn finish(self) -> Vec<String> {
        self.lines
            .iter()
            .map(|line| String::from_utf8_lossy(line).trim_end_matches('\r').to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_whole_last_lines() {
        let mut tail = Tail::default();
        for number in 0..100 {
            tail.push(format!("line {number}\nand").as_bytes());
            tail.push(b" more\n");
        }
        tail.push(b"end");
        let lines = tail.finish();
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines[TAIL_LINES - 3..], ["line 99", "and more", "end"]);
    }
}
