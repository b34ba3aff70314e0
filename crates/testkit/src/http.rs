//! As much of HTTP/1.1 (RFC 9112) as the proxy and the servers need: one request a connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Names in lower case with their values, in the order in which they came.
pub(crate) type Headers = Vec<(String, String)>;

/// How long a peer may keep us waiting for its next bytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has `answer` called for each connection to a free port of loopback, which is returned. Threads live until the test's
/// process ends.
pub(crate) fn listen<S: Send + Sync + 'static>(
    shared: &Arc<S>,
    answer: fn(&S, &TcpStream) -> io::Result<()>,
) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            // A broken connection is the client's to notice.
            thread::spawn(move || answer(&shared, &stream));
        }
    });
    address
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// Path and query, as written in the request line.
    pub path: String,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body, with a chunked transfer's framing taken off.
    pub body: Vec<u8>,
}

impl Request {
    /// Returns the first value of header `name` (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Returns the path without the query.
    pub fn path_only(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// Returns the decoded values of `name` in the query and, of a form, in the body.
    pub fn parameters(&self, name: &str) -> Vec<String> {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        let is_form = self
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let body = if is_form { String::from_utf8_lossy(&self.body).into_owned() } else { String::new() };
        query
            .split('&')
            .chain(body.split('&'))
            .filter_map(|pair| pair.split_once('='))
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| percent_decoded(value))
            .collect()
    }

    /// Returns user and password of basic authentication (RFC 7617).
    pub fn basic(&self) -> Option<(String, String)> {
        let encoded = self.header("authorization")?.strip_prefix("Basic ")?;
        let text = String::from_utf8(crate::base64::decode(encoded)?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }

    /// Reads a request; `None` where the peer closed the connection without one.
    pub(crate) fn read(stream: &TcpStream) -> io::Result<Option<Request>> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream);
        let Some((first, headers)) = read_head(&mut reader)? else { return Ok(None) };
        let mut words = first.split(' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else {
            return Err(io::Error::other(format!("not a request line: {first}")));
        };
        if header(&headers, "expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            let mut stream = stream;
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = read_request_body(&mut reader, &headers)?;
        Ok(Some(Request { method: method.to_owned(), path: path.to_owned(), headers, body }))
    }
}

/// Reads the first line and the headers of a message; `None` at the end of the stream.
pub(crate) fn read_head(reader: &mut impl BufRead) -> io::Result<Option<(String, Headers)>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Some((first.trim_end().to_owned(), headers)))
}

/// Returns the first value of header `name`.
pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Sends a whole response and closes the connection for writing.
pub(crate) fn respond(
    mut stream: &TcpStream,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
) -> io::Result<()> {
    let mut head =
        format!("HTTP/1.1 {status} Status\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()
}

fn read_request_body(reader: &mut impl BufRead, headers: &[(String, String)]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if header(headers, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let digits = line.trim_end().split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(digits, 16).map_err(io::Error::other)?;
            reader.take(size).read_to_end(&mut body)?;
            let mut end = String::new();
            reader.read_line(&mut end)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let length =
        header(headers, "content-length").map_or(Ok(0), str::parse::<u64>).map_err(io::Error::other)?;
    reader.take(length).read_to_end(&mut body)?;
    Ok(body)
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (byte, escaped.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(value)) => {
                decoded.push(value);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
