//! The way forward through a model's layers, and the way back.

use super::coded::Coded;
use super::memory::Tensor;
use super::operand::{Operand, multiplies};
use super::{Context, Parameter, Purpose, State, attention, layer_norm, normalise};
use crate::layer::{BatchNorm, LayerSpec};
use crate::model::Layer;
use crate::recipe::RoleFormat;

/// What the products of a layer read.
pub(super) struct Operands {
    pub x: Operand,
    pub weight: Operand,
}

/// What a layer's forward pass leaves for its backward pass.
pub(super) enum Saved {
    Nothing,
    /// Input and weights as operands.
    Affine(Box<Operands>),
    /// Values before a rectifier, or after tanh.
    Activation(Tensor),
    /// Input of a max pooling.
    Pooled(Tensor),
    Normalised(normalise::Saved),
    LayerNormalised(layer_norm::Saved),
    Attended(Box<attention::Saved>),
    /// Input of a GELU, the argument of its error function, and the normal distribution there.
    Gelu {
        x: Tensor,
        scaled: Tensor,
        cumulative: Tensor,
    },
}

/// Indices of the layers that read a tensor, flattening looked through unless it makes the logits.
pub(super) fn readers(layers: &[Layer], tensor: usize) -> Vec<usize> {
    let direct = layers.iter().enumerate().filter(|(_, layer)| layer.inputs.iter().any(|input| input.tensor == tensor));
    let through = |i: usize, layer: &Layer| matches!(layer.spec, LayerSpec::Flatten) && i + 1 < layers.len();
    direct.flat_map(|(i, layer)| if through(i, layer) { readers(layers, i + 1) } else { vec![i] }).collect()
}

impl Context<'_> {
    /// All layers forward; the logits lie in their place afterwards.
    pub(super) fn forward(&mut self, state: &State<'_>, purpose: Purpose) -> Vec<Saved> {
        let mut tensors = vec![state.images];
        let mut saved = Vec::with_capacity(state.layers.len());
        for (i, layer) in state.layers.iter().enumerate() {
            self.layer = i;
            self.emitter.region(&format!("{} forward", layer.name));
            let x = tensors[layer.inputs[0].tensor];
            let last = i + 1 == state.layers.len();
            let rows = self.batch * layer.output.positions();
            let format = match layer.spec {
                LayerSpec::Relu(_) => self.read_as(state, i + 1).unwrap_or(self.roles().vector),
                _ => self.roles().vector,
            };
            let y = match (last, layer.spec) {
                (false, LayerSpec::Flatten) => x.reshaped(self.batch, layer.output.elements()),
                (true, _) => state.logits,
                (false, _) => self.memory.tensor(format.format, rows, layer.output.channels),
            };
            let parameters = &state.parameters[i];
            saved.push(match layer.spec {
                LayerSpec::Flatten => {
                    if last {
                        self.round_as_vector();
                        self.emitter.convert(y, x.reshaped(y.rows, y.cols));
                    }
                    Saved::Nothing
                }
                LayerSpec::Linear(_) | LayerSpec::Project(_) | LayerSpec::Convolution(_) => {
                    self.affine_forward(purpose, layer, x, parameters, y)
                }
                LayerSpec::Relu(_) => self.relu_forward(x, y, format.policy()),
                LayerSpec::Tanh(_) => self.tanh_forward(x, y),
                LayerSpec::MaxPool(l) => self.max_pool_forward(layer.input, layer.output, l.0, x, y),
                LayerSpec::AvgPool(l) => self.average_pool_forward(layer.input, layer.output, l.0, x, y),
                LayerSpec::GlobalAvgPool(_) => self.global_average_forward(layer.input, x, y),
                LayerSpec::BatchNorm(BatchNorm) => self.normalise_forward(purpose, x, parameters, &state.buffers[i], y),
                LayerSpec::Add(_) => self.add_forward(x, tensors[layer.inputs[1].tensor], y),
                LayerSpec::Shortcut(_) => self.shortcut_forward(layer, x, y),
                LayerSpec::Positions(_) => {
                    self.positions_forward(x, parameters, y);
                    Saved::Nothing
                }
                LayerSpec::LayerNorm(_) => Saved::LayerNormalised(self.layer_norm_forward(x, parameters, y)),
                LayerSpec::Attention(l) => Saved::Attended(Box::new(self.attention_forward(layer, l, x, y))),
                LayerSpec::Gelu(_) => self.gelu_forward(x, y),
            });
            tensors.push(y);
        }
        saved
    }

    /// The role in which all readers of a tensor round it. A rectifier that only products read
    /// hands over operands at once: it selects exactly, so rounding to the operand format
    /// stays the only rounding.
    fn read_as(&self, state: &State<'_>, tensor: usize) -> Option<RoleFormat> {
        let readers = readers(state.layers, tensor);
        // What is computed again reads its input in two roles.
        let once = |reader: usize| multiplies(&state.layers[reader].spec) && self.again[reader].is_none();
        let role = |&reader: &usize| once(reader).then(|| self.by_layer[reader].activations);
        let first = role(readers.first()?)?;
        // A Hadamard transform is of values that are not rounded yet.
        let rounds_at_once = first.is_plain() && first.bias == 0 && first.hadamard == 0;
        (rounds_at_once && readers.iter().all(|reader| role(reader) == Some(first))).then_some(first)
    }

    /// All layers backward, from the error at the logits: gradients by layer and parameter.
    pub(super) fn backward(&mut self, state: &State<'_>, saved: &[Saved], error: Tensor) -> Vec<Vec<Coded>> {
        let mut gradients: Vec<Vec<Coded>> = vec![Vec::new(); state.layers.len()];
        // What the readers of every tensor have handed back, the last reader's first.
        let mut errors: Vec<Vec<Tensor>> = vec![Vec::new(); state.layers.len() + 1];
        errors[state.layers.len()].push(error);
        // Below the first layers with parameters nothing asks for the error.
        for (i, layer) in state.layers.iter().enumerate().rev().filter(|(_, layer)| layer.is_trained()) {
            self.layer = i;
            let Some(error) = self.sum_of_errors(layer, &errors[i + 1]) else { continue };
            let passes_on = layer.inputs[0].wanted;
            let (input_error, own) = self.layer_backward(layer, &saved[i], error, &state.parameters[i], passes_on);
            gradients[i] = own;
            // Of several inputs all get the same error.
            for input in layer.inputs.iter().filter(|input| input.wanted) {
                errors[input.tensor].extend(input_error);
            }
        }
        gradients
    }

    /// The error at a layer's output: what its readers handed back, added in that order.
    fn sum_of_errors(&mut self, layer: &Layer, errors: &[Tensor]) -> Option<Tensor> {
        let (&first, others) = errors.split_first()?;
        if others.is_empty() {
            return Some(first);
        }
        self.emitter.region(&format!("{} error", layer.name));
        self.round_as_vector();
        Some(others.iter().fold(first, |sum, &other| {
            let next = self.vector(sum.rows, sum.cols);
            self.emitter.add(next, sum, other.reshaped(sum.rows, sum.cols));
            next
        }))
    }

    /// Error at the layer's inputs, if asked for, and gradients of its parameters.
    fn layer_backward(
        &mut self,
        layer: &Layer,
        saved: &Saved,
        error: Tensor,
        parameters: &[Parameter],
        passes_on: bool,
    ) -> (Option<Tensor>, Vec<Coded>) {
        let name = &layer.name;
        let flat = error.reshaped(self.batch * layer.output.positions(), layer.output.channels);
        let own_regions = matches!(layer.spec, LayerSpec::Linear(_) | LayerSpec::Project(_) | LayerSpec::Convolution(_));
        if !own_regions && !matches!(layer.spec, LayerSpec::Flatten | LayerSpec::Add(_)) {
            self.emitter.region(&format!("{name} error"));
        }
        match (saved, layer.spec) {
            (Saved::Affine(operands), _) => self.affine_backward(layer, flat, operands, parameters, passes_on),
            (Saved::Activation(z), LayerSpec::Relu(_)) => (Some(self.relu_backward(flat, *z)), Vec::new()),
            (Saved::Activation(y), _) => (Some(self.tanh_backward(flat, *y)), Vec::new()),
            (Saved::Pooled(x), LayerSpec::MaxPool(l)) => {
                (Some(self.max_pool_backward(layer.input, layer.output, l.0, *x, flat)), Vec::new())
            }
            (_, LayerSpec::AvgPool(l)) => (Some(self.average_pool_backward(layer.input, layer.output, l.0, flat)), Vec::new()),
            (_, LayerSpec::GlobalAvgPool(_)) => (Some(self.global_average_backward(layer.input, flat)), Vec::new()),
            (_, LayerSpec::Shortcut(_)) => (Some(self.shortcut_backward(layer, flat)), Vec::new()),
            (_, LayerSpec::Positions(_)) => (Some(flat), vec![self.positions_backward(flat, parameters)]),
            (Saved::LayerNormalised(saved), _) => self.layer_norm_backward(saved, flat, parameters, passes_on),
            (Saved::Attended(saved), LayerSpec::Attention(l)) => (Some(self.attention_backward(layer, l, saved, flat)), Vec::new()),
            (&Saved::Gelu { x, scaled, cumulative }, _) => (Some(self.gelu_backward(flat, (x, scaled, cumulative))), Vec::new()),
            (Saved::Normalised(saved), _) => self.normalise_backward(saved, flat, parameters, passes_on),
            _ => (Some(error.reshaped(self.batch * layer.input.positions(), layer.input.channels)), Vec::new()),
        }
    }
}
