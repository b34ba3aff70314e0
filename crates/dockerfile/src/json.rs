//! Just enough JSON for the exec form and for a `syntax` key: a checker without recursion that hands out strings.

/// How deep arrays and objects may be nested (Go's `encoding/json` has the same limit).
const MAX_DEPTH: usize = 10_000;

/// An array of the exec form: its strings, each with its place in the text, quotes included.
pub(crate) type Strings = Vec<(String, std::ops::Range<usize>)>;

/// What a text is that may be the exec form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ExecForm {
    /// An array of strings.
    Strings(Strings),
    /// A JSON array with other things in it.
    NotOnlyStrings,
    /// No JSON array, hence the shell form.
    No,
}

/// Reads the exec form.
pub(crate) fn exec_form(text: &str) -> ExecForm {
    if !text.trim_start().starts_with('[') {
        return ExecForm::No;
    }
    let start = text.len() - text.trim_start().len();
    let mut reader = Reader { text, at: start };
    match reader.top_array().filter(|_| reader.at_end()) {
        None => ExecForm::No,
        Some((strings, true)) => ExecForm::Strings(strings),
        Some((_, false)) => ExecForm::NotOnlyStrings,
    }
}

/// Reads the string that a key of a JSON object has; the last one, if the key is repeated. None if the text is anything
/// else.
pub(crate) fn string_of_key(text: &str, key: &str) -> Option<(String, std::ops::Range<usize>)> {
    let mut reader = Reader { text, at: 0 };
    reader.expect('{')?;
    let mut found = None;
    if reader.expect('}').is_none() {
        loop {
            reader.blanks();
            let name = reader.string()?;
            reader.expect(':')?;
            reader.blanks();
            let start = reader.at;
            if reader.peek() == Some('"') {
                let value = reader.string()?;
                if name == key {
                    found = Some((value, start..reader.at));
                }
            } else {
                reader.value()?;
                if name == key {
                    found = None;
                }
            }
            if reader.expect(',').is_none() {
                break;
            }
        }
        reader.expect('}')?;
    }
    found.filter(|_| reader.at_end())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// What may come next inside a container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn expect(&mut self, c: char) -> Option<()> {
        self.blanks();
        if self.peek() != Some(c) {
            return None;
        }
        self.at += c.len_utf8();
        Some(())
    }

    fn at_end(&mut self) -> bool {
        self.blanks();
        self.at == self.text.len()
    }

    /// Reads an array; the flag tells whether all elements are strings.
    fn top_array(&mut self) -> Option<(Strings, bool)> {
        let (mut strings, mut only_strings) = (Vec::new(), true);
        self.expect('[')?;
        if self.expect(']').is_some() {
            return Some((strings, true));
        }
        loop {
            self.blanks();
            let start = self.at;
            if self.peek() == Some('"') {
                let string = self.string()?;
                strings.push((string, start..self.at));
            } else {
                only_strings = false;
                self.value()?;
            }
            if self.expect(',').is_none() {
                self.expect(']')?;
                return Some((strings, only_strings));
            }
        }
    }

    /// Checks any value and skips it, keeping the open containers in a list instead of on the stack.
    fn value(&mut self) -> Option<()> {
        let mut open: Vec<Container> = Vec::new();
        loop {
            self.blanks();
            let opened = match self.peek()? {
                '[' => Some(Container::Array),
                '{' => Some(Container::Object),
                _ => None,
            };
            match opened {
                Some(_) if open.len() == MAX_DEPTH => return None,
                Some(container) => {
                    self.at += 1;
                    let close = if container == Container::Array { ']' } else { '}' };
                    if self.expect(close).is_none() {
                        open.push(container);
                        self.key(container)?;
                        continue;
                    }
                }
                None => self.scalar()?,
            }
            // A value has ended: go on with the next element, or close what ends with it.
            loop {
                let Some(container) = open.last().copied() else { return Some(()) };
                if self.expect(',').is_some() {
                    self.key(container)?;
                    break;
                }
                self.expect(if container == Container::Array { ']' } else { '}' })?;
                open.pop();
            }
        }
    }

    /// Skips the key of an object's member.
    fn key(&mut self, container: Container) -> Option<()> {
        if container == Container::Object {
            self.blanks();
            self.string()?;
            self.expect(':')?;
        }
        Some(())
    }

    fn scalar(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        if rest.starts_with('"') {
            return self.string().map(|_| ());
        }
        if let Some(word) = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word)) {
            self.at += word.len();
            return Some(());
        }
        self.at += number_length(rest.as_bytes())?;
        Some(())
    }

    fn string(&mut self) -> Option<String> {
        if self.peek() != Some('"') {
            return None;
        }
        self.at += 1;
        let mut value = String::new();
        loop {
            let c = self.peek()?;
            self.at += c.len_utf8();
            match c {
                '"' => return Some(value),
                '\\' => value.push(self.escape()?),
                '\0'..='\u{1f}' => return None,
                c => value.push(c),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        match c {
            '"' | '\\' | '/' => Some(c),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => self.unicode_escape(),
            _ => None,
        }
    }

    /// Reads the digits of `\u`; half a surrogate pair becomes U+FFFD, as in Go.
    fn unicode_escape(&mut self) -> Option<char> {
        let first = self.hex()?;
        if let Some(c) = char::from_u32(first) {
            return Some(c);
        }
        let before = self.at;
        if first < 0xdc00 && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            }
            self.at = before;
        }
        Some('\u{fffd}')
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}

/// Returns the length of the JSON number that a text starts with (RFC 8259, section 6).
fn number_length(text: &[u8]) -> Option<usize> {
    let digits =
        |from: usize| text[from.min(text.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    match digits(at) {
        0 => return None,
        _ if text[at] == b'0' => at += 1,
        count => at += count,
    }
    if text.get(at) == Some(&b'.') {
        match digits(at + 1) {
            0 => return None,
            count => at += 1 + count,
        }
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        match digits(at + 1 + sign) {
            0 => return None,
            count => at += 1 + sign + count,
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str) -> Option<Vec<String>> {
        match exec_form(text) {
            ExecForm::Strings(strings) => Some(strings.into_iter().map(|(string, _)| string).collect()),
            _ => None,
        }
    }

    #[test]
    fn arrays_of_strings_are_the_exec_form() {
        assert_eq!(strings("[]"), Some(vec![]));
        assert_eq!(strings(r#"[ "a" , "b c" ] "#), Some(vec!["a".into(), "b c".into()]));
        assert_eq!(
            strings(r#"["\u00e9\n\ud83d\ude00\ud83d"]"#),
            Some(vec!["\u{e9}\n\u{1f600}\u{fffd}".into()])
        );
    }

    #[test]
    fn other_arrays_are_mistakes_and_invalid_ones_the_shell_form() {
        for text in [r#"["a", 1]"#, "[null]", "[[]]", r#"[{"a": [1.5e-3, {}]}, "b"]"#, "[true]", "[-0]"] {
            assert_eq!(exec_form(text), ExecForm::NotOnlyStrings, "{text}");
        }
        for text in [
            "a",
            "",
            "[",
            r#"["a"] b"#,
            r#"["a",]"#,
            "['a']",
            r#"["a\x"]"#,
            "[01]",
            "[1.]",
            "[\"a\nb\"]",
            "[{1:2}]",
        ] {
            assert_eq!(exec_form(text), ExecForm::No, "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        assert_eq!(exec_form(&"[".repeat(1_000_000)), ExecForm::No);
        let deep = format!("[{}{}]", "[".repeat(5000), "]".repeat(5000));
        assert_eq!(exec_form(&deep), ExecForm::NotOnlyStrings);
    }

    #[test]
    fn keys_of_objects_are_found() {
        let value = |text| string_of_key(text, "syntax").map(|(value, _)| value);
        assert_eq!(value(r#"{"a": [1], "syntax": "x"}"#), Some("x".into()));
        assert_eq!(value(r#"{"syntax": "x""#), None);
        assert_eq!(value(r#"{"syntax": "x"} y"#), None);
        assert_eq!(value(r#"{"syntax": 1}"#), None);
        assert_eq!(value("{}"), None);
    }
}
