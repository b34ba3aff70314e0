//! `WWW-Authenticate` headers (RFC 7235, section 4.1).

/// One challenge: a scheme and its parameters, names in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: String,
    pub(crate) parameters: Vec<(String, String)>,
}

/// The most challenges and parameters that are read.
const MAX_PARTS: usize = 64;

impl Challenge {
    /// Returns a parameter by its lower-case name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Parses one header, which may hold several challenges. What does not fit the grammar ends the list.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header;
    for _ in 0..MAX_PARTS {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            break;
        }
        let spaced = after.trim_start_matches([' ', '\t']);
        // `name = value` belongs to the challenge before; a token68 ends in `=` and nothing behind it.
        let value = spaced.strip_prefix('=').filter(|value| !value.trim_start().is_empty());
        match (value, challenges.last_mut()) {
            (Some(value), Some(challenge)) => {
                let (value, after) = parameter_value(value.trim_start_matches([' ', '\t']));
                challenge.parameters.push((word.to_ascii_lowercase(), value));
                rest = after;
            }
            _ => {
                challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
                rest = spaced;
            }
        }
    }
    challenges
}

fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c);
    text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()))
}

fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        // Some registries forget to quote URLs: read up to what ends a parameter.
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &str) -> String {
        let challenge = |challenge: Challenge| {
            let parameters = challenge.parameters.iter().map(|(name, value)| format!("{name}={value}"));
            format!("{}({})", challenge.scheme, parameters.collect::<Vec<_>>().join(";"))
        };
        parse(header).into_iter().map(challenge).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn challenges_parse() {
        for (header, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                "bearer(realm=https://auth.docker.io/token;service=registry.docker.io;scope=repository:a/b:pull,push)",
            ),
            (r#"Basic realm="a \"b\" \\c""#, r#"basic(realm=a "b" \c)"#),
            (r#"Basic realm="x", Bearer realm="y" , error = "z""#, "basic(realm=x) bearer(realm=y;error=z)"),
            ("Negotiate, Basic realm=x", "negotiate() basic(realm=x)"),
            ("Bearer realm=https://a/b?c=d,service=e", "bearer(realm=https://a/b?c=d;service=e)"),
            (r#"Bearer realm="open"#, "bearer(realm=open)"),
            ("BEARER REALM=\"x\"", "bearer(realm=x)"),
            ("", ""),
            ("\"", ""),
            (", ,", ""),
        ] {
            assert_eq!(shown(header), expected, "{header}");
        }
    }
}
