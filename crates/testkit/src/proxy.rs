//! An HTTP proxy before a real registry that injects faults and remembers requests.
//!
//! It answers one request a connection and hands the client's `Host` on, so that the locations which the registry
//! names lead through the proxy again.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::http::{self, Request};

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The proxy answers by itself; the registry is not asked.
    Status {
        /// Such as 429.
        code: u16,
        /// Such as `("Retry-After", "1")`.
        headers: Vec<(String, String)>,
        /// The answer's body.
        body: String,
    },
    /// The connection ends after so many bytes of the registry's body.
    CutAfter(u64),
    /// The bits of the body's byte at this offset are turned over.
    Corrupt(u64),
    /// The request waits so long before it goes on.
    Delay(Duration),
    /// The body comes this slowly: so many bytes each 10 milliseconds.
    Slow(usize),
    /// The connection ends without an answer.
    Refuse,
    /// A header of the answer is replaced (or added).
    Header(String, String),
    /// A `Range` of the request is dropped, as by servers that cannot resume.
    IgnoreRange,
    /// Another body of the same request's answer, under the registry's own headers but for its length.
    Body(Vec<u8>),
}

/// When something goes wrong.
#[derive(Debug, Clone)]
pub struct Rule {
    method: String,
    path: String,
    skip: u64,
    times: u64,
    fault: Fault,
}

impl Rule {
    /// Makes a rule for every request with `method` (empty: any) whose path contains `path`.
    pub fn new(method: &str, path: &str, fault: Fault) -> Rule {
        Rule { method: method.to_owned(), path: path.to_owned(), skip: 0, times: u64::MAX, fault }
    }

    /// Limits the rule to the first `times` such requests.
    #[must_use]
    pub fn times(self, times: u64) -> Rule {
        Rule { times, ..self }
    }

    /// Lets the first `count` such requests pass.
    #[must_use]
    pub fn after(self, count: u64) -> Rule {
        Rule { skip: count, ..self }
    }
}

impl Fault {
    /// Makes the answer of a registry that is asked too often.
    pub fn too_many_requests(retry_after: &str) -> Fault {
        Fault::Status {
            code: 429,
            headers: vec![("Retry-After".to_owned(), retry_after.to_owned())],
            body: r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#.to_owned(),
        }
    }

    /// Makes an answer of `code` without headers and body.
    pub fn status(code: u16) -> Fault {
        Fault::Status { code, headers: Vec::new(), body: String::new() }
    }

    /// Makes an answer that sends the client elsewhere.
    pub fn redirect(location: &str) -> Fault {
        let headers = vec![("Location".to_owned(), location.to_owned())];
        Fault::Status { code: 307, headers, body: String::new() }
    }
}

/// A running proxy. Its threads live until the test's process ends.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    rules: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<Request>>,
}

impl Proxy {
    /// Starts a proxy on a free port of loopback before the plain-HTTP server at `upstream` (`host:port`).
    pub fn start(upstream: &str) -> Proxy {
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            rules: Mutex::default(),
            requests: Mutex::default(),
        });
        let address = http::listen(&shared, Shared::serve);
        Proxy { address, shared }
    }

    /// Returns host and port, such as `127.0.0.1:40123`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Adds a rule. Every rule that matches a request acts on it, in the order in which they were added.
    pub fn add(&self, rule: Rule) {
        self.shared.rules.lock().unwrap().push(rule);
    }

    /// Forgets all rules.
    pub fn clear(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// Returns the requests so far, oldest first; bodies are not kept.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.shared.requests.lock().unwrap().clear();
    }

    /// Counts the requests with `method` (empty: any) whose path contains `path`.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let requests = self.shared.requests.lock().unwrap();
        requests.iter().filter(|request| matches(method, path, request)).count()
    }
}

fn matches(method: &str, path: &str, request: &Request) -> bool {
    (method.is_empty() || method == request.method) && request.path.contains(path)
}

impl Shared {
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        let Some(mut request) = Request::read(client)? else { return Ok(()) };
        self.requests.lock().unwrap().push(Request { body: Vec::new(), ..request.clone() });
        let faults = self.faults(&request);
        for fault in &faults {
            match fault {
                Fault::Status { code, headers, body } => {
                    return http::respond(client, *code, headers, body.as_bytes());
                }
                Fault::Refuse => return client.shutdown(Shutdown::Both),
                Fault::Delay(time) => std::thread::sleep(*time),
                Fault::IgnoreRange => request.headers.retain(|(name, _)| name != "range"),
                Fault::CutAfter(_)
                | Fault::Corrupt(_)
                | Fault::Slow(_)
                | Fault::Header(..)
                | Fault::Body(_) => {}
            }
        }
        let upstream = match self.forward(&request) {
            Ok(upstream) => upstream,
            Err(error) => return http::respond(client, 502, &[], error.to_string().as_bytes()),
        };
        relay(upstream, client, &faults)?;
        client.shutdown(Shutdown::Both)
    }

    /// Returns what the rules say about this request, and counts it against them.
    fn faults(&self, request: &Request) -> Vec<Fault> {
        let mut rules = self.rules.lock().unwrap();
        let mut faults = Vec::new();
        for rule in rules.iter_mut().filter(|rule| matches(&rule.method, &rule.path, request)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= 1;
                faults.push(rule.fault.clone());
            }
        }
        faults
    }

    fn forward(&self, request: &Request) -> io::Result<TcpStream> {
        let mut upstream = TcpStream::connect(&self.upstream)?;
        let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.path);
        let dropped = ["connection", "transfer-encoding", "content-length", "expect"];
        for (name, value) in request.headers.iter().filter(|(name, _)| !dropped.contains(&name.as_str())) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("connection: close\r\ncontent-length: {}\r\n\r\n", request.body.len()));
        upstream.write_all(head.as_bytes())?;
        upstream.write_all(&request.body)?;
        Ok(upstream)
    }
}

/// Passes the registry's answer on to the client, with the faults of its body.
fn relay(upstream: TcpStream, mut client: &TcpStream, faults: &[Fault]) -> io::Result<()> {
    let mut reader = BufReader::new(upstream);
    let Some((status, mut headers)) = http::read_head(&mut reader)? else { return Ok(()) };
    headers.retain(|(name, _)| name != "connection");
    let other_body =
        faults.iter().find_map(|fault| if let Fault::Body(body) = fault { Some(body) } else { None });
    for fault in faults {
        if let Fault::Header(name, value) = fault {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            headers.push((name.clone(), value.clone()));
        }
    }
    if let Some(body) = other_body {
        headers.retain(|(name, _)| name != "content-length" && name != "transfer-encoding");
        headers.push(("content-length".to_owned(), body.len().to_string()));
    }
    let mut head = format!("{status}\r\nconnection: close\r\n");
    for (name, value) in &headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    client.write_all(head.as_bytes())?;
    match other_body {
        Some(body) => client.write_all(body),
        None => relay_body(&mut reader, client, faults),
    }
}

fn relay_body(reader: &mut impl Read, mut client: &TcpStream, faults: &[Fault]) -> io::Result<()> {
    let slow =
        faults.iter().find_map(|fault| if let Fault::Slow(bytes) = fault { Some(*bytes) } else { None });
    let cut =
        faults.iter().find_map(|fault| if let Fault::CutAfter(bytes) = fault { Some(*bytes) } else { None });
    let mut buffer = vec![0; slow.unwrap_or(64 << 10)];
    let mut sent = 0u64;
    loop {
        let room = cut.map_or(buffer.len(), |cut| (cut - sent).min(buffer.len() as u64) as usize);
        let count = reader.read(&mut buffer[..room])?;
        if count == 0 {
            return Ok(());
        }
        for fault in faults {
            if let Fault::Corrupt(at) = fault
                && (sent..sent + count as u64).contains(at)
            {
                buffer[(at - sent) as usize] ^= 0xff;
            }
        }
        client.write_all(&buffer[..count])?;
        sent += count as u64;
        if slow.is_some() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
