//! Each build check with a file that breaks it and one that does not.

use std::collections::BTreeMap;

use jettison_dockerfile::ignore::Patterns;
use jettison_dockerfile::parse;
use jettison_image::{Config, Platform};
use jettison_plan::NetworkMode;

use super::RULES;
use crate::lint::{CheckOptions, Checked, Request, Settings, build_checks};

fn check(dockerfile: &str, base: Option<&Config>) -> Checked {
    let parsed = parse(dockerfile.as_bytes());
    let ignore = Patterns::new(["secret.txt"]).expect("a valid pattern");
    let platform = Platform::new("linux", "amd64", None);
    let plan = jettison_plan::Request {
        target: None,
        build_args: BTreeMap::new(),
        labels: Vec::new(),
        platform: Some(platform.clone()),
        build_platform: platform,
        contexts: BTreeMap::new(),
        network: NetworkMode::Default,
        extra_hosts: Vec::new(),
        run: jettison_plan::RunOptions::default(),
    };
    let request = Request {
        dockerfile: &parsed,
        plan: &plan,
        every_stage: true,
        ignore: Some(&ignore),
        settings: Settings::NONE,
    };
    let options = CheckOptions::of(&request).expect("valid options");
    build_checks(&request, &options, &mut |_, _| Ok(base.cloned()))
}

fn found(dockerfile: &str) -> Vec<(&'static str, usize)> {
    check(dockerfile, None).findings.iter().map(|found| (found.rule.name, found.lines.0)).collect()
}

/// Rule, a file that breaks it on its last line, a file that does not.
const CASES: &[(&str, &str, &str)] = &[
    ("NoEmptyContinuation", "FROM a\nRUN x \\\n\n y", "FROM a\nRUN x \\\n y"),
    ("MaintainerDeprecated", "FROM a\nMAINTAINER me", "FROM a\nLABEL me=me"),
    ("StageNameCasing", "FROM a AS Base", "FROM a AS base"),
    ("FromAsCasing", "FROM a as b", "FROM a AS b\n# check=skip=all\nFROM a as e"),
    (
        "InvalidDefinitionDescription",
        "# check=experimental=all\n\n# what\nFROM a AS b",
        "# b is\nFROM a AS b\n# x\n\nARG y",
    ),
    ("ReservedStageName", "FROM a AS scratch", "FROM a AS scratch2"),
    ("DuplicateStageName", "FROM a AS b\nFROM a AS b", "FROM a AS b\nFROM a AS c"),
    ("ConsistentInstructionCasing", "FROM a\nRUN x\nrun y", "from a\nrun x"),
    ("InvalidDefaultArgInFrom", "ARG A\nFROM a:$A", "ARG A=1\nFROM a:$A"),
    ("UndefinedArgInFrom", "FROM a$NONE", "ARG SOME\nFROM a$SOME"),
    ("RedundantTargetPlatform", "FROM --platform=$TARGETPLATFORM a", "FROM --platform=$BUILDPLATFORM a"),
    (
        "FromPlatformFlagConstDisallowed",
        "FROM --platform=linux/amd64 a",
        "FROM --platform=linux/amd64 a AS a-amd64",
    ),
    ("UndefinedVar", "FROM a\nENV A=$NONE", "FROM a\nARG B\nENV A=$B C=$PATH"),
    ("LegacyKeyValueFormat", "FROM a\nENV A b", "FROM a\nENV A=b"),
    ("SecretsUsedInArgOrEnv", "FROM a\nARG GITHUB_TOKEN", "FROM a\nARG PUBLIC_KEY TOKEN_FILE KEYBOARD"),
    ("WorkdirRelativePath", "FROM a\nWORKDIR b", "FROM a\nWORKDIR /a\nWORKDIR b"),
    ("CopyIgnoredFile", "FROM a\nCOPY secret.txt /", "FROM a\nCOPY --from=b secret.txt /"),
    (
        "MultipleInstructionsDisallowed",
        "FROM a\nCMD [\"a\"]\nCMD [\"b\"]",
        "FROM a AS b\nCMD [\"a\"]\nFROM b\nCMD [\"b\"]",
    ),
    ("JSONArgsRecommended", "FROM a\nENTRYPOINT b", "FROM a\nSHELL [\"b\"]\nENTRYPOINT b"),
    ("ExposeProtoCasing", "FROM a\nEXPOSE 1/TCP", "FROM a\nEXPOSE 1/tcp 2"),
    ("ExposeInvalidFormat", "FROM a\nEXPOSE 1:1", "FROM a\nEXPOSE 1-2/udp"),
];

#[test]
fn each_rule_finds_what_it_is_for_and_nothing_else() {
    for (rule, bad, good) in CASES {
        let last = bad.lines().count() - usize::from(*rule == "MultipleInstructionsDisallowed");
        let found_bad = found(bad);
        assert!(found_bad.contains(&(*rule, last)), "{rule}: {found_bad:?}");
        assert_eq!(found_bad.len(), 1, "{rule}: {found_bad:?}");
        assert_eq!(found(good), [], "{rule}");
    }
}

#[test]
fn each_rule_has_a_case() {
    // It needs a base image, and has a test of its own below.
    let elsewhere = ["InvalidBaseImagePlatform"];
    for rule in RULES.iter().filter(|rule| !elsewhere.contains(&rule.name)) {
        assert!(CASES.iter().any(|(name, ..)| *name == rule.name), "{}", rule.name);
    }
}

fn config(architecture: &str) -> Config {
    let mut config = Config::scratch(&Platform::new("linux", architecture, None));
    config.config.env = vec!["HERE=1".to_owned()];
    config.config.shell = Some(vec!["bash".to_owned()]);
    config.config.on_build = vec!["ENV FROM_TRIGGER=$HERE$NONE".to_owned()];
    config
}

#[test]
fn base_images_bring_variables_shell_triggers_and_a_platform() {
    let checked = check("FROM a\nENV A=$HERE$FROM_TRIGGER\nCMD x", Some(&config("amd64")));
    let messages: Vec<&str> = checked.findings.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(messages, ["Usage of undefined variable '$NONE'"]);
    assert_eq!(checked.findings[0].lines, (1, 1));
    let checked = check("FROM a", Some(&config("arm64")));
    assert_eq!(
        checked.findings[0].message,
        "Base image a was pulled with platform \"linux/arm64\", expected \"linux/amd64\" for current build"
    );
}

#[test]
fn checks_end_where_a_build_would() {
    for (dockerfile, expected, error) in [
        (
            "FROM a as b\nWRONG\nMAINTAINER m",
            vec!["FromAsCasing"],
            "dockerfile parse error on line 2: unknown instruction: WRONG",
        ),
        ("FROM a as b\nRUN <<EOF\n", vec![], "unterminated heredoc"),
        (
            "FROM a as b\nRUN x\nFROM $NONE",
            vec!["FromAsCasing", "InvalidDefaultArgInFrom", "UndefinedArgInFrom"],
            "base name ($NONE) should not be blank",
        ),
        ("FROM a\nENV A=${\nWORKDIR b", vec![], "failed to process \"${\": syntax error: missing '}'"),
        ("FROM a\nEXPOSE 1:1 x\nWORKDIR b", vec!["ExposeInvalidFormat"], "invalid containerPort: x"),
        ("FROM a\nCOPY --from=9 a b", vec![], "invalid stage index 9"),
        (
            "FROM a AS b\nCOPY --from=c a b\nFROM a AS c",
            vec![],
            "cannot copy from stage \"c\", it needs to be defined before current stage \"b\"",
        ),
    ] {
        let checked = check(dockerfile, None);
        let rules: Vec<&str> = checked.findings.iter().map(|found| found.rule.name).collect();
        assert_eq!(rules, expected, "{dockerfile}");
        assert_eq!(checked.error.map(|error| error.message).as_deref(), Some(error), "{dockerfile}");
    }
}
