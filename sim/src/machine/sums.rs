//! Partial sums of some outputs of a product, out of its operands in memory.

use super::values::{Bound, Executor};
use rayon::prelude::*;
use systole_arrays::problem::{Operands, Scales};
use systole_arrays::sums::{Looker, spread};
use systole_isa::codes::Codes;
use systole_isa::device::SumCounts;

/// Outputs whose operands are gathered at once.
const PORTION: usize = 256;

/// What one output is made of.
struct Gathered {
    row: u32,
    column: u32,
    a: Codes,
    b: Codes,
    c: Option<Codes>,
    scales: [Option<Codes>; 2],
}

impl Executor<'_> {
    /// The sums of as many outputs of a product as are to be looked at, of those that a mask leaves.
    pub(super) fn sums(&mut self, bound: &Bound<'_>) -> Vec<SumCounts> {
        let mut sums = Vec::new();
        if self.looked_at == 0 {
            return sums;
        }
        let Bound { matrix, setup, mask } = bound;
        let looker = Looker::new(setup, matrix.shape);
        let chosen = spread(matrix.shape, self.looked_at);
        for portion in chosen.chunks(PORTION) {
            let wanted = portion.iter().filter(|&&(row, column)| mask.as_ref().is_none_or(|(mask, _)| mask.holds(row, column)));
            let gathered: Vec<Gathered> = wanted.map(|&(row, column)| self.gather_output(bound, row, column)).collect();
            let counts: Vec<Vec<SumCounts>> = gathered.par_iter().map(|output| output.sums(&looker)).collect();
            counts.iter().for_each(|counts| SumCounts::merge(&mut sums, counts));
            gathered.into_iter().for_each(|output| self.give_back(output));
        }
        sums
    }

    fn gather_output(&mut self, Bound { matrix, setup, .. }: &Bound<'_>, row: u32, column: u32) -> Gathered {
        let one = |x: u32| x..x + 1;
        let [scale_row, scale_column] = [row / setup.mode.scale_rows, column / setup.mode.scale_cols];
        let memories = &mut *self.memories;
        Gathered {
            row,
            column,
            a: memories.gather(&matrix.a.of_rows(one(row))),
            b: memories.gather_columns(&matrix.b, one(column)),
            c: matrix.c.map(|c| memories.gather_columns(&c.of_rows(one(row)), one(column))),
            scales: [
                matrix.scales[0].map(|view| memories.gather(&view.of_rows(one(scale_row)))),
                matrix.scales[1].map(|view| memories.gather_columns(&view, one(scale_column))),
            ],
        }
    }

    fn give_back(&mut self, Gathered { a, b, c, scales: [scale_a, scale_b], .. }: Gathered) {
        let buffers = &mut self.memories.buffers;
        [Some(a), Some(b), c, scale_a, scale_b].into_iter().flatten().for_each(|codes| buffers.give_codes(codes));
    }
}

impl Gathered {
    fn sums(&self, looker: &Looker<'_>) -> Vec<SumCounts> {
        let scales = Scales { a: self.scales[0].as_ref(), b: self.scales[1].as_ref() };
        let operands = Operands { scales, ..Operands::new(&self.a, &self.b, self.c.as_ref()) };
        looker.output(self.row, self.column, &operands).1
    }
}
