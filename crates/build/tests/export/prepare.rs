//! Compression, and what is believed of layers.

use std::sync::atomic::Ordering;

use jettison_build::export::{CompressionOptions, ExportError, LayerTar, prepare};
use jettison_image::{Digest, Manifest, RawManifest, media_type};

use crate::fixture::fixture;

fn options(compression: &str, force: bool) -> CompressionOptions {
    CompressionOptions::GZIP.with(Some(compression), None, Some(&force.to_string())).unwrap()
}

#[test]
fn layers_leave_in_the_compression_that_is_asked_for() {
    use media_type::{OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};
    let fixture = fixture();
    for (options, base, made) in [
        (options("gzip", false), OCI_LAYER_GZIP, OCI_LAYER_GZIP),
        (options("zstd", false), OCI_LAYER_GZIP, OCI_LAYER_ZSTD),
        (options("zstd", true), OCI_LAYER_ZSTD, OCI_LAYER_ZSTD),
        (options("uncompressed", false), OCI_LAYER_GZIP, OCI_LAYER),
        (options("uncompressed", true), OCI_LAYER, OCI_LAYER),
    ] {
        let image = fixture.prepared(&[], &options);
        let types: Vec<&str> =
            image.layers.iter().map(|layer| layer.descriptor.media_type.as_str()).collect();
        assert_eq!(types, [base, made], "{options:?}");
        for layer in &image.layers {
            let mut bytes = Vec::new();
            layer.open(&fixture.store).unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!((layer.digest(), layer.descriptor.size), (Digest::of(&bytes), bytes.len() as u64));
        }
    }
}

#[test]
fn a_layer_is_compressed_once() {
    let fixture = fixture();
    let first = fixture.gzip(&[]).manifest;
    let second = fixture.gzip(&[]).manifest;
    assert_eq!(first, second);
    assert_eq!(fixture.written.load(Ordering::SeqCst), 1);
    fixture.prepared(&[], &options("zstd", false));
    assert_eq!(fixture.written.load(Ordering::SeqCst), 2);
}

#[test]
fn a_layer_that_came_out_differently_is_an_error() {
    let fixture = fixture();
    let mut source = fixture.source(&[]);
    source.layers[1].tar = Some(Box::new(|out: &mut dyn std::io::Write| out.write_all(b"changed")));
    let error = fixture.try_prepare(source).unwrap_err();
    assert!(matches!(error, ExportError::DiffId { found, .. } if found == Digest::of(b"changed")), "{error}");
}

#[test]
fn a_layer_that_cannot_be_read_is_an_error() {
    let fixture = fixture();
    let mut source = fixture.source(&[]);
    source.layers[1].tar = None;
    let error = fixture.try_prepare(source).unwrap_err();
    assert!(matches!(error, ExportError::NoContent(_)), "{error}");
    let mut source = fixture.source(&[]);
    source.layers[1].tar =
        Some(Box::new(|_: &mut dyn std::io::Write| Err(std::io::Error::other("it is gone"))));
    let error = fixture.try_prepare(source).unwrap_err();
    assert!(error.to_string().contains("it is gone"), "{error}");
}

#[test]
fn layers_must_be_those_of_the_config() {
    let fixture = fixture();
    let mut source = fixture.source(&[]);
    source.layers.pop();
    let error = fixture.try_prepare(source).unwrap_err();
    assert!(matches!(error, ExportError::Layers { diff_ids: 2, layers: 1 }), "{error}");
    let mut source = fixture.source(&[]);
    source.layers.reverse();
    assert!(fixture.try_prepare(source).is_err());
}

#[test]
fn a_pulled_manifest_stays_while_it_fits() {
    let fixture = fixture();
    // With an annotation that a manifest of our own would not have.
    let own = fixture.gzip(&[]).manifest.manifest().unwrap();
    let pulled = Manifest { annotations: [("k".to_owned(), "v".to_owned())].into(), ..own }.to_raw();
    let with = |manifest: &RawManifest, options: &CompressionOptions| {
        let mut source = fixture.source(&[]);
        source.manifest = Some(manifest.clone());
        prepare(source, options, fixture.context()).unwrap().manifest
    };
    assert_eq!(with(&pulled, &CompressionOptions::GZIP), pulled);
    assert_ne!(with(&pulled, &options("zstd", true)), pulled);
}

#[test]
fn a_blob_is_fetched_when_it_is_needed() {
    let fixture = fixture();
    let image = fixture.gzip(&[]);
    let digest = image.layers[0].digest();
    let bytes = std::fs::read(fixture.store.blobs().path(&digest)).unwrap();
    std::fs::remove_file(fixture.store.blobs().path(&digest)).unwrap();
    let mut source = fixture.source(&[]);
    source.layers[0].fetch =
        Some(Box::new(|| fixture.store.blobs().write(&bytes).map(drop).map_err(std::io::Error::other)));
    let image = prepare(source, &CompressionOptions::GZIP, fixture.context()).unwrap();
    assert!(!fixture.store.blobs().has(&digest).unwrap(), "nobody needed it so far");
    let mut read = Vec::new();
    image.layers[0].open(&fixture.store).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, bytes);
}

#[test]
fn an_export_can_be_canceled() {
    let fixture = fixture();
    fixture.cancel.cancel();
    let error = fixture.try_prepare(fixture.source(&[])).unwrap_err();
    assert!(matches!(error, ExportError::Canceled), "{error}");
}

#[test]
fn a_closure_is_a_layer() {
    let fixture = fixture();
    let tar: &dyn LayerTar = &|out: &mut dyn std::io::Write| out.write_all(fixture.made());
    let mut out = Vec::new();
    tar.write(&mut out).unwrap();
    assert_eq!(out, fixture.made());
}
