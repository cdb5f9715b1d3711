//! The built-in models.

use super::{Graph, Node, Source};
use crate::layer::{
    Add, Attention, AvgPool, BatchNorm, Convolution, Gelu, GlobalAvgPool, LayerNorm, LayerSpec, Linear, MaxPool, Positions, Project, Relu,
    Shape, Shortcut, Tanh, Window,
};

/// A built-in model.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Name `--model` takes.
    pub name: &'static str,
    /// One line on what it is.
    pub summary: &'static str,
    pub(super) layers: fn(Shape, usize) -> Vec<Node>,
}

/// Every built-in model. Sizes of inputs and outputs follow the data.
pub const MODELS: &[BuiltIn] = &[
    BuiltIn { name: "mlp", summary: "one hidden layer of 128 units, ReLU", layers: |_, classes| chain(mlp(Activation::Relu, classes)) },
    BuiltIn {
        name: "mlp-tanh",
        summary: "one hidden layer of 128 units, tanh",
        layers: |_, classes| chain(mlp(Activation::Tanh, classes)),
    },
    BuiltIn {
        name: "cnn",
        summary: "two 3x3 convolutions of 8 and 16 channels, batch normalisation, ReLU, max pooling, linear",
        layers: |_, classes| chain(cnn(classes)),
    },
    BuiltIn {
        name: "lenet5",
        summary: "LeNet-5 with ReLU and max pooling",
        layers: |input, classes| chain(lenet5(Activation::Relu, input, classes)),
    },
    BuiltIn {
        name: "lenet5-tanh",
        summary: "LeNet-5 with tanh and average pooling (LeCun et al. 1998, C3 fully connected, linear output)",
        layers: |input, classes| chain(lenet5(Activation::Tanh, input, classes)),
    },
    BuiltIn {
        name: "resnet8",
        summary: "ResNet-20 with one block in place of three at each width",
        layers: |input, classes| resnet(1, input, classes),
    },
    BuiltIn {
        name: "resnet20",
        summary: "ResNet-20 for CIFAR-10 (He et al. 2016, section 4.2, option A)",
        layers: |input, classes| resnet(3, input, classes),
    },
    BuiltIn {
        name: "transformer",
        summary: "decoder-only transformer for text: 64 channels, 2 blocks of 4 heads, GELU of 256 channels",
        layers: |_, classes| transformer(&Transformer { channels: 64, heads: 4, blocks: 2, hidden: 256 }, classes),
    },
    BuiltIn {
        name: "transformer-tiny",
        summary: "the same with 16 channels, 1 block of 2 heads, GELU of 32 channels",
        layers: |_, classes| transformer(&Transformer { channels: 16, heads: 2, blocks: 1, hidden: 32 }, classes),
    },
];

pub(super) fn names() -> String {
    MODELS.iter().map(|m| m.name).collect::<Vec<_>>().join(", ")
}

fn chain(layers: Vec<LayerSpec>) -> Vec<Node> {
    layers.into_iter().map(Node::from).collect()
}

#[derive(Clone, Copy)]
enum Activation {
    Relu,
    Tanh,
}

impl Activation {
    const fn layer(self) -> LayerSpec {
        match self {
            Self::Relu => LayerSpec::Relu(Relu),
            Self::Tanh => LayerSpec::Tanh(Tanh),
        }
    }
}

const HALVING: Window = Window::unpadded(2, 2);

pub(super) const fn linear(out: usize) -> LayerSpec {
    LayerSpec::Linear(Linear { out, bias: true })
}

const fn convolution(out_channels: usize, kernel: usize, padding: usize, bias: bool) -> LayerSpec {
    LayerSpec::Convolution(Convolution { out_channels, kernel, stride: 1, padding, bias })
}

fn mlp(activation: Activation, classes: usize) -> Vec<LayerSpec> {
    vec![LayerSpec::Flatten, linear(128), activation.layer(), linear(classes)]
}

fn cnn(classes: usize) -> Vec<LayerSpec> {
    let block = |channels| {
        // The normalisation's bias makes one of the convolution's superfluous.
        [convolution(channels, 3, 1, false), LayerSpec::BatchNorm(BatchNorm), LayerSpec::Relu(Relu), LayerSpec::MaxPool(MaxPool(HALVING))]
    };
    block(8).into_iter().chain(block(16)).chain([LayerSpec::Flatten, linear(classes)]).collect()
}

/// The original reads 32x32: images of 28x28 are padded by 2.
fn lenet5(activation: Activation, input: Shape, classes: usize) -> Vec<LayerSpec> {
    let pool = match activation {
        Activation::Relu => LayerSpec::MaxPool(MaxPool(HALVING)),
        Activation::Tanh => LayerSpec::AvgPool(AvgPool(HALVING)),
    };
    let padding = if input.height <= 28 { 2 } else { 0 };
    vec![
        convolution(6, 5, padding, true),
        activation.layer(),
        pool,
        convolution(16, 5, 0, true),
        activation.layer(),
        pool,
        LayerSpec::Flatten,
        linear(120),
        activation.layer(),
        linear(84),
        activation.layer(),
        linear(classes),
    ]
}

/// A convolution of the layer just before, and the normalisation of its channels.
pub(super) fn normalised(graph: &mut Graph, convolution: Convolution) -> Source {
    graph.then(LayerSpec::Convolution(convolution));
    graph.then(LayerSpec::BatchNorm(BatchNorm))
}

/// Three stages of `blocks` residual blocks of 16, 32 and 64 channels between a convolution and
/// a linear layer: 6 `blocks` + 2 layers with weights. The original reads 32x32: images of 28x28
/// are padded to that by the first convolution.
fn resnet(blocks: usize, input: Shape, classes: usize) -> Vec<Node> {
    let mut graph = Graph::default();
    let padding = if (input.height, input.width) == (28, 28) { 3 } else { 1 };
    let relu = LayerSpec::Relu(Relu);
    let convolution = |stride, out_channels, padding| Convolution { out_channels, kernel: 3, stride, padding, bias: false };
    normalised(&mut graph, convolution(1, 16, padding));
    let mut x = graph.then(relu);
    for (stage, channels) in [16, 32, 64].into_iter().enumerate() {
        for block in 0..blocks {
            let shrinks = stage > 0 && block == 0;
            // The block reads what comes just before it, so its first layer names no input.
            normalised(&mut graph, convolution(if shrinks { 2 } else { 1 }, channels, 1));
            graph.then(relu);
            let branch = normalised(&mut graph, convolution(1, channels, 1));
            let past = if shrinks { graph.of(LayerSpec::Shortcut(Shortcut { stride: 2, channels }), &[x]) } else { x };
            graph.of(LayerSpec::Add(Add), &[branch, past]);
            x = graph.then(relu);
        }
    }
    graph.then(LayerSpec::GlobalAvgPool(GlobalAvgPool));
    graph.then(linear(classes));
    graph.finish()
}

/// Sizes of a transformer.
pub(super) struct Transformer {
    /// Channels of the residual stream.
    pub channels: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Blocks of attention and perceptron.
    pub blocks: u16,
    /// Channels between the two layers of a perceptron.
    pub hidden: usize,
}

impl Transformer {
    /// Blocks normalised in front of each branch, as GPT-2 (Radford et al. 2019), on the stream `x` just before,
    /// and logits without bias.
    pub fn normalised_before(&self, graph: &mut Graph, mut x: Source, classes: usize) {
        let Self { channels, heads, blocks, hidden } = *self;
        let joins = 2 * blocks;
        let project = |out, bias, joins| LayerSpec::Project(Project { out, bias, joins });
        let normalise = LayerSpec::LayerNorm(LayerNorm);
        let join = |graph: &mut Graph, x: Source| {
            let branch = graph.then(project(channels, true, joins));
            graph.of(LayerSpec::Add(Add), &[branch, x])
        };
        for _ in 0..blocks {
            graph.then(normalise);
            graph.then(project(3 * channels, true, 1));
            graph.then(LayerSpec::Attention(Attention { heads }));
            x = join(graph, x);
            graph.then(normalise);
            graph.then(project(hidden, true, 1));
            graph.then(LayerSpec::Gelu(Gelu));
            x = join(graph, x);
        }
        graph.then(normalise);
        graph.then(project(classes, false, 1));
    }
}

/// A decoder-only transformer whose logits have weights of their own.
fn transformer(sizes: &Transformer, classes: usize) -> Vec<Node> {
    let mut graph = Graph::default();
    graph.then(LayerSpec::Project(Project { out: sizes.channels, bias: false, joins: 1 }));
    let x = graph.then(LayerSpec::Positions(Positions));
    sizes.normalised_before(&mut graph, x, classes);
    graph.finish()
}
