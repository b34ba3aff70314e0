//! Findings for programs: JSON, SARIF, and the workflow commands of GitHub Actions.

use serde_json::{Value, json};

use super::{BuildError, Checked, Finding, Level, Rule};

/// One object a finding, in an array; what a build would fail with is one of level `error` with the rule `build`.
pub fn findings_json(checked: &Checked, name: &str) -> Value {
    let row = |finding: &Finding| {
        json!({
            "file": name, "line": finding.lines.0, "endLine": finding.lines.1, "code": finding.rule.name,
            "level": finding.level.name(), "message": finding.message, "url": finding.rule.url,
        })
    };
    let error = |error: &BuildError| {
        json!({
            "file": name, "line": error.line, "endLine": error.line, "code": "build", "level": "error",
            "message": error.message, "url": null,
        })
    };
    checked.findings.iter().map(row).chain(checked.error.iter().map(error)).collect()
}

/// SARIF 2.1.0 (OASIS), with the rules that were broken.
pub fn sarif(checked: &Checked, name: &str) -> Value {
    let mut rules: Vec<&Rule> = Vec::new();
    for finding in &checked.findings {
        if !rules.iter().any(|rule| rule.name == finding.rule.name) {
            rules.push(finding.rule);
        }
    }
    let rule = |rule: &&Rule| {
        let mut row = json!({
            "id": rule.name,
            "shortDescription": { "text": rule.summary },
            "defaultConfiguration": { "level": sarif_level(rule.level) },
        });
        if let Some(url) = rule.url {
            row["helpUri"] = url.into();
        }
        row
    };
    let place = |first: usize, last: usize| {
        json!([{ "physicalLocation": {
            "artifactLocation": { "uri": uri(name) }, "region": { "startLine": first, "endLine": last },
        } }])
    };
    let finding = |finding: &Finding| {
        json!({
            "ruleId": finding.rule.name, "level": sarif_level(finding.level),
            "message": { "text": finding.message }, "locations": place(finding.lines.0, finding.lines.1),
        })
    };
    let error = |error: &BuildError| {
        json!({
            "ruleId": "build", "level": "error", "message": { "text": error.message },
            "locations": place(error.line, error.line),
        })
    };
    let results: Vec<Value> =
        checked.findings.iter().map(finding).chain(checked.error.iter().map(error)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "jettison", "informationUri": "https://github.com/jettison-build/jettison",
                "version": env!("CARGO_PKG_VERSION"), "rules": rules.iter().map(rule).collect::<Vec<_>>(),
            } },
            "results": results,
        }],
    })
}

fn sarif_level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info | Level::Style | Level::Ignore => "note",
    }
}

/// A path as a relative reference of RFC 3986.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte))
            }
            _ => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}

/// `::warning file=…,line=…,endLine=…,title=RULE::text`, a line a finding.
pub fn github(checked: &Checked, name: &str) -> String {
    let mut text = String::new();
    let file = property(name);
    for finding in &checked.findings {
        let command = match finding.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info | Level::Style | Level::Ignore => "notice",
        };
        let ((first, last), title) = (finding.lines, finding.rule.name);
        let message = data(&finding.message);
        text += &format!("::{command} file={file},line={first},endLine={last},title={title}::{message}\n");
    }
    if let Some(error) = &checked.error {
        text += &format!("::error file={file},line={},title=build::{}\n", error.line, data(&error.message));
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::BUILD_CHECKS;

    fn checked() -> Checked {
        let rule = BUILD_CHECKS.iter().find(|rule| rule.name == "UndefinedVar").expect("a rule");
        let finding = Finding {
            rule,
            level: rule.level,
            message: "50% of\nit".to_owned(),
            span: Default::default(),
            lines: (2, 3),
        };
        let error = BuildError { message: "no".to_owned(), span: Default::default(), line: 1 };
        Checked { findings: vec![finding], error: Some(error) }
    }

    #[test]
    fn workflow_commands_are_escaped() {
        assert_eq!(
            github(&checked(), "a,b:c"),
            "::warning file=a%2Cb%3Ac,line=2,endLine=3,title=UndefinedVar::50%25 of%0Ait\n\
             ::error file=a%2Cb%3Ac,line=1,title=build::no\n"
        );
    }

    #[test]
    fn sarif_and_json_have_the_same_findings() {
        let sarif = sarif(&checked(), "my file");
        let results = &sarif["runs"][0]["results"];
        assert_eq!(results[0]["ruleId"], "UndefinedVar");
        assert_eq!(results[0]["level"], "warning");
        assert_eq!(results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "my%20file");
        assert_eq!(results[1]["message"]["text"], "no");
        let json = findings_json(&checked(), "my file");
        assert_eq!(json[0]["code"], "UndefinedVar");
        assert_eq!(json[1]["level"], "error");
    }
}
