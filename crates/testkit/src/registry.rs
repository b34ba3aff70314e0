//! Debian's `docker-registry` on loopback, with storage of its own.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::tls::Certificate;
use crate::tokens::{ISSUER, SERVICE, TokenServer};
use crate::tools;

/// How long a registry may take to listen.
const START: Duration = Duration::from_secs(20);
/// Another process may take a free port before the registry does.
const ATTEMPTS: usize = 5;

/// Who may use a registry.
#[derive(Debug, Clone, Default)]
pub enum Access {
    /// Anybody.
    #[default]
    Open,
    /// One user, by basic authentication against an htpasswd file.
    Basic {
        /// Name.
        user: String,
        /// Password.
        password: String,
    },
    /// One user for everything and anybody to pull, by bearer tokens of a [`TokenServer`].
    Token {
        /// Name.
        user: String,
        /// Password.
        password: String,
    },
}

/// How a registry is set up.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Whether it speaks HTTPS with a certificate of its own authority.
    pub tls: bool,
    /// Who may use it.
    pub access: Access,
}

/// A running registry; killed when dropped.
pub struct Registry {
    child: Child,
    port: u16,
    folder: TempDir,
    certificate: Option<Certificate>,
    tokens: Option<TokenServer>,
    access: Access,
}

impl Registry {
    /// Starts a registry that anybody may use, over plain HTTP.
    pub fn start() -> Registry {
        Registry::with(RegistryOptions::default())
    }

    /// Starts a registry as `options` say.
    pub fn with(options: RegistryOptions) -> Registry {
        let folder = tempfile::tempdir().unwrap();
        let certificate = options.tls.then(Certificate::new);
        let tokens = match &options.access {
            Access::Token { user, password } => Some(TokenServer::start(user, password)),
            _ => None,
        };
        let auth = auth_section(folder.path(), &options.access, tokens.as_ref());
        let tls = certificate.as_ref().map_or(String::new(), |made| {
            format!(
                "  tls:\n    certificate: {}\n    key: {}\n",
                made.certificate().display(),
                made.key().display()
            )
        });
        for _ in 0..ATTEMPTS {
            let port = free_port();
            let storage = folder.path().join("storage");
            let config = format!(
                "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    \
                 enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n{tls}{auth}",
                storage.display()
            );
            let file = folder.path().join("config.yml");
            std::fs::write(&file, config).unwrap();
            let mut child = spawn(&file, &folder.path().join("log"));
            if listens(&mut child, port) {
                return Registry { child, port, folder, certificate, tokens, access: options.access };
            }
        }
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("docker-registry did not start to listen:\n{log}");
    }

    /// Returns host and port, such as `127.0.0.1:40123`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the certificate and its authority, of a registry that speaks HTTPS.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// Returns the token server, of a registry that takes tokens.
    pub fn tokens(&self) -> Option<&TokenServer> {
        self.tokens.as_ref()
    }

    /// Returns what the registry wrote so far: its access log and errors.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Returns the folder of its storage.
    pub fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    /// Copies an image into the registry as `name`, such as `library/busybox:latest`, with skopeo.
    ///
    /// `source` is in skopeo's terms, such as `oci:DIR:TAG` or `docker-archive:FILE`. An index is copied whole.
    pub fn push(&self, source: &str, name: &str) {
        let mut arguments = skopeo_arguments(&["copy", "--quiet", "--all"]);
        arguments.extend(self.skopeo_access("dest"));
        arguments.extend([source.to_owned(), format!("docker://{}/{name}", self.address())]);
        tools::run("skopeo", arguments);
    }

    /// Copies image `name` out of the registry to `destination`, in skopeo's terms, with skopeo.
    pub fn fetch(&self, name: &str, destination: &str) {
        let mut arguments = skopeo_arguments(&["copy", "--quiet"]);
        arguments.extend(self.skopeo_access("src"));
        arguments.extend([format!("docker://{}/{name}", self.address()), destination.to_owned()]);
        tools::run("skopeo", arguments);
    }

    fn skopeo_access(&self, side: &str) -> Vec<String> {
        let mut arguments = vec![format!("--{side}-tls-verify=false")];
        if let Access::Basic { user, password } | Access::Token { user, password } = &self.access {
            arguments.push(format!("--{side}-creds={user}:{password}"));
        }
        arguments
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // A test that ends for any reason leaves no server behind; errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn skopeo_arguments(words: &[&str]) -> Vec<String> {
    ["--insecure-policy"].iter().chain(words).map(|word| (*word).to_owned()).collect()
}

fn auth_section(folder: &Path, access: &Access, tokens: Option<&TokenServer>) -> String {
    match (access, tokens) {
        (Access::Basic { user, password }, _) => {
            let file = folder.join("htpasswd");
            std::fs::write(&file, tools::run("htpasswd", ["-B", "-C", "4", "-b", "-n", user, password]))
                .unwrap();
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display())
        }
        (Access::Token { .. }, Some(tokens)) => format!(
            "auth:\n  token:\n    realm: {}\n    service: {SERVICE}\n    issuer: {ISSUER}\n    rootcertbundle: {}\n",
            tokens.realm(),
            tokens.certificate().display()
        ),
        _ => String::new(),
    }
}

fn spawn(config: &Path, log: &Path) -> Child {
    let log = File::create(log).unwrap();
    Command::new(tools::require("docker-registry"))
        .arg("serve")
        .arg(config)
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until `child` itself listens on `port`; `false` where it ended or does not begin to.
fn listens(child: &mut Child, port: u16) -> bool {
    let end = Instant::now() + START;
    while Instant::now() < end {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if owns_listener(child.id(), port) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// Tells whether process `pid` holds the listening socket of `port`: proc(5), /proc/net/tcp.
fn owns_listener(pid: u32, port: u16) -> bool {
    const LISTEN: &str = "0A";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let local = format!("0100007F:{port:04X}");
    let inode = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(1) == Some(&local.as_str()) && fields.get(3) == Some(&LISTEN))
            .then(|| fields.get(9).copied())?
    });
    let Some(inode) = inode else { return false };
    let socket = PathBuf::from(format!("socket:[{inode}]"));
    std::fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|files| {
        files.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == socket))
    })
}
