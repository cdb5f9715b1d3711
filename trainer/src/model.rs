//! Models: an input, a graph of layers, and the shapes that follow from them.
//!
//! Layers stand in a list, each after those it reads. A layer reads the one just before it
//! unless it names its inputs; a tensor may have several readers. Backward, the errors its
//! readers hand back are added in the order in which the backward pass meets them, from the
//! last reader in the list to the first, each addition rounded.

mod builtin;
mod workload;

pub use builtin::{BuiltIn, MODELS};
pub use workload::{WORKLOADS, Workload};

use crate::entropy::{Purpose, Stream};
use crate::layer::{Following, Initial, LayerSpec, Parameter, Shape, ShapeError};
use builtin::names;

/// A network for classification: its outputs are the logits of the classes, of a whole image or of
/// each of its positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The name reports print.
    pub name: String,
    /// Size of an image.
    pub input: Shape,
    /// Number of classes.
    pub classes: usize,
    /// Layers from input to logits.
    pub layers: Vec<Node>,
}

/// What a layer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The images.
    Images,
    /// The output of the layer at this place of [`Model::layers`].
    Layer(usize),
}

/// A layer of a model, and what it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it computes.
    pub spec: LayerSpec,
    /// Its inputs; none named stand for the output of the layer just before it, or the images.
    pub inputs: Vec<Source>,
}

impl From<LayerSpec> for Node {
    /// The layer on the output of the one before it.
    fn from(spec: LayerSpec) -> Self {
        Self { spec, inputs: Vec::new() }
    }
}

/// A list of layers under construction.
#[derive(Clone, Debug, Default)]
pub struct Graph(Vec<Node>);

impl Graph {
    /// Adds a layer that reads the one just before it.
    pub fn then(&mut self, spec: LayerSpec) -> Source {
        self.of(spec, &[])
    }

    /// Adds a layer that reads the given sources.
    pub fn of(&mut self, spec: LayerSpec, inputs: &[Source]) -> Source {
        self.0.push(Node { spec, inputs: inputs.to_vec() });
        Source::Layer(self.0.len() - 1)
    }

    /// The layers, for [`Model::layers`].
    pub fn finish(self) -> Vec<Node> {
        self.0
    }
}

/// One input of a layer in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Which tensor: 0 the images, i + 1 the output of layer i.
    pub tensor: usize,
    /// Whether trained parameters stand before it, so that its error is needed.
    pub wanted: bool,
}

/// A layer in its place: named, with shapes and parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Kind and ordinal among its kind, from 1: `conv1`, `relu2`.
    pub name: String,
    /// What it computes.
    pub spec: LayerSpec,
    /// What it reads.
    pub inputs: Vec<Input>,
    /// Shape of one image at its first input.
    pub input: Shape,
    /// Shape of one image at its output.
    pub output: Shape,
    /// Trained parameters.
    pub parameters: Vec<Parameter>,
    /// Tensors tracked without a gradient.
    pub buffers: Vec<Parameter>,
}

impl Layer {
    /// Whether the error at its output is needed: for its own parameters, or for those before it.
    pub fn is_trained(&self) -> bool {
        !self.parameters.is_empty() || self.inputs.iter().any(|input| input.wanted)
    }
}

/// A model cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No built-in model of that name.
    #[error("no model `{name}`{}; there are {}", suggestion.map(|s| format!(" (did you mean `{s}`?)")).unwrap_or_default(), names())]
    Unknown {
        /// What was given.
        name: String,
        /// The closest name.
        suggestion: Option<&'static str>,
    },
    /// A layer cannot take what the one before it gives.
    #[error("model `{model}`, input {input}, layer {layer}: {source}")]
    Layer {
        /// The model.
        model: String,
        /// Its input.
        input: Shape,
        /// Name of the layer.
        layer: String,
        /// What does not fit.
        source: ShapeError,
    },
    /// A layer names too few or too many inputs.
    #[error(
        "model `{model}`, layer {layer}: it names {given} inputs and takes {expected}; name {expected}, or none for the layer before it"
    )]
    Inputs {
        /// The model.
        model: String,
        /// Name of the layer.
        layer: String,
        /// Inputs named.
        given: usize,
        /// Inputs it takes.
        expected: usize,
    },
    /// A layer reads what is computed after it.
    #[error(
        "model `{model}`, layer {layer}: it reads the layer at place {source_place} of the list and stands at place {place}; layers read the images, or layers before them"
    )]
    Order {
        /// The model.
        model: String,
        /// Name of the layer.
        layer: String,
        /// Place of the layer it reads, from 0.
        source_place: usize,
        /// Its own place.
        place: usize,
    },
    /// An output without a reader.
    #[error("model `{model}`, layer {layer}: no layer reads its output; remove it, or name it as an input of a later layer")]
    Unread {
        /// The model.
        model: String,
        /// Name of the layer.
        layer: String,
    },
    /// The input is empty.
    #[error("model `{model}`: an input of {input} (height x width x channels) holds nothing; every size must be at least 1")]
    EmptyInput {
        /// The model.
        model: String,
        /// Its input.
        input: Shape,
    },
    /// The last layer does not give one logit per class, for the image or for each of its positions.
    #[error(
        "model `{model}` gives {output} (height x width x channels) for {classes} classes; end with a linear layer of {classes} outputs"
    )]
    Logits {
        /// The model.
        model: String,
        /// Shape of its output.
        output: Shape,
        /// Number of classes.
        classes: usize,
    },
}

impl Model {
    /// The built-in model of that name for images of the given size.
    ///
    /// # Errors
    /// [`ModelError::Unknown`], or a layer that the input is too small for.
    pub fn builtin(name: &str, input: Shape, classes: usize) -> Result<Self, ModelError> {
        let built_in = MODELS.iter().find(|m| m.name == name).ok_or_else(|| ModelError::Unknown {
            name: name.to_owned(),
            suggestion: MODELS
                .iter()
                .map(|m| (strsim::damerau_levenshtein(m.name, name), m.name))
                .min()
                .filter(|(distance, _)| *distance <= 2)
                .map(|(_, name)| name),
        })?;
        let model = Self { name: name.to_owned(), input, classes, layers: (built_in.layers)(input, classes) };
        model.plan()?;
        Ok(model)
    }

    /// A model whose layers each read the one before.
    pub fn sequential(name: &str, input: Shape, classes: usize, layers: Vec<LayerSpec>) -> Self {
        Self { name: name.to_owned(), input, classes, layers: layers.into_iter().map(Node::from).collect() }
    }

    /// The layers with their names, inputs, shapes and parameters.
    ///
    /// # Errors
    /// A layer that cannot take its inputs or reads what is not there yet, an output that none
    /// reads, or logits that are not one per class.
    pub fn plan(&self) -> Result<Vec<Layer>, ModelError> {
        if self.input.elements() == 0 {
            return Err(ModelError::EmptyInput { model: self.name.clone(), input: self.input });
        }
        let names = self.layer_names();
        let reads = names.iter().enumerate().map(|(i, name)| self.tensors_read(i, name)).collect::<Result<Vec<_>, _>>()?;
        let mut layers: Vec<Layer> = Vec::with_capacity(self.layers.len());
        for (i, ((node, name), tensors)) in self.layers.iter().zip(names).zip(&reads).enumerate() {
            let shapes: Vec<Shape> = tensors.iter().map(|&t| if t == 0 { self.input } else { layers[t - 1].output }).collect();
            let output = node.spec.output(&shapes).map_err(|source| ModelError::Layer {
                model: self.name.clone(),
                input: self.input,
                layer: name.clone(),
                source,
            })?;
            let (parameters, buffers) = (node.spec.parameters(shapes[0], self.following(i, &reads)), node.spec.buffers(shapes[0]));
            let wanted = |tensor: usize| tensor > 0 && layers[tensor - 1].is_trained();
            let inputs = tensors.iter().map(|&tensor| Input { tensor, wanted: wanted(tensor) }).collect();
            layers.push(Layer { name, spec: node.spec, inputs, input: shapes[0], output, parameters, buffers });
        }
        let last = self.layers.len();
        if let Some(unread) = (1..last).find(|tensor| !reads.iter().flatten().any(|read| read == tensor)) {
            return Err(ModelError::Unread { model: self.name.clone(), layer: layers[unread - 1].name.clone() });
        }
        let output = layers.last().map_or(self.input, |l| l.output);
        let labelled = [Shape::vector(self.classes), Shape { channels: self.classes, ..self.input }];
        if !labelled.contains(&output) || self.classes == 0 {
            return Err(ModelError::Logits { model: self.name.clone(), output, classes: self.classes });
        }
        Ok(layers)
    }

    /// Kind and ordinal of every layer.
    fn layer_names(&self) -> Vec<String> {
        let kinds: Vec<&str> = self.layers.iter().map(|node| node.spec.kind()).collect();
        let ordinal = |i: usize| kinds[..=i].iter().filter(|kind| **kind == kinds[i]).count();
        kinds.iter().enumerate().map(|(i, kind)| format!("{kind}{}", ordinal(i))).collect()
    }

    /// The tensors the layer at place `i` reads, numbered as [`Input::tensor`] is.
    fn tensors_read(&self, i: usize, name: &str) -> Result<Vec<usize>, ModelError> {
        let Node { spec, inputs } = &self.layers[i];
        let tensors = match &inputs[..] {
            [] => vec![i],
            named => named.iter().map(|source| if let Source::Layer(place) = *source { place.saturating_add(1) } else { 0 }).collect(),
        };
        let (model, layer) = (self.name.clone(), name.to_owned());
        if tensors.len() != spec.arity() {
            return Err(ModelError::Inputs { model, layer, given: inputs.len(), expected: spec.arity() });
        }
        match tensors.iter().find(|&&tensor| tensor > i) {
            Some(tensor) => Err(ModelError::Order { model, layer, source_place: tensor - 1, place: i }),
            None => Ok(tensors),
        }
    }

    /// The first nonlinearity in the list that the output of layer `i` reaches.
    fn following(&self, i: usize, reads: &[Vec<usize>]) -> Following {
        let mut reached = vec![false; self.layers.len() + 1];
        reached[i + 1] = true;
        for (j, node) in self.layers.iter().enumerate().skip(i + 1) {
            reached[j + 1] = reads[j].iter().any(|&tensor| reached[tensor]);
            match node.spec {
                LayerSpec::Relu(_) if reached[j + 1] => return Following::Relu,
                LayerSpec::Tanh(_) if reached[j + 1] => return Following::Symmetric,
                _ => {}
            }
        }
        Following::Symmetric
    }
}

/// Initial values of every trained parameter, by layer, row-major: pure functions of the seed
/// and of the parameter's ordinal among all parameters of the model.
pub fn initial_values(layers: &[Layer], seed: u64) -> Vec<Vec<Vec<f32>>> {
    let mut ordinal = 0;
    let mut values = |parameter: &Parameter| {
        let count = parameter.rows * parameter.columns;
        let stream = Stream::new(seed, Purpose::Weights { parameter: ordinal });
        ordinal += 1;
        match parameter.initial {
            Initial::Uniform(bound) => (0..count as u64).map(|i| bound * stream.symmetric(i)).collect(),
            Initial::Constant(value) => vec![value; count],
        }
    };
    layers.iter().map(|layer| layer.parameters.iter().map(&mut values).collect()).collect()
}

/// Initial values of every tracked buffer, by layer.
pub fn initial_buffers(layers: &[Layer]) -> Vec<Vec<Vec<f32>>> {
    let values = |buffer: &Parameter| match buffer.initial {
        Initial::Constant(value) => vec![value; buffer.rows * buffer.columns],
        Initial::Uniform(_) => Vec::new(),
    };
    layers.iter().map(|layer| layer.buffers.iter().map(values).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Add, Attention, Convolution, Linear, MaxPool, Project, Relu, Shortcut, Tanh, Window};

    const RELU: LayerSpec = LayerSpec::Relu(Relu);

    const fn linear(out: usize) -> LayerSpec {
        LayerSpec::Linear(Linear { out, bias: true })
    }

    const fn convolution(out_channels: usize, kernel: usize, padding: usize) -> LayerSpec {
        LayerSpec::Convolution(Convolution { out_channels, kernel, stride: 1, padding, bias: true })
    }

    #[test]
    fn parameter_counts() {
        for (name, input, expected) in [
            ("mlp", Shape::new(8, 8, 1), 64 * 128 + 128 + 1280 + 10),
            ("mlp-tanh", Shape::new(28, 28, 1), 784 * 128 + 128 + 1280 + 10),
            ("cnn", Shape::new(8, 8, 1), 72 + 16 + 1152 + 32 + 640 + 10),
            // The count of LeNet-5 with a fully connected C3.
            ("lenet5", Shape::new(28, 28, 1), 61_706),
            ("lenet5-tanh", Shape::new(32, 32, 1), 61_706),
            // He et al. give 0.27 million: 9 (3 16 + 6 16^2 + 16 32 + 5 32^2 + 32 64 + 5 64^2) weights
            // of convolutions, 2 (7 16 + 6 32 + 6 64) of normalisations, 640 + 10 of the linear layer.
            ("resnet20", Shape::new(32, 32, 3), 269_722),
            ("resnet20", Shape::new(28, 28, 1), 269_722 - 9 * 2 * 16),
            // An embedding, positions, blocks of attention and perceptron between normalisations, logits.
            ("transformer", Shape::new(1, 64, 10), 2 * 640 + 4096 + 128 + 2 * (256 + 4 * (4096 + 64) + 2 * 64 * 256 + 256 + 64)),
            ("transformer-tiny", Shape::new(1, 5, 10), 2 * 160 + 80 + 32 + 64 + 4 * (256 + 16) + 2 * 16 * 32 + 32 + 16),
            ("resnet8", Shape::new(8, 8, 1), 9 * (16 + 2 * 256 + 512 + 1024 + 2048 + 4096) + 2 * (48 + 64 + 128) + 650),
        ] {
            let layers = Model::builtin(name, input, 10).unwrap().plan().unwrap();
            let count: usize = layers.iter().flat_map(|l| &l.parameters).map(|p| p.rows * p.columns).sum();
            assert_eq!(count, expected, "{name}");
            let values: usize = initial_values(&layers, 0).iter().flatten().map(Vec::len).sum();
            assert_eq!(values, expected, "{name}");
        }
    }

    #[test]
    fn weights_are_uniform_up_to_the_bound_of_what_follows() {
        let layers = Model::builtin("mlp", Shape::new(8, 8, 1), 10).unwrap().plan().unwrap();
        let values = initial_values(&layers, 0);
        for (layer, bound) in [(1, (6.0_f32 / 64.0).sqrt()), (3, (6.0_f32 / 138.0).sqrt())] {
            let largest = values[layer][0].iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            assert!(largest < bound && largest > 0.99 * bound, "{largest} {bound}");
            assert!(values[layer][1].iter().all(|&b| b == 0.0));
        }
        assert_ne!(values, initial_values(&layers, 1));
        // Bits that must never change: training runs are named by their seed.
        let bits: Vec<u32> = values[1][0][..3].iter().map(|v| v.to_bits()).collect();
        assert_eq!(bits, INITIAL_BITS);
    }

    const INITIAL_BITS: [u32; 3] = [1_038_233_942, 1_023_439_989, 1_047_875_593];

    #[test]
    fn weights_of_a_transformer_begin_narrow() {
        let layers = Model::builtin("transformer", Shape::new(1, 64, 70), 70).unwrap().plan().unwrap();
        let values = initial_values(&layers, 0);
        let deviation = |name: &str| {
            let layer = layers.iter().position(|l| l.name == name).unwrap();
            let squares: f64 = values[layer][0].iter().map(|&v| f64::from(v).powi(2)).sum();
            (squares / values[layer][0].len() as f64).sqrt()
        };
        // 0.02, and 0.02 / sqrt(4) where a branch joins the stream.
        for (name, expected) in [("project1", 0.02), ("positions1", 0.02), ("project2", 0.02), ("project3", 0.01), ("project9", 0.01)] {
            assert!((deviation(name) - expected).abs() < 0.03 * expected, "{name}: {}", deviation(name));
        }
    }

    #[test]
    fn resnet20_has_the_published_shapes() {
        for input in [Shape::new(32, 32, 3), Shape::new(28, 28, 1)] {
            let layers = Model::builtin("resnet20", input, 10).unwrap().plan().unwrap();
            let count = |kind: &str| layers.iter().filter(|l| l.spec.kind() == kind).count();
            assert_eq!(["conv", "batch_norm", "relu", "add", "shortcut", "linear"].map(count), [19, 19, 19, 9, 2, 1]);
            let outputs: Vec<Shape> = layers.iter().filter(|l| l.spec.kind() == "add").map(|l| l.output).collect();
            for (stage, (size, channels)) in [(32, 16), (16, 32), (8, 64)].into_iter().enumerate() {
                assert_eq!(outputs[3 * stage..][..3], [Shape::new(size, size, channels); 3]);
            }
            let named = |name: &str| layers.iter().find(|l| l.name == name).unwrap();
            assert_eq!(named("shortcut2").input, Shape::new(16, 16, 32));
            assert_eq!(named("global_avg_pool1").input, Shape::new(8, 8, 64));
            // The first convolution of a block and the join past it read the same tensor.
            assert_eq!(named("conv2").inputs[0], named("add1").inputs[1]);
            assert_eq!(named("conv8").inputs[0], named("shortcut1").inputs[0]);
        }
    }

    #[test]
    fn initial_weights_ask_for_the_nonlinearity_they_reach() {
        // One branch leads to tanh, the other past it to a rectifier.
        let mut graph = Graph::default();
        let x = graph.then(LayerSpec::Flatten);
        let left = graph.then(linear(6));
        let right = graph.of(linear(6), &[x]);
        let left = graph.of(LayerSpec::Tanh(Tanh), &[left]);
        graph.of(LayerSpec::Add(Add), &[left, right]);
        graph.then(RELU);
        graph.then(linear(2));
        let model = Model { name: "forked".to_owned(), input: Shape::new(2, 2, 1), classes: 2, layers: graph.finish() };
        let bounds: Vec<Initial> = model.plan().unwrap().iter().filter_map(|l| Some(l.parameters.first()?.initial)).collect();
        assert_eq!(bounds, [6.0 / 10.0_f32, 6.0 / 4.0, 6.0 / 8.0].map(|square| Initial::Uniform(square.sqrt())));
    }

    #[test]
    fn refusals_name_model_layer_and_mend() {
        let custom = |layers: Vec<LayerSpec>| Model::sequential("custom", Shape::new(4, 4, 1), 3, layers).plan().map(|_| ());
        let graph = |nodes: &[(LayerSpec, &[Source])]| {
            let layers = nodes.iter().map(|&(spec, inputs)| Node { spec, inputs: inputs.to_vec() }).collect();
            Model { layers, ..Model::sequential("graph", Shape::new(4, 4, 1), 3, Vec::new()) }.plan().map(|_| ())
        };
        let (add, at) = (LayerSpec::Add(Add), Source::Layer);
        let small = Shape::new(8, 8, 1);
        for (result, needles) in [
            (Model::builtin("lenet", small, 10).map(|_| ()), ["no model `lenet`", "mlp, mlp-tanh"]),
            (Model::builtin("lenet4", small, 10).map(|_| ()), ["did you mean `lenet5`", "cnn"]),
            (Model::builtin("lenet5", small, 10).map(|_| ()), ["layer conv2", "5x5 window does not fit 4x4x6"]),
            (Model::builtin("mlp", Shape::new(0, 8, 1), 10).map(|_| ()), ["0x8x1", "at least 1"]),
            (Model::builtin("mlp", small, 0).map(|_| ()), ["linear2", "at least 1"]),
            (custom(vec![linear(3)]), ["linear1", "insert `flatten`"]),
            (custom(vec![LayerSpec::Flatten, linear(4)]), ["gives 1x1x4", "linear layer of 3"]),
            (custom(vec![convolution(3, 0, 0)]), ["conv1", "at least 1"]),
            (custom(vec![LayerSpec::MaxPool(MaxPool(Window::unpadded(2, 0)))]), ["max_pool1", "stride"]),
            (custom(vec![]), ["gives 4x4x1", "linear layer of 3"]),
            (custom(vec![add]), ["add1: it names 0 inputs", "takes 2"]),
            (graph(&[(RELU, &[Source::Images, Source::Images])]), ["relu1: it names 2 inputs", "takes 1"]),
            (graph(&[(RELU, &[]), (add, &[at(0), at(1)])]), ["add1: it reads the layer at place 1", "stands at place 1"]),
            (graph(&[(RELU, &[at(usize::MAX)])]), ["relu1", "layers before them"]),
            (graph(&[(convolution(2, 3, 1), &[]), (add, &[at(0), Source::Images])]), ["add1: it joins 4x4x2", "with 4x4x1"]),
            (graph(&[(RELU, &[]), (LayerSpec::Flatten, &[Source::Images]), (linear(3), &[])]), ["relu1: no layer reads", "remove it"]),
            (
                custom(vec![convolution(2, 3, 1), LayerSpec::Shortcut(Shortcut { stride: 2, channels: 1 })]),
                ["shortcut1", "from 2 channels to 1"],
            ),
            (custom(vec![convolution(8, 3, 1), LayerSpec::Attention(Attention { heads: 2 })]), ["attention1: 8 channels", "multiple of 6"]),
            (custom(vec![LayerSpec::Attention(Attention { heads: 0 })]), ["attention1", "number of heads must be at least 1"]),
            (
                custom(vec![LayerSpec::Project(Project { out: 0, bias: true, joins: 1 })]),
                ["project1", "number of outputs must be at least 1"],
            ),
            (custom(vec![LayerSpec::Project(Project { out: 2, bias: true, joins: 1 })]), ["gives 4x4x2", "for 3 classes"]),
            (custom(vec![LayerSpec::Shortcut(Shortcut { stride: 0, channels: 1 })]), ["shortcut1", "stride must be at least 1"]),
        ] {
            let error = result.unwrap_err().to_string();
            for needle in needles {
                assert!(error.contains(needle), "wanted `{needle}`: {error}");
            }
        }
    }
}
