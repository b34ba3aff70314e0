//! Git repositories: what ADD makes of them, from real servers.

use jettison_testkit::{COMMIT_TIME, Context, GitServer, Kind, SshServer, WebServer, Who};

use crate::{Bench, context_of};

fn add(source: &str) -> Context {
    context_of(&format!("FROM scratch\nADD {source} /to\n"), &[])
}

/// A repository with two commits on `main`, a tag and a branch at the first.
fn server() -> (GitServer, [String; 2]) {
    let server = GitServer::start();
    server.init("r");
    let first = server.commit("r", &[("a", "one"), ("sub/b", "b"), ("sub/deep/c", "c")]);
    server.git("r", &["tag", "-a", "-m", "annotated", "v1"]);
    server.git("r", &["branch", "old"]);
    std::fs::write(server.path("r").join("run"), "#!/bin/sh\n").unwrap();
    server.git("r", &["add", "run"]);
    server.git("r", &["update-index", "--chmod=+x", "run"]);
    std::os::unix::fs::symlink("a", server.path("r").join("link")).unwrap();
    server.git("r", &["add", "link"]);
    std::fs::write(server.path("r").join("a"), "two").unwrap();
    server.git("r", &["add", "a"]);
    server.git("r", &["commit", "-q", "-m", "second"]);
    let second = server.git("r", &["rev-parse", "HEAD"]);
    (server, [first, second])
}

#[test]
fn the_files_of_the_default_branch_come_without_git() {
    let (server, _) = server();
    let tree = Bench::new().image(&add(&server.url("r")), &[]).tree();
    assert_eq!(tree.below("/to"), ["a", "link", "run", "sub", "sub/b", "sub/deep", "sub/deep/c"]);
    assert_eq!(tree.text("/to/a"), "two");
    let modes = ["/to/a", "/to/run", "/to/sub"].map(|path| tree.get(path).mode);
    assert_eq!(modes, [0o644, 0o755, 0o755]);
    assert_eq!((tree.get("/to/link").kind, tree.get("/to/link").link.as_str()), (Kind::Symlink, "a"));
    assert_eq!((tree.get("/to/a").uid, tree.get("/to/a").gid), (0, 0));
}

#[test]
fn refs_and_directories_are_named_in_the_fragment_or_the_query() {
    let (server, [first, second]) = server();
    let url = server.url("r");
    for (rest, a) in [
        ("#v1", "one"),
        ("#old", "one"),
        ("#refs/heads/main", "two"),
        (&format!("#{first}"), "one"),
        ("?tag=v1", "one"),
        ("?branch=main", "two"),
        (&format!("?commit={second}"), "two"),
        ("?ref=old&submodules=false", "one"),
    ] {
        assert_eq!(Bench::new().image(&add(&format!("{url}{rest}")), &[]).tree().text("/to/a"), a, "{rest}");
    }
    for rest in ["#:sub", "#main:sub/", "?subdir=sub"] {
        let tree = Bench::new().image(&add(&format!("{url}{rest}")), &[]).tree();
        assert_eq!(tree.below("/to"), ["b", "deep", "deep/c"], "{rest}");
    }
}

#[test]
fn the_same_commit_gives_the_same_image_to_all() {
    let (server, _) = server();
    for keep in ["", "--keep-git-dir=true "] {
        let context = add(&format!("{keep}{}#v1", server.url("r")));
        let digests =
            [Who::Me, Who::Me, Who::Subordinate].map(|who| Bench::of(who).image(&context, &[]).digest);
        assert_eq!(digests[0], digests[1], "{keep}");
        assert_eq!(digests[0], digests[2], "{keep}");
    }
}

#[test]
fn a_commit_that_is_known_is_not_fetched_again() {
    let (server, _) = server();
    let bench = Bench::new();
    let context = add(&server.url("r"));
    bench.build(&context, &[]);
    let steps = bench.build(&context, &["--progress", "rawjson"]).steps();
    assert!(steps.all().iter().all(|step| step.cached));
    server.commit("r", &[("a", "three")]);
    assert_eq!(bench.image(&context, &[]).tree().text("/to/a"), "three");
}

#[test]
fn git_is_kept_on_request_and_works() {
    let (server, [first, _]) = server();
    for source in [
        format!("--keep-git-dir=true {}#v1", server.url("r")),
        format!("{}?keep-git-dir=1#v1", server.url("r")),
    ] {
        let out = tempfile::tempdir().unwrap();
        let target = out.path().join("files");
        Bench::new().build(&add(&source), &["-o", target.to_str().unwrap()]);
        let git = |arguments: &[&str]| {
            let mut command = std::process::Command::new("git");
            command.args(["-c", "safe.directory=*"]).args(arguments).current_dir(target.join("to"));
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(git(&["rev-parse", "HEAD"]), first);
        assert_eq!(git(&["status", "--porcelain"]), "");
        assert_eq!(git(&["describe", "--tags"]), "v1");
        assert_eq!(git(&["remote", "get-url", "origin"]), server.url("r"));
    }
}

#[test]
fn a_checksum_names_the_commit_or_its_beginning() {
    let (server, [first, second]) = server();
    let url = server.url("r");
    Bench::new().build(&add(&format!("--checksum={first} {url}#v1")), &[]);
    Bench::new().build(&add(&format!("{url}?checksum={}#v1", &first[..10])), &[]);
    let tag = server.git("r", &["rev-parse", "v1"]);
    Bench::new().build(&add(&format!("--checksum={tag} {url}#v1")), &[]);
    let output = Bench::new().fails(&add(&format!("--checksum={second} {url}#v1")), &[]);
    output.says("expected checksum to match").says(&first).says("Dockerfile:2");
}

#[test]
fn submodules_come_along_unless_they_are_left_out() {
    let (server, _) = server();
    server.init("outer");
    server.commit("outer", &[("f", "outer")]);
    server.git("outer", &["submodule", "--quiet", "add", &server.url("r"), "inner"]);
    server.commit("outer", &[]);
    let url = server.url("outer");
    let tree = Bench::new().image(&add(&url), &[]).tree();
    assert_eq!(tree.text("/to/inner/a"), "two");
    assert!(!tree.has("/to/inner/.git") && !tree.has("/to/.git"));
    let tree = Bench::new().image(&add(&format!("{url}?submodules=0")), &[]).tree();
    assert_eq!(tree.below("/to"), [".gitmodules", "f", "inner"]);
    let context = add(&format!("--keep-git-dir=true {url}"));
    assert_eq!(Bench::new().image(&context, &[]).digest, Bench::new().image(&context, &[]).digest);
}

#[test]
fn files_can_take_the_time_of_the_commit() {
    let (server, _) = server();
    let tree = Bench::new().image(&add(&format!("{}?mtime=commit", server.url("r"))), &[]).tree();
    assert_eq!(tree.get("/to/sub/b").mtime, COMMIT_TIME);
    let tree = Bench::new().image(&add(&server.url("r")), &[]).tree();
    assert_ne!(tree.get("/to/sub/b").mtime, COMMIT_TIME);
}

#[test]
fn plain_files_on_a_web_server_do_and_tokens_are_sent() {
    let (server, [first, _]) = server();
    server.git("r", &["update-server-info"]);
    let web = WebServer::start();
    web.serve_folder("/r.git", &server.path("r").join(".git"));
    let url = web.url("/r.git");
    assert_eq!(Bench::new().image(&add(&format!("{url}#v1")), &[]).tree().text("/to/a"), "one");
    assert_eq!(Bench::new().image(&add(&format!("{url}#{first}")), &[]).tree().text("/to/a"), "one");
    // x-access-token:t0ken
    web.authorize("basic eC1hY2Nlc3MtdG9rZW46dDBrZW4=");
    let mut bench = Bench::new();
    bench.fails(&add(&url), &[]).says("git ls-remote");
    bench.jettison.set("TOKEN", "t0ken");
    bench.build(&add(&url), &["--secret=id=GIT_AUTH_TOKEN,env=TOKEN"]);
    web.authorize("Custom abc");
    bench.jettison.set("HEADER", "Custom abc");
    let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    Bench::new().fails(&add(&url), &[]);
    bench.build(&add(&url), &["--no-cache", &format!("--secret=id=GIT_AUTH_HEADER.{host},env=HEADER")]);
}

/// By SSH, with the keys of an agent that the command line names and hosts that the user knows.
#[test]
fn repositories_are_reached_by_ssh_with_an_agent() {
    let (server, [first, _]) = server();
    let ssh = SshServer::start();
    let url = ssh.url(&server.path("r"));
    let agent = format!("--ssh=default={}", ssh.agent().display());
    let mut bench = Bench::new();
    let plain = bench.image(&add(&format!("{}#v1", server.url("r"))), &[]).config.rootfs;

    let stranger = bench.fails(&add(&url), &[&agent]);
    stranger.says("Host key verification failed").says("known_hosts").says("Dockerfile:2");
    bench.jettison.write(".ssh/known_hosts", &ssh.known_hosts());
    let alone = bench.fails(&add(&url), &[]);
    alone.says("Permission denied (publickey)").says("--ssh default").says("Dockerfile:2");
    bench.fails(&add(&url), &[&format!("--ssh=other={}", ssh.agent().display())]).says("--ssh default");

    assert_eq!(bench.image(&add(&format!("{url}#v1")), &[&agent]).config.rootfs, plain);
    let kept = bench.image(&add(&format!("--keep-git-dir=true {url}#{first}")), &[&agent]).tree();
    assert_eq!(kept.text("/to/a"), "one");
    assert!(kept.text("/to/.git/config").contains(&url));
    assert_eq!(
        bench
            .image(
                &context_of("FROM scratch\nCOPY --from=r a /a\n", &[]),
                &[&agent, &format!("--build-context=r={url}")]
            )
            .tree()
            .text("/a"),
        "two"
    );

    // The short form has no place for a port; how the user has set up SSH counts.
    let settings = format!("[core]\n sshCommand = ssh -p {} -o UserKnownHostsFile=", ssh.port());
    let hosts = bench.jettison.path(".ssh/known_hosts");
    let config = bench.jettison.write("gitconfig", &format!("{settings}{}\n", hosts.display()));
    bench.jettison.set("GIT_CONFIG_GLOBAL", config.to_str().unwrap());
    let short = format!("root@127.0.0.1:{}#old", server.path("r").display());
    assert_eq!(bench.image(&add(&short), &[&agent]).tree().text("/to/a"), "one");
    bench.jettison.set("SSH_AUTH_SOCK", ssh.agent().to_str().unwrap());
    bench.build(&add(&short), &["--no-cache", "--ssh=default"]);
}

#[test]
fn what_is_not_there_is_named_with_its_line() {
    let (server, _) = server();
    let url = server.url("r");
    let fails = |source: &str| Bench::new().fails(&add(source), &[]);
    fails(&format!("{url}#no-such")).says("repository does not contain ref no-such").says("Dockerfile:2");
    fails(&format!("{url}#:no/such")).says("there is no directory no/such");
    fails(&format!("{url}#:link")).says("there is no directory link");
    fails(&server.url("no-such")).says("git ls-remote").says("no-such");
    fails("git@localhost:r#--upload-pack=x").says("invalid git reference");
    fails("--keep-git-dir=false git@localhost:r?keep-git-dir=1").says("inconsistent keep-git-dir");
    let mut bench = Bench::new();
    bench.jettison.set("PATH", "/nowhere");
    bench.fails(&add(&url), &[]).says("git is not installed");
}

#[test]
fn what_the_user_has_configured_does_not_change_the_files() {
    let (server, _) = server();
    server.commit("r", &[(".gitattributes", "a filter=own\nb text\n"), ("b", "1\n")]);
    let bench = Bench::new();
    let plain = bench.image(&add(&server.url("r")), &[]).digest;
    let mut bench = Bench::new();
    let config = bench.jettison.write(
        "gitconfig",
        "[core]\n autocrlf = true\n hooksPath = /nowhere\n[filter \"own\"]\n smudge = echo changed\n",
    );
    bench.jettison.set("GIT_CONFIG_GLOBAL", config.to_str().unwrap());
    assert_eq!(bench.image(&add(&server.url("r")), &[]).digest, plain);
}
