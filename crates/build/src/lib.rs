//! Scheduler, cache keys, executors and exporters; one stream of events.

mod event;

pub use event::*;
