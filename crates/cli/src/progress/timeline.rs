//! When each step of a build ran: for `--trace`, and for the critical path that is named after a slow build.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use jettison_build::{Event, Outcome, StepId};
use serde_json::{Value, json};

/// A build is slow from here on: shorter ones need no advice on where their time went.
const SLOW: Duration = Duration::from_secs(10);

/// A step that takes less than this share of the critical path is not worth its line.
const WORTH_NAMING: f64 = 0.03;

/// The steps of a build, and the parts of them that were measured.
#[derive(Debug, Default)]
pub struct Timeline {
    steps: BTreeMap<StepId, Step>,
    items: BTreeMap<(StepId, String), Item>,
}

#[derive(Debug, Default)]
struct Step {
    name: String,
    inputs: Vec<StepId>,
    span: Option<(SystemTime, SystemTime)>,
    outcome: &'static str,
    /// Why it was executed, if that was told; none if its result was there.
    reasons: Option<Vec<String>>,
}

/// Something that was moved: a download, a compression, an upload.
#[derive(Debug)]
struct Item {
    began: SystemTime,
    ended: SystemTime,
    bytes: u64,
}

impl Timeline {
    /// Takes note of an event that came at `now`.
    pub fn event(&mut self, now: SystemTime, event: &Event) {
        match event {
            Event::Planned { steps } => {
                for info in steps {
                    let step = self.steps.entry(info.id).or_default();
                    step.name.clone_from(&info.name);
                    step.inputs.clone_from(&info.inputs);
                }
            }
            Event::Started { step } => {
                let step = self.steps.entry(*step).or_default();
                step.span = Some((now, now));
                step.outcome = "running";
            }
            Event::Progress { step, item, done, .. } => {
                let item = self.items.entry((*step, item.clone()));
                let item = item.or_insert(Item { began: now, ended: now, bytes: 0 });
                (item.ended, item.bytes) = (now, *done);
            }
            Event::Finished { step, outcome, .. } => {
                let step = self.steps.entry(*step).or_default();
                step.span = step.span.map(|(began, _)| (began, now));
                step.outcome = match outcome {
                    Outcome::Cached => "cached",
                    Outcome::Done => "done",
                    Outcome::Failed(_) => "failed",
                    Outcome::Canceled => "canceled",
                };
            }
            Event::Explained { step, reasons } => {
                self.steps.entry(*step).or_default().reasons = Some(reasons.clone());
            }
            Event::Output { .. } | Event::Warning { .. } => {}
        }
    }

    /// Returns the build in Chrome's trace event format ("complete" events, times in microseconds), one row a step and
    /// one a thing that was moved.
    pub fn trace(&self) -> Value {
        let mut events = Vec::new();
        let start = self.steps.values().filter_map(|step| Some(step.span?.0)).min();
        let since = |time: SystemTime| {
            let since = start.and_then(|start| time.duration_since(start).ok()).unwrap_or_default();
            u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
        };
        let mut row = 0;
        let mut add = |name: &str, category: &str, (began, ended): (SystemTime, SystemTime), args: Value| {
            row += 1;
            let (began, ended) = (since(began), since(ended));
            events.push(
                json!({ "name": "thread_name", "ph": "M", "pid": 1, "tid": row, "args": { "name": name } }),
            );
            events.push(json!({
                "name": name, "cat": category, "ph": "X", "pid": 1, "tid": row,
                "ts": began, "dur": ended - began, "args": args,
            }));
        };
        for (id, step) in &self.steps {
            let Some(span) = step.span else { continue };
            add(&step.name, "step", span, json!({ "outcome": step.outcome, "inputs": step.inputs }));
            for ((_, name), item) in self.items.range((*id, String::new())..(*id + 1, String::new())) {
                add(name, "transfer", (item.began, item.ended), json!({ "bytes": item.bytes, "step": id }));
            }
        }
        json!({ "displayTimeUnit": "ms", "traceEvents": events })
    }

    /// Returns each step that was explained, with the reasons why its result was not in the cache.
    pub fn explained(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.steps.values().filter_map(|step| Some((step.name.as_str(), step.reasons.as_deref()?)))
    }

    /// Returns the chain of steps that a slow build waited for, with the time of each: a build without them, or with
    /// faster ones, would have ended sooner. `None` if the build was not slow.
    pub fn critical_path(&self) -> Option<Vec<(String, Duration)>> {
        let end = |id: &StepId| self.steps.get(id).and_then(|step| Some(step.span?.1));
        let mut next = self.steps.keys().max_by_key(|id| end(id)).copied();
        let mut path = Vec::new();
        while let Some(step) = next.and_then(|id| self.steps.get(&id)) {
            if let Some((began, ended)) = step.span {
                path.push((step.name.clone(), ended.duration_since(began).unwrap_or_default()));
            }
            next = step.inputs.iter().max_by_key(|id| end(id)).copied();
        }
        path.reverse();
        let whole: Duration = path.iter().map(|(_, took)| *took).sum();
        path.retain(|(_, took)| took.as_secs_f64() >= WORTH_NAMING * whole.as_secs_f64());
        (whole >= SLOW).then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use jettison_build::StepInfo;
    use jettison_image::Digest;

    use super::*;

    /// Steps by name, inputs, and when they ran in seconds.
    fn timeline(steps: &[(&str, &[StepId], u64, u64)]) -> Timeline {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut timeline = Timeline::default();
        let info = |(id, (name, inputs, ..)): (usize, &(&str, &[StepId], u64, u64))| StepInfo {
            id,
            name: (*name).to_owned(),
            digest: Digest::of(name.as_bytes()),
            inputs: inputs.to_vec(),
        };
        timeline.event(at(0), &Event::Planned { steps: steps.iter().enumerate().map(info).collect() });
        for (step, (_, _, began, ended)) in steps.iter().enumerate() {
            timeline.event(at(*began), &Event::Started { step });
            let elapsed = Duration::from_secs(ended - began);
            timeline.event(at(*ended), &Event::Finished { step, outcome: Outcome::Done, elapsed });
        }
        timeline
    }

    #[test]
    fn the_critical_path_is_what_the_end_waited_for() {
        let steps = timeline(&[
            ("base", &[], 0, 1),
            ("long", &[0], 1, 20),
            ("short", &[0], 1, 5),
            ("copy", &[2, 1], 20, 22),
            ("instant", &[3], 22, 22),
        ]);
        let names: Vec<String> = steps.critical_path().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["base", "long", "copy"]);
        assert_eq!(timeline(&[("quick", &[], 0, 9)]).critical_path(), None);
        assert_eq!(Timeline::default().critical_path(), None);
    }

    #[test]
    fn a_trace_has_a_span_a_step_and_a_transfer() {
        let mut steps = timeline(&[("one", &[], 10, 12), ("two", &[0], 12, 15)]);
        for (second, done) in [(10, 0), (11, 50)] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            let item = "sha256:abc".to_owned();
            steps.event(now, &Event::Progress { step: 0, item, done, total: Some(50) });
        }
        let trace = steps.trace();
        let spans: Vec<(&str, u64, u64)> = trace["traceEvents"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["ph"] == "X")
            .map(|event| {
                (
                    event["name"].as_str().unwrap(),
                    event["ts"].as_u64().unwrap(),
                    event["dur"].as_u64().unwrap(),
                )
            })
            .collect();
        let expected = [("one", 0, 2_000_000), ("sha256:abc", 0, 1_000_000), ("two", 2_000_000, 3_000_000)];
        assert_eq!(spans, expected);
    }
}
