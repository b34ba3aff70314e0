//! The table of matches and rewrites, after containers-registries.conf(5).

use super::*;

fn conf(text: &str) -> Result<RegistriesConf, Error> {
    let mut conf = RegistriesConf::default();
    conf.add(Path::new("/r.conf"), text)?;
    Ok(conf)
}

fn pulls(conf: &RegistriesConf, name: &str) -> Vec<String> {
    let reference = Reference::parse(name).unwrap();
    let shown = |endpoint: Endpoint| {
        let insecure = if endpoint.insecure { " insecure" } else { "" };
        format!("{}{insecure}", endpoint.reference)
    };
    conf.pull_endpoints(&reference).unwrap().into_iter().map(shown).collect()
}

const SAMPLE: &str = r#"
unqualified-search-registries = ["docker.io"]

[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "localhost:5000/hub"
insecure = true
[[registry.mirror]]
location = "mirror.example"
pull-from-mirror = "digest-only"

[[registry]]
prefix = "example.com/foo"
location = "internal.example/bar"
insecure = true

[[registry]]
prefix = "*.wild.example"
[[registry]]
prefix = "*.moved.example"
location = "new.example/old"

[[registry]]
location = "quay.io/bad"
blocked = true

[[registry]]
location = "byd.example"
mirror-by-digest-only = true
[[registry.mirror]]
location = "m.byd.example"
"#;

#[test]
fn endpoints_come_in_order_and_rewritten() {
    let conf = conf(SAMPLE).unwrap();
    let digest = jettison_image::Digest::of(b"");
    let cases: &[(&str, &[&str])] = &[
        ("alpine", &["localhost:5000/hub/library/alpine:latest insecure", "docker.io/library/alpine:latest"]),
        ("example.com/foo/a:1", &["internal.example/bar/a:1 insecure"]),
        ("example.com/foobar:1", &["example.com/foobar:1"]),
        ("a.b.wild.example/x:1", &["a.b.wild.example/x:1"]),
        ("a.moved.example/x:1", &["new.example/old/x:1"]),
        ("moved.example/x:1", &["moved.example/x:1"]),
        ("a.moved.example:5000/x:1", &["a.moved.example:5000/x:1"]),
        ("byd.example/x:1", &["byd.example/x:1"]),
    ];
    for (name, expected) in cases {
        if *name == "a.moved.example:5000/x:1" {
            // The port is left behind the location, as in containers/image, where it makes no reference.
            assert!(conf.pull_endpoints(&Reference::parse(name).unwrap()).is_err());
            continue;
        }
        assert_eq!(pulls(&conf, name), *expected, "{name}");
    }
    assert_eq!(
        pulls(&conf, &format!("alpine@{digest}")),
        [
            format!("localhost:5000/hub/library/alpine@{digest} insecure"),
            format!("mirror.example/library/alpine@{digest}"),
            format!("docker.io/library/alpine@{digest}"),
        ]
    );
    assert_eq!(pulls(&conf, &format!("byd.example/x@{digest}")).len(), 2);
}

#[test]
fn push_skips_mirrors_and_blocked_is_blocked() {
    let conf = conf(SAMPLE).unwrap();
    let push = |name: &str| conf.push_endpoint(&Reference::parse(name).unwrap());
    assert_eq!(push("alpine").unwrap().reference.to_string(), "docker.io/library/alpine:latest");
    assert_eq!(push("example.com/foo:1").unwrap().reference.to_string(), "internal.example/bar:1");
    assert!(matches!(push("quay.io/bad/x"), Err(Error::Blocked { .. })));
    assert!(conf.pull_endpoints(&Reference::parse("quay.io/bad:1").unwrap()).is_err());
    assert!(push("quay.io/badder").is_ok());
}

#[test]
fn mistakes_are_named() {
    for (text, word) in [
        ("[[registry]]\nlocation = 1", ":2: "),
        ("[[registry]]\nprefix = \"a.b\"", "no location"),
        ("[[registry]]\nblocked = true", "neither"),
        ("[registries.search]\nregistries = []", "version 1"),
        ("[[registry]]\nlocation = \"https://a.b\"", "scheme"),
        ("[[registry]]\nlocation = \"a.b\"\n[[registry.mirror]]\ninsecure = true", "no location"),
        ("[[registry]]\nlocation=\"a.b\"\n[[registry]]\nlocation=\"a.b\"\ninsecure=true", "twice"),
        ("[[registry]]\nlocation=\"a\"\n[[registry.mirror]]\nlocation=\"b\"\npull-from-mirror=\"x\"", ":5: "),
    ] {
        let error = conf(text).unwrap_err().to_string();
        assert!(error.contains(word) && error.starts_with("/r.conf"), "{text}: {error}");
    }
}

#[test]
fn a_drop_in_replaces_the_entry_of_its_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("registries.conf");
    let drop_ins = folder.path().join("registries.conf.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::write(&main, "[[registry]]\nlocation = \"a.example\"\nblocked = true\n").unwrap();
    fs::write(drop_ins.join("2.conf"), "[[registry]]\nprefix = \"a.example\"\nlocation = \"c.example\"\n")
        .unwrap();
    fs::write(drop_ins.join("1.conf"), "[[registry]]\nprefix = \"a.example\"\nlocation = \"b.example\"\n")
        .unwrap();
    fs::write(drop_ins.join("3.txt"), "not toml").unwrap();
    let paths = |explicit, user, system| Settings {
        registries_conf: crate::settings::RegistriesConfPaths { explicit, user, system },
        ..Settings::default()
    };
    for settings in [
        paths(Some(main.clone()), None, None),
        paths(None, Some(main.clone()), None),
        paths(None, None, Some(main.clone())),
    ] {
        let conf = RegistriesConf::load(&settings).unwrap();
        assert_eq!(pulls(&conf, "a.example/x:1"), ["c.example/x:1"]);
    }
    let missing = paths(Some(folder.path().join("none")), None, None);
    assert!(RegistriesConf::load(&missing).unwrap_err().to_string().contains("none"));
}
