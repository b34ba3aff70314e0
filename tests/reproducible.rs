//! The same input gives the same digest: whoever builds, wherever, whenever and with how many threads.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use jettison_testkit::{Context, Who};

use crate::{Bench, context_of};

/// Steps of every kind, with what usually differs: new files and directories, owners, modes, links, many files, files
/// that are made at once in several stages.
const DOCKERFILE: &str = "\
FROM busybox AS one
WORKDIR /src
COPY . .
RUN mkdir -p out/deep && for i in $(seq 50); do echo $i > out/deep/$i; done && chown -R 7:8 out/deep
FROM busybox AS two
COPY --chown=1000:1000 a /a
RUN ln -s a /link && ln /a /hard && chmod 4755 /a && touch -d '2020-01-01 00:00:00' /old && umask && cat /old
FROM busybox
COPY --from=one /src/out /out
COPY --from=two /a /link /hard /old /
ADD a b /added/
RUN rm -r /out/deep/1* && date > /dev/null
WORKDIR /made/by/us
USER 1000
";

fn context() -> Context {
    context_of(DOCKERFILE, &[("a", "1"), ("b/c", "2"), ("b/d/e", "3")])
}

/// Gives `path` and all below it this age.
fn age(path: &Path, old: Duration) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            age(&entry.unwrap().path(), old);
        }
    }
    File::open(path).unwrap().set_modified(SystemTime::now() - old).unwrap();
}

/// Builds as `who`, with the program started by `line`, and returns the digest of the manifest.
fn digest(who: Who, line: Option<&str>, context: &Context) -> String {
    let mut bench = Bench::of(who);
    if let Some(line) = line {
        bench.jettison.start_by(line);
    }
    bench.image(context, &[]).digest.to_string()
}

#[test]
fn eight_builds_give_one_digest() {
    let ours = context();
    let clone = context();
    age(clone.path(), Duration::from_secs(400 * 24 * 3600));
    let builds = [
        ("as it is", Who::Me, None, &ours),
        ("another umask", Who::Me, Some("umask 077; exec"), &ours),
        ("a clone with other times", Who::Me, None, &clone),
        ("one core", Who::Me, Some("exec taskset -c 0"), &ours),
        ("subordinate ids", Who::Subordinate, None, &ours),
        ("a clock that is 40 days ahead", Who::Me, Some("exec faketime -f +40d"), &ours),
        ("a clock that is a year behind", Who::Me, Some("exec faketime -f -365d"), &clone),
        ("all at once", Who::Subordinate, Some("umask 002; exec taskset -c 1 faketime -f +1d"), &clone),
    ];
    let digests = builds.map(|(what, who, line, context)| (what, digest(who, line, context)));
    for (what, digest) in &digests {
        assert_eq!(*digest, digests[0].1, "{what}");
    }
}

/// What is left to the user: an epoch of one's own is another input.
#[test]
fn source_date_epoch_is_part_of_the_input() {
    let context = context();
    let with = |epoch: &str| {
        let mut bench = Bench::new();
        bench.jettison.set("SOURCE_DATE_EPOCH", epoch);
        bench.image(&context, &[]).digest.to_string()
    };
    let first = with("1700000000");
    assert_eq!(first, with("1700000000"));
    assert_ne!(first, with("1700000001"));
}

/// The tests above must be able to fail: what a command reads from a clock is in the image.
#[test]
fn what_a_command_writes_is_its_own() {
    let context = Context::of("FROM busybox\nRUN date +%s%N > /when\n");
    let build = || Bench::new().image(&context, &[]).digest.to_string();
    assert_ne!(build(), build());
}
