//! Models: an input, a list of layers, and the shapes that follow from them.

use crate::entropy::{Purpose, Stream};
use crate::layer::{
    AvgPool, BatchNorm, Convolution, Following, Initial, LayerSpec, Linear, MaxPool, Parameter, Relu, Shape, ShapeError, Tanh, Window,
};

/// A network for classification: its outputs are the logits of the classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The name reports print.
    pub name: String,
    /// Size of an image.
    pub input: Shape,
    /// Number of classes.
    pub classes: usize,
    /// Layers from input to logits.
    pub layers: Vec<LayerSpec>,
}

/// A layer in its place: named, with shapes and parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Kind and ordinal among its kind, from 1: `conv1`, `relu2`.
    pub name: String,
    /// What it computes.
    pub spec: LayerSpec,
    /// Shape of one image at its input.
    pub input: Shape,
    /// Shape of one image at its output.
    pub output: Shape,
    /// Trained parameters.
    pub parameters: Vec<Parameter>,
    /// Tensors tracked without a gradient.
    pub buffers: Vec<Parameter>,
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
    /// The input is empty.
    #[error("model `{model}`: an input of {input} (height x width x channels) holds nothing; every size must be at least 1")]
    EmptyInput {
        /// The model.
        model: String,
        /// Its input.
        input: Shape,
    },
    /// The last layer does not give one logit per class.
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

/// A built-in model.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Name `--model` takes.
    pub name: &'static str,
    /// One line on what it is.
    pub summary: &'static str,
    layers: fn(Shape, usize) -> Vec<LayerSpec>,
}

/// Every built-in model. Sizes of inputs and outputs follow the data.
pub const MODELS: &[BuiltIn] = &[
    BuiltIn { name: "mlp", summary: "one hidden layer of 128 units, ReLU", layers: |_, classes| mlp(Activation::Relu, classes) },
    BuiltIn { name: "mlp-tanh", summary: "one hidden layer of 128 units, tanh", layers: |_, classes| mlp(Activation::Tanh, classes) },
    BuiltIn {
        name: "cnn",
        summary: "two 3x3 convolutions of 8 and 16 channels, batch normalisation, ReLU, max pooling, linear",
        layers: |_, classes| cnn(classes),
    },
    BuiltIn {
        name: "lenet5",
        summary: "LeNet-5 with ReLU and max pooling",
        layers: |input, classes| lenet5(Activation::Relu, input, classes),
    },
    BuiltIn {
        name: "lenet5-tanh",
        summary: "LeNet-5 with tanh and average pooling (LeCun et al. 1998, C3 fully connected, linear output)",
        layers: |input, classes| lenet5(Activation::Tanh, input, classes),
    },
];

fn names() -> String {
    MODELS.iter().map(|m| m.name).collect::<Vec<_>>().join(", ")
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

const HALVING: Window = Window { size: 2, stride: 2 };

const fn linear(out: usize) -> LayerSpec {
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

    /// The layers with their names, shapes and parameters.
    ///
    /// # Errors
    /// A layer that cannot take its input, or an output that is not one logit per class.
    pub fn plan(&self) -> Result<Vec<Layer>, ModelError> {
        let mut shape = self.input;
        if shape.elements() == 0 {
            return Err(ModelError::EmptyInput { model: self.name.clone(), input: shape });
        }
        let mut layers: Vec<Layer> = Vec::with_capacity(self.layers.len());
        for (i, &spec) in self.layers.iter().enumerate() {
            let ordinal = 1 + layers.iter().filter(|l| l.spec.kind() == spec.kind()).count();
            let name = format!("{}{ordinal}", spec.kind());
            let output = spec.output(shape).map_err(|source| ModelError::Layer {
                model: self.name.clone(),
                input: self.input,
                layer: name.clone(),
                source,
            })?;
            let following = match self.layers[i + 1..].iter().find(|l| matches!(l, LayerSpec::Relu(_) | LayerSpec::Tanh(_))) {
                Some(LayerSpec::Relu(_)) => Following::Relu,
                _ => Following::Symmetric,
            };
            let (parameters, buffers) = (spec.parameters(shape, following), spec.buffers(shape));
            layers.push(Layer { name, spec, input: shape, output, parameters, buffers });
            shape = output;
        }
        if shape != Shape::vector(self.classes) || self.classes == 0 {
            return Err(ModelError::Logits { model: self.name.clone(), output: shape, classes: self.classes });
        }
        Ok(layers)
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

    #[test]
    fn parameter_counts() {
        for (name, input, expected) in [
            ("mlp", Shape::new(8, 8, 1), 64 * 128 + 128 + 1280 + 10),
            ("mlp-tanh", Shape::new(28, 28, 1), 784 * 128 + 128 + 1280 + 10),
            ("cnn", Shape::new(8, 8, 1), 72 + 16 + 1152 + 32 + 640 + 10),
            // The count of LeNet-5 with a fully connected C3.
            ("lenet5", Shape::new(28, 28, 1), 61_706),
            ("lenet5-tanh", Shape::new(32, 32, 1), 61_706),
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
    fn refusals_name_model_layer_and_mend() {
        let custom =
            |layers: Vec<LayerSpec>| Model { name: "custom".to_owned(), input: Shape::new(4, 4, 1), classes: 3, layers }.plan().map(|_| ());
        let small = Shape::new(8, 8, 1);
        for (result, needles) in [
            (Model::builtin("lenet", small, 10).map(|_| ()), ["no model `lenet`", "mlp, mlp-tanh"]),
            (Model::builtin("lenet4", small, 10).map(|_| ()), ["did you mean `lenet5`", "cnn"]),
            (Model::builtin("lenet5", small, 10).map(|_| ()), ["layer conv2", "5x5 window does not fit 4x4x6"]),
            (Model::builtin("mlp", Shape::new(0, 8, 1), 10).map(|_| ()), ["0x8x1", "at least 1"]),
            (Model::builtin("mlp", small, 0).map(|_| ()), ["linear2", "at least 1"]),
            (custom(vec![linear(3)]), ["linear1", "insert `flatten`"]),
            (custom(vec![LayerSpec::Flatten, linear(4)]), ["gives 1x1x4", "linear layer of 3"]),
            (custom(vec![convolution(3, 0, 0, true)]), ["conv1", "at least 1"]),
            (custom(vec![LayerSpec::MaxPool(MaxPool(Window { size: 2, stride: 0 }))]), ["max_pool1", "stride"]),
        ] {
            let error = result.unwrap_err().to_string();
            for needle in needles {
                assert!(error.contains(needle), "wanted `{needle}`: {error}");
            }
        }
    }
}
