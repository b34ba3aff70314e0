//! Times that programs write into files: they are theirs, and two builds differ in them unless the program is asked for
//! better. docs/compatibility.md lists the formats with what to do about each; these tests show it.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, SystemTime};

use jettison_testkit::{Context, Tree, tools};

use crate::{Bench, context_of, tool};

/// Builds twice, each time in a new home.
fn twice(context: &Context) -> [Tree; 2] {
    [0, 1].map(|_| Bench::new().image(context, &[]).tree())
}

fn with_tools(dockerfile: &str, names: &[&str]) -> Context {
    names.iter().fold(Context::of(dockerfile), |context, name| tool(context, name))
}

/// A day as `/etc/shadow` counts: shadow(5).
fn day(seconds: u64) -> String {
    (seconds / 86_400).to_string()
}

#[test]
fn archives_record_the_times_of_their_members() {
    let dockerfile = "FROM busybox\nCOPY tools /\nWORKDIR /w\n\
        RUN echo text > f && touch -d @$((1000000000 + $(od -An -N3 -tu4 /dev/urandom))) f && \
        /usr/bin/gzip -c f > gzip && /usr/bin/gzip -nc f > gzip-n && \
        /usr/bin/ar qcU ar f && /usr/bin/ar qcD ar-D f && /usr/bin/zip -q zip f && \
        /usr/bin/tar -cf tar f && /usr/bin/tar --mtime=@0 -cf tar-mtime f && \
        touch -d @315619200 f && /usr/bin/zip -qX zip-touch f && rm f\n";
    let [one, two] = twice(&with_tools(dockerfile, &["gzip", "ar", "tar", "zip"]));
    for (file, equal) in [
        ("gzip", false),
        ("gzip-n", true),
        ("ar", false),
        ("ar-D", true),
        ("tar", false),
        ("tar-mtime", true),
        ("zip.zip", false),
        ("zip-touch.zip", true),
    ] {
        let path = format!("/w/{file}");
        assert_eq!(one.get(&path).content == two.get(&path).content, equal, "{file}");
    }
}

#[test]
fn logs_record_when_a_package_was_installed() {
    let package = tempfile::tempdir().unwrap();
    let control = "Package: thing\nVersion: 1\nArchitecture: all\nMaintainer: me\nDescription: a thing\n";
    std::fs::create_dir(package.path().join("DEBIAN")).unwrap();
    std::fs::write(package.path().join("DEBIAN/control"), control).unwrap();
    std::fs::write(package.path().join("thing"), "thing").unwrap();
    let archive = package.path().with_extension("deb");
    let [folder, file] = [package.path(), &archive].map(|path| path.display().to_string());
    tools::run("dpkg-deb", ["--build", "-Znone", &folder, &file]);
    let bytes = std::fs::read(&archive).unwrap();
    std::fs::remove_file(&archive).unwrap();
    let install = "/usr/bin/dpkg -i /thing.deb";
    let dockerfile = format!(
        "FROM busybox AS base\nCOPY tools /\nCOPY thing.deb /\n\
         RUN mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates /var/log /etc/dpkg && touch /var/lib/dpkg/status && \
         echo log /var/log/dpkg.log > /etc/dpkg/dpkg.cfg\n\
         FROM base AS logged\nRUN {install}\nFROM base AS removed\nRUN {install} && rm /var/log/dpkg.log\n\
         FROM scratch\nCOPY --from=logged / /logged/\nCOPY --from=removed / /removed/\n"
    );
    let context = with_tools(&dockerfile, &["dpkg", "dpkg-deb", "dpkg-split", "ldconfig", "tar"])
        .file("thing.deb", bytes);
    let [one, two] = twice(&context);
    assert_eq!(one.text("/logged/thing"), "thing");
    let log = one.text("/logged/var/log/dpkg.log");
    assert!(log.contains(" status installed thing:all 1\n") && log.starts_with("20"), "{log}");
    assert_ne!(log, two.text("/logged/var/log/dpkg.log"));
    let removed = |tree: &Tree| -> Vec<(String, Vec<u8>)> {
        let below = tree.below("/removed").into_iter();
        below.map(|path| (path.to_owned(), tree.get(&format!("/removed/{path}")).content.clone())).collect()
    };
    assert_eq!(removed(&one), removed(&two));
}

#[test]
fn the_linkers_cache_records_inodes_and_times() {
    let dockerfile = "FROM busybox\nCOPY tools /\nRUN cp -r $(dirname $(find / -name libc.so.6)) /own && \
        echo /own > /etc/ld.so.conf && mkdir -p /var/cache/ldconfig && ldconfig\n";
    let [one, two] = twice(&with_tools(dockerfile, &["ldconfig", "tar"]));
    assert_ne!(
        one.get("/var/cache/ldconfig/aux-cache").content,
        two.get("/var/cache/ldconfig/aux-cache").content
    );
    assert_eq!(one.get("/etc/ld.so.cache").content, two.get("/etc/ld.so.cache").content);
}

#[test]
fn shadow_records_the_day_a_user_was_added() {
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let dockerfile = "FROM busybox\nCOPY tools /\nRUN touch /etc/shadow /etc/login.defs && useradd one && \
        SOURCE_DATE_EPOCH=315619200 useradd two && useradd three && chage -d 0 three\n";
    let image = Bench::new().image(&with_tools(dockerfile, &["useradd", "chage"]), &[]);
    let after = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let shadow = image.tree().text("/etc/shadow");
    let changed = |user: &str| {
        let line = shadow.lines().find(|line| line.starts_with(&format!("{user}:"))).unwrap();
        line.split(':').nth(2).unwrap().to_owned()
    };
    assert!([day(before), day(after)].contains(&changed("one")), "{shadow}");
    assert_eq!((changed("two"), changed("three")), (day(315_619_200), "0".to_owned()), "{shadow}");
    assert!(image.tree().text("/etc/.pwd.lock").is_empty());
}

/// Both ways in which Python knows the source of a compiled file.
#[test]
fn compiled_python_files_are_the_same_whenever_they_were_made() {
    let build = |age: u64| {
        let context =
            context_of("FROM scratch\nCOPY m.py time.pyc hash.pyc m.pyc /\n", &[("m.py", "x = 1\n")]);
        let time = SystemTime::now() - Duration::from_secs(age);
        File::options().append(true).open(context.path().join("m.py")).unwrap().set_modified(time).unwrap();
        let script = "import py_compile as p\n\
            for name, mode in ('m', p.PycInvalidationMode.TIMESTAMP), ('time', p.PycInvalidationMode.TIMESTAMP), ('hash', p.PycInvalidationMode.CHECKED_HASH):\n  \
            p.compile('m.py', name + '.pyc', invalidation_mode=mode)\n";
        let mut python = Command::new(tools::require("python3"));
        tools::checked(python.args(["-c", script]).current_dir(context.path()));
        Bench::new().image(&context, &[]).tree()
    };
    let (one, two) = (build(1000), build(2_000_000));
    for (file, equal) in [("/hash.pyc", true), ("/m.pyc", true), ("/time.pyc", false)] {
        assert_eq!(one.get(file).content == two.get(file).content, equal, "{file}");
    }
}

/// What `RUN python -m compileall` does: the source lies in a layer below, and its time is that of the context's file.
#[test]
fn a_compiled_python_file_follows_a_source_of_a_layer_below() {
    const EPOCH: u32 = 315_619_200;
    let script = "bytes() { for shift in 0 8 16 24; do printf \"\\\\$(printf %03o $(($1 >> shift & 255)))\"; done; }\n\
        { printf 'code\\0\\0\\0\\0'; bytes $(stat -c %Y m.py); bytes $(stat -c %s m.py); printf body; } > m.pyc\n";
    let dockerfile = "FROM busybox AS build\nCOPY script /\nWORKDIR /w\nCOPY m.py .\nRUN sh /script\n\
        FROM scratch\nCOPY --from=build /w /w\nCOPY --from=build /w/m.pyc /alone.pyc\n";
    let record = |time: u32| [b"code\0\0\0\0", &time.to_le_bytes()[..], &[6, 0, 0, 0], b"body"].concat();
    let images = [1_000_000_000, 1_500_000_000].map(|time| {
        let context = context_of(dockerfile, &[("m.py", "x = 1\n"), ("script", script)]);
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(time));
        File::options()
            .append(true)
            .open(context.path().join("m.py"))
            .unwrap()
            .set_modified(modified)
            .unwrap();
        let bench = Bench::new();
        let kept = bench.image(&context, &["--timestamps=keep"]).tree();
        assert_eq!(kept.get("/w/m.pyc").content, record(time));
        let [above, copied] = [&["--target=build"][..], &[]].map(|flags| bench.image(&context, flags));
        for (image, path) in [(&above, "/w/m.pyc"), (&copied, "/w/m.pyc"), (&copied, "/alone.pyc")] {
            assert_eq!(image.tree().get(path).content, record(EPOCH), "{path}");
        }
        assert_eq!(above.tree().get("/w/m.py").mtime, u64::from(EPOCH));
        [above.digest, copied.digest]
    });
    assert_eq!(images[0], images[1], "whatever time the context's file has");
}
