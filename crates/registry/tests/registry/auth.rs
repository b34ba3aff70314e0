//! Who may do what: basic, tokens, helpers, and what never leaves for another host.

use std::thread;

use jettison_image::Reference;
use jettison_registry::{Cancel, Client, Error, Pushed};
use jettison_testkit::{Access, Fault, Proxy, Registry, RegistryOptions, Rule};

use crate::support::*;

fn registry(access: fn(String, String) -> Access) -> Registry {
    let access = access("me".into(), "pass word".into());
    Registry::with(RegistryOptions { access, ..RegistryOptions::default() })
}

fn basic() -> Registry {
    registry(|user, password| Access::Basic { user, password })
}

fn token() -> Registry {
    registry(|user, password| Access::Token { user, password })
}

#[test]
fn basic_wants_the_right_password() {
    let registry = basic();
    let name = reference(&registry.address(), "a:1");
    let error = push(&stranger(), &name, b"x").unwrap_err();
    assert!(matches!(error, Error::Unauthorized { known: false, .. }));
    let hint = format!("jettison login {}", registry.address());
    assert!(error.to_string().contains(&hint), "{error}");

    let home = Home::new();
    home.know(&registry.address(), "me", "wrong");
    let error = push(&home.client(), &name, b"x").unwrap_err();
    assert!(matches!(error, Error::Unauthorized { known: true, .. }), "{error}");

    home.know(&registry.address(), "me", "pass word");
    push_image(&home.client(), &name, b"x").unwrap();
    assert!(manifest(&home.client(), &name).is_ok());
}

#[test]
fn a_helper_knows_the_password() {
    let registry = basic();
    let home = Home::new();
    home.helper(
        "safe",
        r#"read server; echo "$server" >> "$0.log"; echo '{"Username":"me","Secret":"pass word"}'"#,
    );
    let address = registry.address();
    home.write("docker/config.json", format!(r#"{{"credHelpers":{{"{address}":"safe"}}}}"#));
    let client = home.client();
    let name = reference(&address, "a:1");
    push_image(&client, &name, b"x").unwrap();
    manifest(&client, &name).unwrap();
    let log = std::fs::read_to_string(home.path().join("bin/docker-credential-safe.log")).unwrap();
    // Asked once, not once a request.
    assert_eq!(log, format!("{address}\n"));
}

#[test]
fn a_helper_that_fails_is_named() {
    let registry = basic();
    let home = Home::new();
    home.write("docker/config.json", r#"{"credsStore":"absent"}"#);
    let error = push(&home.client(), &reference(&registry.address(), "a:1"), b"x").unwrap_err().to_string();
    assert!(error.contains("docker-credential-absent"), "{error}");
}

#[test]
fn tokens_are_asked_for_once() {
    let registry = token();
    let home = Home::new();
    home.know(&registry.address(), "me", "pass word");
    let client = home.client();
    let name = reference(&registry.address(), "team/app:1");
    push_image(&client, &name, &noise(1, 100_000)).unwrap();
    manifest(&client, &name).unwrap();
    fetch(&client, &name, &noise(1, 100_000)).unwrap();
    let scopes: Vec<_> =
        registry.tokens().unwrap().requests().iter().map(|request| request.parameters("scope")).collect();
    assert_eq!(scopes, [["repository:team/app:pull,push"], ["repository:team/app:pull"]]);
    // Anybody may pull, with a token of their own.
    assert!(manifest(&stranger(), &name).is_ok());
    let error = push(&stranger(), &name, b"x").unwrap_err();
    assert!(matches!(error, Error::Unauthorized { known: false, .. }), "{error}");
}

#[test]
fn threads_share_a_token() {
    let registry = token();
    let home = Home::new();
    home.know(&registry.address(), "me", "pass word");
    let name = reference(&registry.address(), "a:1");
    push_image(&home.client(), &name, b"x").unwrap();
    let asked = registry.tokens().unwrap().requests().len();
    let client = stranger();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| fetch(&client, &name, b"x").unwrap());
        }
    });
    assert_eq!(registry.tokens().unwrap().requests().len(), asked + 1);
}

#[test]
fn a_wrong_password_is_the_token_servers_refusal() {
    let registry = token();
    let home = Home::new();
    home.know(&registry.address(), "me", "wrong");
    let error = manifest(&home.client(), &reference(&registry.address(), "a:1")).unwrap_err().to_string();
    assert!(error.contains("incorrect username or password"), "{error}");
}

#[test]
fn one_token_serves_both_ends_of_a_mount() {
    let registry = token();
    let home = Home::new();
    home.know(&registry.address(), "me", "pass word");
    push(&home.client(), &reference(&registry.address(), "base:1"), b"x").unwrap();
    let asked = registry.tokens().unwrap().requests().len();
    let name = reference(&registry.address(), "app:1");
    assert_eq!(mount(&home.client(), &name, b"x", "base").unwrap(), Pushed::Mounted);
    let requests = registry.tokens().unwrap().requests();
    let scopes: Vec<_> = requests[asked..].iter().map(|request| request.parameters("scope")).collect();
    assert_eq!(scopes, [["repository:app:pull,push", "repository:base:pull"]]);
}

#[test]
fn an_identity_token_is_posted() {
    let registry = token();
    let home = Home::new();
    let refresh = registry.tokens().unwrap().refresh_token();
    let entry = format!(r#"{{"auths":{{"{}":{{"identitytoken":"{refresh}"}}}}}}"#, registry.address());
    home.write("auth.json", entry);
    push(&home.client(), &reference(&registry.address(), "a:1"), b"x").unwrap();
    let requests = registry.tokens().unwrap().requests();
    assert!(requests.iter().all(|request| request.method == "POST"));
}

#[test]
fn a_token_that_is_refused_is_replaced() {
    let registry = token();
    let proxy = Proxy::start(&registry.address());
    let home = Home::new();
    home.know(&proxy.address(), "me", "pass word");
    let client = home.client();
    let name = reference(&proxy.address(), "a:1");
    push_image(&client, &name, b"x").unwrap();
    manifest(&client, &name).unwrap();
    let asked = registry.tokens().unwrap().requests().len();
    let challenge =
        format!("Bearer realm=\"{}\",service=\"test-registry\"", registry.tokens().unwrap().realm());
    let headers = vec![("WWW-Authenticate".to_owned(), challenge)];
    proxy.add(
        Rule::new("GET", "/manifests/", Fault::Status { code: 401, headers, body: String::new() }).times(1),
    );
    manifest(&client, &name).unwrap();
    assert_eq!(registry.tokens().unwrap().requests().len(), asked + 1);
}

#[test]
fn credentials_do_not_follow_a_redirect() {
    let registry = basic();
    let storage = Registry::start();
    let (front, back) = (Proxy::start(&registry.address()), Proxy::start(&storage.address()));
    let home = Home::new();
    home.know(&front.address(), "me", "pass word");
    let bytes = noise(5, 1000);
    push(&stranger(), &reference(&storage.address(), "a:1"), &bytes).unwrap();
    let location = format!("http://{}/v2/a/blobs/{}", back.address(), layer(&bytes).digest);
    front.add(Rule::new("GET", "/blobs/", Fault::redirect(&location)));
    let client = home.client();
    let name = reference(&front.address(), "a:1");
    // Authorized first, so that the redirected request would have something to give away.
    push_image(&client, &name, b"x").unwrap();
    assert_eq!(fetch(&client, &name, &bytes).unwrap(), bytes);
    let requests = back.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("authorization"), None);
    let fronts: Vec<_> =
        front.requests().into_iter().filter(|request| request.path.contains("/blobs/sha256")).collect();
    assert!(fronts.last().unwrap().header("authorization").is_some());
}

#[test]
fn redirects_end() {
    let registry = Registry::start();
    let proxy = Proxy::start(&registry.address());
    proxy.add(Rule::new("GET", "/blobs/", Fault::redirect("?again")));
    let error = fetch(&stranger(), &reference(&proxy.address(), "a:1"), b"x").unwrap_err().to_string();
    assert!(error.contains("too often"), "{error}");
    assert!(proxy.requests().len() < 20);
}

#[test]
fn credentials_of_a_path_are_used_for_it() {
    let registry = basic();
    let home = Home::new();
    let auth = jettison_testkit::base64::encode(b"me:pass word");
    let wrong = jettison_testkit::base64::encode(b"me:wrong");
    let address = registry.address();
    let text =
        format!(r#"{{"auths":{{"{address}/team":{{"auth":"{auth}"}},"{address}":{{"auth":"{wrong}"}}}}}}"#);
    home.write("auth.json", text);
    let client: Client = home.client();
    let push_to = |name: &str| -> Result<Pushed, Error> {
        let name: Reference = reference(&address, name);
        client.push_blob(&name, &layer(b"x"), &source(b"x"), None, &|_| {}, &Cancel::new())
    };
    assert!(push_to("team/a:1").is_ok());
    assert!(push_to("other/a:1").is_err());
}
