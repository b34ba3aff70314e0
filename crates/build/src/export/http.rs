//! As much HTTP/1.1 as one request with a streamed body needs. RFC 9112.

use std::io::{self, BufRead, BufReader, Read, Write};

/// The longest line of a response's head, in bytes.
const MAX_LINE: u64 = 16 << 10;
/// The most header lines of a response.
const MAX_HEADERS: usize = 100;
/// The longest body of a response that is read, in bytes.
const MAX_BODY: u64 = 4 << 20;

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    /// Such as 200.
    pub status: u16,
    /// The body, at most [`MAX_BODY`] bytes of it.
    pub body: Vec<u8>,
}

/// Writes the head of a POST whose body follows in chunks.
pub(super) fn write_head(
    out: &mut dyn Write,
    host: &str,
    target: &str,
    content_type: &str,
) -> io::Result<()> {
    write!(
        out,
        "POST {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: jettison\r\nContent-Type: {content_type}\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
}

/// Writes a body in chunks (RFC 9112, 7.1).
pub(super) struct ChunkedWriter<W> {
    inner: W,
}

impl<W: Write> ChunkedWriter<W> {
    pub fn new(inner: W) -> ChunkedWriter<W> {
        ChunkedWriter { inner }
    }

    /// Ends the body.
    pub fn finish(mut self) -> io::Result<()> {
        self.inner.write_all(b"0\r\n\r\n")?;
        self.inner.flush()
    }
}

impl<W: Write> Write for ChunkedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An empty chunk would end the body.
        if bytes.is_empty() {
            return Ok(0);
        }
        write!(self.inner, "{:x}\r\n", bytes.len())?;
        self.inner.write_all(bytes)?;
        self.inner.write_all(b"\r\n")?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads a response to its end.
pub(super) fn read_response(input: impl Read) -> io::Result<Response> {
    let mut input = BufReader::new(input);
    loop {
        let status = status(&line(&mut input)?)?;
        let headers = headers(&mut input)?;
        // An interim response comes before the real one.
        if (100..200).contains(&status) {
            continue;
        }
        let header = |name: &str| headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let chunked =
            header("transfer-encoding").is_some_and(|(_, value)| value.eq_ignore_ascii_case("chunked"));
        let length = header("content-length").and_then(|(_, value)| value.parse().ok());
        let mut body = Vec::new();
        match length {
            _ if chunked => read_chunks(&mut input, &mut body)?,
            Some(length) => drop(input.take(MAX_BODY.min(length)).read_to_end(&mut body)?),
            None => drop(input.take(MAX_BODY).read_to_end(&mut body)?),
        }
        return Ok(Response { status, body });
    }
}

fn status(line: &str) -> io::Result<u16> {
    let mut words = line.split(' ');
    match (words.next(), words.next().and_then(|status| status.parse().ok())) {
        (Some(version), Some(status)) if version.starts_with("HTTP/1.") => Ok(status),
        _ => Err(malformed("its answer is not HTTP")),
    }
}

fn headers(input: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    for _ in 0..MAX_HEADERS {
        let line = line(input)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("a header has no colon"))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Err(malformed("it has too many headers"))
}

fn read_chunks(input: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = line(input)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| malformed("a chunk has no length"))?;
        if size == 0 || body.len() as u64 + size > MAX_BODY {
            return Ok(());
        }
        if (&mut *input).take(size).read_to_end(body)? as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self::line(input)?;
    }
}

/// Reads a line without its end.
fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    input.take(MAX_LINE).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(if bytes.is_empty() {
            malformed("it closed the connection")
        } else {
            malformed("a line does not end")
        });
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| malformed("a line is not text"))
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_of_all_framings_are_read() {
        for (text, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokX", 200, "ok"),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nok\r\n3;x=y\r\nay!\r\n0\r\n\r\n",
                200,
                "okay!",
            ),
            ("HTTP/1.0 404 Not Found\r\n\r\ngone", 404, "gone"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, ""),
        ] {
            let response = read_response(text.as_bytes()).unwrap();
            assert_eq!((response.status, response.body.as_slice()), (status, body.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        for text in
            ["", "SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n"]
        {
            assert!(read_response(text.as_bytes()).is_err(), "{text}");
        }
        let endless = format!("HTTP/1.1 200 {}", "x".repeat(1 << 20));
        assert!(read_response(endless.as_bytes()).is_err());
        let broken = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab";
        assert!(read_response(broken.as_bytes()).is_err());
    }

    #[test]
    fn a_body_goes_in_chunks() {
        let mut out = Vec::new();
        let mut body = ChunkedWriter::new(&mut out);
        body.write_all(b"hello").unwrap();
        assert_eq!(body.write(b"").unwrap(), 0);
        body.write_all(&[b'x'; 17]).unwrap();
        body.finish().unwrap();
        assert_eq!(out, b"5\r\nhello\r\n11\r\nxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n");
    }
}
