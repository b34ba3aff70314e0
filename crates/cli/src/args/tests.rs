//! The command line: docker's spellings come to one verb, and what is missing is refused by name.

use std::ffi::OsString;

use super::*;

fn parse_line(line: &str) -> Result<Command, String> {
    let line: Vec<OsString> =
        std::iter::once("jettison").chain(line.split_whitespace()).map(Into::into).collect();
    parse(&line).map(Cli::verb).map_err(|error| error.to_string())
}

fn build(line: &str) -> BuildArgs {
    match parse_line(line).unwrap() {
        Command::Build(args) => *args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_definition_is_sound() {
    command().debug_assert();
    let line = ["jettison", "build", "."].map(Into::into);
    parse(&line).unwrap();
}

#[test]
fn dockers_spellings_are_one_verb() {
    for spelling in ["build .", "buildx build .", "buildx b .", "image build .", "builder build ."] {
        assert_eq!(build(spelling).context, ".", "{spelling}");
    }
    for (spelling, verb) in [
        ("image ls -q", "Images"),
        ("image list", "Images"),
        ("image inspect x", "Inspect"),
        ("image history x", "History"),
        ("image tag x y", "Tag"),
        ("image rm -f x", "Rmi"),
        ("image remove x", "Rmi"),
        ("image push x", "Push"),
        ("image pull x", "Pull"),
        ("image save -o f x", "Save"),
        ("image load -i f", "Load"),
        ("image prune -a -f", "Prune"),
        ("builder prune --keep-storage 10GB", "Prune"),
        ("buildx prune --filter until=24h", "Prune"),
        ("system prune", "Prune"),
        ("system df", "Du"),
        ("buildx du", "Du"),
        ("container run --rm x", "Run"),
    ] {
        let verb_name = format!("{:?}", parse_line(spelling).unwrap());
        assert!(verb_name.starts_with(verb), "{spelling}: {verb_name}");
    }
}

#[test]
fn switches_take_gos_values_and_the_last_one_wins() {
    let args =
        build("build --no-cache=true --pull=false --push -q --push=0 --target a --target b --rm=false .");
    assert!(args.no_cache && !args.pull && !args.push && args.quiet);
    assert_eq!(args.target.as_deref(), Some("b"));
    assert!(parse_line("build --no-cache=maybe .").unwrap_err().contains("true"));
}

#[test]
fn missing_flags_are_refused_by_name() {
    for (line, flag) in [
        ("build --cache-from x .", "--cache-from"),
        ("build --cache-from=type=registry,ref=x .", "--cache-from"),
        ("build -m 1g .", "--memory"),
        ("build --provenance=mode=max .", "--provenance"),
        ("build --sbom .", "--sbom"),
        ("build --squash .", "--squash"),
        ("run -d x", "--detach"),
        ("run -p 80:80 x", "--publish"),
        ("run --privileged x", "--privileged"),
    ] {
        let error = parse_line(line).unwrap_err();
        assert_eq!(error, format!("error: flag {flag} is not supported yet\n"), "{line}");
    }
    for line in
        ["build --provenance=false --sbom=false .", "build --squash=false .", "run --sig-proxy=false x"]
    {
        assert!(parse_line(line).is_ok(), "{line}");
    }
    assert!(parse_line("build --no-such-flag .").unwrap_err().contains("unexpected argument"));
}

#[test]
fn what_follows_the_image_belongs_to_the_command() {
    let Command::Run(args) =
        parse_line("run -it --rm -e A=1 -h box -v /a:/b:ro image ls --rm -e x --help").unwrap()
    else {
        panic!("not run")
    };
    assert!(args.interactive && args.tty && args.rm);
    assert_eq!(args.image_and_command().0, "image");
    assert_eq!(args.image_and_command().1, ["ls", "--rm", "-e", "x", "--help"]);
    assert_eq!(args.hostname.as_deref(), Some("box"));
    let Command::Run(args) = parse_line("run --rm --entrypoint ls image -la --rm -d").unwrap() else {
        panic!("not run")
    };
    assert_eq!(args.image_and_command().1, ["-la", "--rm", "-d"]);
    assert!(parse_line("run --nosuch image").is_err() && parse_line("run --rm").is_err());
}

#[test]
fn help_shows_switches_without_values() {
    let help = parse_line("build --help").unwrap_err();
    assert!(help.contains("--no-cache") && !help.contains("--no-cache["), "{help}");
    assert!(!help.contains("--squash"), "{help}");
}
