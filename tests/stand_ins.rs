//! Stand-ins of base images, which `.ci/examples` makes: OCI layouts under their real names in `target/base-images`. And asking
//! what runs in images made on them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The OCI layout of stand-in `base`, and its tag there.
pub fn layout(base: &str) -> (PathBuf, &str) {
    let (name, tag) = base.rsplit_once(':').unwrap();
    let layout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/base-images").join(name);
    assert!(layout.exists(), "{} is missing: CONTRIBUTING.md says how it is made", layout.display());
    (layout, tag)
}

/// A port of the loopback on which nothing listens.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The body of `/`, if a server answers with 200.
pub fn ask(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}
