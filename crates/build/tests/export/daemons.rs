//! Loading into daemons: docker's, and podman's service, which speaks docker's API.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jettison_build::export::{CompressionOptions, DaemonAddress, ExportError, load_into_daemon};
use jettison_image::Digest;
use jettison_testkit::tools;

use crate::fixture::{Fixture, fixture};

/// How long a daemon may take to listen.
const START: Duration = Duration::from_secs(30);

/// A daemon with storage of its own; killed when dropped.
struct Daemon {
    child: Child,
    address: DaemonAddress,
    client: Vec<String>,
}

impl Daemon {
    fn podman(folder: &Path) -> Daemon {
        let storage = [("--root", "root"), ("--runroot", "run")];
        let storage = storage.map(|(option, name)| format!("{option}={}", folder.join(name).display()));
        let mut client = vec!["podman".to_owned()];
        client.extend(storage);
        client.push("--storage-driver=vfs".to_owned());
        let socket = folder.join("podman.sock");
        let service =
            ["system", "service", "--time=0", &format!("unix://{}", socket.display())].map(str::to_owned);
        Daemon::start([&client[..], &service].concat(), client, &socket)
    }

    fn docker(folder: &Path) -> Daemon {
        let socket = folder.join("docker.sock");
        let host = format!("--host=unix://{}", socket.display());
        let mut command =
            ["dockerd", "--storage-driver=vfs", "--bridge=none", "--iptables=false", "--ip6tables=false"]
                .map(str::to_owned)
                .to_vec();
        for (option, name) in [("data-root", "data"), ("exec-root", "exec"), ("pidfile", "pid")] {
            command.push(format!("--{option}={}", folder.join(name).display()));
        }
        command.push(host.clone());
        Daemon::start(command, vec!["docker".to_owned(), host], &socket)
    }

    fn start(command: Vec<String>, client: Vec<String>, socket: &Path) -> Daemon {
        tools::require_root();
        let child = Command::new(tools::require(&command[0]))
            .args(&command[1..])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = DaemonAddress::parse(Some(&format!("unix://{}", socket.display()))).unwrap();
        let daemon = Daemon { child, address, client };
        let begin = Instant::now();
        while UnixStream::connect(socket).is_err() {
            assert!(begin.elapsed() < START, "{} does not listen", command[0]);
            std::thread::sleep(Duration::from_millis(50));
        }
        daemon
    }

    /// Returns the ID of an image.
    fn id_of(&self, name: &str) -> String {
        let mut command = Command::new(tools::require(&self.client[0]));
        let id = tools::checked(
            command.args(&self.client[1..]).args(["image", "inspect", "--format", "{{.Id}}", name]),
        );
        id.trim().trim_start_matches("sha256:").to_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Asked, they unmount and stop their own children.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn load(fixture: &Fixture, address: &DaemonAddress) -> Result<String, ExportError> {
    let image = fixture.prepared(&["registry.example/app:1"], &CompressionOptions::UNCOMPRESSED);
    load_into_daemon(address, &[image], fixture.context())
}

fn takes_an_image(start: fn(&Path) -> Daemon) {
    let fixture = fixture();
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(folder.path());
    let words = load(&fixture, &daemon.address).unwrap();
    assert!(words.contains("registry.example/app:1"), "{words}");
    assert_eq!(daemon.id_of("registry.example/app:1"), Digest::of(&fixture.config()).hex());
}

#[test]
fn podman_takes_an_image() {
    takes_an_image(Daemon::podman);
}

#[test]
fn docker_takes_an_image() {
    takes_an_image(Daemon::docker);
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
