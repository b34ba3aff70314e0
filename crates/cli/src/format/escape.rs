//! Text from outside on its way to a terminal: names lose every control character, logs keep their colours only.

use std::fmt::Write as _;

/// Whether colours may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colors {
    /// They may.
    Keep,
    /// They are removed.
    Strip,
}

/// Escapes what a name or a message could use to disguise itself: control characters but the newline, and the
/// characters that turn the direction of text (Unicode Technical Report 36, "bidirectional text spoofing").
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
        if c == '\n' || !c.is_control() && !turns {
            out.push(c);
        } else {
            let _ = write!(out, "{}", c.escape_debug());
        }
    }
    out
}

/// Cleans one line of a command's output (without its newline): colours (SGR sequences) stay if `colors` says so, all
/// other escape sequences and control characters go. Of a line that was overwritten with carriage returns the last
/// state stays; tabs become spaces.
pub fn log_line(line: &[u8], colors: Colors) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\r');
    let last = text.rsplit('\r').next().unwrap_or_default();
    let mut out = String::with_capacity(last.len());
    let mut rest = last.chars().peekable();
    let mut colored = false;
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => {
                if let Some(parameters) = escape_sequence(&mut rest)
                    && colors == Colors::Keep
                {
                    let _ = write!(out, "\x1b[{parameters}m");
                    colored = true;
                }
            }
            '\t' => out.push_str("    "),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    if colored {
        out.push_str("\x1b[0m");
    }
    out
}

/// Consumes one escape sequence after its ESC (ECMA-48, 5.4); returns the parameters if it selects a colour.
fn escape_sequence(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    match rest.peek()? {
        '[' => {
            rest.next();
            let mut parameters = String::new();
            while let Some(c) = rest.next_if(|c| ('\x20'..='\x3f').contains(c)) {
                parameters.push(c);
            }
            let last = rest.next_if(|c| ('\x40'..='\x7e').contains(c));
            let plain = parameters.chars().all(|c| c.is_ascii_digit() || c == ';' || c == ':');
            (last == Some('m') && plain).then_some(parameters)
        }
        // Strings (titles, hyperlinks) run to BEL or ESC \; the backslash is swallowed with the ESC before it.
        ']' | 'P' | 'X' | '^' | '_' => {
            for c in rest.by_ref() {
                if c == '\x07' || c == '\x1b' {
                    rest.next_if_eq(&'\\');
                    break;
                }
            }
            None
        }
        _ => {
            while rest.next_if(|c| ('\x20'..='\x2f').contains(c)).is_some() {}
            rest.next();
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_show_their_control_characters() {
        for (text, shown) in [
            ("RUN make", "RUN make"),
            ("RUN \x1b[1A", "RUN \\u{1b}[1A"),
            ("a\rb\tc", "a\\rb\\tc"),
            ("\u{202e}cod", "\\u{202e}cod"),
            ("größe 世界", "größe 世界"),
            ("\u{9b}31m", "\\u{9b}31m"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn logs_keep_colours_and_nothing_else() {
        for (line, kept, stripped) in [
            (&b"plain"[..], "plain", "plain"),
            (b"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m\x1b[0m", "red"),
            (b"\x1b[2J\x1b[1;1Hgone", "gone", "gone"),
            (b"\x1b]0;title\x07text", "text", "text"),
            (b"\x1b]8;;http://x\x1b\\link", "link", "link"),
            (b"10%\r50%\r100%", "100%", "100%"),
            (b"windows\r", "windows", "windows"),
            (b"a\tb\x08\x07", "a    b", "a    b"),
            (b"\x1b[?25l", "", ""),
            (b"\x1b(Bx", "x", "x"),
            (b"cut \x1b[3", "cut ", "cut "),
            (b"\xff", "\u{fffd}", "\u{fffd}"),
        ] {
            assert_eq!(log_line(line, Colors::Keep), kept);
            assert_eq!(log_line(line, Colors::Strip), stripped);
        }
    }
}
