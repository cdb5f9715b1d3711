//! Linear and convolutional layers: three products on the array.

use super::Context;
use super::memory::Tensor;
use super::walk::Saved;
use crate::layer::{Convolution, LayerSpec, Shape};
use crate::model::Layer;
use crate::recipe::RoleFormat;
use systole_isa::format::Format;
use systole_isa::round::Policy;
use systole_isa::view::{TensorView, Window};

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

impl Context<'_> {
    /// A product in the mode of its operand formats, into `d`.
    fn product(&mut self, d: TensorView, policy: Policy, a: (TensorView, RoleFormat), b: (TensorView, RoleFormat)) {
        // `check` has found a mode for every pair of roles.
        let mode = self.design.mode_for(a.1.format, b.1.format).unwrap_or_default();
        self.emitter.gemm(mode, (a.1.bias, b.1.bias), policy, d, a.0, b.0);
    }

    /// Format and conversion of results that go on to vector work: the design's converter if
    /// it names a format, else straight to the vector role.
    fn result(&self) -> (Format, Policy) {
        match self.design.output.format {
            Some(format) => (format, self.design.output.policy()),
            None => (self.roles.vector.format, self.roles.vector.policy()),
        }
    }

    /// Computes a product into `y`, by way of the design's output format if it has one.
    fn product_into(&mut self, y: Tensor, a: (TensorView, RoleFormat), b: (TensorView, RoleFormat)) {
        let (format, policy) = self.result();
        if format == y.format {
            self.product(y.view(), policy, a, b);
        } else {
            let drained = self.memory.tensor(format, y.rows, y.cols);
            self.product(drained.view(), policy, a, b);
            self.round_as_vector();
            self.emitter.convert(y, drained);
        }
    }

    pub(super) fn affine_forward(&mut self, layer: &Layer, x: Tensor, parameters: &[Tensor], y: Tensor) -> Saved {
        let x = self.operand(x, self.roles.activations);
        let weight = self.operand(parameters[0], self.roles.weights);
        let rows = match layer.spec {
            LayerSpec::Convolution(l) => x.windows(l.forward_window(layer.input, layer.output), self.batch),
            _ => x.view(),
        };
        self.product_into(y, (rows, self.roles.activations), (weight.view(), self.roles.weights));
        if let Some(&bias) = parameters.get(1) {
            self.round_as_vector();
            self.emitter.add(y, y, bias);
        }
        Saved::Affine { x, weight }
    }

    pub(super) fn affine_backward(
        &mut self,
        layer: &Layer,
        error: Tensor,
        x: Tensor,
        weight: Tensor,
        parameters: &[Tensor],
        passes_on: bool,
    ) -> (Option<Tensor>, Vec<Tensor>) {
        // Where no error passes on, its rounding is the gradient's work.
        let first = if passes_on { "error" } else { "gradient" };
        self.emitter.region(&format!("{} {first}", layer.name));
        let errors = self.roles.errors;
        let operand = self.operand(error, errors);
        let input_error = passes_on.then(|| {
            let dx = self.vector(self.batch * layer.input.positions(), layer.input.channels);
            let (rows, weights) = match layer.spec {
                LayerSpec::Convolution(l) => {
                    (operand.windows(l.error_window(layer.input, layer.output), self.batch), weight.turned(l.kernel, layer.input.channels))
                }
                _ => (operand.view(), weight.transposed()),
            };
            self.product_into(dx, (rows, errors), (weights, self.roles.weights));
            dx
        });

        self.emitter.region(&format!("{} gradient", layer.name));
        let role = self.roles.weight_gradients;
        let gradient = self.memory.tensor(role.format, parameters[0].rows, parameters[0].cols);
        let columns = match layer.spec {
            LayerSpec::Convolution(l) => x.windows(l.forward_window(layer.input, layer.output), self.batch),
            _ => x.view(),
        };
        // Transposed, so that the im2col view stays the right operand.
        self.product(gradient.transposed(), role.policy(), (operand.transposed(), errors), (columns, self.roles.activations));
        let mut gradients = vec![gradient];
        if let Some(bias) = parameters.get(1) {
            let sums = self.vector(1, bias.cols);
            self.round_as_vector();
            self.emitter.sum(sums, error);
            gradients.push(sums);
        }
        (input_error, gradients)
    }
}
