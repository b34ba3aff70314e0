//! What the store takes: shown, checked, and kept within a limit.

use jettison_testkit::tools;

use crate::{Bench, context_of};

#[test]
fn cache_shows_checks_and_prunes() {
    let bench = Bench::new();
    let context = context_of("FROM busybox AS s\nRUN echo 1 >/a\nFROM scratch\nCOPY --from=s /a /a\n", &[]);
    bench.build(&context, &["-t", "app"]);
    let shown = bench.jettison.ok(&["cache", "show"]).stdout;
    assert!(shown.contains("RUN echo 1 >/a"), "{shown}");
    bench.jettison.ok(&["cache", "check"]);
    let blobs = bench.jettison.store().join("v1/blobs/sha256");
    let blob = std::fs::read_dir(blobs).unwrap().next().unwrap().unwrap().path();
    let content = std::fs::read(&blob).unwrap();
    std::fs::write(&blob, b"damaged").unwrap();
    let output = bench.jettison.run(&["cache", "check"]);
    assert_ne!(output.code, 0, "{output}");
    assert!(output.stdout.contains(&blob.file_name().unwrap().to_string_lossy().into_owned()), "{output}");
    std::fs::write(&blob, content).unwrap();
    let pruned = bench.jettison.ok(&["cache", "prune", "--all", "--force"]).stdout;
    assert!(pruned.contains("Deleted build cache records"), "{pruned}");
    bench.jettison.ok(&["inspect", "app"]);
}

/// The base of a stage from which only a file was taken is in no image; what was unpacked of it is cache, and no rubbish.
#[test]
fn a_prune_leaves_the_bases_of_discarded_stages() {
    let bench = Bench::new();
    let context = context_of("FROM busybox AS s\nRUN echo 1 >/a\nFROM scratch\nCOPY --from=s /a /a\n", &[]);
    bench.build(&context, &["-t", "app"]);
    let size = || tools::run("du", ["-sb", &bench.jettison.store().join("v1/layers").display().to_string()]);
    let before = size();
    for prune in [&["image", "prune", "--force"][..], &["prune", "--force", "--filter", "until=24h"]] {
        bench.jettison.ok(prune);
        assert_eq!(size(), before, "{prune:?}");
    }
    bench.jettison.ok(&["cache", "prune", "--all", "--force"]);
    assert_ne!(size(), before);
}

/// A build that goes on in another process keeps what it uses, whatever the limit.
#[test]
fn a_build_collects_what_is_above_the_limit_beside_another_build() {
    let mut bench = Bench::new();
    bench.jettison.set("JETTISON_CACHE_LIMIT", "1");
    let meeting = "--mount=type=cache,id=meeting,target=/m";
    let waiting = context_of(
        &format!(
            "FROM busybox AS s\nRUN echo kept >/a\nRUN {meeting} touch /m/here; until test -e /m/go; do sleep 0.05; done\nFROM scratch\nCOPY --from=s /a /a\n"
        ),
        &[],
    );
    std::thread::scope(|scope| {
        let build = scope.spawn(|| bench.image(&waiting, &[]));
        let other = |command: &str| context_of(&format!("FROM busybox\nRUN {meeting} {command}\n"), &[]);
        bench
            .build(&other("until test -e /m/here; do sleep 0.05; done; head -c 100000 /dev/zero >/big"), &[]);
        bench.build(&other("touch /m/go; head -c 100000 /dev/zero >/big2"), &[]);
        assert_eq!(build.join().unwrap().tree().text("/a"), "kept\n");
    });
    let unused = context_of("FROM scratch\nCOPY <<EOF /x\nx\nEOF\n", &[]);
    bench.build(&unused, &["-t", "last"]);
    let shown = bench.jettison.ok(&["cache", "show"]).stdout;
    assert!(!shown.contains("head -c"), "{shown}");
}
