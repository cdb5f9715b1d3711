//! Weight- and input-stationary: tiles move down their columns, then a stream moves right past them.

use super::{Line, Product, clamp, distance, extents, ones, partial_products};
use crate::dataflow::Fold;
use std::ops::Range;
use systole_isa::design::{Dataflow, Preload};
use systole_isa::device::Toggles;

/// Toggles of one array's folds.
pub(super) fn count(product: &Product<'_>, folds: &[Fold]) -> Toggles {
    let spec = &product.setup.array;
    let input_stationary = spec.dataflow == Dataflow::Is;
    let (m, n, k) = extents(folds);
    let lanes = product.lanes() as usize;
    let (height, width) = (k.div_ceil(product.lanes()) as usize, if input_stationary { m } else { n } as usize);
    let pes = height * width * lanes;
    let mut array = Array {
        product,
        input_stationary,
        double: spec.preload == Preload::Double,
        lanes: product.lanes(),
        left: vec![Line::default(); height * lanes],
        top: vec![Line::default(); width * lanes],
        shadow: vec![Line::default(); pes],
        active: vec![Line::default(); pes],
        factors: vec![(0, 0); pes],
        width,
        changed: [0; 4],
        written: [0; 3],
        macs: 0,
    };
    for fold in folds {
        array.tile(fold);
        array.stream(fold);
    }
    let (moving, resting) =
        if input_stationary { (product.setup.mode.b, product.setup.mode.a) } else { (product.setup.mode.a, product.setup.mode.b) };
    let [streaming, stationary, skew, partial] = array.changed.map(clamp);
    let [streamed, loaded, skewed] = array.written;
    let (moving_bits, resting_bits) = (u128::from(moving.bits()), u128::from(resting.bits()));
    Toggles {
        streaming_register_toggles: streaming,
        streaming_register_bits: clamp(streamed * u128::from(spec.cols) * moving_bits),
        stationary_register_toggles: stationary,
        stationary_register_bits: clamp(loaded * resting_bits),
        skew_register_toggles: skew,
        skew_register_bits: clamp(skewed * moving_bits + array.tiles_skewed(folds) * resting_bits),
        partial_product_toggles: partial,
        partial_product_cells: clamp(array.macs * u128::from(product.cells())),
    }
}

struct Array<'a> {
    product: &'a Product<'a>,
    input_stationary: bool,
    double: bool,
    lanes: u32,
    /// Of each row, and lane of it.
    left: Vec<Line>,
    /// Of each column's edge.
    top: Vec<Line>,
    /// Of each PE's lanes: the register that tiles move through, and the one products are made of.
    shadow: Vec<Line>,
    active: Vec<Line>,
    factors: Vec<(u64, u64)>,
    width: usize,
    /// In streaming, stationary and skew registers, and of partial products.
    changed: [u128; 4],
    /// Elements that entered streams, were written to stationary registers, and to the skew of streams.
    written: [u128; 3],
    macs: u128,
}

impl Array<'_> {
    const fn pe(&self, row: u32, column: u32, lane: u32) -> usize {
        (row as usize * self.width + column as usize) * self.lanes as usize + lane as usize
    }

    /// Rows or columns of D that the array's columns hold in a fold.
    fn held(&self, fold: &Fold) -> Range<u32> {
        if self.input_stationary { fold.m.clone() } else { fold.n.clone() }
    }

    /// What streams past them.
    fn streamed(&self, fold: &Fold) -> Range<u32> {
        if self.input_stationary { fold.n.clone() } else { fold.m.clone() }
    }

    fn resting(&self, k: u32, line: u32) -> u64 {
        if self.input_stationary { self.product.a_code(line, k) } else { self.product.b_code(k, line) }
    }

    fn moving(&self, k: u32, line: u32) -> u64 {
        if self.input_stationary { self.product.b_code(k, line) } else { self.product.a_code(line, k) }
    }

    /// Significands of an element at rest and of a moving one.
    fn multiplicands(&self, resting: u64, moving: u64) -> (u64, u64) {
        let Product { a, b, .. } = self.product;
        if self.input_stationary { (a.get(resting), b.get(moving)) } else { (b.get(resting), a.get(moving)) }
    }

    /// The k of one lane in a fold, by ascending rows.
    fn of_lane(&self, fold: &Fold, lane: u32) -> impl DoubleEndedIterator<Item = (u32, u32)> + use<> {
        let rows = (fold.k.end - fold.k.start).saturating_sub(lane).div_ceil(self.lanes);
        let (start, lanes) = (fold.k.start + lane, self.lanes);
        (0..rows).map(move |row| (row, start + row * lanes))
    }

    /// Loads a fold's tile, the element of the bottom row first; each passes the rows above its own.
    fn tile(&mut self, fold: &Fold) {
        for line in self.held(fold) {
            let column = line - self.held(fold).start;
            for lane in 0..self.lanes {
                let mut above: Option<u64> = None;
                for (row, k) in self.of_lane(fold, lane).rev() {
                    let code = self.resting(k, line);
                    let entered = self.top[(column * self.lanes + lane) as usize].take(code);
                    self.changed[2] += u128::from(entered) * u128::from(column + 1);
                    // After the first element all registers it passed hold the same.
                    self.changed[1] += match above {
                        Some(before) => u128::from(distance(before, code)) * u128::from(row + 1),
                        None => (0..=row).map(|r| u128::from(distance(self.shadow[self.pe(r, column, lane)].held, code))).sum(),
                    };
                    above = Some(code);
                    self.written[1] += u128::from(row + 1);
                    let pe = self.pe(row, column, lane);
                    self.shadow[pe].held = code;
                    if self.double {
                        self.changed[1] += u128::from(self.active[pe].take(code));
                        self.written[1] += 1;
                    }
                }
            }
        }
    }

    /// Streams a fold's moving operand past its tile.
    fn stream(&mut self, fold: &Fold) {
        let (held, streamed) = (self.held(fold), self.streamed(fold));
        let length = streamed.len() as u128;
        for lane in 0..self.lanes {
            for (row, k) in self.of_lane(fold, lane) {
                // Over the stream from its second element on: changes of codes, and of significands.
                let (mut codes, mut bits) = (0, 0);
                let mut before = None;
                for line in streamed.clone() {
                    let code = self.moving(k, line);
                    codes += self.left[(row * self.lanes + lane) as usize].take(code);
                    let (_, factor) = self.multiplicands(0, code);
                    bits += before.replace(factor).map_or(0, |old| distance(old, factor));
                }
                self.changed[0] += u128::from(codes) * u128::from(self.product.setup.array.cols);
                let skewed = u128::from(self.product.setup.array.mac_stages) * u128::from(row) + 1;
                self.changed[2] += u128::from(codes) * skewed;
                self.written[0] += length;
                self.written[2] += length * skewed;
                for line in held.clone() {
                    let (column, resting) = (line - held.start, self.resting(k, line));
                    if self.product.operands.mask.is_some() {
                        self.selected((row, column, lane), resting, k, line, &streamed);
                    } else {
                        let [first, last] = [streamed.start, streamed.end - 1].map(|at| self.multiplicands(resting, self.moving(k, at)));
                        let pe = self.pe(row, column, lane);
                        let old = std::mem::replace(&mut self.factors[pe], last);
                        self.changed[3] += u128::from(partial_products(old, first)) + u128::from(bits) * u128::from(ones(first.0));
                        self.macs += length;
                    }
                }
            }
        }
    }

    /// The products of selected outputs at one lane, one by one.
    fn selected(&mut self, (row, column, lane): (u32, u32, u32), resting: u64, k: u32, line: u32, streamed: &Range<u32>) {
        let pe = self.pe(row, column, lane);
        for other in streamed.clone() {
            let (d_row, d_column) = if self.input_stationary { (line, other) } else { (other, line) };
            if self.product.operands.selects(d_row, d_column) {
                let new = self.multiplicands(resting, self.moving(k, other));
                let old = std::mem::replace(&mut self.factors[pe], new);
                self.changed[3] += u128::from(partial_products(old, new));
                self.macs += 1;
            }
        }
    }

    /// Writes of the skew registers that tiles enter by.
    fn tiles_skewed(&self, folds: &[Fold]) -> u128 {
        let of = |fold: &Fold| {
            let columns = self.held(fold).len() as u128;
            u128::from(fold.k.end - fold.k.start) * (columns * (columns + 1) / 2)
        };
        folds.iter().map(of).sum()
    }
}
