//! A model with its parameters: forward and backward through all layers.

use super::{Matrix, Real};
use crate::layer::{Backward, Parameter, Pass};
use crate::model::{Layer, Model, ModelError, initial_values};

/// A model's layers with the tensors they own.
#[derive(Clone, Debug)]
pub struct Network<T> {
    layers: Vec<Layer>,
    /// Trained parameters, by layer.
    pub parameters: Vec<Vec<Matrix<T>>>,
    /// Tracked buffers, by layer.
    pub buffers: Vec<Vec<Matrix<T>>>,
}

/// What a forward pass leaves for the backward pass.
#[derive(Clone, Debug)]
pub struct Trace<T> {
    /// The input, then the output of each layer.
    activations: Vec<Matrix<T>>,
    saved: Vec<Vec<Matrix<T>>>,
}

impl<T> Trace<T> {
    /// The logits, `[batch][classes]`, or a row for each position of each image.
    pub fn logits(&self) -> &Matrix<T> {
        &self.activations[self.activations.len() - 1]
    }

    /// What a layer reads.
    fn inputs(&self, layer: &Layer) -> Vec<&Matrix<T>> {
        layer.inputs.iter().map(|input| &self.activations[input.tensor]).collect()
    }
}

impl<T: Real> Network<T> {
    /// The model with initial values drawn from `seed`.
    ///
    /// # Errors
    /// If the model's layers do not fit one another.
    pub fn new(model: &Model, seed: u64) -> Result<Self, ModelError> {
        let layers = model.plan()?;
        let parameters = layers
            .iter()
            .zip(initial_values(&layers, seed))
            .map(|(layer, values)| layer.parameters.iter().zip(values).map(|(p, v)| matrix(p, v)).collect())
            .collect();
        let buffers = layers
            .iter()
            .zip(crate::model::initial_buffers(&layers))
            .map(|(layer, values)| layer.buffers.iter().zip(values).map(|(p, v)| matrix(p, v)).collect())
            .collect();
        Ok(Self { layers, parameters, buffers })
    }

    /// The layers, from input to logits.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Forward from `input`, one image after the other in the layout of [`crate::layer`].
    ///
    /// # Panics
    /// If the values do not fill whole images.
    pub fn forward(&self, input: Vec<T>, pass: Pass) -> Trace<T> {
        let channels = self.layers.first().map_or(1, |l| l.input.channels);
        let mut trace = Trace { activations: vec![Matrix::from_rows(channels, input)], saved: Vec::new() };
        for (i, layer) in self.layers.iter().enumerate() {
            let x = trace.inputs(layer);
            let (y, saved) = layer.spec.forward(layer.input, pass, &self.parameters[i], &self.buffers[i], &x);
            trace.activations.push(y);
            trace.saved.push(saved);
        }
        trace
    }

    /// Derivatives by all parameters, from the derivative by the logits.
    pub fn backward(&self, trace: &Trace<T>, gradient: Matrix<T>) -> Vec<Vec<Matrix<T>>> {
        let mut gradients = vec![Vec::new(); self.layers.len()];
        // The error of every tensor, as far as its readers have been met.
        let mut errors = vec![None; trace.activations.len()];
        errors[self.layers.len()] = Some(gradient);
        for (i, layer) in self.layers.iter().enumerate().rev().filter(|(_, layer)| layer.is_trained()) {
            let Some(dy) = errors[i + 1].take() else { continue };
            let wanted: Vec<bool> = layer.inputs.iter().map(|input| input.wanted).collect();
            let at = Backward {
                parameters: &self.parameters[i],
                x: &trace.inputs(layer),
                y: &trace.activations[i + 1],
                saved: &trace.saved[i],
                dy: &dy,
                wanted: &wanted,
            };
            let result = layer.spec.backward(layer.input, at);
            gradients[i] = result.parameters;
            for (input, dx) in layer.inputs.iter().zip(result.inputs) {
                let Some(dx) = dx.filter(|_| input.wanted) else { continue };
                let sum = match errors[input.tensor].take() {
                    Some(sum) => Matrix::zip(&sum, &dx, |sum, dx| sum + dx),
                    None => dx,
                };
                errors[input.tensor] = Some(sum);
            }
        }
        gradients
    }

    /// Moves tracked buffers towards the statistics of a training pass.
    pub fn track(&mut self, trace: &Trace<T>) {
        for ((layer, buffers), saved) in self.layers.iter().zip(&mut self.buffers).zip(&trace.saved) {
            layer.spec.track(buffers, saved);
        }
    }
}

fn matrix<T: Real>(parameter: &Parameter, values: Vec<f32>) -> Matrix<T> {
    Matrix { rows: parameter.rows, columns: parameter.columns, values: values.into_iter().map(|v| T::from_f64(f64::from(v))).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Purpose, Stream};
    use crate::host::cross_entropy;
    use crate::layer::{
        Add, Attention, AvgPool, BatchNorm, Convolution, Gelu, GlobalAvgPool, LayerSpec, Linear, MaxPool, Positions, Project, Relu, Shape,
        Shortcut, Tanh, Window,
    };
    use crate::model::{Graph, Source};

    const CONVOLUTION: Convolution = Convolution { out_channels: 3, kernel: 3, stride: 2, padding: 1, bias: true };
    const OVERLAPPING: Window = Window::unpadded(3, 2);

    /// Every layer between a convolution in front, whose gradient needs the layer's gradient
    /// by its input, and a linear layer behind.
    fn models() -> Vec<Model> {
        let between = [
            vec![],
            vec![LayerSpec::Relu(Relu)],
            vec![LayerSpec::Tanh(Tanh)],
            vec![LayerSpec::MaxPool(MaxPool(OVERLAPPING))],
            vec![LayerSpec::AvgPool(AvgPool(OVERLAPPING))],
            vec![LayerSpec::BatchNorm(BatchNorm)],
            vec![LayerSpec::Convolution(Convolution { kernel: 2, stride: 1, padding: 0, ..CONVOLUTION })],
            vec![LayerSpec::Convolution(CONVOLUTION), LayerSpec::BatchNorm(BatchNorm), LayerSpec::Tanh(Tanh)],
            vec![LayerSpec::Flatten, LayerSpec::Linear(Linear { out: 7, bias: true }), LayerSpec::BatchNorm(BatchNorm)],
            vec![LayerSpec::Flatten, LayerSpec::Linear(Linear { out: 7, bias: false }), LayerSpec::Relu(Relu)],
            vec![LayerSpec::Gelu(Gelu)],
            vec![LayerSpec::Positions(Positions), LayerSpec::Tanh(Tanh)],
            vec![LayerSpec::Project(Project { out: 12, bias: true, joins: 2 }), LayerSpec::Attention(Attention { heads: 2 })],
        ];
        let sequential = between.into_iter().map(|middle| {
            let name = middle.iter().map(|l| l.kind()).collect::<Vec<_>>().join("-");
            let around = [vec![LayerSpec::Convolution(CONVOLUTION)], middle, vec![LayerSpec::Flatten, LINEAR]];
            Model::sequential(&name, INPUT, 3, around.concat())
        });
        sequential.chain(graphs()).collect()
    }

    const INPUT: Shape = Shape::new(9, 8, 2);
    const LINEAR: LayerSpec = LayerSpec::Linear(Linear { out: 3, bias: true });

    /// Networks with branches; the first convolution leaves 5x4 positions, an odd height.
    fn graphs() -> impl Iterator<Item = Model> {
        const SAME: LayerSpec = LayerSpec::Convolution(Convolution { stride: 1, bias: false, ..CONVOLUTION });
        const TANH: LayerSpec = LayerSpec::Tanh(Tanh);
        const ADD: LayerSpec = LayerSpec::Add(Add);
        type Build = fn(&mut Graph);
        let graphs: [(&str, Build); 5] = [
            ("residual block", |graph| {
                let x = graph.then(TANH);
                graph.then(SAME);
                graph.then(LayerSpec::BatchNorm(BatchNorm));
                let branch = graph.then(TANH);
                graph.of(ADD, &[branch, x]);
                graph.then(LayerSpec::Flatten);
            }),
            ("shrinking block", |graph| {
                let x = graph.then(TANH);
                graph.then(LayerSpec::Convolution(Convolution { out_channels: 5, ..CONVOLUTION }));
                let branch = graph.then(LayerSpec::BatchNorm(BatchNorm));
                let past = graph.of(LayerSpec::Shortcut(Shortcut { stride: 2, channels: 5 }), &[x]);
                graph.of(ADD, &[branch, past]);
                graph.then(LayerSpec::Relu(Relu));
                graph.then(LayerSpec::GlobalAvgPool(GlobalAvgPool));
            }),
            ("four readers of one tensor", |graph| {
                let x = graph.then(TANH);
                let [a, b] = [SAME, SAME].map(|layer| graph.of(layer, &[x]));
                let both = graph.of(ADD, &[a, b]);
                // The same tensor twice.
                let twice = graph.of(ADD, &[x, x]);
                graph.of(ADD, &[twice, both]);
                graph.then(LayerSpec::Flatten);
            }),
            ("two ways from the images", |graph| {
                let x = graph.then(LayerSpec::BatchNorm(BatchNorm));
                let past = graph.of(LayerSpec::Shortcut(Shortcut { stride: 2, channels: 3 }), &[Source::Images]);
                graph.of(ADD, &[past, x]);
                graph.then(LayerSpec::Flatten);
            }),
            ("flattened beside itself", |graph| {
                let x = graph.then(TANH);
                let flat = graph.of(LayerSpec::Flatten, &[x]);
                let branch = graph.of(LayerSpec::Linear(Linear { out: 60, bias: false }), &[flat]);
                graph.of(ADD, &[branch, flat]);
            }),
        ];
        graphs.into_iter().map(|(name, build)| {
            let mut graph = Graph::default();
            graph.then(LayerSpec::Convolution(CONVOLUTION));
            build(&mut graph);
            graph.then(LINEAR);
            Model { name: name.to_owned(), input: INPUT, classes: 3, layers: graph.finish() }
        })
    }

    /// Central differences in binary64 with a step of 1e-5 err by about 1e-10 here; a ReLU or
    /// maximum that switches within the step would err by far more, and none does.
    fn check_gradients(model: &Model, input: &[f64], labels: &[usize]) {
        let mut network = Network::<f64>::new(model, 1).unwrap();
        let stream = Stream::new(7, Purpose::Split);
        // Biases and normalisations away from their initial 0 and 1, where errors could hide.
        for (i, value) in network.parameters.iter_mut().flatten().flat_map(|m| &mut m.values).enumerate() {
            *value += 0.2 * f64::from(stream.symmetric(10_000 + i as u64));
        }
        let trace = network.forward(input.to_vec(), Pass::Training);
        let gradients = network.backward(&trace, cross_entropy(trace.logits(), labels).gradient);
        for (layer, gradients) in gradients.iter().enumerate() {
            assert_eq!(gradients.len(), network.parameters[layer].len());
            for (tensor, gradient) in gradients.iter().enumerate() {
                let matrix = &network.parameters[layer][tensor];
                assert_eq!((matrix.rows, matrix.columns), (gradient.rows, gradient.columns));
                for (element, &analytic) in gradient.values.iter().enumerate() {
                    let loss_at = |shift: f64| {
                        let mut moved = network.clone();
                        moved.parameters[layer][tensor].values[element] += shift;
                        cross_entropy(moved.forward(input.to_vec(), Pass::Training).logits(), labels).mean
                    };
                    let step = 1e-5;
                    let numeric = (loss_at(step) - loss_at(-step)) / (2.0 * step);
                    let name = (&model.name, &network.layers[layer].name, network.layers[layer].parameters[tensor].name, element);
                    assert!((numeric - analytic).abs() < 1e-8 * (1.0 + numeric.abs()), "{name:?}: {numeric} {analytic}");
                }
            }
        }
    }

    #[test]
    fn gradients_match_central_differences() {
        let stream = Stream::new(7, Purpose::Split);
        let input: Vec<f64> = (0..4 * 9 * 8 * 2).map(|i| f64::from(stream.symmetric(i))).collect();
        for model in models() {
            check_gradients(&model, &input, &[0, 2, 1, 1]);
        }
    }

    /// A label for each position, and more than one image.
    #[test]
    fn gradients_of_a_transformer_match_central_differences() {
        let model = Model::builtin("transformer-tiny", Shape::new(1, 5, 7), 7).unwrap();
        let tokens: Vec<usize> = (0..10).map(|i| i * i * 3 % 7).collect();
        let input: Vec<f64> = tokens.iter().flat_map(|&token| (0..7).map(move |c| f64::from(u8::from(c == token)))).collect();
        let labels: Vec<usize> = (0..10).map(|i| (i * 5 + 2) % 7).collect();
        check_gradients(&model, &input, &labels);
    }

    #[test]
    fn evaluation_normalises_by_tracked_statistics() {
        let model = &models()[5];
        let mut network = Network::<f64>::new(model, 0).unwrap();
        let stream = Stream::new(1, Purpose::Split);
        let input: Vec<f64> = (0..4 * 144).map(|i| 3.0 + f64::from(stream.symmetric(i))).collect();
        let training = network.forward(input.clone(), Pass::Training);
        assert_ne!(training.logits(), network.forward(input.clone(), Pass::Evaluation).logits());
        for _ in 0..400 {
            let trace = network.forward(input.clone(), Pass::Training);
            network.track(&trace);
        }
        for (a, b) in training.logits().values.iter().zip(&network.forward(input, Pass::Evaluation).logits().values) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }
}
