use jettison_dockerfile::parse;

use super::*;

/// Rules and lines of the advice on a text, in order.
fn advice(dockerfile: &str, context: &[&str], has_ignore_file: bool) -> Vec<(String, usize)> {
    let parsed = parse(dockerfile.as_bytes());
    let context: Vec<String> = context.iter().map(|&name| name.to_owned()).collect();
    let question = Question {
        dockerfile: Some(&parsed),
        target: None,
        has_ignore_file: Some(has_ignore_file),
        context: &context,
        report: None,
        open: None,
    };
    let lines = LineIndex::new(&parsed.text);
    let row =
        |advice: &Advice| (advice.rule.name.to_owned(), lines.line(advice.span.unwrap_or_default().start));
    advise(&question).iter().map(row).collect()
}

fn at(rule: &str, line: usize) -> (String, usize) {
    (rule.to_owned(), line)
}

#[test]
fn only_what_ships_counts() {
    let builder =
        "FROM a AS build\nARG TOKEN\nRUN apt-get update\nRUN rm -r /x\nFROM a\nCOPY --from=build /x /x\n";
    assert_eq!(advice(builder, &[], true), []);
    let inherited = "FROM a AS base\nRUN apt-get update\nFROM base\nCMD [\"x\"]\n";
    assert_eq!(advice(inherited, &[], true), [at("SZ001", 2)]);
}

#[test]
fn leaks_come_first() {
    let text = "FROM a\nCOPY . .\nRUN npm ci --omit=dev\nARG API_TOKEN\n";
    let expected = [at("SE002", 4), at("SE012", 2), at("CA001", 2), at("SZ029", 2), at("SZ028", 2)];
    assert_eq!(advice(text, &[".git", ".env"], false), expected);
}

#[test]
fn mounts_are_no_waste() {
    let text = "FROM a\nRUN --mount=type=cache,target=/var/lib/apt/lists apt-get update\n\
                RUN --mount=type=cache,target=/root/.cache/pip pip install x\n";
    assert_eq!(advice(text, &[], true), []);
}

#[test]
fn a_later_layer_stores_again() {
    let text = "FROM a\nRUN make\nRUN chown -R x /y\nRUN rm -rf /z\n";
    assert_eq!(advice(text, &[], true), [at("SZ014", 3), at("SZ012", 4)]);
    assert_eq!(advice("FROM a\nCMD [\"npx\", \"serve\", \"dist\"]\n", &[], true), [at("SZ046", 2)]);
}
