//! Shows the events of a build while it goes on, in one of four ways.

mod lines;
mod plain;
mod rawjson;
mod timeline;
mod tty;

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use jettison_build::Event;

pub use plain::Plain;
pub use rawjson::RawJson;
pub use timeline::Timeline;
pub use tty::Tty;

use crate::args::ProgressMode;
use crate::format::Colors;

/// How often the live view is redrawn at most.
const TICK: Duration = Duration::from_millis(100);

/// One way to show events. All write to standard error.
pub trait Renderer: Send {
    /// Shows an event that came at `now`.
    fn event(&mut self, now: SystemTime, event: &Event) -> io::Result<()>;

    /// Is called about every [`TICK`], and after each event.
    fn tick(&mut self, now: SystemTime) -> io::Result<()>;

    /// Shows what is still held back; nothing comes after it.
    fn finish(&mut self, now: SystemTime) -> io::Result<()>;
}

/// Shows nothing: `--progress quiet`.
struct Quiet;

impl Renderer for Quiet {
    fn event(&mut self, _now: SystemTime, _event: &Event) -> io::Result<()> {
        Ok(())
    }

    fn tick(&mut self, _now: SystemTime) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, _now: SystemTime) -> io::Result<()> {
        Ok(())
    }
}

/// Chooses the way to show a build.
pub fn renderer(mode: ProgressMode, no_color: bool) -> Box<dyn Renderer> {
    let stderr = io::stderr();
    let colors = if no_color || !stderr.is_terminal() { Colors::Strip } else { Colors::Keep };
    // In a pipe the colours that a command itself chose to write are kept, as docker does; only NO_COLOR drops them.
    let logs = if no_color { Colors::Strip } else { Colors::Keep };
    match mode {
        ProgressMode::Quiet => Box::new(Quiet),
        ProgressMode::Rawjson => Box::new(RawJson::new(stderr)),
        ProgressMode::Plain => Box::new(Plain::new(stderr, logs)),
        ProgressMode::Auto | ProgressMode::Tty if tty::size().is_some() => Box::new(Tty::new(stderr, colors)),
        ProgressMode::Auto | ProgressMode::Tty => Box::new(Plain::new(stderr, logs)),
    }
}

/// A renderer in a thread of its own, so that the build never waits for a terminal.
pub struct Screen {
    sender: mpsc::Sender<(SystemTime, Event)>,
    thread: JoinHandle<Timeline>,
}

impl Screen {
    /// Starts the thread.
    pub fn start(renderer: Box<dyn Renderer>) -> Screen {
        let (sender, receiver) = mpsc::channel();
        Screen { sender, thread: thread::spawn(move || show(renderer, &receiver)) }
    }

    /// Returns the function that takes the build's events; any thread may call it.
    pub fn sink(&self) -> impl Fn(Event) + Send + Sync + Clone + 'static {
        let sender = self.sender.clone();
        move |event| {
            // The thread ends early only when standard error is closed: then there is nobody to tell.
            let _ = sender.send((SystemTime::now(), event));
        }
    }

    /// Waits until all is shown, and returns when it all happened.
    ///
    /// All sinks must be gone, or this waits for ever.
    pub fn finish(self) -> Timeline {
        drop(self.sender);
        // A renderer that panicked has said so itself.
        self.thread.join().unwrap_or_default()
    }
}

fn show(mut renderer: Box<dyn Renderer>, events: &mpsc::Receiver<(SystemTime, Event)>) -> Timeline {
    let mut timeline = Timeline::default();
    // A closed standard error must not stop the build: from the first error on, events are only taken.
    let mut broken = false;
    loop {
        let result = match events.recv_timeout(TICK) {
            Ok((now, event)) => {
                timeline.event(now, &event);
                if broken { Ok(()) } else { renderer.event(now, &event).and_then(|()| renderer.tick(now)) }
            }
            Err(RecvTimeoutError::Timeout) if broken => Ok(()),
            Err(RecvTimeoutError::Timeout) => renderer.tick(SystemTime::now()),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        broken |= result.is_err();
    }
    if !broken {
        let _ = renderer.finish(SystemTime::now());
        let _ = io::stderr().flush();
    }
    timeline
}

#[cfg(test)]
mod tests;
