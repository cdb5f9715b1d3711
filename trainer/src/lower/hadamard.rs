//! Hadamard transforms along the sum of a product: outliers of one value are spread over many.
//!
//! Values x of a stretch become y_j = sum over i of x_i s_i H_ij, H the Hadamard matrix in
//! Sylvester's order over the square root of its side, s fixed signs. The matrix is orthogonal, so
//! a product of two operands transformed alike is what it was. It is made on the array, in the mode
//! for two operands in the vector role's format, as tensor cores make it.

use super::coded::{Coded, Place};
use super::memory::Tensor;
use super::operand::{Arrangement, Operand, arranged};
use super::{Context, LowerError, operand};
use crate::recipe::{Recipe, RoleFormat};
use systole_isa::design::Design;
use systole_isa::program::Program;

/// Signs of the values of a stretch, repeated where it is longer: those of NVIDIA Transformer
/// Engine.
const SIGNS: [f64; 16] = [1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 1.0, -1.0, 1.0, -1.0, -1.0];

/// s_i H_ij, row by row, of side 4, 16 or 64.
fn matrix(side: usize) -> Vec<f64> {
    // A power of four: exact.
    let scale = 1.0 / (side as f64).sqrt();
    let element = |i: usize, j: usize| {
        let sign = if (i & j).count_ones() % 2 == 1 { -1.0 } else { 1.0 };
        sign * SIGNS[i % SIGNS.len()] * scale
    };
    (0..side * side).map(|at| element(at / side, at % side)).collect()
}

impl Context<'_> {
    /// An operand of the weight-gradient product, read by `arrangement`, as its role asks: as it is,
    /// or its stretches along the sum transformed. Rows that fill no stretch stay as they are.
    pub(super) fn along_sum(&mut self, operand: &Operand, arrangement: Arrangement, place: Place) -> (Operand, Arrangement) {
        let side = self.roles().errors.hadamard as usize;
        let view = arranged(operand.source(), arrangement, self.batch);
        if side == 0 || (view.rows as usize) < side {
            return (*operand, arrangement);
        }
        let vector = self.roles().vector;
        let x = if arrangement == Arrangement::Stored && operand.source().format == vector.format {
            operand.source()
        } else {
            let copy = self.memory.tensor(vector.format, view.rows as usize, view.cols as usize);
            self.emitter.round_by(vector.policy());
            self.emitter.convert(copy, view);
            copy
        };
        let y = self.transformed(x, side);
        (self.operand(y, operand.role(), place), Arrangement::Stored)
    }

    /// Every `side` rows of `x`, transformed.
    fn transformed(&mut self, x: Tensor, side: usize) -> Tensor {
        let vector = self.roles().vector;
        let stretches = x.rows / side;
        let whole = 0..stretches * side;
        let y = self.memory.tensor(vector.format, x.rows, x.cols);
        let matrix = self.memory.table(vector.format, &matrix(side)).reshaped(side, side);
        // A row for each stretch of each column, so that one product makes all.
        let [from, to] = [x, y].map(|tensor| tensor.rows(whole.clone()).parts_transposed(stretches));
        let plain = RoleFormat::new(vector.format);
        let (a, b) = (Self::whole(&Coded::plain(x), from), Self::whole(&Coded::plain(matrix), matrix.view()));
        let result = self.result();
        self.product(to, result, vector.policy(), (a, &plain), (b, &plain));
        if whole.end < x.rows {
            self.emitter.round_by(vector.policy());
            self.emitter.convert(y.rows(whole.end..y.rows), x.rows(whole.end..x.rows));
        }
        y
    }
}

/// A program that transforms a tensor, and what surrounds it.
#[derive(Clone, Debug)]
pub struct Transform {
    /// Transforms the tensor.
    pub program: Program,
    /// The tensor, in the vector role's format.
    pub input: Tensor,
    /// The tensor transformed, likewise.
    pub output: Tensor,
    /// Constants with their values.
    pub constants: Vec<(Tensor, Vec<f64>)>,
}

/// Compiles the transform of every `side` rows, 4, 16 or 64, of a tensor of `rows` x `cols`, as
/// training makes it.
///
/// # Errors
/// A design without a mode for two operands in the vector role's format.
pub fn transform(recipe: &Recipe, design: &Design, side: usize, rows: usize, cols: usize) -> Result<Transform, LowerError> {
    let base = recipe.roles.resolve(design);
    let plain = RoleFormat::new(base.vector.format);
    operand::check(design, "the Hadamard transform (in the vector role's format)", &plain, &plain)?;
    let mut cx = Context::new(design, recipe, base);
    let input = cx.memory.tensor(base.vector.format, rows, cols);
    let output = if rows < side { input } else { cx.transformed(input, side) };
    Ok(Transform { program: cx.finish(), input, output, constants: cx.memory.constants() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_are_orthogonal() {
        for side in [4, 16, 64] {
            let m = matrix(side);
            for i in 0..side {
                for j in 0..side {
                    let dot: f64 = (0..side).map(|k| m[i * side + k] * m[j * side + k]).sum();
                    assert_eq!(dot, if i == j { 1.0 } else { 0.0 }, "{side}: {i} {j}");
                }
            }
        }
    }

    /// First rows by hand: signs come with the rows, Sylvester's order with the columns.
    #[test]
    fn matrices_by_hand() {
        assert_eq!(matrix(4), [0.5, 0.5, 0.5, 0.5, 0.5, -0.5, 0.5, -0.5, 0.5, 0.5, -0.5, -0.5, -0.5, 0.5, 0.5, -0.5]);
        let m = matrix(16);
        let first: Vec<f64> = m.iter().step_by(16).map(|x| 4.0 * x).collect();
        assert_eq!(first, SIGNS);
        let last: Vec<f64> = m[15 * 16..].iter().map(|x| -4.0 * x).collect();
        assert_eq!(last, [1.0, -1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0]);
    }
}
