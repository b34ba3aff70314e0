//! Reads the events that `--progress rawjson` writes: BuildKit's `client.SolveStatus`, one JSON object a line.

use std::collections::BTreeMap;

use serde_json::Value;

/// What became of one vertex of the build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// Such as `[builder 2/5] RUN go build`.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// The digests of the vertices it waits for.
    pub inputs: Vec<String>,
    /// Whether it began.
    pub started: bool,
    /// Whether it ended.
    pub completed: bool,
    /// Whether its result was in the cache.
    pub cached: bool,
    /// Why it failed; empty if it did not.
    pub error: String,
    /// What its command wrote.
    pub log: String,
}

/// All vertices of a build in the order in which they were named.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    steps: Vec<Step>,
}

impl Steps {
    /// Reads the lines of `text`. Lines that are no JSON objects are skipped.
    pub fn parse(text: &str) -> Steps {
        let mut steps = Steps::default();
        let mut places = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with('{')) {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            for vertex in list(&event, "vertexes") {
                let digest = string(vertex, "digest");
                let place = *places.entry(digest.clone()).or_insert_with(|| {
                    steps.steps.push(Step { digest, ..Step::default() });
                    steps.steps.len() - 1
                });
                steps.steps[place].update(vertex);
            }
            for log in list(&event, "logs") {
                if let Some(&place) = places.get(&string(log, "vertex")) {
                    let data = crate::base64::decode(&string(log, "data")).expect("a log's data is base64");
                    steps.steps[place].log.push_str(&String::from_utf8_lossy(&data));
                }
            }
        }
        steps
    }

    /// Returns the steps that stand for instructions: `[stage n/m] …`, without pulls, context and export.
    pub fn instructions(&self) -> impl Iterator<Item = &Step> {
        let skipped = |step: &&Step| {
            !step.name.starts_with('[')
                || step.name.starts_with("[internal]")
                || step.name.contains("] FROM ")
        };
        self.steps.iter().filter(move |step| !skipped(step))
    }

    /// Returns the instructions that were executed (not found in the cache), without `[stage n/m]`.
    pub fn executed(&self) -> Vec<&str> {
        self.instructions().filter(|step| step.started && !step.cached).map(Step::instruction).collect()
    }

    /// Returns the instructions whose results were in the cache.
    pub fn cached(&self) -> Vec<&str> {
        self.instructions().filter(|step| step.cached).map(Step::instruction).collect()
    }

    /// Returns all vertices.
    pub fn all(&self) -> &[Step] {
        &self.steps
    }
}

impl Step {
    /// Returns the name without `[stage n/m]`.
    pub fn instruction(&self) -> &str {
        self.name.split_once("] ").map_or(&self.name, |(_, rest)| rest)
    }

    fn update(&mut self, vertex: &Value) {
        let set = |field: &str| vertex.get(field).is_some_and(|value| !value.is_null());
        self.name = string(vertex, "name");
        self.inputs = list(vertex, "inputs").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        self.started |= set("started");
        self.completed |= set("completed");
        self.cached |= vertex.get("cached") == Some(&Value::Bool(true));
        if set("error") {
            self.error = string(vertex, "error");
        }
    }
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn string(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_add_up() {
        let text = r#"{"vertexes":[{"digest":"a","name":"[1/2] COPY x y"},{"digest":"b","name":"[2/2] RUN z","inputs":["a"]}]}
{"vertexes":[{"digest":"a","name":"[1/2] COPY x y","started":"2020-01-01T00:00:00Z","completed":"2020-01-01T00:00:00Z","cached":true}]}
{"vertexes":[{"digest":"b","name":"[2/2] RUN z","started":"2020-01-01T00:00:00Z"}],"logs":[{"vertex":"b","stream":1,"data":"aGkK"}]}
{"vertexes":[{"digest":"c","name":"exporting","started":"2020-01-01T00:00:00Z"}]}"#;
        let steps = Steps::parse(text);
        assert_eq!(steps.executed(), ["RUN z"]);
        assert_eq!(steps.cached(), ["COPY x y"]);
        assert_eq!(steps.all()[1].log, "hi\n");
    }
}
