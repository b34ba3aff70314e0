//! Answers that are refusals: status, the registry's own words, and when to come back.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{DATE, HeaderMap, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Deserialize;

use crate::Error;
use crate::body::read_limited;
use crate::http_date;

/// The most of an error's body that is read, in bytes.
const MAX_ERROR_BODY: u64 = 64 << 10;
/// The most of an error's message that is shown, in characters.
const MAX_MESSAGE: usize = 500;

/// Whom an answer came from, and about what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The registry by its name for login.
    pub(crate) registry: &'a str,
    /// The host that answered.
    pub(crate) host: &'a str,
    /// What was asked for.
    pub(crate) what: &'a str,
    /// Whether credentials were sent.
    pub(crate) known: bool,
}

/// Turns an answer that is not a success into an error.
pub(crate) async fn refusal(response: Response<Incoming>, asked: Asked<'_>) -> Error {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let body = read_limited(response.into_body(), MAX_ERROR_BODY, asked.host).await.unwrap_or_default();
    let message = message(&body);
    let host = asked.host.to_owned();
    let what = asked.what.to_owned();
    let registry = asked.registry.to_owned();
    match status {
        StatusCode::NOT_FOUND => {
            let said = if message.is_empty() { "not found".to_owned() } else { message };
            Error::NotFound { what, tried: vec![format!("{host}: {said}")] }
        }
        StatusCode::UNAUTHORIZED => Error::Unauthorized { host: registry, what, message, known: asked.known },
        StatusCode::FORBIDDEN => Error::Denied { host: registry, what, message, known: asked.known },
        StatusCode::TOO_MANY_REQUESTS => Error::RateLimited { host, message, retry_after },
        _ => Error::Status { host, what, status: status.as_u16(), message, retry_after },
    }
}

/// Reads `Retry-After`: seconds, or a date, which counts from the answer's own `Date`.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = http_date::parse(value)?;
    let now = http_date::parse(headers.get(DATE)?.to_str().ok()?)?;
    Some(Duration::from_secs(u64::try_from(then - now).unwrap_or(0)))
}

/// Finds the message in an error body: OCI distribution spec, "Error Codes"; else token servers' `details`.
pub(crate) fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<One>,
        details: Option<String>,
        message: Option<String>,
        error_description: Option<String>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(parsed) = serde_json::from_slice::<Errors>(body) else { return String::new() };
    let one = |one: One| {
        if one.message.is_empty() { one.code.to_lowercase().replace('_', " ") } else { one.message }
    };
    let mut texts: Vec<String> = parsed.errors.into_iter().map(one).filter(|text| !text.is_empty()).collect();
    if texts.is_empty() {
        texts.extend(parsed.details.or(parsed.message).or(parsed.error_description));
    }
    clean(&texts.join("; "))
}

/// Makes a text from outside fit for a terminal: one line, no control characters, not too long.
pub(crate) fn clean(text: &str) -> String {
    let printable = |c: char| if c.is_control() || is_bidi(c) { ' ' } else { c };
    let short: String = text.chars().take(MAX_MESSAGE).map(printable).collect();
    short.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Characters that reorder the text around them.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_and_cleaned() {
        for (body, expected) in [
            (
                r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository\u001b[31m name\n not known"}]}"#,
                "repository [31m name not known",
            ),
            (r#"{"errors":[{"code":"BLOB_UNKNOWN"},{"message":"b"}]}"#, "blob unknown; b"),
            (r#"{"details":"incorrect username or password"}"#, "incorrect username or password"),
            ("<html>", ""),
            ("[]", ""),
        ] {
            assert_eq!(message(body.as_bytes()), expected);
        }
        assert_eq!(clean(&"a".repeat(9999)).len(), MAX_MESSAGE);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let read = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            retry_after(&headers).map(|after| after.as_secs())
        };
        assert_eq!(read(&[("retry-after", "7")]), Some(7));
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(read(&[date, ("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]), Some(60));
        assert_eq!(read(&[date, ("retry-after", "Sun, 06 Nov 1994 08:40:37 GMT")]), Some(0));
        assert_eq!(read(&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]), None);
        assert_eq!(read(&[("retry-after", "soon")]), None);
    }
}
