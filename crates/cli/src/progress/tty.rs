//! `--progress tty`: finished steps scroll by, running steps with their last lines stay below in a live region.
//!
//! Each frame is one write that goes up over the old region and rewrites it line by line, so nothing flickers. No line
//! is longer than the terminal is wide, or going up would count wrong.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use jettison_build::{Event, Outcome, StepId, Stream};
use unicode_width::UnicodeWidthChar;

use super::Renderer;
use super::lines::Lines;
use crate::format::{Colors, docker_size, duration, log_line, printable};

/// How many of a running step's last lines are shown.
const LOG_LINES: usize = 6;
/// Redraws are not closer than this.
const FRAME: Duration = Duration::from_millis(90);

/// Returns the width and height of the terminal at standard error, if it is one that can move its cursor.
pub fn size() -> Option<(usize, usize)> {
    let stderr = io::stderr();
    if !io::IsTerminal::is_terminal(&stderr) {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stderr).ok()?;
    (size.ws_col >= 20 && size.ws_row >= 5).then(|| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

/// Draws a live view.
pub struct Tty<W> {
    out: W,
    colors: Colors,
    steps: BTreeMap<StepId, Step>,
    /// Steps that run, in the order in which they began.
    running: Vec<StepId>,
    finished: usize,
    began: Option<SystemTime>,
    /// Lines that will stay, not yet written.
    lasting: Vec<Row>,
    /// How many lines the region on the screen has.
    drawn: usize,
    last_frame: Option<SystemTime>,
    /// Asked before each frame; a test gives a fixed size.
    size: fn() -> Option<(usize, usize)>,
}

/// One line: what is on the left is cut where it would push out what is on the right.
struct Row {
    left: String,
    right: String,
}

impl Row {
    fn new(left: String, right: String) -> Row {
        Row { left, right }
    }

    fn fit(&self, width: usize) -> String {
        if self.right.is_empty() {
            return cut(&self.left, width);
        }
        let room = width.saturating_sub(columns(&self.right) + 2);
        cut(&format!("{}  {}", cut(&self.left, room), self.right), width)
    }
}

#[derive(Default)]
struct Step {
    name: String,
    began: Option<SystemTime>,
    stdout: Lines,
    stderr: Lines,
    log: Vec<String>,
    items: BTreeMap<String, (u64, Option<u64>)>,
}

impl<W: Write> Tty<W> {
    /// Draws to `out`.
    pub fn new(out: W, colors: Colors) -> Tty<W> {
        Tty::with_size(out, colors, size)
    }

    /// Draws to `out`, a terminal whose size is told by `size`.
    pub fn with_size(out: W, colors: Colors, size: fn() -> Option<(usize, usize)>) -> Tty<W> {
        Tty {
            out,
            colors,
            steps: BTreeMap::new(),
            running: Vec::new(),
            finished: 0,
            began: None,
            lasting: Vec::new(),
            drawn: 0,
            last_frame: None,
            size,
        }
    }

    fn paint(&self, sgr: &str, text: &str) -> String {
        if self.colors == Colors::Keep { format!("\x1b[{sgr}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn output(&mut self, id: StepId, stream: Stream, bytes: &[u8]) {
        let colors = self.colors;
        let step = self.steps.entry(id).or_default();
        let lines = match stream {
            Stream::Stdout => step.stdout.push(bytes),
            Stream::Stderr => step.stderr.push(bytes),
        };
        step.log.extend(lines.iter().map(|line| log_line(line, colors)));
        let surplus = step.log.len().saturating_sub(LOG_LINES);
        step.log.drain(..surplus);
    }

    fn finish_step(&mut self, id: StepId, outcome: &Outcome, elapsed: Duration) {
        self.running.retain(|running| *running != id);
        self.finished += 1;
        let name = self.steps.get(&id).map(|step| printable(&step.name)).unwrap_or_default();
        let time = duration(elapsed);
        let (mark, time) = match outcome {
            Outcome::Cached => (self.paint("34", "CACHED "), String::new()),
            Outcome::Done => (String::new(), self.paint("2", &time)),
            Outcome::Failed(_) => (self.paint("1;31", "ERROR "), self.paint("2", &time)),
            Outcome::Canceled => (self.paint("2", "CANCELED "), String::new()),
        };
        self.lasting.push(Row::new(format!(" => {mark}{name}"), time));
    }

    /// Returns the lines of the live region, at most `height`.
    fn region(&self, now: SystemTime, height: usize) -> Vec<Row> {
        let elapsed = |since: Option<SystemTime>| {
            duration(since.and_then(|since| now.duration_since(since).ok()).unwrap_or_default())
        };
        let head = format!("[+] Building {} ({}/{})", elapsed(self.began), self.finished, self.steps.len());
        let mut lines = vec![Row::new(self.paint("1", &head), String::new())];
        let room = height.saturating_sub(1);
        let shown = &self.running[..self.running.len().min(room)];
        // Log lines get what the names leave over, evenly.
        let each = (room - shown.len()).checked_div(shown.len()).unwrap_or(0).min(LOG_LINES);
        for step in shown.iter().filter_map(|id| self.steps.get(id)) {
            let name = format!(" => {}", printable(&step.name));
            lines.push(Row::new(name, self.paint("2", &elapsed(step.began))));
            let details = step.details(self.colors);
            for line in &details[details.len().saturating_sub(each)..] {
                lines.push(Row::new(format!(" => => {line}"), String::new()));
            }
        }
        lines
    }

    fn draw(&mut self, now: SystemTime, region: bool) -> io::Result<()> {
        let Some((width, height)) = (self.size)() else { return Ok(()) };
        let region = if region { self.region(now, height.saturating_sub(2)) } else { Vec::new() };
        // Synchronised output (mode 2026) where the terminal knows it; others ignore it.
        let mut frame = String::from("\x1b[?2026h");
        if self.drawn > 0 {
            frame.push_str(&format!("\r\x1b[{}A", self.drawn));
        }
        for row in self.lasting.iter().chain(&region) {
            frame.push_str(&row.fit(width - 1));
            frame.push_str("\x1b[K\n");
        }
        frame.push_str("\x1b[J\x1b[?2026l");
        self.lasting.clear();
        self.drawn = region.len();
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }
}

impl Step {
    fn details(&self, colors: Colors) -> Vec<String> {
        let mut lines: Vec<String> = self
            .items
            .iter()
            .filter(|(_, (done, total))| *total != Some(*done))
            .map(|(item, (done, total))| {
                let of = total.map(|total| format!(" / {}", docker_size(total))).unwrap_or_default();
                format!("{} {}{of}", printable(item), docker_size(*done))
            })
            .collect();
        lines.extend(self.log.iter().cloned());
        for partial in [self.stdout.partial(), self.stderr.partial()] {
            if !partial.is_empty() {
                lines.push(log_line(partial, colors));
            }
        }
        lines
    }
}

impl<W: Write + Send> Renderer for Tty<W> {
    fn event(&mut self, now: SystemTime, event: &Event) -> io::Result<()> {
        self.began.get_or_insert(now);
        match event {
            Event::Planned { steps } => {
                for info in steps {
                    self.steps.entry(info.id).or_default().name.clone_from(&info.name);
                }
            }
            Event::Started { step } => {
                self.steps.entry(*step).or_default().began = Some(now);
                if !self.running.contains(step) {
                    self.running.push(*step);
                }
            }
            Event::Output { step, stream, bytes } => self.output(*step, *stream, bytes),
            Event::Progress { step, item, done, total } => {
                self.steps.entry(*step).or_default().items.insert(item.clone(), (*done, *total));
            }
            Event::Finished { step, outcome, elapsed } => self.finish_step(*step, outcome, *elapsed),
            Event::Warning { message, .. } => {
                let text = format!("{} {}", self.paint("1;33", "WARNING:"), printable(message));
                self.lasting.push(Row::new(text, String::new()));
            }
            // All reasons are shown together when the build has ended.
            Event::Explained { .. } => {}
        }
        Ok(())
    }

    fn tick(&mut self, now: SystemTime) -> io::Result<()> {
        let early =
            self.last_frame.and_then(|last| now.duration_since(last).ok()).is_some_and(|age| age < FRAME);
        if early || self.began.is_none() {
            return Ok(());
        }
        self.last_frame = Some(now);
        self.draw(now, true)
    }

    fn finish(&mut self, now: SystemTime) -> io::Result<()> {
        if let Some(began) = self.began {
            let took = duration(now.duration_since(began).unwrap_or_default());
            let line = format!("[+] Building {took} ({}/{}) FINISHED", self.finished, self.steps.len());
            let line = self.paint("1", &line);
            self.lasting.push(Row::new(line, String::new()));
        }
        self.draw(now, false)
    }
}

/// Cuts a line to `width` columns; colour sequences take no room and are kept.
fn cut(line: &str, width: usize) -> String {
    let mut out = String::with_capacity(line.len());
    let mut used = 0;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            out.push(c);
            for c in chars.by_ref() {
                out.push(c);
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
            continue;
        }
        used += c.width().unwrap_or(0);
        if used > width {
            // Colours that were on must end, also where their end was cut off.
            if out.contains('\x1b') {
                out.push_str("\x1b[0m");
            }
            break;
        }
        out.push(c);
    }
    out
}

/// Counts the columns of a line without its colour sequences.
fn columns(line: &str) -> usize {
    let mut used = 0;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            used += c.width().unwrap_or(0);
        }
    }
    used
}
