//! Activation functions and pooling.

use super::Context;
use super::memory::Tensor;
use super::walk::Saved;
use crate::layer::{self, Gelu, Shape};
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
        pad: window.padding as u32,
        dilate: 1,
    }
}

/// One window that is the whole image.
const fn whole(input: Shape) -> Window {
    let window = geometry(input, Shape::vector(input.channels), layer::Window::unpadded(1, 1));
    Window { kernel_h: input.height as u32, kernel_w: input.width as u32, ..window }
}

impl Context<'_> {
    pub(super) fn relu_forward(&mut self, x: Tensor, y: Tensor, policy: Policy) -> Saved {
        self.emitter.round_by(policy);
        self.emitter.relu(y, x);
        self.rectified.insert(y.address, x);
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

    /// x (erf(x / sqrt 2) / 2 + 1/2), what it takes in the statistics role; saves that, and the
    /// argument of erf.
    pub(super) fn gelu_forward(&mut self, x: Tensor, y: Tensor) -> Saved {
        let [inverse_root, half] = [Gelu::INVERSE_ROOT, 0.5].map(|value| self.statistic_constant(value));
        let [scaled, error_function, cumulative] = [(); 3].map(|()| self.statistic(x.rows, x.cols));
        self.round_as_statistics();
        self.emitter.multiply(scaled, x, inverse_root);
        self.emitter.erf(error_function, scaled);
        self.emitter.multiply_add(cumulative, error_function, half, half);
        self.round_as_vector();
        self.emitter.multiply(y, x, cumulative);
        Saved::Gelu { x, scaled, cumulative }
    }

    /// dy (x e^(-x^2 / 2) / sqrt(2 pi) + Phi(x)).
    pub(super) fn gelu_backward(&mut self, error: Tensor, (x, scaled, cumulative): (Tensor, Tensor, Tensor)) -> Tensor {
        let (rows, cols) = (error.rows, error.cols);
        let [peak, zero] = [Gelu::PEAK, 0.0].map(|value| self.statistic_constant(value));
        let [square, negated, bell, height, slope] = [(); 5].map(|()| self.statistic(rows, cols));
        let dx = self.vector(rows, cols);
        self.round_as_statistics();
        self.emitter.multiply(square, scaled, scaled);
        self.emitter.subtract(negated, zero, square);
        self.emitter.exp(bell, negated);
        self.emitter.multiply(height, x, peak);
        self.emitter.multiply_add(slope, height, bell, cumulative);
        self.round_as_vector();
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
        self.averages_forward(geometry(input, output, window), x, y)
    }

    pub(super) fn average_pool_backward(&mut self, input: Shape, output: Shape, window: layer::Window, error: Tensor) -> Tensor {
        self.averages_backward(geometry(input, output, window), error)
    }

    pub(super) fn global_average_forward(&mut self, input: Shape, x: Tensor, y: Tensor) -> Saved {
        self.averages_forward(whole(input), x, y)
    }

    pub(super) fn global_average_backward(&mut self, input: Shape, error: Tensor) -> Tensor {
        self.averages_backward(whole(input), error)
    }

    /// Sums of windows times the rounded reciprocal of their size.
    fn averages_forward(&mut self, windows: Window, x: Tensor, y: Tensor) -> Saved {
        let share = self.share(windows);
        let sums = self.vector(y.rows, y.cols);
        self.round_as_vector();
        self.emitter.window_sums(sums, x.windows(windows, self.batch));
        self.emitter.multiply(y, sums, share);
        Saved::Nothing
    }

    fn averages_backward(&mut self, windows: Window, error: Tensor) -> Tensor {
        let share = self.share(windows);
        let shares = self.vector(error.rows, error.cols);
        let dx = self.vector(self.batch * (windows.h * windows.w) as usize, windows.c as usize);
        self.round_as_vector();
        self.emitter.multiply(shares, error, share);
        self.emitter.spread(dx, dx.windows(windows, self.batch), shares);
        dx
    }

    fn share(&mut self, windows: Window) -> Tensor {
        self.constant(1.0 / f64::from(windows.kernel_h * windows.kernel_w))
    }
}
