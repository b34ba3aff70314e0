//! Certificates, and hosts that have none. The registry speaks HTTP/2 where TLS lets it.

use std::fs;

use jettison_registry::{Client, Error, Settings};
use jettison_testkit::{Access, Certificate, Registry, RegistryOptions};

use crate::support::*;

fn secure() -> Registry {
    Registry::with(RegistryOptions { tls: true, access: Access::Open })
}

fn trust(home: &Home, registry: &Registry, authority: &Certificate) {
    home.write(&format!("certs.d/{}/ca.crt", registry.address()), fs::read(authority.authority()).unwrap());
}

#[test]
fn certs_d_is_trusted() {
    let registry = secure();
    let home = Home::new();
    trust(&home, &registry, registry.certificate().unwrap());
    let client = home.client();
    let name = reference(&registry.address(), "a:1");
    let bytes = noise(9, 5 << 20);
    push_image(&client, &name, &bytes).unwrap();
    manifest(&client, &name).unwrap();
    assert!(fetch(&client, &name, &bytes).unwrap() == bytes);
    assert!(registry.log().contains("HTTP/2"), "{}", registry.log());
}

#[test]
fn tokens_go_over_tls_too() {
    let access = Access::Token { user: "me".into(), password: "pw".into() };
    let registry = Registry::with(RegistryOptions { tls: true, access });
    let home = Home::new();
    trust(&home, &registry, registry.certificate().unwrap());
    home.know(&registry.address(), "me", "pw");
    push_image(&home.client(), &reference(&registry.address(), "a:1"), b"x").unwrap();
}

#[test]
fn another_authority_is_not() {
    let registry = secure();
    let home = Home::new();
    trust(&home, &registry, &Certificate::new());
    let error = push(&home.client(), &reference(&registry.address(), "a:1"), b"x").unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error}");
    assert!(error.to_string().contains(&format!("certs.d/{}/ca.crt", registry.address())), "{error}");
}

#[test]
fn a_file_of_roots_is_trusted() {
    let registry = secure();
    let home = Home::new();
    // A folder of its own, even an empty one, makes this machine's registry one whose certificate must hold.
    fs::create_dir_all(home.path().join("certs.d").join(registry.address())).unwrap();
    let name = reference(&registry.address(), "a:1");
    assert!(matches!(push(&home.client(), &name, b"x"), Err(Error::Tls { .. })));
    let file = registry.certificate().unwrap().authority();
    push(&Client::new(Settings { ssl_cert_file: Some(file), ..home.settings() }), &name, b"x").unwrap();
}

#[test]
fn an_insecure_registry_needs_none() {
    let registry = secure();
    let home = Home::new();
    trust(&home, &registry, &Certificate::new());
    home.write(
        "registries.conf",
        format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", registry.address()),
    );
    push(&home.client(), &reference(&registry.address(), "a:1"), b"x").unwrap();
    // This machine's registries are insecure by themselves, as docker has it.
    push(&stranger(), &reference(&registry.address(), "a:1"), b"y").unwrap();
}

#[test]
fn a_broken_certificate_file_is_named() {
    let registry = secure();
    let home = Home::new();
    home.write(&format!("certs.d/{}/ca.crt", registry.address()), "nothing");
    let error = push(&home.client(), &reference(&registry.address(), "a:1"), b"x").unwrap_err().to_string();
    assert!(error.contains("ca.crt") && error.contains("no certificate"), "{error}");
}

#[test]
fn nobody_there_is_a_connection_error() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let home = Home::new();
    home.write("registries.conf", format!("[[registry]]\nlocation = \"127.0.0.1:{port}\"\n"));
    let error = manifest(&home.client(), &reference(&format!("127.0.0.1:{port}"), "a:1")).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
}
