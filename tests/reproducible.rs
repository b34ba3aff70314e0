//! The same input gives the same digest: whoever builds, wherever, whenever and with how many threads.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use jettison_testkit::{COMMIT_TIME, Context, GitServer, Served, WebServer, Who};

use crate::{Bench, context_of, failure_of, image_of};

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

/// The tests above must be able to fail: what a command draws by lot is in the image.
#[test]
fn what_a_command_writes_is_its_own() {
    let context = Context::of("FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /lot\n");
    let build = || Bench::new().image(&context, &[]).digest.to_string();
    assert_ne!(build(), build());
}

/// A Dockerfile may bring its own date; the environment goes before it, and a build argument before both.
#[test]
fn the_epoch_can_be_an_argument() {
    let created = |dockerfile: &str, variable: Option<&str>, flags: &[&str]| {
        let mut bench = Bench::new();
        if let Some(variable) = variable {
            bench.jettison.set("SOURCE_DATE_EPOCH", variable);
        }
        bench.image(&context_of(dockerfile, &[("f", "")]), flags).config.created.clone().unwrap()
    };
    let plain = "FROM scratch\nCOPY f /\n";
    let own = "ARG SOURCE_DATE_EPOCH=100\nFROM scratch\nCOPY f /\n";
    assert_eq!(created(own, None, &[]), "1970-01-01T00:01:40Z");
    assert_eq!(created(own, Some("50"), &[]), "1970-01-01T00:00:50Z");
    assert_eq!(created(plain, Some("50"), &["--build-arg", "SOURCE_DATE_EPOCH=7"]), "1970-01-01T00:00:07Z");
    let wrong = "ARG SOURCE_DATE_EPOCH=soon\nFROM scratch\nCOPY f /\n";
    failure_of(wrong, &[("f", "")]).says("invalid SOURCE_DATE_EPOCH: soon").says("Dockerfile:1");
}

/// A stage that only adds a file stands for the date of that file.
#[test]
fn the_epoch_can_be_the_date_of_a_file() {
    let web = WebServer::start();
    web.serve("/f", Served::new("text").header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"));
    let dockerfile = |line: &str| {
        format!(
            "ARG SOURCE_DATE_EPOCH=source\nFROM scratch AS source\n{line}\n\
             FROM busybox\nARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH > /epoch\n"
        )
    };
    let image = image_of(&dockerfile(&format!("ADD {} /", web.url("/f"))), &[]);
    assert_eq!(image.tree().text("/epoch"), "784111777\n");
    assert_eq!(image.config.created.as_deref(), Some("1994-11-06T08:49:37Z"));
    failure_of(&dockerfile("COPY f /"), &[("f", "")]).says("source-only").says("Dockerfile:1");
}

#[test]
fn the_date_of_an_image_can_be_chosen() {
    let server = GitServer::start();
    server.init("r");
    server.commit("r", &[("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")]);
    let context = Context::copy_of(&server.path("r"));
    let mut bench = Bench::new();
    bench.jettison.set("SOURCE_DATE_EPOCH", "5");
    for (flags, date, seconds) in [
        (vec!["--build-arg=SOURCE_DATE_EPOCH=7"], "1970-01-01T00:00:07Z", 7),
        (vec!["--build-arg=SOURCE_DATE_EPOCH=7", "--timestamp=9"], "1970-01-01T00:00:09Z", 9),
        (vec!["--timestamp", "git"], "1994-11-06T08:49:37Z", COMMIT_TIME),
    ] {
        let image = bench.image(&context, &flags);
        assert_eq!(image.config.created.as_deref(), Some(date), "{flags:?}");
        assert_eq!(image.tree().get("/Dockerfile").mtime, seconds, "{flags:?}");
    }
    let now = bench.image(&context, &["--timestamp=now"]).tree().get("/Dockerfile").mtime;
    assert!(now > 1_700_000_000, "{now}");
    let elsewhere = Context::of("FROM scratch\n");
    bench.fails(&elsewhere, &["--timestamp=git"]).says("--timestamp git").says("git repository");
}

/// What `--timestamps=keep` makes is docker's; neither it nor the other finds the other's layers.
#[test]
fn times_are_kept_on_request() {
    const OLD: u64 = 1_500_000_000;
    let dockerfile = "FROM busybox\nCOPY f m.py m.pyc /w/\nRUN echo > /made && rm /w/f\nCMD x\n";
    let record = |time: u64| [b"code\0\0\0\0", &time.to_le_bytes()[..4], b"\x02\0\0\0"].concat();
    let context = context_of(dockerfile, &[("f", ""), ("m.py", "1\n")]).file("m.pyc", record(OLD));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(OLD);
    for name in ["f", "m.py"] {
        File::options().append(true).open(context.path().join(name)).unwrap().set_modified(time).unwrap();
    }
    let mut bench = Bench::new();
    let start = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let normal = bench.image(&context, &[]);
    let kept = bench.image(&context, &["--timestamps=keep"]);
    for (image, time) in [(&normal, 315_619_200), (&kept, OLD)] {
        let tree = image.tree();
        assert_eq!(tree.get("/w/m.py").mtime, time);
        assert_eq!(tree.get("/w/m.pyc").content, record(time));
        assert_eq!(tree.get("/made").mtime >= start - 1, time == OLD);
        let top = image.layer(image.layer_count() - 1);
        let whiteout = &top.iter().find(|(path, _)| path == "w/.wh.f").unwrap().1;
        // containerd writes no time into a whiteout since 2.0.
        assert_eq!(whiteout.mtime, if time == OLD { 0 } else { time });
        let dates: Vec<_> = image.config.history.iter().map(|line| line.created.clone()).collect();
        assert_eq!(dates.last(), Some(&image.config.created));
        assert_eq!(image.config.created.as_deref() > Some("2020"), time == OLD, "{dates:?}");
    }
    assert_eq!(bench.image(&context, &[]).digest, normal.digest);
    assert_eq!(bench.image(&context, &["--timestamps=keep"]).digest, kept.digest);
    let folder = bench.jettison.path("files");
    let output = format!("type=local,dest={}", folder.display());
    bench.build(&context, &["--timestamps=keep", "-o", &output]);
    assert_eq!(fs::metadata(folder.join("w/m.py")).unwrap().modified().unwrap(), time);
    bench.jettison.set("SOURCE_DATE_EPOCH", "5");
    let dated = bench.image(&context, &["--timestamps=keep"]);
    assert_eq!(dated.config.created.as_deref(), Some("1970-01-01T00:00:05Z"));
    assert_eq!(dated.config.rootfs, kept.config.rootfs);
}
