//! `--progress plain`: lines as they come, each with its step's number, as BuildKit writes them.
//!
//! Output of parallel steps is not mixed line by line: one step has the floor, and what others have to say waits until
//! it ends, or [`MAX_HELD`] at most.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use jettison_build::{Event, Outcome, StepId, Stream};

use super::Renderer;
use super::lines::Lines;
use crate::format::{Colors, docker_size, log_line, printable};

/// How long a step's lines wait for another step that has the floor.
const MAX_HELD: Duration = Duration::from_secs(2);
/// How often the progress of one download is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Writes lines.
pub struct Plain<W> {
    out: W,
    colors: Colors,
    steps: BTreeMap<StepId, Step>,
    /// How many steps have a number; numbers follow the order in which steps are first shown.
    numbered: usize,
    /// The step that has the floor.
    current: Option<StepId>,
    started: bool,
}

#[derive(Default)]
struct Step {
    name: String,
    number: Option<usize>,
    began: Option<SystemTime>,
    stdout: Lines,
    stderr: Lines,
    /// Lines that wait for the floor, without the number in front.
    held: Vec<String>,
    held_since: Option<SystemTime>,
    ended: bool,
    items: BTreeMap<String, Item>,
}

struct Item {
    began: SystemTime,
    told: SystemTime,
    done: bool,
}

impl<W: Write> Plain<W> {
    /// Writes to `out`; colours of commands stay if `colors` says so.
    pub fn new(out: W, colors: Colors) -> Plain<W> {
        Plain { out, colors, steps: BTreeMap::new(), numbered: 0, current: None, started: false }
    }

    fn step(&mut self, id: StepId) -> &mut Step {
        self.steps.entry(id).or_default()
    }

    fn output(&mut self, now: SystemTime, id: StepId, stream: Stream, bytes: &[u8]) {
        let colors = self.colors;
        let step = self.step(id);
        let lines = match stream {
            Stream::Stdout => step.stdout.push(bytes),
            Stream::Stderr => step.stderr.push(bytes),
        };
        for line in lines {
            step.log(now, &line, colors);
        }
    }

    fn progress(&mut self, now: SystemTime, id: StepId, item: &str, done: u64, total: Option<u64>) {
        let step = self.step(id);
        let known = step.items.contains_key(item);
        let whole = total == Some(done);
        let state = step.items.entry(item.to_owned()).or_insert(Item { began: now, told: now, done: false });
        let due = now.duration_since(state.told).unwrap_or_default() >= PROGRESS_EVERY;
        if state.done || !whole && (!due || !known) {
            return;
        }
        state.told = now;
        state.done = whole;
        let took = now.duration_since(state.began).unwrap_or_default().as_secs_f64();
        let of = total.map(|total| format!(" / {}", docker_size(total))).unwrap_or_default();
        let end = if whole { " done" } else { "" };
        let line = format!("{} {}{of} {took:.1}s{end}", printable(item), docker_size(done));
        step.hold(now, line);
    }

    fn finished(&mut self, now: SystemTime, id: StepId, outcome: &Outcome, elapsed: Duration) {
        let colors = self.colors;
        let step = self.step(id);
        for line in [step.stdout.finish(), step.stderr.finish()].into_iter().flatten() {
            step.log(now, &line, colors);
        }
        let last = match outcome {
            Outcome::Cached => "CACHED".to_owned(),
            Outcome::Done => format!("DONE {:.1}s", elapsed.as_secs_f64()),
            Outcome::Failed(message) => {
                format!("ERROR: {}", printable(message.lines().next().unwrap_or_default()))
            }
            Outcome::Canceled => "CANCELED".to_owned(),
        };
        step.hold(now, last);
        step.ended = true;
    }

    fn warning(&mut self, now: SystemTime, id: Option<StepId>, message: &str) -> io::Result<()> {
        let line = format!("WARNING: {}", printable(message));
        match id {
            Some(id) => {
                self.step(id).hold(now, line);
                Ok(())
            }
            None => writeln!(self.out, "{line}"),
        }
    }

    /// Gives the floor to `id`, and writes all that it holds.
    fn show(&mut self, id: StepId) -> io::Result<()> {
        if self.current != Some(id) {
            if let Some(old) = self.current.and_then(|old| self.steps.get(&old))
                && let Some(number) = old.number
            {
                writeln!(self.out, "#{number} ...")?;
            }
            if self.started {
                writeln!(self.out)?;
            }
            self.started = true;
            self.current = Some(id);
            let next = self.numbered + 1;
            let step = self.steps.entry(id).or_default();
            if step.number.is_none() {
                step.number = Some(next);
                self.numbered = next;
            }
            writeln!(self.out, "#{} {}", step.number.unwrap_or(next), printable(&step.name))?;
        }
        let Some(step) = self.steps.get_mut(&id) else { return Ok(()) };
        step.held_since = None;
        let number = step.number.unwrap_or_default();
        for line in step.held.drain(..) {
            writeln!(self.out, "#{number} {line}")?;
        }
        if step.ended {
            self.current = None;
        }
        Ok(())
    }

    /// Returns the step whose lines wait longest.
    fn longest_waiting(&self) -> Option<(StepId, SystemTime)> {
        self.steps
            .iter()
            .filter_map(|(id, step)| Some((*id, step.held_since?)))
            .min_by_key(|(_, since)| *since)
    }
}

impl Step {
    fn log(&mut self, now: SystemTime, line: &[u8], colors: Colors) {
        let elapsed = self.began.and_then(|began| now.duration_since(began).ok()).unwrap_or_default();
        self.hold(now, format!("{} {}", log_time(elapsed), log_line(line, colors)));
    }

    fn hold(&mut self, now: SystemTime, line: String) {
        self.held.push(line);
        self.held_since.get_or_insert(now);
    }
}

/// Five characters, as BuildKit has it: `0.123`, `12.34`, `123.4`.
pub fn log_time(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    match seconds {
        s if s < 10.0 => format!("{s:.3}"),
        s if s < 100.0 => format!("{s:.2}"),
        s if s < 1000.0 => format!("{s:.1}"),
        s => format!("{s:.0}"),
    }
}

impl<W: Write + Send> Renderer for Plain<W> {
    fn event(&mut self, now: SystemTime, event: &Event) -> io::Result<()> {
        match event {
            Event::Planned { steps } => {
                for info in steps {
                    self.step(info.id).name.clone_from(&info.name);
                }
            }
            Event::Started { step } => {
                let state = self.step(*step);
                state.began = Some(now);
                state.held_since.get_or_insert(now);
            }
            Event::Output { step, stream, bytes } => self.output(now, *step, *stream, bytes),
            Event::Progress { step, item, done, total } => self.progress(now, *step, item, *done, *total),
            Event::Finished { step, outcome, elapsed } => self.finished(now, *step, outcome, *elapsed),
            Event::Warning { step, message } => self.warning(now, *step, message)?,
            // All reasons are shown together when the build has ended.
            Event::Explained { .. } => {}
        }
        Ok(())
    }

    fn tick(&mut self, now: SystemTime) -> io::Result<()> {
        if let Some(current) = self.current
            && self.steps.get(&current).is_some_and(|step| step.held_since.is_some())
        {
            self.show(current)?;
        }
        while let Some((id, since)) = self.longest_waiting() {
            let patient = now.duration_since(since).unwrap_or_default() < MAX_HELD;
            if self.current.is_some() && patient {
                break;
            }
            self.show(id)?;
        }
        self.out.flush()
    }

    fn finish(&mut self, _now: SystemTime) -> io::Result<()> {
        while let Some((id, _)) = self.longest_waiting() {
            self.show(id)?;
        }
        self.out.flush()
    }
}
