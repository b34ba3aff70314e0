//! `--chmod`: what becomes of a mode. Symbolic ones are those of BSD's `setmode(3)`, which docker takes them by, with a
//! file-creation mask of 0.

use jettison_plan::Chmod;

/// Returns the mode of a file or directory under `--chmod`.
pub(crate) fn apply(chmod: &Chmod, mode: u32, directory: bool) -> u32 {
    match chmod {
        Chmod::Octal(octal) => *octal,
        Chmod::Symbolic(text) => {
            text.split(',').fold(mode, |now, clause| apply_clause(clause, mode, now, directory))
        }
    }
}

/// Applies one clause such as `go=rX-w` to a file whose mode was `original` before the first clause.
fn apply_clause(clause: &str, original: u32, mut mode: u32, directory: bool) -> u32 {
    let actions = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    let who = Who::parse(&clause[..clause.len() - actions.len()]);
    let executable = directory || original & 0o111 != 0;
    let mut rest = actions;
    while let Some(operator) = rest.chars().next() {
        let permissions = &rest[1..];
        let end = permissions.find(['+', '-', '=']).unwrap_or(permissions.len());
        let bits = who.bits(&permissions[..end], mode, executable);
        mode = match operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => mode & !who.scope() | bits,
        };
        rest = &permissions[end..];
    }
    mode
}

/// Whose permissions a clause is about.
struct Who {
    user: bool,
    group: bool,
    others: bool,
}

impl Who {
    fn parse(letters: &str) -> Who {
        let has = |letter| letters.is_empty() || letters.contains('a') || letters.contains(letter);
        Who { user: has('u'), group: has('g'), others: has('o') }
    }

    /// What `=` clears.
    fn scope(&self) -> u32 {
        let part = |set: bool, bits: u32| if set { bits } else { 0 };
        part(self.user, 0o4700) | part(self.group, 0o2070) | part(self.others, 0o007)
    }

    fn bits(&self, permissions: &str, mode: u32, executable: bool) -> u32 {
        let spread = |bits: u32| (bits << 6 | bits << 3 | bits) & self.scope();
        permissions.chars().fold(0, |bits, permission| {
            bits | match permission {
                'r' => spread(4),
                'w' => spread(2),
                'x' => spread(1),
                'X' if executable => spread(1),
                'u' => spread(mode >> 6 & 7),
                'g' => spread(mode >> 3 & 7),
                'o' => spread(mode & 7),
                's' => 0o6000 & self.scope(),
                't' if self.user || self.group => 0o1000,
                _ => 0,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses() {
        for (text, mode, directory, expected) in [
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, true, 0o755),
            ("u=rwX,go=rX", 0o755, false, 0o755),
            ("+x", 0o644, false, 0o755),
            ("go-w", 0o666, false, 0o644),
            ("g=u", 0o640, false, 0o660),
            ("u+s", 0o755, false, 0o4755),
            ("a=r", 0o4755, false, 0o444),
            ("u+x-w", 0o644, false, 0o544),
            ("a-x,u+X", 0o755, false, 0o744),
            ("+t", 0o755, true, 0o1755),
            ("o+t", 0o755, true, 0o755),
            ("+s", 0o755, false, 0o6755),
            ("go+s", 0o755, false, 0o2755),
            ("g=o", 0o604, false, 0o644),
            ("u=rw,go=", 0o4777, false, 0o600),
        ] {
            let result = apply(&Chmod::Symbolic(text.to_owned()), mode, directory);
            assert_eq!(result, expected, "{text} on {mode:o} gives {result:o}");
        }
        assert_eq!(apply(&Chmod::Octal(0o4711), 0o644, true), 0o4711);
    }
}
