//! `--progress rawjson`: BuildKit's `client.SolveStatus` messages, one JSON object a line.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::SystemTime;

use jettison_build::{Event, Outcome, StepId, StepInfo, Stream};
use jettison_image::Digest;
use serde_json::{Map, Value, json};

use super::Renderer;
use crate::format::rfc3339_nanos;

/// Writes JSON.
pub struct RawJson<W> {
    out: W,
    steps: BTreeMap<StepId, Step>,
}

struct Step {
    info: StepInfo,
    started: Option<SystemTime>,
    items: BTreeMap<String, SystemTime>,
}

impl<W: Write> RawJson<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> RawJson<W> {
        RawJson { out, steps: BTreeMap::new() }
    }

    fn digest(&self, id: StepId) -> Option<Digest> {
        self.steps.get(&id).map(|step| step.info.digest)
    }

    fn vertex(&self, id: StepId) -> Map<String, Value> {
        let mut vertex = Map::new();
        let Some(step) = self.steps.get(&id) else { return vertex };
        vertex.insert("digest".into(), step.info.digest.to_string().into());
        let inputs: Vec<Value> = step
            .info
            .inputs
            .iter()
            .filter_map(|input| self.digest(*input))
            .map(|d| d.to_string().into())
            .collect();
        if !inputs.is_empty() {
            vertex.insert("inputs".into(), inputs.into());
        }
        vertex.insert("name".into(), step.info.name.clone().into());
        if let Some(started) = step.started {
            vertex.insert("started".into(), rfc3339_nanos(started).into());
        }
        vertex
    }

    fn write(&mut self, key: &str, values: Vec<Value>) -> io::Result<()> {
        let mut line = json!({ key: values }).to_string();
        line.push('\n');
        self.out.write_all(line.as_bytes())?;
        self.out.flush()
    }

    fn planned(&mut self, steps: &[StepInfo]) -> io::Result<()> {
        for info in steps {
            let step = Step { info: info.clone(), started: None, items: BTreeMap::new() };
            self.steps.insert(info.id, step);
        }
        let vertexes = steps.iter().map(|info| Value::Object(self.vertex(info.id))).collect();
        self.write("vertexes", vertexes)
    }

    fn finished(&mut self, now: SystemTime, id: StepId, outcome: &Outcome) -> io::Result<()> {
        let mut vertex = self.vertex(id);
        vertex.entry("started").or_insert_with(|| rfc3339_nanos(now).into());
        vertex.insert("completed".into(), rfc3339_nanos(now).into());
        match outcome {
            Outcome::Done => {}
            Outcome::Cached => {
                vertex.insert("cached".into(), true.into());
            }
            Outcome::Failed(message) => {
                vertex.insert("error".into(), message.clone().into());
            }
            // Clients of BuildKit know a canceled step by this end of its error.
            Outcome::Canceled => {
                vertex.insert("error".into(), "context canceled".into());
            }
        }
        self.write("vertexes", vec![Value::Object(vertex)])
    }

    fn progress(
        &mut self,
        now: SystemTime,
        id: StepId,
        item: &str,
        done: u64,
        total: Option<u64>,
    ) -> io::Result<()> {
        let Some(step) = self.steps.get_mut(&id) else { return Ok(()) };
        let started = *step.items.entry(item.to_owned()).or_insert(now);
        let mut status = Map::new();
        status.insert("id".into(), item.into());
        status.insert("vertex".into(), step.info.digest.to_string().into());
        if let Some(total) = total {
            status.insert("total".into(), total.into());
        }
        status.insert("current".into(), done.into());
        status.insert("timestamp".into(), rfc3339_nanos(now).into());
        status.insert("started".into(), rfc3339_nanos(started).into());
        if total == Some(done) {
            status.insert("completed".into(), rfc3339_nanos(now).into());
        }
        self.write("statuses", vec![Value::Object(status)])
    }

    fn log(&mut self, now: SystemTime, id: StepId, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let stream = match stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        let mut log = Map::new();
        if let Some(digest) = self.digest(id) {
            log.insert("vertex".into(), digest.to_string().into());
        }
        log.insert("stream".into(), stream.into());
        log.insert("data".into(), base64(bytes).into());
        log.insert("timestamp".into(), rfc3339_nanos(now).into());
        self.write("logs", vec![Value::Object(log)])
    }

    fn warning(&mut self, id: Option<StepId>, message: &str) -> io::Result<()> {
        let mut warning = Map::new();
        if let Some(digest) = id.and_then(|id| self.digest(id)) {
            warning.insert("vertex".into(), digest.to_string().into());
        }
        warning.insert("level".into(), 1.into());
        warning.insert("short".into(), base64(message.as_bytes()).into());
        self.write("warnings", vec![Value::Object(warning)])
    }
}

impl<W: Write + Send> Renderer for RawJson<W> {
    fn event(&mut self, now: SystemTime, event: &Event) -> io::Result<()> {
        match event {
            Event::Planned { steps } => self.planned(steps),
            Event::Started { step } => {
                if let Some(state) = self.steps.get_mut(step) {
                    state.started = Some(now);
                }
                let vertex = self.vertex(*step);
                self.write("vertexes", vec![Value::Object(vertex)])
            }
            Event::Output { step, stream, bytes } => self.log(now, *step, *stream, bytes),
            Event::Progress { step, item, done, total } => self.progress(now, *step, item, *done, *total),
            Event::Finished { step, outcome, .. } => self.finished(now, *step, outcome),
            Event::Warning { step, message } => self.warning(*step, message),
            Event::Explained { step, reasons } => {
                let line = |reason: &String| format!("miss: {reason}\n");
                let text: String = reasons.iter().map(line).collect();
                if text.is_empty() { Ok(()) } else { self.log(now, *step, Stream::Stderr, text.as_bytes()) }
            }
        }
    }

    fn tick(&mut self, _now: SystemTime) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, _now: SystemTime) -> io::Result<()> {
        self.out.flush()
    }
}

/// RFC 4648, section 4; Go writes byte strings so in JSON.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            if at > chunk.len() {
                text.push('=');
            } else {
                let six = (bits >> (18 - 6 * at)) & 63;
                text.push(char::from(ALPHABET[six as usize]));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
