//! Several platforms: their graphs as one, in which a step that is the same for all of them is there once.

use jettison_image::Platform;

use crate::graph::{Graph, Node, NodeId, StagePlan};

/// The steps of all images that a build makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The nodes. A node's inputs have smaller numbers.
    pub nodes: Vec<Node>,
    /// The images, in the order asked for.
    pub images: Vec<ImagePlan>,
}

/// One image of a build.
#[derive(Debug, Clone, PartialEq)]
pub struct ImagePlan {
    /// Its stages, in the order of the Dockerfile.
    pub stages: Vec<StagePlan>,
    /// The number of its target in `stages`.
    pub target: usize,
}

/// Puts the graphs of one Dockerfile for different platforms into one.
///
/// Two nodes are the same if they do the same to the same inputs: what a stage of `FROM --platform=$BUILDPLATFORM` does
/// without asking for the target is done once. A node of one platform alone says so in its name, as BuildKit's do.
pub fn merge(graphs: Vec<(Platform, Graph)>) -> Merged {
    let several = graphs.len() > 1;
    let mut merged = Merged { nodes: Vec::new(), images: Vec::new() };
    // For which platforms each node is.
    let mut platforms: Vec<Vec<Platform>> = Vec::new();
    for (platform, graph) in graphs {
        let others = merged.nodes.len();
        let mut numbers: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
        for mut node in graph.nodes {
            node.trees_mut().into_iter().for_each(|tree| *tree = numbers[*tree]);
            let same = |other: &Node| other.parent == node.parent && other.operation == node.operation;
            let number = merged.nodes[..others].iter().position(same).unwrap_or(merged.nodes.len());
            if number == merged.nodes.len() {
                merged.nodes.push(node);
                platforms.push(Vec::new());
            }
            platforms[number].push(platform.clone());
            numbers.push(number);
        }
        let mut stages = graph.stages;
        stages.iter_mut().for_each(|stage| stage.node = numbers[stage.node]);
        merged.images.push(ImagePlan { stages, target: graph.target });
    }
    if several {
        for (node, platforms) in merged.nodes.iter_mut().zip(&platforms) {
            if let [only] = platforms.as_slice() {
                node.label.name = with_platform(&node.label.name, only);
            }
        }
    }
    merged
}

/// `[builder 2/5] RUN make` becomes `[linux/arm64 builder 2/5] RUN make`.
fn with_platform(name: &str, platform: &Platform) -> String {
    match name.strip_prefix('[') {
        Some(rest) => format!("[{platform} {rest}"),
        None => format!("[{platform}] {name}"),
    }
}
