//! Pushes to a real registry.

use jettison_build::export::{ExportError, prepare, push};
use jettison_image::Reference;
use jettison_registry::{Client, Settings};
use jettison_testkit::{Image, Registry};

use crate::fixture::{Fixture, fixture};

fn fetched(fixture: &Fixture, registry: &Registry, name: &str) -> Image {
    let archive = fixture.path("fetched.tar");
    let _ = std::fs::remove_file(&archive);
    registry.fetch(name, &format!("oci-archive:{}:x", archive.display()));
    Image::from_oci_archive(&archive)
}

#[test]
fn an_image_is_pushed_under_all_its_names() {
    let (fixture, registry) = (fixture(), Registry::start());
    let client = Client::new(Settings::default());
    let names = ["app:1", "app:2", "team/other:1"].map(|name| format!("{}/{name}", registry.address()));
    let image = fixture.gzip(&names.each_ref().map(String::as_str));
    let pushed = push(&client, std::slice::from_ref(&image), fixture.context()).unwrap();
    assert!(pushed.iter().all(|pushed| pushed.digest == image.manifest.digest()));
    assert_eq!(pushed.iter().map(|pushed| pushed.reference.to_string()).collect::<Vec<_>>(), names);
    for name in ["app:1", "app:2", "team/other:1"] {
        let read = fetched(&fixture, &registry, name);
        assert_eq!(read.digest, image.manifest.digest());
        assert_eq!(read.tree().text("etc/name"), "base");
    }
}

#[test]
fn a_base_from_next_door_is_mounted_and_not_fetched() {
    let (fixture, registry) = (fixture(), Registry::start());
    let client = Client::new(Settings::default());
    let base = format!("{}/base:1", registry.address());
    push(&client, &[fixture.gzip(&[&base])], fixture.context()).unwrap();
    let name = format!("{}/app:1", registry.address());
    let mut source = fixture.source(&[&name]);
    let digest = source.layers[0].blob.as_ref().unwrap().digest;
    std::fs::remove_file(fixture.store.blobs().path(&digest)).unwrap();
    source.layers[0].origin = Some(Reference::parse(&base).unwrap());
    source.layers[0].fetch = Some(Box::new(|| Err(std::io::Error::other("nobody should fetch it"))));
    let image = prepare(source, &Default::default(), fixture.context()).unwrap();
    push(&client, std::slice::from_ref(&image), fixture.context()).unwrap();
    assert_eq!(fetched(&fixture, &registry, "app:1").digest, image.manifest.digest());
}

#[test]
fn a_push_says_what_is_wrong() {
    let fixture = fixture();
    let client = Client::new(Settings::default());
    let error = push(&client, &[fixture.gzip(&[])], fixture.context()).unwrap_err();
    assert!(matches!(error, ExportError::NoName), "{error}");
    let registry = Registry::start();
    let name = format!("{}/app:1", registry.address());
    let mut source = fixture.source(&[&name]);
    let digest = source.layers[0].blob.as_ref().unwrap().digest;
    std::fs::remove_file(fixture.store.blobs().path(&digest)).unwrap();
    source.layers[0].fetch = Some(Box::new(|| Err(std::io::Error::other("it is gone there too"))));
    let image = prepare(source, &Default::default(), fixture.context()).unwrap();
    let error = push(&client, std::slice::from_ref(&image), fixture.context()).unwrap_err();
    assert!(format!("{error:?}").contains("it is gone there too"), "{error:?}");
}
