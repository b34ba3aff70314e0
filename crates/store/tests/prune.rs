//! What goes and what stays.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use common::{day, entry_of, image, layer, layer_that_took, names, open, open_on, pulled, reference};
use jettison_image::Digest;
use jettison_layer::Times;
use jettison_store::{CacheScope, Download, ImageScope, LayerId, Object, PruneFilter, Pruned, Store};

/// Makes a layer with a cache record that was last used on day `number`.
fn cached(root: &Path, name: &str, number: u64) -> LayerId {
    let store = open_on(root, number);
    let id = layer(&store, name).id().clone();
    store.records("step").put(&Digest::of(name.as_bytes()), &name, &[Object::Layer(id.clone())]).unwrap();
    id
}

fn hit(store: &Store, name: &str) -> bool {
    store.records("step").get::<String>(&Digest::of(name.as_bytes())).unwrap().is_some()
}

fn prune(root: &Path, filter: PruneFilter) -> Pruned {
    open_on(root, 10).prune(&filter).unwrap()
}

#[test]
fn garbage_goes_and_the_cache_stays() {
    let root = tempfile::tempdir().unwrap();
    let kept = cached(root.path(), "kept", 0);
    {
        let store = open(root.path());
        layer(&store, "garbage");
        store.blobs().write(b"garbage").unwrap();
    }
    let pruned = open(root.path()).collect().unwrap();
    assert_eq!((pruned.layers.len(), pruned.blobs.len(), pruned.records), (1, 1, 0));
    assert!(pruned.bytes >= 8192 + 7, "{pruned:?}");
    assert_eq!(names(root.path(), "layers"), [kept.to_string()]);
    assert!(names(root.path(), "trash").is_empty());
    assert!(hit(&open(root.path()), "kept"));
}

#[test]
fn what_a_process_holds_stays() {
    let root = tempfile::tempdir().unwrap();
    cached(root.path(), "held", 0);
    cached(root.path(), "free", 0);
    let builder = open(root.path());
    assert!(hit(&builder, "held"));
    let blob = builder.blobs().write(b"just made").unwrap();
    let draft = builder.draft_layer().unwrap();
    let pruned = prune(root.path(), PruneFilter { cache: CacheScope::All, ..PruneFilter::default() });
    assert_eq!((pruned.records, pruned.layers.len()), (2, 1));
    assert_eq!(names(root.path(), "layers").len(), 1);
    assert!(builder.blobs().has(&blob).unwrap());
    assert!(draft.fs().is_dir());
    drop((draft, builder));
    let pruned = prune(root.path(), PruneFilter::default());
    assert_eq!((pruned.layers.len(), pruned.blobs.len()), (1, 1));
}

#[test]
fn layers_of_images_are_no_dangling_cache() {
    let root = tempfile::tempdir().unwrap();
    let id = cached(root.path(), "in image", 0);
    cached(root.path(), "not in image", 0);
    {
        let store = open(root.path());
        let used = store.layer(&id).unwrap().unwrap();
        let image = image(&store, "a", &[&used]);
        store.tag(&reference("app"), &entry_of(&image)).unwrap();
    }
    let pruned = prune(root.path(), PruneFilter::default());
    assert_eq!((pruned.records, pruned.layers.len()), (1, 1));
    let store = open(root.path());
    assert!(hit(&store, "in image") && !hit(&store, "not in image"));
    drop(store);
    let pruned = prune(root.path(), PruneFilter { cache: CacheScope::All, ..PruneFilter::default() });
    assert_eq!((pruned.records, pruned.layers.len()), (1, 0), "the image keeps its layer");
    let all = PruneFilter { images: ImageScope::All, cache: CacheScope::All, ..PruneFilter::default() };
    let pruned = prune(root.path(), all);
    assert_eq!(pruned.untagged, ["app:latest"]);
    assert_eq!((pruned.images.len(), pruned.layers.len()), (1, 1));
}

#[test]
fn dangling_images_have_no_name() {
    let root = tempfile::tempdir().unwrap();
    {
        let store = open(root.path());
        let named = image(&store, "named", &[]);
        store.tag(&reference("app"), &entry_of(&named)).unwrap();
        image(&store, "nameless", &[]);
    }
    let filter = PruneFilter { images: ImageScope::Dangling, ..PruneFilter::default() };
    let young = PruneFilter { until: Some(Duration::from_secs(100 * 86_400)), ..filter.clone() };
    assert_eq!(prune(root.path(), young).images.len(), 0);
    let pruned = prune(root.path(), filter);
    assert_eq!((pruned.images.len(), pruned.blobs.len()), (1, 1));
    assert!(open(root.path()).resolve("app").is_ok());
}

#[test]
fn age_counts_from_the_last_use() {
    let root = tempfile::tempdir().unwrap();
    for (name, number) in [("old", 1), ("used again", 2), ("new", 9)] {
        cached(root.path(), name, number);
    }
    assert!(hit(&open_on(root.path(), 8), "used again"));
    let five_days = Duration::from_secs(5 * 86_400);
    let pruned = prune(root.path(), PruneFilter { until: Some(five_days), ..PruneFilter::default() });
    assert_eq!(pruned.records, 1);
    let store = open(root.path());
    assert!(!hit(&store, "old") && hit(&store, "used again") && hit(&store, "new"));
}

#[test]
fn the_least_recently_used_go_first() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..5 {
        cached(root.path(), &format!("layer {number}"), number);
    }
    let all = open(root.path()).usage().unwrap().cache.bytes;
    assert!(hit(&open_on(root.path(), 9), "layer 0"));
    let filter = |keep| PruneFilter { keep_storage: Some(keep), ..PruneFilter::default() };
    assert_eq!(prune(root.path(), filter(all)).records, 0);
    assert_eq!(prune(root.path(), filter(all / 2)).records, 3);
    let store = open(root.path());
    let left: Vec<bool> = (0..5).map(|number| hit(&store, &format!("layer {number}"))).collect();
    assert_eq!(left, [true, false, false, false, true]);
}

#[test]
fn what_took_long_stays_longer() {
    let root = tempfile::tempdir().unwrap();
    for (name, seconds, number) in [("slow", 60.0, 1), ("quick", 0.1, 1), ("quick but new", 0.1, 9)] {
        let store = open_on(root.path(), number);
        let id = layer_that_took(&store, name, seconds).id().clone();
        store.records("step").put(&Digest::of(name.as_bytes()), &name, &[Object::Layer(id)]).unwrap();
    }
    let all = open(root.path()).usage().unwrap().cache.bytes;
    let filter = |keep| PruneFilter { keep_storage: Some(keep), ..PruneFilter::default() };
    assert_eq!(prune(root.path(), filter(all - 1)).records, 1);
    assert!(!hit(&open(root.path()), "quick"));
    assert_eq!(prune(root.path(), filter(all / 2)).records, 1);
    assert!(hit(&open(root.path()), "slow"));
}

#[test]
fn the_limit_is_kept_and_what_is_in_use_stays() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..5 {
        cached(root.path(), &format!("layer {number}"), number);
    }
    let all = open(root.path()).usage().unwrap().cache.bytes;
    let user = open_on(root.path(), 9);
    assert_eq!(user.keep_within(0).unwrap(), Pruned::default(), "it wrote nothing");
    assert!(hit(&user, "layer 0"));
    let builder = open_on(root.path(), 9);
    let nameless = image(&builder, "nameless", &[]);
    let pruned = builder.keep_within(all / 2).unwrap();
    assert_eq!(pruned.records, 3, "{pruned:?}");
    assert!(pruned.images.is_empty(), "the builder has just made it");
    let left: Vec<bool> = (0..5).map(|number| hit(&builder, &format!("layer {number}"))).collect();
    assert_eq!(left, [true, false, false, false, true]);
    drop((user, builder));
    let next = open_on(root.path(), 20);
    next.blobs().write(b"growth").unwrap();
    let pruned = next.keep_within(0).unwrap();
    assert_eq!(pruned.images, [nameless.config]);
    assert_eq!(next.usage().unwrap().cache.count, 0);
}

#[test]
fn old_notes_go_when_the_cache_is_measured() {
    let root = tempfile::tempdir().unwrap();
    let store = open_on(root.path(), 40);
    for (name, age) in [("old", 31), ("young", 29)] {
        let key = Digest::of(name.as_bytes());
        store.put_note(&key, b"noted").unwrap();
        let file = std::fs::File::options().append(true).open(root.path().join("v1/notes").join(key.hex()));
        file.unwrap().set_modified(day(40 - age)).unwrap();
    }
    store.blobs().write(b"growth").unwrap();
    store.keep_within(u64::MAX).unwrap();
    let left = ["old", "young"].map(|name| store.has_note(&Digest::of(name.as_bytes())).unwrap());
    assert_eq!(left, [false, true]);
}

#[test]
fn a_check_finds_what_is_not_as_its_name_says() {
    let root = tempfile::tempdir().unwrap();
    let id = cached(root.path(), "layer", 0);
    let blob = open(root.path()).blobs().write(b"blob").unwrap();
    assert_eq!(open(root.path()).check().unwrap(), []);
    std::fs::write(root.path().join("v1/blobs/sha256").join(blob.hex()), "blub").unwrap();
    std::fs::write(root.path().join("v1/layers").join(id.as_str()).join("index"), "torn").unwrap();
    let found: Vec<String> =
        open(root.path()).check().unwrap().into_iter().map(|damage| damage.object).collect();
    assert_eq!(found, [Object::Blob(blob).to_string(), Object::Layer(id).to_string()]);
}

#[test]
fn compressed_layers_stay_as_long_as_their_layer() {
    let root = tempfile::tempdir().unwrap();
    let diff_id = Digest::of(b"tar");
    let id = cached(root.path(), "layer", 0);
    {
        let store = open(root.path());
        store.layer(&id).unwrap().unwrap().remember_diff_id(Times::Epoch(0), diff_id).unwrap();
        let blob = pulled(&store, b"compressed");
        store.memo().put(&diff_id, "gzip-6", &blob).unwrap();
        let orphan = pulled(&store, b"orphan");
        store.memo().put(&Digest::of(b"other"), "gzip-6", &orphan).unwrap();
    }
    assert_eq!(open(root.path()).collect().unwrap().blobs.len(), 1);
    assert_eq!(names(root.path(), "memo"), [diff_id.hex()]);
    assert!(open(root.path()).memo().get(&diff_id, "gzip-6").unwrap().is_some());
    assert_eq!(prune(root.path(), PruneFilter::default()).blobs.len(), 1);
    assert!(names(root.path(), "memo").is_empty());
}

#[test]
fn downloads_under_way_stay() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let begin = |bytes: &[u8]| match store.blobs().partial(&Digest::of(bytes)).unwrap() {
        Download::Needed(mut partial) => {
            partial.write_all(b"beginning").unwrap();
            partial
        }
        Download::Present => panic!("nothing is there"),
    };
    drop(begin(b"given up"));
    let under_way = begin(b"under way");
    let usage = open(root.path()).usage().unwrap();
    assert_eq!((usage.partials.count, usage.partials.bytes, usage.partials.reclaimable), (2, 18, 9));
    let pruned = prune(root.path(), PruneFilter::default());
    assert_eq!((pruned.partials, pruned.bytes), (1, 9));
    assert_eq!(under_way.offset(), 9);
    assert_eq!(names(root.path(), "partial").len(), 1);
}

#[test]
fn usage_tells_images_from_cache() {
    let root = tempfile::tempdir().unwrap();
    let id = cached(root.path(), "in image", 3);
    cached(root.path(), "cache", 4);
    {
        let store = open(root.path());
        let used = store.layer(&id).unwrap().unwrap();
        image(&store, "a", &[&used]);
        store.blobs().write(b"stray").unwrap();
    }
    let usage = open(root.path()).usage().unwrap();
    assert_eq!((usage.images.count, usage.cache.count, usage.blobs.count), (1, 1, 1));
    assert_eq!(usage.blobs.bytes, 5);
    assert_eq!(usage.images.reclaimable, usage.images.bytes, "the image has no name");
    assert_eq!(usage.cache.reclaimable, usage.cache.bytes);
    assert_eq!(usage.cache.last_used, Some(day(4)));
    let mut in_use: Vec<_> =
        usage.layers.iter().map(|layer| (layer.created_by.as_str(), layer.in_use)).collect();
    in_use.sort_unstable();
    assert_eq!(in_use, [("RUN touch cache", false), ("RUN touch in image", true)]);
}
