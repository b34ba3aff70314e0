//! Through HTTP proxies: whole URLs for plain HTTP, CONNECT for TLS.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use jettison_registry::{Client, Error, ProxySettings, Settings};
use jettison_testkit::{Access, Proxy, Registry, RegistryOptions};

use crate::support::*;

/// Far away, and insecure, so that the certificate for 127.0.0.1 will do.
const FAR: &str = "[[registry]]\nlocation = \"far.example\"\ninsecure = true\n";

#[test]
fn plain_http_goes_as_a_whole_url() {
    let registry = Registry::start();
    let proxy = Proxy::start(&registry.address());
    let home = Home::new();
    home.write("registries.conf", FAR);
    let http = format!("http://me:p%20w@{}", proxy.address());
    let client = Client::new(Settings {
        proxy: ProxySettings { http, ..ProxySettings::default() },
        ..home.settings()
    });
    push_image(&client, &reference("far.example", "a:1"), b"x").unwrap();
    let requests = proxy.requests();
    assert!(requests.iter().all(|request| request.path.starts_with("http://far.example/v2/a/")));
    let expected = format!("Basic {}", jettison_testkit::base64::encode(b"me:p w"));
    assert!(requests.iter().all(|request| request.header("proxy-authorization") == Some(&expected)));
}

#[test]
fn tls_goes_through_a_tunnel() {
    let registry = Registry::with(RegistryOptions { tls: true, access: Access::Open });
    let (address, heads) = tunnels_to(registry.address());
    let home = Home::new();
    home.write("registries.conf", FAR);
    let proxy = ProxySettings { all: format!("http://me:pw@{address}"), ..ProxySettings::default() };
    let client = Client::new(Settings { proxy: proxy.clone(), ..home.settings() });
    push_image(&client, &reference("far.example", "a:1"), &noise(1, 1 << 20)).unwrap();
    let head = heads.lock().unwrap()[0].clone();
    assert!(head.starts_with("CONNECT far.example:443 HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains(&format!("Proxy-Authorization: Basic {}", jettison_testkit::base64::encode(b"me:pw")))
    );

    // What NO_PROXY names is not looked for behind the proxy.
    let proxy = ProxySettings { no: ".example".into(), ..proxy };
    let seen = heads.lock().unwrap().len();
    let direct = Client::new(Settings { proxy, ..home.settings() });
    assert!(matches!(manifest(&direct, &reference("far.example", "a:1")), Err(Error::Connect { .. })));
    assert_eq!(heads.lock().unwrap().len(), seen);
}

/// Starts a proxy that makes every CONNECT a tunnel to `target`, and remembers the heads of the requests.
fn tunnels_to(target: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (target, seen) = (target.clone(), Arc::clone(&seen));
            thread::spawn(move || tunnel(client, &target, &seen));
        }
    });
    (address, heads)
}

fn tunnel(mut client: TcpStream, target: &str, seen: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    seen.lock().unwrap().push(String::from_utf8(head).unwrap());
    let mut server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut from_client, &mut to_server));
    io::copy(&mut server, &mut client).map(|_| ())
}
