//! Which steps made which stage of an image: what a record of the build lists.

use std::collections::BTreeMap;

use jettison_plan::{ImagePlan, Merged, Operation};
use jettison_store::LayerId;

use crate::StepId;
use crate::layers::Snapshot;

/// A step that an image, or one of the stages it was built from, needed.
pub struct BuiltStep {
    /// Its number in the build's events.
    pub id: StepId,
    /// The number of its stage among the image's; `None` for an image that only files were taken from.
    pub stage: Option<usize>,
    /// The layer it made; `None` for a base image, which has its own.
    pub layer: Option<LayerId>,
}

/// Lists the steps of an image's stages in the order of the Dockerfile.
pub(crate) fn built_steps(graph: &Merged, plan: &ImagePlan, snapshots: &[Snapshot]) -> Vec<BuiltStep> {
    let mut stages: BTreeMap<StepId, Option<usize>> = BTreeMap::new();
    for (number, stage) in plan.stages.iter().enumerate() {
        let mut node = Some(stage.node);
        // A stage ends where another begins: that one came first.
        while let Some(id) = node.filter(|id| !stages.contains_key(id)) {
            stages.insert(id, Some(number));
            node = graph.nodes[id].parent;
        }
    }
    let inputs: Vec<StepId> = stages.keys().flat_map(|id| graph.nodes[*id].inputs()).collect();
    for input in inputs {
        stages.entry(input).or_insert(None);
    }
    let layer = |id: StepId| match graph.nodes[id].operation {
        Operation::Image { .. } => None,
        _ => snapshots[id].layers().last().map(|cell| cell.id.clone()),
    };
    stages.into_iter().map(|(id, stage)| BuiltStep { id, stage, layer: layer(id) }).collect()
}

/// Returns how many layers the image has from the image that its stages begin with.
pub(crate) fn base_layers(graph: &Merged, plan: &ImagePlan, snapshots: &[Snapshot]) -> usize {
    let mut node = Some(plan.stages[plan.target].node);
    while let Some(id) = node {
        if let Operation::Image { .. } = graph.nodes[id].operation {
            return snapshots[id].layers().len();
        }
        node = graph.nodes[id].parent;
    }
    0
}
