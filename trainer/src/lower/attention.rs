//! Causal self-attention: products on the array for each head of each image, the softmax as vector
//! instructions over all of them.
//!
//! What products read lies head by head and image by image, `[(head, n, t)][c]`, so that each takes a
//! stretch of rows. Queries, keys, values and probabilities enter products in the role of
//! activations, the errors of outputs and of scores in that of errors; scores and softmax are in
//! the statistics role.

use super::Context;
use super::coded::{Place, largest};
use super::memory::Tensor;
use super::operand::{Operand, Side};
use crate::layer::{Attention, Shape};
use crate::model::Layer;
use std::ops::Range;
use systole_isa::round::Policy;
use systole_isa::view::TensorView;

/// What backward needs.
pub(super) struct Saved {
    queries: Operand,
    keys: Operand,
    values: Operand,
    probabilities: Tensor,
    /// The same as products take them.
    weights: Operand,
}

/// Where heads lie in a batch.
#[derive(Clone, Copy)]
struct Heads {
    images: usize,
    positions: usize,
    heads: usize,
    /// Channels of one head.
    size: usize,
}

/// A head of an image, and how many there are.
type Part = (usize, usize);

impl Heads {
    /// Rows of all heads together.
    const fn rows(&self) -> usize {
        self.heads * self.images * self.positions
    }

    fn parts(self) -> impl Iterator<Item = Part> {
        let parts = self.heads * self.images;
        (0..parts).map(move |part| (part, parts))
    }

    /// Rows of a part where the parts lie under one another.
    const fn stacked(&self, part: usize) -> Range<usize> {
        part * self.positions..(part + 1) * self.positions
    }

    /// Rows and columns of a part in `[(n, t)][channels]`, its channels from `first` on.
    const fn spread(&self, part: usize, first: usize) -> (Range<usize>, Range<usize>) {
        let (head, image) = (part / self.images, part % self.images);
        let column = first + head * self.size;
        (image * self.positions..(image + 1) * self.positions, column..column + self.size)
    }
}

/// How a product reads the matrices of an operand.
#[derive(Clone, Copy)]
enum Read<'a> {
    Stored(&'a Operand),
    Transposed(&'a Operand),
}

impl Context<'_> {
    const fn heads_of(&self, layer: &Layer, attention: Attention) -> Heads {
        let Shape { channels, .. } = layer.output;
        Heads { images: self.batch, positions: layer.input.positions(), heads: attention.heads, size: channels / attention.heads }
    }

    /// How scores are rounded, and what leaves the layer.
    fn policies(&self) -> [Policy; 2] {
        let roles = self.roles();
        [roles.statistics.policy(), roles.vector.policy()]
    }

    /// Copies the channels of all heads from `first` on under one another.
    fn gather(&mut self, heads: Heads, x: Tensor, first: usize) -> Tensor {
        let stack = self.vector(heads.rows(), heads.size);
        let rows = heads.images * heads.positions;
        self.round_as_vector();
        for head in 0..heads.heads {
            let column = first + head * heads.size;
            self.emitter.convert(stack.rows(head * rows..(head + 1) * rows), x.columns(column..column + heads.size));
        }
        stack
    }

    /// The product of one head, rounded by `policy`.
    fn product_of_heads(&mut self, y: TensorView, policy: Policy, part: Part, a: Read<'_>, b: Read<'_>) {
        let [(a, role_a), (b, role_b)] = [(a, Side::A), (b, Side::B)].map(|(read, side)| {
            let (operand, transposed) = match read {
                Read::Stored(operand) => (operand, false),
                Read::Transposed(operand) => (operand, true),
            };
            (self.take_part(operand, part, transposed, side), operand.role())
        });
        let result = self.result();
        self.product(y, result, policy, (a, &role_a), (b, &role_b));
    }

    pub(super) fn attention_forward(&mut self, layer: &Layer, attention: Attention, x: Tensor, y: Tensor) -> Saved {
        let heads = self.heads_of(layer, attention);
        let (rows, positions) = (heads.rows(), heads.positions);
        let (role, [statistics, vector]) = (self.roles().activations, self.policies());
        let place = |index| Place { role: "activations", index };
        let [queries, keys, values] = [0, 1, 2].map(|which| {
            let stack = self.gather(heads, x, which * layer.output.channels);
            self.operand(stack, role, place(which))
        });
        let scores = self.statistic(rows, positions);
        for part in heads.parts() {
            let y = scores.rows(heads.stacked(part.0)).view();
            self.product_of_heads(y, statistics, part, Read::Stored(&queries), Read::Transposed(&keys));
        }
        let probabilities = self.causal_softmax(scores, attention.scale(layer.output));
        let weights = self.operand(probabilities, role, place(3));
        for part in heads.parts() {
            let (rows, columns) = heads.spread(part.0, 0);
            self.product_of_heads(y.part(rows, columns), vector, part, Read::Stored(&weights), Read::Stored(&values));
        }
        Saved { queries, keys, values, probabilities, weights }
    }

    /// Softmax of `scale` times each row over the positions up to its own, 0 beyond. Later scores get
    /// the least number, whose exponential is 0.
    fn causal_softmax(&mut self, scores: Tensor, scale: f64) -> Tensor {
        let (rows, positions) = (scores.rows, scores.cols);
        let format = self.roles().statistics.format;
        let hidden = -largest(format);
        let table = (0..positions).flat_map(|row| (0..positions).map(move |column| if column > row { hidden } else { 0.0 }));
        let mask = self.memory.table(format, &table.collect::<Vec<_>>()).reshaped(positions, positions);
        let scale = self.statistic_constant(scale);
        let [largest, sums] = [(); 2].map(|()| self.statistic(rows, 1));
        let [masked, shifted, powers, probabilities] = [(); 4].map(|()| self.statistic(rows, positions));
        self.round_as_statistics();
        self.emitter.multiply_add(masked, scores, scale, mask.repeated(rows / positions));
        self.emitter.maximum(largest, masked);
        self.emitter.subtract(shifted, masked, largest);
        self.emitter.exp(powers, shifted);
        self.emitter.sum(sums, powers);
        self.emitter.divide(probabilities, powers, sums);
        probabilities
    }

    /// The error of queries, keys and values.
    pub(super) fn attention_backward(&mut self, layer: &Layer, attention: Attention, saved: &Saved, error: Tensor) -> Tensor {
        let heads = self.heads_of(layer, attention);
        let (rows, positions, channels) = (heads.rows(), heads.positions, layer.output.channels);
        let (role, [statistics, vector]) = (self.roles().errors, self.policies());
        let place = |index| Place { role: "errors", index };
        let stack = self.gather(heads, error, 0);
        let outputs = self.operand(stack, role, place(0));

        let of_probabilities = self.statistic(rows, positions);
        for part in heads.parts() {
            let y = of_probabilities.rows(heads.stacked(part.0)).view();
            self.product_of_heads(y, statistics, part, Read::Stored(&outputs), Read::Transposed(&saved.values));
        }
        let scale = self.statistic_constant(attention.scale(layer.output));
        let sums = self.statistic(rows, 1);
        let [weighted, centred, shares, of_scores] = [(); 4].map(|()| self.statistic(rows, positions));
        self.round_as_statistics();
        self.emitter.multiply(weighted, of_probabilities, saved.probabilities);
        self.emitter.sum(sums, weighted);
        self.emitter.subtract(centred, of_probabilities, sums);
        self.emitter.multiply(shares, saved.probabilities, centred);
        self.emitter.multiply(of_scores, shares, scale);
        let scores = self.operand(of_scores, role, place(1));

        let dx = self.vector(error.rows, 3 * channels);
        for part in heads.parts() {
            let (rows, columns) = heads.spread(part.0, 0);
            self.product_of_heads(dx.part(rows, columns), vector, part, Read::Stored(&scores), Read::Stored(&saved.keys));
        }
        for part in heads.parts() {
            let (rows, columns) = heads.spread(part.0, channels);
            self.product_of_heads(dx.part(rows, columns), vector, part, Read::Transposed(&scores), Read::Stored(&saved.queries));
        }
        // Transposed, so that errors are the left operand here too.
        for part in heads.parts() {
            let (rows, columns) = heads.spread(part.0, 2 * channels);
            let y = dx.part_transposed(rows, columns);
            self.product_of_heads(y, vector, part, Read::Transposed(&outputs), Read::Stored(&saved.weights));
        }
        dx
    }
}
