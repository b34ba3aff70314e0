//! Handing images to a daemon: docker's API (`POST /images/load`) at `DOCKER_HOST`, which podman serves too.

use std::fmt;
use std::io::{self, BufWriter, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use jettison_registry::Cancel;
use serde::Deserialize;

use super::Context;
use super::docker::write_docker_archive;
use super::error::{ExportError, Result};
use super::http::{self, ChunkedWriter, Response};
use super::place::Place;
use super::prepare::Prepared;

/// Where docker listens unless `DOCKER_HOST` says otherwise.
const DEFAULT: &str = "unix:///var/run/docker.sock";
/// How often a wait looks whether it is canceled.
const PATIENCE: Duration = Duration::from_millis(250);

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DaemonAddress {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A host and port, without encryption.
    Tcp(String),
}

impl DaemonAddress {
    /// Reads the value of `DOCKER_HOST`; without one, docker's default.
    pub fn parse(docker_host: Option<&str>) -> Result<DaemonAddress> {
        let address = docker_host.filter(|address| !address.is_empty()).unwrap_or(DEFAULT);
        let refused = |why| Err(ExportError::Address { address: address.to_owned(), why });
        match address.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(DaemonAddress::Unix(PathBuf::from(path))),
            Some(("unix", _)) => refused("the path of a socket must be absolute"),
            Some(("tcp" | "http", "")) => refused("it names no host"),
            Some(("tcp" | "http", host)) => {
                let host = host.trim_end_matches('/');
                // A colon that ends an IPv6 address's brackets is no port.
                let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
                Ok(DaemonAddress::Tcp(if has_port { host.to_owned() } else { format!("{host}:2375") }))
            }
            Some(("ssh", _)) => {
                refused("ssh is not supported: forward the socket with \"ssh -L\" and use unix://")
            }
            Some(("https", _)) => refused("TLS is not supported: forward the socket and use unix://"),
            _ => refused("expected unix:///PATH or tcp://HOST:PORT"),
        }
    }
}

impl fmt::Display for DaemonAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DaemonAddress::Unix(path) => write!(f, "unix://{}", path.display()),
            DaemonAddress::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

/// Loads images into the daemon and returns its own words, such as `Loaded image: app:latest`.
pub fn load_into_daemon(
    address: &DaemonAddress,
    images: &[Prepared<'_>],
    context: Context<'_>,
) -> Result<String> {
    let failed = |why: String| ExportError::Daemon { address: address.to_string(), why };
    let connection =
        Connection::open(address, context.cancel).map_err(|error| failed(unreachable(&error)))?;
    let host = match address {
        DaemonAddress::Unix(_) => "localhost",
        DaemonAddress::Tcp(host) => host,
    };
    let sent = send(&connection, host, images, context);
    // A daemon that refuses may answer and hang up in the middle of the archive: its answer says more than our error.
    let answer = match (&sent, http::read_response(&connection)) {
        _ if context.cancel.is_cancelled() => return Err(ExportError::Canceled),
        (_, Ok(answer)) => answer,
        (Err(_), Err(_)) => {
            return Err(sent.err().map_or(ExportError::Canceled, |error| name_daemon(error, address)));
        }
        (Ok(()), Err(error)) => return Err(failed(error.to_string())),
    };
    let words = outcome(&answer).map_err(failed)?;
    sent.map_err(|error| name_daemon(error, address))?;
    Ok(words)
}

fn send(
    connection: &Connection<'_>,
    host: &str,
    images: &[Prepared<'_>],
    context: Context<'_>,
) -> Result<()> {
    let mut out = BufWriter::with_capacity(256 << 10, connection);
    http::write_head(&mut out, host, "/images/load?quiet=1", "application/x-tar")
        .map_err(ExportError::Stream)?;
    let mut body = ChunkedWriter::new(out);
    write_docker_archive(images, Place::Stream(&mut body), context)?;
    body.finish().map_err(ExportError::Stream)
}

fn name_daemon(error: ExportError, address: &DaemonAddress) -> ExportError {
    match error {
        ExportError::Stream(error) => {
            ExportError::Daemon { address: address.to_string(), why: error.to_string() }
        }
        other => other,
    }
}

fn unreachable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "nobody listens there: start docker or podman's API service, or set DOCKER_HOST".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied: is this user in the socket's group?".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Reads what became of the load: JSON objects one after the other, some with words, one perhaps with an error.
fn outcome(answer: &Response) -> std::result::Result<String, String> {
    #[derive(Deserialize)]
    struct Message {
        stream: Option<String>,
        error: Option<String>,
        message: Option<String>,
    }
    let mut words = String::new();
    let messages = serde_json::Deserializer::from_slice(&answer.body).into_iter::<Message>();
    for message in messages.map_while(|message| message.ok()) {
        if let Some(error) = message.error.or(message.message) {
            return Err(error);
        }
        words.extend(message.stream);
    }
    match answer.status {
        200..300 => Ok(words.trim_end().to_owned()),
        status => Err(format!("it answered with status {status}")),
    }
}

/// A connection whose waits end when the export is canceled.
struct Connection<'a> {
    stream: Stream,
    cancel: &'a Cancel,
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl<'a> Connection<'a> {
    fn open(address: &DaemonAddress, cancel: &'a Cancel) -> io::Result<Connection<'a>> {
        let stream = match address {
            DaemonAddress::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Stream::Unix(stream)
            }
            DaemonAddress::Tcp(host) => {
                let stream = TcpStream::connect(host)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Stream::Tcp(stream)
            }
        };
        Ok(Connection { stream, cancel })
    }

    /// Repeats a call that waits until it succeeds, fails, or the export is canceled.
    fn patiently(&self, mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match call() {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                    ) && !self.cancel.is_cancelled() => {}
                result => return result,
            }
        }
    }
}

impl Read for &Connection<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.patiently(|| match &self.stream {
            Stream::Unix(stream) => (&*stream).read(buffer),
            Stream::Tcp(stream) => (&*stream).read(buffer),
        })
    }
}

impl Write for &Connection<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(|| match &self.stream {
            Stream::Unix(stream) => (&*stream).write(bytes),
            Stream::Tcp(stream) => (&*stream).write(bytes),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_dockers() {
        let parse = |text: &str| DaemonAddress::parse(Some(text)).map(|address| address.to_string());
        for (text, address) in [
            ("", "unix:///var/run/docker.sock"),
            ("unix:///run/user/1000/podman/podman.sock", "unix:///run/user/1000/podman/podman.sock"),
            ("tcp://10.0.0.1:2375", "tcp://10.0.0.1:2375"),
            ("tcp://docker", "tcp://docker:2375"),
            ("tcp://[::1]", "tcp://[::1]:2375"),
            ("http://docker:80/", "tcp://docker:80"),
        ] {
            assert_eq!(parse(text).unwrap(), address, "{text}");
        }
        for bad in [
            "ssh://host",
            "https://host:2376",
            "unix://relative",
            "tcp://",
            "docker",
            "npipe:////./pipe/docker",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_daemons_words_are_understood() {
        let outcome = |status, body: &str| outcome(&Response { status, body: body.as_bytes().to_vec() });
        let loaded = "{\"stream\":\"Loaded image: app:1\\n\"}\r\n{\"stream\":\"Loaded image: app:2\\n\"}\r\n";
        assert_eq!(outcome(200, loaded).unwrap(), "Loaded image: app:1\nLoaded image: app:2");
        assert_eq!(outcome(200, "").unwrap(), "");
        let error = r#"{"errorDetail":{"message":"no space"},"error":"no space"}"#;
        assert_eq!(outcome(200, error).unwrap_err(), "no space");
        assert_eq!(outcome(500, r#"{"message":"bad archive"}"#).unwrap_err(), "bad archive");
        assert_eq!(outcome(502, "<html>").unwrap_err(), "it answered with status 502");
    }
}
