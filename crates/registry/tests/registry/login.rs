//! Logging in and out.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use jettison_registry::credentials::{Stored, login, logout};
use jettison_registry::{Cancel, Error};
use jettison_testkit::{Access, Registry, RegistryOptions};

use crate::support::*;

fn registries() -> Vec<Registry> {
    let (user, password) = ("me".to_owned(), "secret".to_owned());
    let basic = Access::Basic { user: user.clone(), password: password.clone() };
    let token = Access::Token { user, password };
    [basic, token].into_iter().map(|access| Registry::with(RegistryOptions { access, tls: false })).collect()
}

#[test]
fn what_is_right_is_kept_and_what_is_wrong_is_not() {
    for registry in registries() {
        let home = Home::new();
        let settings = home.settings();
        let address = registry.address();
        let wrong = login(&settings, &address, "me", "wrong", &Cancel::new());
        assert!(matches!(wrong, Err(Error::Unauthorized { .. })), "{wrong:?}");
        let file = home.path().join("docker/config.json");
        assert!(!file.exists());

        let stored = login(&settings, &address, "me", "secret", &Cancel::new()).unwrap();
        assert_eq!(stored, Stored::File(file.clone()));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        push(&home.client(), &reference(&address, "a:1"), b"x").unwrap();

        assert!(logout(&settings, &address).unwrap());
        assert!(push(&home.client(), &reference(&address, "a:1"), b"y").is_err());
    }
}

#[test]
fn the_rest_of_the_file_stays() {
    let registry = &registries()[0];
    let home = Home::new();
    let before = "{\n\t\"zeta\": 1,\n\t\"auths\": {\n\t\t\"b.example\": {}\n\t},\n\t\"alpha\": \"x\"\n}";
    let file = home.write("docker/config.json", before);
    login(&home.settings(), &registry.address(), "me", "secret", &Cancel::new()).unwrap();
    let after = fs::read_to_string(&file).unwrap();
    let auth = jettison_testkit::base64::encode(b"me:secret");
    let entry =
        format!("{{}},\n\t\t\"{}\": {{\n\t\t\t\"auth\": \"{auth}\"\n\t\t}}\n\t}},", registry.address());
    assert_eq!(after, before.replace("{}\n\t},", &entry));
    logout(&home.settings(), &registry.address()).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn a_helper_keeps_the_secret() {
    let registry = &registries()[0];
    let home = Home::new();
    home.helper("box", r#"cat > "$0.$1"; echo >> "$0.$1""#);
    let file = home.write("docker/config.json", r#"{"credsStore":"box"}"#);
    let stored = login(&home.settings(), &registry.address(), "me", "secret", &Cancel::new()).unwrap();
    assert_eq!(stored, Stored::Helper("box".into()));
    let given = fs::read_to_string(home.path().join("bin/docker-credential-box.store")).unwrap();
    assert_eq!(
        given.trim(),
        format!(r#"{{"ServerURL":"{}","Username":"me","Secret":"secret"}}"#, registry.address())
    );
    assert!(!fs::read_to_string(file).unwrap().contains("auth\""));
    logout(&home.settings(), &registry.address()).unwrap();
    let erased = fs::read_to_string(home.path().join("bin/docker-credential-box.erase")).unwrap();
    assert_eq!(erased.trim(), registry.address());
}
