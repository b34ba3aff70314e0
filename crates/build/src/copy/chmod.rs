//! `--chmod`: what becomes of a mode.

use jettison_plan::Chmod;

/// Returns the mode of a file or directory under `--chmod`.
pub(crate) fn apply(chmod: &Chmod, mode: u32, directory: bool) -> u32 {
    match chmod {
        Chmod::Octal(octal) => *octal,
        Chmod::Symbolic(text) => {
            text.split(',').fold(mode, |mode, clause| apply_clause(clause, mode, directory))
        }
    }
}

/// Applies one clause such as `go=rX-w`. POSIX, chmod(1), with a file-creation mask of 0.
fn apply_clause(clause: &str, mut mode: u32, directory: bool) -> u32 {
    let actions = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    let who = &clause[..clause.len() - actions.len()];
    let all = who.is_empty() || who.contains('a');
    let shifts: Vec<u32> = [('u', 6), ('g', 3), ('o', 0)]
        .into_iter()
        .filter(|(c, _)| all || who.contains(*c))
        .map(|(_, s)| s)
        .collect();
    let mut rest = actions;
    while let Some(operator) = rest.chars().next() {
        let permissions = &rest[1..];
        let end = permissions.find(['+', '-', '=']).unwrap_or(permissions.len());
        mode = apply_action(operator, &permissions[..end], &shifts, all, mode, directory);
        rest = &permissions[end..];
    }
    mode
}

fn apply_action(
    operator: char,
    permissions: &str,
    shifts: &[u32],
    all: bool,
    mode: u32,
    directory: bool,
) -> u32 {
    let (mut bits, mut scope) = (0, 0);
    for shift in shifts {
        scope |= 0o7 << shift;
        for permission in permissions.chars() {
            bits |= match permission {
                'r' => 4 << shift,
                'w' => 2 << shift,
                'x' => 1 << shift,
                'X' if directory || mode & 0o111 != 0 => 1 << shift,
                'u' => (mode >> 6 & 7) << shift,
                'g' => (mode >> 3 & 7) << shift,
                'o' => (mode & 7) << shift,
                's' if *shift == 6 => 0o4000,
                's' if *shift == 3 => 0o2000,
                't' if all => 0o1000,
                _ => 0,
            };
        }
        scope |= match shift {
            6 => 0o4000,
            3 => 0o2000,
            _ => 0,
        };
    }
    match operator {
        '+' => mode | bits,
        '-' => mode & !bits,
        _ => mode & !scope | bits,
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
        ] {
            let result = apply(&Chmod::Symbolic(text.to_owned()), mode, directory);
            assert_eq!(result, expected, "{text} on {mode:o} gives {result:o}");
        }
        assert_eq!(apply(&Chmod::Octal(0o4711), 0o644, true), 0o4711);
    }
}
