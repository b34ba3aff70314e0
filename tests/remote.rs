//! Files of web servers: what ADD makes of them, and when they are fetched.

use jettison_testkit::{Context, Layer, Served, WebServer};

use crate::{Bench, context_of};

/// Sun, 06 Nov 1994 08:49:37 GMT
const TIME: (&str, u64) = ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777);

fn add(url: &str, rest: &str) -> Context {
    context_of(&format!("FROM scratch\nADD {url} {rest}\n"), &[])
}

#[test]
fn a_file_keeps_its_name_and_time_and_is_for_its_owner_alone() {
    let web = WebServer::start();
    web.serve("/a/some%20file.txt", Served::new("text").header("Last-Modified", TIME.0));
    let image = Bench::new().image(&add(&web.url("/a/some%20file.txt?x=1"), "/to/"), &[]);
    let tree = image.tree();
    let file = tree.get("/to/some file.txt");
    assert_eq!((file.content.as_slice(), file.mode, file.uid, file.gid), (&b"text"[..], 0o600, 0, 0));
    assert_eq!(file.mtime, TIME.1);
    let text = format!("ADD {} /to/ # buildkit", web.url("/a/some%20file.txt?x=1"));
    assert_eq!(image.config.history[0].created_by, Some(text));
}

#[test]
fn a_file_without_time_is_of_1970_and_without_name_is_unnamed() {
    let web = WebServer::start();
    web.serve("/", Served::new("text"));
    let tree = Bench::new().image(&add(&web.url("/"), "/to/"), &[]).tree();
    assert_eq!(tree.get("/to/__unnamed__").mtime, 0);
}

#[test]
fn chown_and_chmod_and_a_name_of_its_own() {
    let web = WebServer::start();
    web.serve("/tool", Served::new("text"));
    let dockerfile = format!("FROM busybox\nADD --chown=node --chmod=755 {} bin/run\n", web.url("/tool"));
    let tree = Bench::new().image(&Context::of(&dockerfile), &[]).tree();
    let file = tree.get("/bin/run");
    assert_eq!((file.mode, file.uid, file.gid), (0o755, 1000, 1000));
}

#[test]
fn archives_are_unpacked_on_request_only() {
    let web = WebServer::start();
    let archive = Layer::new().file("d/f", 0o644, "text").to_tar();
    web.serve("/a.tar", Served::new(&archive));
    let url = web.url("/a.tar");
    let dockerfile = format!("FROM scratch\nADD {url} /as-it-is/\nADD --unpack=true {url} /unpacked/\n");
    let tree = Bench::new().image(&Context::of(&dockerfile), &[]).tree();
    assert_eq!(tree.get("/as-it-is/a.tar").content, archive);
    assert_eq!(tree.text("/unpacked/d/f"), "text");
    // Both are one download.
    assert_eq!(web.requests().len(), 1);
}

#[test]
fn local_files_and_urls_go_in_one_instruction() {
    let web = WebServer::start();
    web.serve("/remote", Served::new("far"));
    web.serve("/other", Served::new("farther"));
    let archive = Layer::new().file("inside", 0o644, "near").to_tar();
    let dockerfile =
        format!("FROM scratch\nADD a.tar {} local {} /to/\n", web.url("/remote"), web.url("/other"));
    let context = Context::of(&dockerfile).file("a.tar", archive).file("local", "near");
    let tree = Bench::new().image(&context, &[]).tree();
    assert_eq!(tree.below("/to"), ["inside", "local", "other", "remote"]);
    assert_eq!((tree.text("/to/remote"), tree.get("/to/local").mode), ("far".to_owned(), 0o644));
}

#[test]
fn an_unchanged_file_is_not_fetched_again() {
    for headers in
        [vec![("ETag", "\"v1\"")], vec![("Last-Modified", TIME.0), ("Date", "Sun, 06 Nov 1994 08:50:00 GMT")]]
    {
        let web = WebServer::start();
        let served = |text: &str| {
            headers.iter().fold(Served::new(text), |file, (name, value)| file.header(name, value))
        };
        web.serve("/f", served("one"));
        let bench = Bench::new();
        let context = add(&web.url("/f"), "/f");
        let first = bench.image(&context, &[]);
        // The server would send something else, but says that nothing has changed.
        web.serve("/f", served("two"));
        let steps = bench.build(&context, &["--progress", "rawjson"]).steps();
        assert!(steps.all().iter().all(|step| step.cached), "{headers:?}");
        assert_eq!(bench.image(&context, &[]).digest, first.digest);
        web.serve("/f", Served::new("three").header("ETag", "\"v2\""));
        assert_eq!(bench.image(&context, &[]).tree().text("/f"), "three");
    }
}

#[test]
fn a_time_of_the_same_second_does_not_vouch_for_a_file() {
    let web = WebServer::start();
    let served = |text: &str| Served::new(text).header("Last-Modified", TIME.0).header("Date", TIME.0);
    let bench = Bench::new();
    web.serve("/f", served("one"));
    bench.build(&add(&web.url("/f"), "/f"), &[]);
    web.serve("/f", served("two"));
    assert_eq!(bench.image(&add(&web.url("/f"), "/f"), &[]).tree().text("/f"), "two");
}

#[test]
fn a_file_of_another_time_is_another_file() {
    let web = WebServer::start();
    let bench = Bench::new();
    web.serve("/f", Served::new("same").header("Last-Modified", TIME.0));
    bench.build(&add(&web.url("/f"), "/f"), &[]);
    web.serve("/f", Served::new("same").header("Last-Modified", "Sun, 06 Nov 1994 08:49:38 GMT"));
    assert_eq!(bench.image(&add(&web.url("/f"), "/f"), &[]).tree().get("/f").mtime, TIME.1 + 1);
}

#[test]
fn a_checksum_is_checked_and_then_needs_no_network() {
    let web = WebServer::start();
    web.serve("/f", Served::new("text"));
    let digest = "sha256:982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1";
    let bench = Bench::new();
    let good = add(&format!("--checksum={digest} {}", web.url("/f")), "/f");
    assert_eq!(bench.image(&good, &[]).tree().text("/f"), "text");
    let asked = web.requests().len();
    bench.build(&good, &[]);
    assert_eq!(web.requests().len(), asked);
    let bad = add(&format!("--checksum=sha256:{} {}", "0".repeat(64), web.url("/f")), "/f");
    bench.fails(&bad, &[]).says("digest mismatch").says(digest).says(&web.url("/f")).says("Dockerfile:2");
}

#[test]
fn a_checksum_is_for_one_remote_file() {
    let checksum = format!("--checksum=sha256:{}", "0".repeat(64));
    for (sources, message) in [
        ("a", "checksum requires HTTP(S) or Git sources"),
        ("http://localhost/a http://localhost/b", "checksum can't be specified for multiple sources"),
    ] {
        let context = add(&format!("{checksum} {sources}"), "/to/");
        Bench::new().fails(&context, &[]).says(message).says("Dockerfile:2");
    }
}

#[test]
fn a_file_that_cannot_be_had_is_named_with_its_line() {
    let web = WebServer::start();
    let url = web.url("/missing");
    Bench::new().fails(&add(&url, "/f"), &[]).says(&url).says("404").says("Dockerfile:2");
    let password = url.replace("http://", "http://me:secret@");
    Bench::new().fails(&add(&password, "/f"), &[]).says("404").says("xxxxx:xxxxx@");
    let unreachable = "http://127.0.0.1:1/f";
    Bench::new().fails(&add(unreachable, "/f"), &[]).says(unreachable).says("cannot connect");
}

#[test]
fn credentials_come_from_secrets_and_reach_the_host_of_the_url_alone() {
    let other = WebServer::start();
    other.serve("/f", Served::new("text"));
    let web = WebServer::start();
    let authorized = |value: &str, file: Served| Served { authorization: Some(value.to_owned()), ..file };
    web.serve("/token", authorized("Bearer t0ken", Served::new("by token")));
    web.serve("/header", authorized("Custom abc", Served::new("by header")));
    web.serve("/user", authorized("Basic bWU6cHc=", Served::new("by user")));
    let elsewhere = other.url("/f").replace("127.0.0.1", "localhost");
    let redirect = Served { status: 302, ..Served::new("") }.header("Location", &elsewhere);
    web.serve("/elsewhere", authorized("Bearer t0ken", redirect));
    let mut bench = Bench::new();
    bench.jettison.set("TOKEN", "t0ken");
    bench.jettison.set("HEADER", "Custom abc");
    let token = "--secret=id=HTTP_AUTH_TOKEN_127.0.0.1,env=TOKEN";
    let header = "--secret=id=HTTP_AUTH_HEADER_127.0.0.1,env=HEADER";
    assert_eq!(bench.image(&add(&web.url("/token"), "/f"), &[token]).tree().text("/f"), "by token");
    assert_eq!(bench.image(&add(&web.url("/header"), "/f"), &[header]).tree().text("/f"), "by header");
    let user = web.url("/user").replace("http://", "http://me:pw@");
    assert_eq!(bench.image(&add(&user, "/f"), &[]).tree().text("/f"), "by user");
    assert_eq!(bench.image(&add(&web.url("/elsewhere"), "/f"), &[token]).tree().text("/f"), "text");
    assert_eq!(other.requests()[0].header("authorization"), None);
    bench.fails(&add(&web.url("/token"), "/other"), &[]).says("401");
}

#[test]
fn a_command_can_use_what_was_fetched() {
    let web = WebServer::start();
    web.serve("/f", Served::new("text"));
    let context = Context::of(&format!("FROM busybox\nADD {} /f\nRUN cp /f /copy\n", web.url("/f")));
    assert_eq!(Bench::new().image(&context, &[]).tree().text("/copy"), "text");
}

#[test]
fn copy_takes_no_urls() {
    let copy = |source: &str| context_of(&format!("FROM scratch\nCOPY {source} /x\n"), &[]);
    Bench::new().fails(&copy("http://h/f"), &[]).says("source can't be a URL for COPY").says("Dockerfile:2");
    Bench::new().fails(&copy("https://h/r.git"), &[]).says("source can't be a git ref for COPY");
}
