//! Linear layers, of vectors or of every position, and convolutions: three products on the array.

use super::coded::{Coded, Place};
use super::memory::Tensor;
use super::operand::{Arrangement, Operand, Side};
use super::walk::{Operands, Saved};
use super::{Context, Parameter, Purpose};
use crate::layer::{Convolution, LayerSpec, Shape};
use crate::model::Layer;
use systole_isa::format::Format;
use systole_isa::round::Policy;
use systole_isa::view::Window;

impl Convolution {
    /// The forward product reads its images through this view.
    const fn forward_window(&self, input: Shape, output: Shape) -> Window {
        Window {
            out_h: output.height as u32,
            out_w: output.width as u32,
            h: input.height as u32,
            w: input.width as u32,
            c: input.channels as u32,
            kernel_h: self.kernel as u32,
            kernel_w: self.kernel as u32,
            stride: self.stride as u32,
            pad: self.padding as u32,
            dilate: 1,
        }
    }

    /// The error product reads output errors through this view: they lie `stride` apart, and
    /// each input pixel sees the windows that saw it.
    const fn error_window(&self, input: Shape, output: Shape) -> Window {
        Window {
            out_h: input.height as u32,
            out_w: input.width as u32,
            h: output.height as u32,
            w: output.width as u32,
            c: output.channels as u32,
            kernel_h: self.kernel as u32,
            kernel_w: self.kernel as u32,
            stride: 1,
            pad: (self.kernel - 1 - self.padding) as u32,
            dilate: self.stride as u32,
        }
    }
}

pub(super) const ACTIVATIONS: Place = Place { role: "activations", index: 0 };
pub(super) const WEIGHTS: Place = Place { role: "weights", index: 0 };
const ERRORS: Place = Place { role: "errors", index: 0 };
pub(super) const WEIGHT_GRADIENTS: Place = Place { role: "weight_gradients", index: 0 };

/// How the forward product reads a layer's input.
pub(super) const fn input_rows(layer: &Layer) -> Arrangement {
    match layer.spec {
        LayerSpec::Convolution(l) => Arrangement::Windows(l.forward_window(layer.input, layer.output)),
        _ => Arrangement::Stored,
    }
}

impl Context<'_> {
    /// What the design's converter makes of results that go on to vector work, if it names a format.
    pub(super) fn result(&self) -> Option<(Format, Policy)> {
        let output = self.design.output;
        output.format.map(|format| (format, output.policy()))
    }

    pub(super) fn affine_forward(&mut self, purpose: Purpose, layer: &Layer, x: Tensor, parameters: &[Parameter], y: Tensor) -> Saved {
        let roles = self.roles();
        let coarse = Operands { x: self.operand(x, roles.activations, ACTIVATIONS), weight: self.weight(&parameters[0], WEIGHTS) };
        let drained = self.forward_product(layer, &coarse, y, roles.vector.policy());
        let operands = match self.again.get(self.layer).copied().flatten() {
            Some(again) => self.compute_again(&again, purpose, layer, coarse, (x, parameters), (y, drained)),
            None => coarse,
        };
        if let Some(bias) = parameters.get(1) {
            let bias = self.values(&bias.master);
            self.round_as_vector();
            self.emitter.add(y, y, bias);
        }
        Saved::Affine(Box::new(operands))
    }

    /// The forward product; returns where the array left it, if elsewhere than in `y`.
    pub(super) fn forward_product(
        &mut self,
        layer: &Layer,
        Operands { x, weight }: &Operands,
        y: Tensor,
        policy: Policy,
    ) -> Option<Tensor> {
        let (a, b) = (self.take(x, input_rows(layer), Side::A), self.take(weight, Arrangement::Stored, Side::B));
        self.product(y.view(), self.result(), policy, (a, &x.role()), (b, &weight.role()))
    }

    /// The weights as an operand.
    fn weight(&mut self, parameter: &Parameter, place: Place) -> Operand {
        let role = self.roles().weights;
        let master = self.values(&parameter.master);
        let operand = match parameter.previous {
            Some(previous) => {
                let coded = self.encode_with_hysteresis(master, previous, &role, place);
                let coded = self.expand(coded, &role);
                Self::ready(role, place, coded)
            }
            None => self.operand(master, role, place),
        };
        if let (true, Some(coded)) = (self.recording, operand.codes()) {
            self.taken.insert(self.layer, coded);
        }
        operand
    }

    pub(super) fn affine_backward(
        &mut self,
        layer: &Layer,
        error: Tensor,
        Operands { x, weight }: &Operands,
        parameters: &[Parameter],
        passes_on: bool,
    ) -> (Option<Tensor>, Vec<Coded>) {
        // Where no error passes on, its rounding is the gradient's work.
        let first = if passes_on { "error" } else { "gradient" };
        self.emitter.region(&format!("{} {first}", layer.name));
        let roles = self.roles();
        let operand = self.operand(error, roles.errors, ERRORS);
        let input_error = passes_on.then(|| {
            let dx = self.vector(self.batch * layer.input.positions(), layer.input.channels);
            let (rows, turned) = match layer.spec {
                LayerSpec::Convolution(l) => (
                    Arrangement::Windows(l.error_window(layer.input, layer.output)),
                    Arrangement::Turned { kernel: l.kernel, channels: layer.input.channels },
                ),
                _ => (Arrangement::Stored, Arrangement::Transposed),
            };
            let (a, b) = (self.take(&operand, rows, Side::A), self.take(weight, turned, Side::B));
            let result = self.result();
            self.product(dx.view(), result, roles.vector.policy(), (a, &roles.errors), (b, &weight.role()));
            dx
        });

        self.emitter.region(&format!("{} gradient", layer.name));
        let (operand, _) = self.along_sum(&operand, Arrangement::Stored, ERRORS);
        let (x, columns) = self.along_sum(x, input_rows(layer), ACTIVATIONS);
        // Transposed, so that the im2col view stays the right operand.
        let (a, b) = (self.take(&operand, Arrangement::Transposed, Side::A), self.take(&x, columns, Side::B));
        let role = roles.weight_gradients;
        let (rows, cols) = (parameters[0].rows, parameters[0].cols);
        let leaving = if role.is_plain() && role.bias == 0 { role } else { roles.update };
        let gradient = self.memory.tensor(leaving.format, rows, cols);
        self.note_gradient((&operand, &a), (&x, &b), columns, gradient);
        self.product(gradient.transposed(), None, leaving.policy(), (a, &roles.errors), (b, &x.role()));
        let mut gradients = vec![self.encode(gradient, &role, WEIGHT_GRADIENTS)];
        if let Some(bias) = parameters.get(1) {
            let sums = self.vector(1, bias.cols);
            self.round_as_vector();
            self.emitter.sum(sums, error);
            gradients.push(self.encode(sums, &role, Place { index: 1, ..WEIGHT_GRADIENTS }));
        }
        (input_error, gradients)
    }
}
