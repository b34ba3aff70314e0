//! A web server with files, for what `ADD` fetches.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::http::{self, Request};

/// A web server on a free port of loopback. Its thread lives until the test's process ends.
pub struct WebServer {
    shared: Arc<Shared>,
    address: SocketAddr,
}

/// A file that a [`WebServer`] serves.
#[derive(Debug, Clone, Default)]
pub struct Served {
    /// Its bytes.
    pub content: Vec<u8>,
    /// The status of the answer; 0 stands for 200.
    pub status: u16,
    /// More headers of the answer. With an `ETag`, `If-None-Match` is answered; with `Last-Modified`, `If-Modified-Since`.
    pub headers: Vec<(String, String)>,
    /// The `Authorization` header without which there is only a 401.
    pub authorization: Option<String>,
}

#[derive(Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Served>>,
    requests: Mutex<Vec<Request>>,
}

impl Served {
    /// Makes a file of these bytes.
    pub fn new(content: impl AsRef<[u8]>) -> Served {
        Served { content: content.as_ref().to_vec(), ..Served::default() }
    }

    /// Adds a header to the answer.
    pub fn header(mut self, name: &str, value: &str) -> Served {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl WebServer {
    /// Starts a server without any file.
    pub fn start() -> WebServer {
        let shared = Arc::new(Shared::default());
        let address = http::listen(&shared, Shared::answer);
        WebServer { shared, address }
    }

    /// Serves a file under `path`, which starts with a slash, in the place of the one that was there.
    pub fn serve(&self, path: &str, file: Served) {
        self.shared.files.lock().unwrap().insert(path.to_owned(), file);
    }

    /// Serves all files of a folder below `path`, as they are now.
    pub fn serve_folder(&self, path: &str, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = format!("{path}/{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap().is_dir() {
                true => self.serve_folder(&path, &entry.path()),
                false => self.serve(&path, Served::new(std::fs::read(entry.path()).unwrap())),
            }
        }
    }

    /// Asks for an `Authorization` header before any file is served.
    pub fn authorize(&self, value: &str) {
        for file in self.shared.files.lock().unwrap().values_mut() {
            file.authorization = Some(value.to_owned());
        }
    }

    /// Returns the URL of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Shared {
    fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        let Some(request) = Request::read(stream)? else { return Ok(()) };
        self.requests.lock().unwrap().push(request.clone());
        let file = self.files.lock().unwrap().get(request.path_only()).cloned();
        let Some(file) = file else { return http::respond(stream, 404, &[], b"nothing here") };
        if file.authorization.as_deref().is_some_and(|wanted| request.header("authorization") != Some(wanted))
        {
            return http::respond(stream, 401, &[], b"");
        }
        let own = |name: &str| {
            let header = file.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
            header.map(|(_, value)| value.as_str())
        };
        let asked = [("if-none-match", "etag"), ("if-modified-since", "last-modified")];
        let unchanged = asked
            .iter()
            .any(|(ask, header)| request.header(ask).is_some_and(|value| own(header) == Some(value)));
        match (unchanged, file.status) {
            (true, _) => http::respond(stream, 304, &[], b""),
            (false, 0) => http::respond(stream, 200, &file.headers, &file.content),
            (false, status) => http::respond(stream, status, &file.headers, &file.content),
        }
    }
}
