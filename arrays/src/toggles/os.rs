//! Output-stationary: A moves right, B moves down, both in the order of k.

use super::{Line, Product, clamp, extents, ones, partial_products};
use crate::dataflow::Fold;
use systole_isa::device::Toggles;

/// Toggles of one array's folds.
pub(super) fn count(product: &Product<'_>, folds: &[Fold]) -> Toggles {
    let (height, width, _) = extents(folds);
    let lanes = product.lanes() as usize;
    let mut array = Array {
        product,
        lanes: product.lanes(),
        left: vec![Line::default(); height as usize * lanes],
        top: vec![Line::default(); width as usize * lanes],
        factors: vec![(0, 0); height as usize * width as usize * lanes],
        width: width as usize,
        changed: [0; 4],
        macs: 0,
    };
    let [mut a_bits, mut b_bits, mut skew_bits] = [0u128; 3];
    let mode = &product.setup.mode;
    for fold in folds {
        let (rows, columns) = (u128::from(fold.m.end - fold.m.start), u128::from(fold.n.end - fold.n.start));
        let k = u128::from(product.shape.k);
        array.edges(fold);
        if product.operands.mask.is_some() {
            array.selected(fold)
        } else {
            array.whole(fold)
        }
        let (a, b) = (k * u128::from(mode.a.bits()), k * u128::from(mode.b.bits()));
        a_bits += rows * a * u128::from(product.setup.array.cols);
        b_bits += columns * b * u128::from(product.setup.array.rows);
        skew_bits += a * (rows * (rows + 1) / 2) + b * (columns * (columns + 1) / 2);
    }
    let [streaming, stationary, skew, partial] = array.changed.map(clamp);
    Toggles {
        streaming_register_toggles: streaming,
        streaming_register_bits: clamp(a_bits),
        stationary_register_toggles: stationary,
        stationary_register_bits: clamp(b_bits),
        skew_register_toggles: skew,
        skew_register_bits: clamp(skew_bits),
        partial_product_toggles: partial,
        partial_product_cells: clamp(array.macs * u128::from(product.cells())),
    }
}

struct Array<'a> {
    product: &'a Product<'a>,
    lanes: u32,
    /// Of each row, and lane of it.
    left: Vec<Line>,
    /// Of each column, and lane of it.
    top: Vec<Line>,
    /// Last factors of each PE's lanes.
    factors: Vec<(u64, u64)>,
    width: usize,
    /// In streaming, stationary and skew registers, and of partial products.
    changed: [u128; 4],
    macs: u128,
}

impl Array<'_> {
    /// Operands through skew registers and PEs: each of a row or column sees what its edge sees.
    fn edges(&mut self, fold: &Fold) {
        let Product { setup, shape, .. } = *self.product;
        for row in fold.m.clone() {
            let i = row - fold.m.start;
            let mut changed = 0;
            for k in 0..shape.k {
                changed += self.left[(i * self.lanes + k % self.lanes) as usize].take(self.product.a_code(row, k));
            }
            self.changed[0] += u128::from(changed) * u128::from(setup.array.cols);
            self.changed[2] += u128::from(changed) * u128::from(i + 1);
        }
        for column in fold.n.clone() {
            let j = column - fold.n.start;
            let mut changed = 0;
            for k in 0..shape.k {
                changed += self.top[(j * self.lanes + k % self.lanes) as usize].take(self.product.b_code(k, column));
            }
            self.changed[1] += u128::from(changed) * u128::from(setup.array.rows);
            self.changed[2] += u128::from(changed) * u128::from(j + 1);
        }
    }

    fn factors(&mut self, i: u32, j: u32, lane: u32) -> &mut (u64, u64) {
        &mut self.factors[(i as usize * self.width + j as usize) * self.lanes as usize + lane as usize]
    }

    fn a(&self, row: u32, k: u32) -> u64 {
        self.product.a.get(self.product.a_code(row, k))
    }

    fn b(&self, k: u32, column: u32) -> u64 {
        self.product.b.get(self.product.b_code(k, column))
    }

    /// All products of a fold by sums over rows and over columns.
    fn whole(&mut self, fold: &Fold) {
        let k = self.product.shape.k;
        self.macs += u128::from(k) * fold.m.len() as u128 * fold.n.len() as u128;
        for lane in 0..self.lanes.min(k) {
            let first: Vec<u64> = fold.n.clone().map(|column| self.b(lane, column)).collect();
            let last_k = lane + (k - 1 - lane) / self.lanes * self.lanes;
            let last: Vec<u64> = fold.n.clone().map(|column| self.b(last_k, column)).collect();
            for row in fold.m.clone() {
                let (a, a_last) = (self.a(row, lane), self.a(row, last_k));
                for (j, (&b, &b_last)) in first.iter().zip(&last).enumerate() {
                    let held = self.factors(row - fold.m.start, j as u32, lane);
                    let changed = partial_products(*held, (a, b));
                    *held = (a_last, b_last);
                    self.changed[3] += u128::from(changed);
                }
            }
            let mut before = self.sums(fold, lane, None);
            for k in (lane..k).step_by(self.lanes as usize).skip(1) {
                let here = self.sums(fold, k, Some(k - self.lanes));
                let all = |x: u64, y: u64| u128::from(x) * u128::from(y);
                self.changed[3] += all(before[0], before[1]) + all(here[0], here[1]) - 2 * all(here[2], here[3]);
                before = here;
            }
        }
    }

    /// Set bits of a fold's factors at `k`, over rows and over columns, and of those they share with
    /// the factors `before`.
    fn sums(&self, fold: &Fold, k: u32, before: Option<u32>) -> [u64; 4] {
        let mut sums = [0; 4];
        for row in fold.m.clone() {
            let a = self.a(row, k);
            sums[0] += ones(a);
            sums[2] += before.map_or(0, |before| ones(a & self.a(row, before)));
        }
        for column in fold.n.clone() {
            let b = self.b(k, column);
            sums[1] += ones(b);
            sums[3] += before.map_or(0, |before| ones(b & self.b(before, column)));
        }
        sums
    }

    /// The products of selected outputs, one by one.
    fn selected(&mut self, fold: &Fold) {
        let k = self.product.shape.k;
        for row in fold.m.clone() {
            for column in fold.n.clone().filter(|&column| self.product.operands.selects(row, column)) {
                self.macs += u128::from(k);
                for k in 0..k {
                    let new = (self.a(row, k), self.b(k, column));
                    let held = self.factors(row - fold.m.start, column - fold.n.start, k % self.lanes);
                    let changed = partial_products(std::mem::replace(held, new), new);
                    self.changed[3] += u128::from(changed);
                }
            }
        }
    }
}
