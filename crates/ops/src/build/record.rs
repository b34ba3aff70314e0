//! What a build remembers of itself for reports: kept with the image.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jettison_build::{Built, BuiltStage, Event, Outcome, StepId, StepInfo};
use jettison_layer::Tree;
use jettison_report::{BuildRecord, DockerfileRecord, Stage, StageRecord, StepRecord};
use jettison_store::Store;

use super::Workplace;
use super::summary::trees;
use crate::Error;

/// Notes when steps run, and passes the events on.
pub(super) struct Recorder<'a> {
    events: &'a (dyn Fn(Event) + Sync),
    started: Instant,
    steps: Mutex<BTreeMap<StepId, Step>>,
}

/// What is known of a step.
#[derive(Debug, Clone, Default)]
struct Step {
    info: Option<StepInfo>,
    /// In seconds after the start of the build.
    start: f64,
    seconds: f64,
    executed: bool,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(events: &'a (dyn Fn(Event) + Sync)) -> Recorder<'a> {
        Recorder { events, started: Instant::now(), steps: Mutex::default() }
    }

    pub(super) fn event(&self, event: Event) {
        let now = self.started.elapsed().as_secs_f64();
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        match &event {
            Event::Planned { steps: planned } => {
                for info in planned {
                    steps.entry(info.id).or_default().info = Some(info.clone());
                }
            }
            Event::Started { step } => steps.entry(*step).or_default().start = now,
            Event::Finished { step, outcome, elapsed } => {
                let step = steps.entry(*step).or_default();
                (step.seconds, step.executed) = (elapsed.as_secs_f64(), *outcome == Outcome::Done);
            }
            Event::Output { .. }
            | Event::Progress { .. }
            | Event::Warning { .. }
            | Event::Explained { .. } => {}
        }
        drop(steps);
        (self.events)(event);
    }

    /// Returns the number that the next step would have.
    pub(super) fn next_step(&self) -> StepId {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.last_key_value().map_or(0, |(last, _)| last + 1)
    }

    /// Keeps the record with an image. Of a build that found everything in the cache the record of the one before stays.
    pub(super) fn remember(
        &self,
        workplace: &Workplace<'_>,
        built: &mut Built,
        dockerfile: &DockerfileRecord,
    ) -> Result<(), Error> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let of_image = |id: StepId| steps.get(&id).cloned().unwrap_or_default();
        let executed = built.steps.iter().any(|step| step.layer.is_some() && of_image(step.id).executed);
        let store = workplace.store;
        if let Some(record) = built.image.build.as_mut().filter(|_| !executed) {
            if dockerfile.keep(record) {
                store.put_image(&built.image)?;
            }
            return Ok(());
        }
        let place = |id: &StepId| built.steps.iter().position(|step| step.id == *id);
        let mut records = Vec::new();
        for built_step in &built.steps {
            let step = of_image(built_step.id);
            let (name, inputs) = step.info.map(|info| (info.name, info.inputs)).unwrap_or_default();
            let layer = built_step.layer.as_ref().map(|id| store.layer(id)).transpose()?.flatten();
            let facts = layer.as_ref().map(|layer| &layer.meta().facts);
            records.push(StepRecord {
                name,
                stage: built_step.stage,
                inputs: inputs.iter().filter_map(place).collect(),
                cached: !step.executed,
                start: step.start,
                seconds: step.seconds,
                executed_seconds: facts.map(|facts| facts.seconds),
                bytes: layer.as_ref().map(|layer| layer.meta().unpacked_size),
            });
        }
        let (_, discarded) = trees(store, built)?;
        let record = BuildRecord {
            started: i64::try_from(workplace.now.as_secs()).unwrap_or(i64::MAX),
            seconds: self.started.elapsed().as_secs_f64(),
            base_layers: built.base_layers,
            stages: stages(store, built, &discarded)?,
            left_behind: jettison_report::measure(&discarded).bytes,
            steps: records,
        };
        // Plain structs with string keys: making a value of them has nothing that can fail.
        let mut record = serde_json::to_value(record).expect("records are plain data");
        dockerfile.keep(&mut record);
        built.image.build = Some(record);
        Ok(store.put_image(&built.image)?)
    }
}

fn stages(store: &Store, built: &Built, discarded: &[Stage]) -> Result<Vec<StageRecord>, Error> {
    let stage = |(number, stage): (usize, &BuiltStage)| {
        Ok(StageRecord {
            name: stage.name.clone(),
            target: number == built.target,
            left_behind: discarded.iter().any(|left| left.name == stage.name),
            bytes: stage_bytes(store, stage)?,
        })
    };
    built.stages.iter().enumerate().map(stage).collect()
}

/// Returns the bytes of the files in a stage's final tree; `None` where one of its layers was never read.
fn stage_bytes(store: &Store, stage: &BuiltStage) -> Result<Option<u64>, Error> {
    let mut indexes = Vec::new();
    for layer in &stage.layers {
        match store.layer(&layer.id)? {
            Some(layer) => indexes.push(Arc::new(layer.index()?)),
            None => return Ok(None),
        }
    }
    Ok(Some(Tree::new(indexes).unpacked_size()))
}
