//! An export as the user sees it: one more step of the build, with what it moves.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jettison_build::{Event, Outcome, StepId, StepInfo};
use jettison_image::Digest;
use jettison_registry::Cancel;

use crate::Error;

/// Told what is moved: its short digest, bytes so far, bytes in all if known.
pub(super) type Progress<'a> = dyn Fn(&str, u64, Option<u64>) + Sync + 'a;

/// A step that is under way.
pub(super) struct Vertex<'a> {
    events: &'a (dyn Fn(Event) + Sync),
    step: StepId,
}

impl<'a> Vertex<'a> {
    /// Does `work` as a step called `name`, number `step`, that waits for the steps `inputs`.
    pub(super) fn run(
        events: &'a (dyn Fn(Event) + Sync),
        cancel: &Cancel,
        (step, name, inputs): (StepId, &str, Vec<StepId>),
        work: impl FnOnce(&Vertex<'a>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let digest = Digest::of(format!("{step} {name}").as_bytes());
        events(Event::Planned { steps: vec![StepInfo { id: step, name: name.to_owned(), digest, inputs }] });
        events(Event::Started { step });
        let began = Instant::now();
        let result = work(&Vertex { events, step });
        let outcome = match &result {
            Ok(()) => Outcome::Done,
            Err(_) if cancel.is_cancelled() => Outcome::Canceled,
            Err(error) => Outcome::Failed(error.to_string()),
        };
        events(Event::Finished { step, outcome, elapsed: began.elapsed() });
        result
    }

    /// Does `work` as a part of the step called `part`, and shows the sum of all that it moves; of `total` bytes, where
    /// that is known beforehand.
    pub(super) fn part<T>(
        &self,
        part: &str,
        total: Option<u64>,
        work: impl FnOnce(&Progress<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let tell = |done, total| {
            (self.events)(Event::Progress { step: self.step, item: part.to_owned(), done, total });
        };
        let moved: Mutex<BTreeMap<String, u64>> = Mutex::default();
        let sum = |moved: &BTreeMap<String, u64>| moved.values().sum::<u64>();
        let value = work(&|item, done, _| {
            let mut moved = moved.lock().unwrap_or_else(PoisonError::into_inner);
            moved.insert(item.to_owned(), done);
            // What is whole is told once, at the end.
            let done = sum(&moved);
            if total.is_none_or(|total| done < total) {
                tell(done, total);
            }
        })?;
        let done = sum(&moved.into_inner().unwrap_or_else(PoisonError::into_inner));
        // What was there already needs no moving.
        let done = total.unwrap_or(done);
        if done > 0 {
            tell(done, Some(done));
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_shows_the_sum_of_what_it_moves() {
        let told = Mutex::new(Vec::new());
        let events = |event: Event| told.lock().unwrap().push(event);
        let work = |vertex: &Vertex<'_>| {
            vertex.part("pushing layers", Some(30), |progress| {
                progress("a", 10, Some(20));
                progress("b", 10, Some(10));
                progress("a", 20, Some(20));
                Ok(())
            })?;
            vertex.part("exporting layers", None, |_| Ok(()))
        };
        Vertex::run(&events, &Cancel::new(), (7, "exporting to image", vec![3]), work).unwrap();
        let progress = |event: &Event| match event {
            Event::Progress { item, done, total, .. } => Some((item.clone(), *done, *total)),
            _ => None,
        };
        let shown: Vec<_> = told.into_inner().unwrap();
        let parts: Vec<_> = shown.iter().filter_map(progress).collect();
        let part = |done| ("pushing layers".to_owned(), done, Some(30));
        assert_eq!(parts, [part(10), part(20), part(30)]);
        assert!(matches!(shown.last(), Some(Event::Finished { step: 7, outcome: Outcome::Done, .. })));
    }
}
