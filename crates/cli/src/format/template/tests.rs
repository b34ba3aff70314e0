//! Templates as people write them for docker.

use serde_json::json;

use super::*;

fn render(template: &str) -> Result<String, String> {
    let data = json!({
        "Id": "sha256:ab",
        "RepoTags": ["a:1", "b:2"],
        "Size": 1234,
        "Config": {
            "Env": ["PATH=/bin", "A=b"],
            "Labels": { "org.x": "y" },
            "Cmd": null,
            "User": "",
            "ExposedPorts": { "80/tcp": {}, "443/tcp": {} },
        },
    });
    Template::parse(template).and_then(|template| template.render(&data)).map_err(|error| error.to_string())
}

#[test]
fn what_people_write() {
    for (template, text) in [
        ("plain", "plain"),
        ("{{.Id}}", "sha256:ab"),
        ("{{ .Size }} bytes", "1234 bytes"),
        ("{{json .Config.Env}}", r#"["PATH=/bin","A=b"]"#),
        ("{{.Config.Env | json}}", r#"["PATH=/bin","A=b"]"#),
        ("{{json .Config.Cmd}}", "null"),
        ("{{.Config.Env}}", "[PATH=/bin A=b]"),
        ("{{.Config.Cmd}}", "[]"),
        ("{{.Config.Labels}}", "map[org.x:y]"),
        ("{{index .Config.Labels \"org.x\"}}", "y"),
        ("{{index .Config.Labels `none`}}", ""),
        ("{{index .RepoTags 1}}", "b:2"),
        ("{{(index .RepoTags 0) | upper}}", "A:1"),
        ("{{join .RepoTags \", \"}}", "a:1, b:2"),
        ("{{len .RepoTags}}", "2"),
        ("{{range .Config.Env}}{{println .}}{{end}}", "PATH=/bin\nA=b\n"),
        ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
        ("{{range .RepoTags}}{{.}} of {{$.Id}};{{end}}", "a:1 of sha256:ab;b:2 of sha256:ab;"),
        ("{{if .Config.User}}user{{else}}root{{end}}", "root"),
        ("{{with .Config}}{{json .Cmd}}{{end}}", "null"),
        ("{{if eq .Size 1234}}yes{{end}}", "yes"),
        ("{{if and .Id (not .Config.User)}}yes{{end}}", "yes"),
        ("a {{- /* trimmed */ -}} b", "ab"),
        ("a {{- .Size -}} b", "a1234b"),
        ("{{\"}}\"}}", "}}"),
        ("{{.Config.Missing}}", "<no value>"),
        ("{{range .Config.ExposedPorts}}x{{end}}", "xx"),
        ("{{title (lower \"HELLO WORLD\")}}", "Hello World"),
        ("{{index (split .Id \":\") 1}}", "ab"),
    ] {
        assert_eq!(render(template).as_deref(), Ok(text), "{template}");
    }
}

#[test]
fn what_is_wrong_or_missing_is_said() {
    for (template, message) in [
        ("{{.Nothing}}", "no field \"Nothing\"; there are Id, RepoTags"),
        ("{{.Id", "unclosed"),
        ("{{}}", "empty"),
        ("{{range .RepoTags}}", "{{end}} of \"range\" is missing"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{$x := .Id}}", "variables are not supported"),
        ("{{template \"x\"}}", "\"template\" is not supported"),
        ("{{printf \"%s\" .Id}}", "function \"printf\" is not supported"),
        ("{{index .RepoTags 5}}", "wrong arguments for \"index\""),
        ("{{.Id.X}}", "can't take field"),
        ("{{(.Id}}", "\")\" is missing"),
        ("{{.Id)}}", "unexpected \")\""),
        ("{{\"open}}", "unclosed"),
    ] {
        let error = render(template).unwrap_err();
        assert!(error.contains(message), "{template}: {error}");
    }
    let deep = "{{".to_owned() + &"(".repeat(1000) + ".Id" + &")".repeat(1000) + "}}";
    assert!(render(&deep).unwrap_err().contains("too deep"));
}
