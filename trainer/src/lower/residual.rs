//! Joins of residual networks.

use super::Context;
use super::memory::Tensor;
use super::walk::Saved;
use crate::layer::{LayerSpec, Shape};
use crate::model::Layer;
use systole_isa::view::{TensorView, Window};

/// Each pixel of the output as the one pixel of the input that a shortcut keeps for it.
const fn kept(layer: &Layer) -> Window {
    let Shape { height, width, channels } = layer.input;
    let stride = match layer.spec {
        LayerSpec::Shortcut(shortcut) => shortcut.stride,
        _ => 1,
    };
    Window {
        out_h: layer.output.height as u32,
        out_w: layer.output.width as u32,
        h: height as u32,
        w: width as u32,
        c: channels as u32,
        kernel_h: 1,
        kernel_w: 1,
        stride: stride as u32,
        pad: 0,
        dilate: 1,
    }
}

impl Context<'_> {
    pub(super) fn add_forward(&mut self, a: Tensor, b: Tensor, y: Tensor) -> Saved {
        self.round_as_vector();
        self.emitter.add(y, a.reshaped(y.rows, y.cols), b.reshaped(y.rows, y.cols));
        Saved::Nothing
    }

    /// Copies the pixels that are kept into the first columns of `y`, and zero into the others.
    pub(super) fn shortcut_forward(&mut self, layer: &Layer, x: Tensor, y: Tensor) -> Saved {
        let (from, to) = (layer.input.channels, layer.output.channels);
        let windows = x.windows(kept(layer), self.batch);
        self.round_as_vector();
        self.emitter.convert(y.columns(0..from), windows);
        if to > from {
            let zero = self.constant(0.0);
            self.emitter.convert(y.columns(from..to), zero);
        }
        Saved::Nothing
    }

    /// Adds each error to a zero where its value came from.
    pub(super) fn shortcut_backward(&mut self, layer: &Layer, error: Tensor) -> Tensor {
        let dx = self.vector(self.batch * layer.input.positions(), layer.input.channels);
        self.round_as_vector();
        let own: TensorView = error.columns(0..layer.input.channels);
        self.emitter.spread(dx, dx.windows(kept(layer), self.batch), own);
        dx
    }
}
