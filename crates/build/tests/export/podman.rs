//! Loading into a daemon: podman's service, which speaks docker's API.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jettison_build::export::{CompressionOptions, DaemonAddress, ExportError, load_into_daemon};
use jettison_image::Digest;
use jettison_testkit::tools;

use crate::fixture::{Fixture, fixture};

/// How long the service may take to listen.
const START: Duration = Duration::from_secs(30);

struct Podman {
    service: Child,
    arguments: Vec<String>,
    address: DaemonAddress,
}

impl Podman {
    fn start(folder: &Path) -> Podman {
        let arguments = ["--root", "--runroot"].map(|option| {
            let path = folder.join(option.trim_start_matches('-'));
            [option.to_owned(), path.display().to_string()]
        });
        let arguments: Vec<String> =
            arguments.concat().into_iter().chain(["--storage-driver=vfs".to_owned()]).collect();
        let socket = folder.join("podman.sock");
        let service = Command::new(tools::require("podman"))
            .args(&arguments)
            .args(["system", "service", "--time=0", &format!("unix://{}", socket.display())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(begin.elapsed() < START, "podman's service does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        let address = DaemonAddress::parse(Some(&format!("unix://{}", socket.display()))).unwrap();
        Podman { service, arguments, address }
    }

    fn run(&self, arguments: &[&str]) -> String {
        tools::checked(Command::new(tools::require("podman")).args(&self.arguments).args(arguments))
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

fn load(fixture: &Fixture, address: &DaemonAddress) -> Result<String, ExportError> {
    let image = fixture.prepared(&["registry.example/app:1"], &CompressionOptions::UNCOMPRESSED);
    load_into_daemon(address, &[image], fixture.context())
}

#[test]
fn podman_takes_an_image() {
    tools::require_root();
    let fixture = fixture();
    let podman = Podman::start(fixture.folder.path());
    let words = load(&fixture, &podman.address).unwrap();
    assert!(words.contains("registry.example/app:1"), "{words}");
    let id = podman.run(&["image", "inspect", "--format", "{{.Id}}", "registry.example/app:1"]);
    assert_eq!(id.trim(), Digest::of(&fixture.config()).hex());
}

#[test]
fn a_daemon_that_is_not_there_is_named() {
    let fixture = fixture();
    let socket = fixture.path("no.sock");
    let address = DaemonAddress::parse(Some(&format!("unix://{}", socket.display()))).unwrap();
    let error = load(&fixture, &address).unwrap_err();
    assert!(error.to_string().contains("nobody listens there"), "{error}");
}

#[test]
fn a_daemon_that_refuses_is_heard() {
    use std::io::{Read, Write};

    let fixture = fixture();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = DaemonAddress::parse(Some(&format!("tcp://{}", listener.local_addr().unwrap()))).unwrap();
    // Answers in the middle of the request and hangs up, as docker does behind a proxy that limits sizes.
    let daemon = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut start = [0; 1024];
        connection.read_exact(&mut start).unwrap();
        let body = r#"{"message":"far too much"}"#;
        write!(connection, "HTTP/1.1 413 Too Large\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = std::io::copy(&mut connection, &mut std::io::sink());
        String::from_utf8_lossy(&start).into_owned()
    });
    let error = load(&fixture, &address).unwrap_err();
    assert!(error.to_string().contains("far too much"), "{error}");
    assert!(daemon.join().unwrap().starts_with("POST /images/load?quiet=1 HTTP/1.1\r\n"));
}
