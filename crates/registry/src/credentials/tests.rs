//! Look-ups in files and helpers, and what logging in leaves in a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

fn settings(folder: &Path) -> Settings {
    Settings {
        docker_config: Some(folder.to_owned()),
        auth_files: vec![folder.join("auth.json")],
        path: Some(folder.join("bin").into_os_string()),
        ..Settings::default()
    }
}

fn found(settings: &Settings, registry: &str, repository: &str) -> String {
    match find(settings, &[], registry, repository).unwrap() {
        None => "none".into(),
        Some(Credential::Basic { user, password }) => format!("{user}:{password}"),
        Some(Credential::Identity(token)) => format!("identity {token}"),
        Some(Credential::Bearer(token)) => format!("bearer {token}"),
    }
}

fn helper(folder: &Path, name: &str, script: &str) {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let file = bin.join(format!("docker-credential-{name}"));
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_longest_key_wins_and_docker_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let auth = |text: &str| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, text);
    let docker = format!(
        r#"{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{}"}},"r.example:5000":{{"auth":"{}"}},
            "https://old.example/v2/":{{"username":"o","password":"p"}},"t.example":{{"auth":"{}","identitytoken":"T"}},
            "empty.example":{{}}}}}}"#,
        auth("hub:x:y"),
        auth("host:1"),
        auth("u:")
    );
    let podman = format!(
        r#"{{"auths":{{"r.example:5000":{{"auth":"{}"}},"q.example/ns/repo":{{"auth":"{}"}},
            "q.example/ns":{{"auth":"{}"}},"q.example":{{"auth":"{}"}},"empty.example":{{"auth":"{}"}}}}}}"#,
        auth("second:1"),
        auth("repo:1"),
        auth("ns:1"),
        auth("q:1"),
        auth("e:1")
    );
    fs::write(folder.path().join("config.json"), docker).unwrap();
    fs::write(folder.path().join("auth.json"), podman).unwrap();
    let settings = settings(folder.path());
    for (registry, repository, expected) in [
        ("docker.io", "library/alpine", "hub:x:y"),
        ("r.example:5000", "a", "host:1"),
        ("r.example", "a", "none"),
        ("old.example", "a", "o:p"),
        ("t.example", "a", "identity T"),
        ("q.example", "ns/repo", "repo:1"),
        ("q.example", "ns/repository", "ns:1"),
        ("q.example", "nsx/repo", "q:1"),
        ("empty.example", "a", "e:1"),
    ] {
        assert_eq!(found(&settings, registry, repository), expected, "{registry}/{repository}");
    }
}

#[test]
fn helpers_are_asked() {
    let folder = tempfile::tempdir().unwrap();
    helper(
        folder.path(),
        "one",
        r#"read url; test "$1" = get && echo "{\"ServerURL\":\"$url\",\"Username\":\"u\",\"Secret\":\"$url\"}""#,
    );
    helper(folder.path(), "token", r#"echo '{"Username":"<token>","Secret":"T"}'"#);
    helper(folder.path(), "none", "echo credentials not found in native keychain; exit 1");
    helper(folder.path(), "broken", "echo the keyring is locked; exit 2");
    let config = r#"{"credHelpers":{"one.example":"one","token.example":"token","broken.example":"broken",
        "lost.example":"lost"},"credsStore":"none","auths":{"plain.example":{"auth":"YTpi"}}}"#;
    fs::write(folder.path().join("config.json"), config).unwrap();
    let settings = settings(folder.path());
    assert_eq!(found(&settings, "one.example", "a/b"), "u:one.example");
    assert_eq!(found(&settings, "token.example", "a"), "identity T");
    assert_eq!(found(&settings, "other.example", "a"), "none");
    assert_eq!(found(&settings, "plain.example", "a"), "a:b");
    for (registry, word) in [("broken.example", "the keyring is locked"), ("lost.example", "not in PATH")] {
        let error = find(&settings, &[], registry, "a").unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert!(find(&settings, &["one".into()], "x.example", "a").unwrap().is_some());
}

#[test]
fn mistakes_name_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    for (text, word) in
        [("{\n\"auths\": 1}", "config.json:2: "), (r#"{"auths":{"a":{"auth":"!"}}}"#, "base64")]
    {
        fs::write(&file, text).unwrap();
        let error = find(&settings(folder.path()), &[], "a", "b").unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn logging_out_keeps_the_rest_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    let text =
        r#"{"zeta":1,"auths":{"b.example":{"auth":"YTpi"},"a.example":{"auth":"YTpi"}},"alpha":{"x":[]}}"#;
    fs::write(&file, text).unwrap();
    let settings = settings(folder.path());
    assert!(logout(&settings, "a.example").unwrap());
    assert!(!logout(&settings, "a.example").unwrap());
    let left: String = fs::read_to_string(&file).unwrap().split_whitespace().collect();
    assert_eq!(left, r#"{"zeta":1,"auths":{"b.example":{"auth":"YTpi"}},"alpha":{"x":[]}}"#);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}
