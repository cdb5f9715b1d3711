//! Activation functions and pooling.

use super::memory::Tensor;
use super::{Context, Saved};
use crate::layer::{self, Shape};
use systole_isa::round::Policy;
use systole_isa::view::Window;

const fn geometry(input: Shape, output: Shape, window: layer::Window) -> Window {
    Window {
        out_h: output.height as u32,
        out_w: output.width as u32,
        h: input.height as u32,
        w: input.width as u32,
        c: input.channels as u32,
        kernel_h: window.size as u32,
        kernel_w: window.size as u32,
        stride: window.stride as u32,
        pad: 0,
        dilate: 1,
    }
}

impl Context<'_> {
    pub(super) fn relu_forward(&mut self, x: Tensor, y: Tensor, policy: Policy) -> Saved {
        self.emitter.round_by(policy);
        self.emitter.relu(y, x);
        Saved::Activation(x)
    }

    pub(super) fn relu_backward(&mut self, error: Tensor, x: Tensor) -> Tensor {
        let dx = self.vector(error.rows, error.cols);
        self.round_as_vector();
        self.emitter.gate(dx, error, x.reshaped(error.rows, error.cols));
        dx
    }

    pub(super) fn tanh_forward(&mut self, x: Tensor, y: Tensor) -> Saved {
        self.round_as_vector();
        self.emitter.tanh(y, x);
        Saved::Activation(y)
    }

    /// dy (1 - y^2), each operation rounded.
    pub(super) fn tanh_backward(&mut self, error: Tensor, y: Tensor) -> Tensor {
        let y = y.reshaped(error.rows, error.cols);
        let one = self.constant(1.0);
        let [square, slope, dx] = [(); 3].map(|()| self.vector(error.rows, error.cols));
        self.round_as_vector();
        self.emitter.multiply(square, y, y);
        self.emitter.subtract(slope, one, square);
        self.emitter.multiply(dx, error, slope);
        dx
    }

    pub(super) fn max_pool_forward(&mut self, input: Shape, output: Shape, window: layer::Window, x: Tensor, y: Tensor) -> Saved {
        self.round_as_vector();
        self.emitter.max_pool(y, x.windows(geometry(input, output, window), self.batch));
        Saved::Pooled(x)
    }

    pub(super) fn max_pool_backward(&mut self, input: Shape, output: Shape, window: layer::Window, x: Tensor, error: Tensor) -> Tensor {
        let dx = self.vector(self.batch * input.positions(), input.channels);
        self.round_as_vector();
        self.emitter.max_pool_gradient(dx, x.windows(geometry(input, output, window), self.batch), error);
        dx
    }

    pub(super) fn average_pool_forward(&mut self, input: Shape, output: Shape, window: layer::Window, x: Tensor, y: Tensor) -> Saved {
        let share = self.constant(1.0 / (window.size * window.size) as f64);
        let sums = self.vector(y.rows, y.cols);
        self.round_as_vector();
        self.emitter.window_sums(sums, x.windows(geometry(input, output, window), self.batch));
        self.emitter.multiply(y, sums, share);
        Saved::Nothing
    }

    pub(super) fn average_pool_backward(&mut self, input: Shape, output: Shape, window: layer::Window, error: Tensor) -> Tensor {
        let share = self.constant(1.0 / (window.size * window.size) as f64);
        let shares = self.vector(error.rows, error.cols);
        let dx = self.vector(self.batch * input.positions(), input.channels);
        self.round_as_vector();
        self.emitter.multiply(shares, error, share);
        self.emitter.spread(dx, dx.windows(geometry(input, output, window), self.batch), shares);
        dx
    }
}
