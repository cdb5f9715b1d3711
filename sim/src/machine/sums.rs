//! Partial sums of some outputs of a product, out of its operands in memory.

use super::values::{Bound, Executor, Memories};
use rayon::prelude::*;
use std::ops::Range;
use systole_arrays::problem::{Operands, Scales};
use systole_arrays::sums::{Looker, spread};
use systole_isa::device::SumCounts;

impl Executor<'_> {
    /// The sums of as many outputs of a product as are to be looked at, of those that a mask leaves.
    pub(super) fn sums(&self, bound: &Bound<'_>) -> Vec<SumCounts> {
        let Bound { matrix, setup, mask } = bound;
        if self.looked_at == 0 {
            return Vec::new();
        }
        let looker = Looker::new(setup, matrix.shape);
        let mut chosen = spread(matrix.shape, self.looked_at);
        chosen.retain(|&(row, column)| mask.as_ref().is_none_or(|(mask, _)| mask.holds(row, column)));
        let of_output = |&(row, column): &(u32, u32)| sums_of_output(self.memories, bound, &looker, row, column);
        // Counts add up alike in any order.
        chosen.par_iter().map(of_output).reduce(Vec::new, |mut all, more| {
            SumCounts::merge(&mut all, &more);
            all
        })
    }
}

fn sums_of_output(
    memories: &Memories,
    Bound { matrix, setup, .. }: &Bound<'_>,
    looker: &Looker<'_>,
    row: u32,
    column: u32,
) -> Vec<SumCounts> {
    const fn one(x: u32) -> Range<u32> {
        x..x + 1
    }
    let k = 0..matrix.shape.k;
    let a = memories.pick(&matrix.a, one(row), k.clone());
    let b = memories.pick(&matrix.b, k, one(column));
    let c = matrix.c.map(|view| memories.pick(&view, one(row), one(column)));
    let [scales_a, scales_b] = matrix.scales;
    let scales_a = scales_a.map(|view| memories.pick(&view, one(row / setup.mode.scale_rows), 0..view.cols));
    let scales_b = scales_b.map(|view| memories.pick(&view, 0..view.rows, one(column / setup.mode.scale_cols)));
    let scales = Scales { a: scales_a.as_ref(), b: scales_b.as_ref() };
    looker.output(row, column, &Operands { scales, ..Operands::new(&a, &b, c.as_ref()) }).1
}
