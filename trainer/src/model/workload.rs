//! Networks for images and texts too large to train here, known by their shapes: what a step of theirs
//! costs follows from those alone.
//!
//! Texts begin behind the lookup of their tokens: the input is the embedded rows, one to a position. The
//! weights of the logits are the embedding's, counted once.

use super::builtin::{Transformer, linear, normalised};
use super::{Graph, Model, Source};
use crate::layer::{
    Add, Attention, BatchNorm, Convolution, Gelu, GlobalAvgPool, LayerNorm, LayerSpec, MaxPool, Positions, Project, Relu, Shape, Window,
};

/// A network by its shapes.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// One line on what it is.
    pub summary: &'static str,
    /// Images or texts in a step, unless told otherwise.
    pub batch: u32,
    input: Shape,
    classes: usize,
    layers: fn() -> Graph,
}

const IMAGENET: Shape = Shape::new(224, 224, 3);

/// Every network known by its shapes.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "resnet18",
        summary: "ResNet-18 for ImageNet (He et al. 2016, table 1; projections where a stage shrinks)",
        batch: 32,
        input: IMAGENET,
        classes: 1000,
        layers: || resnet(Block::Basic, [2, 2, 2, 2]),
    },
    Workload {
        name: "resnet50",
        summary: "ResNet-50 for ImageNet (He et al. 2016, table 1; strides in the 3x3 convolutions)",
        batch: 32,
        input: IMAGENET,
        classes: 1000,
        layers: || resnet(Block::Bottleneck, [3, 4, 6, 3]),
    },
    Workload {
        name: "bert-base",
        summary: "BERT-base with its masked-token head, 128 tokens (Devlin et al. 2019)",
        batch: 8,
        input: Shape::new(1, 128, 768),
        classes: 30_522,
        layers: || bert(&Transformer { channels: 768, heads: 12, blocks: 12, hidden: 3072 }, 30_522),
    },
    Workload {
        name: "gpt2",
        summary: "decoder of GPT-2's smallest size, 1024 tokens (Radford et al. 2019)",
        batch: 1,
        input: Shape::new(1, 1024, 768),
        classes: 50_257,
        layers: || gpt2(&Transformer { channels: 768, heads: 12, blocks: 12, hidden: 3072 }, 50_257),
    },
];

impl Workload {
    /// The network of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        WORKLOADS.iter().find(|workload| workload.name == name)
    }

    /// True if it reads texts, not images.
    pub const fn is_text(&self) -> bool {
        self.input.height == 1
    }

    /// The network as a model.
    pub fn model(&self) -> Model {
        Model { name: self.name.to_owned(), input: self.input, classes: self.classes, layers: (self.layers)().finish() }
    }
}

#[derive(Clone, Copy)]
enum Block {
    /// Two convolutions of 3x3.
    Basic,
    /// Convolutions of 1x1, 3x3 and 1x1, the last to four times the channels.
    Bottleneck,
}

impl Block {
    const fn outputs(self, channels: usize) -> usize {
        match self {
            Self::Basic => channels,
            Self::Bottleneck => 4 * channels,
        }
    }

    /// The branch past which the shortcut goes, from the layer just before.
    fn branch(self, graph: &mut Graph, channels: usize, stride: usize) -> Source {
        let relu = LayerSpec::Relu(Relu);
        match self {
            Self::Basic => {
                normalised(graph, convolution(channels, 3, stride));
                graph.then(relu);
            }
            Self::Bottleneck => {
                normalised(graph, convolution(channels, 1, 1));
                graph.then(relu);
                normalised(graph, convolution(channels, 3, stride));
                graph.then(relu);
            }
        }
        normalised(graph, convolution(self.outputs(channels), if matches!(self, Self::Basic) { 3 } else { 1 }, 1))
    }
}

const fn convolution(out_channels: usize, kernel: usize, stride: usize) -> Convolution {
    Convolution { out_channels, kernel, stride, padding: kernel / 2, bias: false }
}

fn resnet(block: Block, blocks: [usize; 4]) -> Graph {
    let mut graph = Graph::default();
    let relu = LayerSpec::Relu(Relu);
    normalised(&mut graph, convolution(64, 7, 2));
    graph.then(relu);
    let mut x = graph.then(LayerSpec::MaxPool(MaxPool(Window { size: 3, stride: 2, padding: 1 })));
    let mut width = 64;
    for (stage, (channels, blocks)) in [64, 128, 256, 512].into_iter().zip(blocks).enumerate() {
        for index in 0..blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let branch = block.branch(&mut graph, channels, stride);
            let past = if stride == 1 && width == block.outputs(channels) {
                x
            } else {
                graph.of(LayerSpec::Convolution(convolution(block.outputs(channels), 1, stride)), &[x]);
                graph.then(LayerSpec::BatchNorm(BatchNorm))
            };
            width = block.outputs(channels);
            graph.of(LayerSpec::Add(Add), &[branch, past]);
            x = graph.then(relu);
        }
    }
    graph.then(LayerSpec::GlobalAvgPool(GlobalAvgPool));
    graph.then(linear(1000));
    graph
}

const fn project(out: usize) -> LayerSpec {
    LayerSpec::Project(Project { out, bias: true, joins: 1 })
}

/// An encoder normalised behind each join.
fn bert(sizes: &Transformer, tokens: usize) -> Graph {
    let Transformer { channels, heads, blocks, hidden } = *sizes;
    let mut graph = Graph::default();
    let (normalise, gelu) = (LayerSpec::LayerNorm(LayerNorm), LayerSpec::Gelu(Gelu));
    graph.then(LayerSpec::Positions(Positions));
    let mut x = graph.then(normalise);
    let join = |graph: &mut Graph, x: Source| {
        let branch = graph.then(project(channels));
        graph.of(LayerSpec::Add(Add), &[branch, x]);
        graph.then(normalise)
    };
    for _ in 0..blocks {
        graph.then(project(3 * channels));
        graph.then(LayerSpec::Attention(Attention { heads }));
        x = join(&mut graph, x);
        graph.then(project(hidden));
        graph.then(gelu);
        x = join(&mut graph, x);
    }
    graph.then(project(channels));
    graph.then(gelu);
    graph.then(normalise);
    graph.then(project(tokens));
    graph
}

fn gpt2(sizes: &Transformer, tokens: usize) -> Graph {
    let mut graph = Graph::default();
    let x = graph.then(LayerSpec::Positions(Positions));
    sizes.normalised_before(&mut graph, x, tokens);
    graph
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Layer;

    fn plan(name: &str) -> Vec<Layer> {
        Workload::find(name).unwrap().model().plan().unwrap()
    }

    /// Weights and biases, as published.
    #[test]
    fn parameters_by_the_papers() {
        let parameters = |name| plan(name).iter().flat_map(|layer| &layer.parameters).map(|p| p.rows * p.columns).sum::<usize>();
        assert_eq!(parameters("resnet18"), 11_689_512);
        assert_eq!(parameters("resnet50"), 25_557_032);
        // With 50,257 x 768 of tokens and 1024 x 768 of positions.
        assert_eq!(parameters("gpt2"), 124_439_808);
        // 109,482,240 of the encoder less its pooler and two segments, the head's transform and its bias.
        assert_eq!(parameters("bert-base"), 109_482_240 - 590_592 - 1_536 - 384 * 768 + 592_128 + 30_522);
    }

    #[test]
    fn products_by_the_papers() {
        let macs = |name| {
            let of = |layer: &Layer| match layer.spec {
                LayerSpec::Convolution(c) => layer.output.elements() * c.reduction(layer.input),
                LayerSpec::Linear(l) => l.out * layer.input.elements(),
                _ => 0,
            };
            plan(name).iter().map(of).sum::<usize>()
        };
        // 1.8 and 3.8 (4.1 with strides in the 3x3 convolutions) thousand million multiply-adds.
        assert_eq!(macs("resnet18"), 1_814_073_344);
        assert_eq!(macs("resnet50"), 4_089_184_256);
    }

    #[test]
    fn stages_halve_the_image() {
        for name in ["resnet18", "resnet50"] {
            let mut sizes: Vec<usize> = plan(name).iter().map(|layer| layer.output.height).collect();
            sizes.dedup();
            // A stage's 1x1 convolution in front of the one that shrinks still has the old size.
            let expected: &[usize] = &[112, 56, 28, 14, 7, 1];
            assert_eq!(sizes, expected, "{name}");
        }
    }
}
