//! Which state of which shift register a rounding meets: the closed form of what the
//! `ticked` engine steps.
//!
//! Registers of an array of R x C PEs are numbered array by array, row by row; one shared by
//! a row, a column or an array has that one's number. The adders of the accumulator memory
//! have the numbers from 2^31 on, column by column (array by array where an array shares
//! one). Sharing means equal sequences: each PE counts its own roundings.

use crate::dataflow::{Fold, Plan};
use crate::datapath::{Element, Entropy, Mac};
use crate::problem::{Setup, Shape};
use std::cell::Cell;
use std::collections::HashMap;
use systole_isa::design::{ArraySpec, Dataflow, EntropySource, LfsrShare, PartialSums};
use systole_isa::entropy::{Site, Stage};
use systole_isa::lfsr::{Jumps, Lfsr};

/// Number of a PE's register.
pub fn pe_register(array: &ArraySpec, share: LfsrShare, index: u32, row: u32, column: u32) -> u32 {
    match share {
        LfsrShare::Pe => (index * array.rows + row).wrapping_mul(array.cols).wrapping_add(column),
        LfsrShare::Row => index * array.rows + row,
        LfsrShare::Column => index * array.cols + column,
        LfsrShare::Array => index,
    }
}

/// Number of the register of a column's memory adder.
pub fn adder_register(array: &ArraySpec, share: LfsrShare, index: u32, column: u32) -> u32 {
    let number = if share == LfsrShare::Array { index } else { index * array.cols + column };
    1 << 31 | number
}

/// A fold as its PEs see it, and the roundings they made before it.
struct Walk {
    fold: Fold,
    /// By PE, row-major.
    before: Vec<u64>,
    /// By column, of the memory adders.
    added: Vec<u64>,
}

/// The shift registers of one product.
pub struct Ordinals {
    lfsr: Lfsr,
    jumps: Jumps,
    share: LfsrShare,
    site: Site,
    array: ArraySpec,
    mac: Mac,
    shape: Shape,
    /// By the first row (`os`, `is`) or column (`ws`) of the fold's outputs, and its first
    /// column (`os`) or product.
    folds: HashMap<(u32, u32), Walk>,
}

impl Ordinals {
    /// Those of a mode that has shift registers; `None` where bits come from counters.
    pub fn new(setup: &Setup, shape: Shape) -> Option<Self> {
        let EntropySource::Lfsr { width, taps, shared } = setup.mode.entropy else { return None };
        let mac = Mac::new(&setup.mode, setup.bias_a, setup.bias_b);
        let array = setup.array;
        let plan = Plan::new(&array, &setup.mode, &setup.output, shape, false);
        let pes = array.rows as usize * array.cols as usize;
        let mut counts = vec![(vec![0u64; pes], vec![0u64; array.cols as usize]); array.count as usize];
        let lfsr = Lfsr { width, taps };
        let jumps = lfsr.jumps();
        let mut ordinals = Self { lfsr, jumps, share: shared, site: setup.site, array, mac, shape, folds: HashMap::new() };
        for fold in plan.folds() {
            let (pe_counts, adders) = &mut counts[fold.array as usize];
            let walk = Walk { before: pe_counts.clone(), added: adders.clone(), fold };
            for row in 0..array.rows {
                let per_element = ordinals.roundings(&walk.fold, row);
                for column in 0..ordinals.occupied_columns(&walk.fold) {
                    let elements = if array.dataflow == Dataflow::Os { 1 } else { ordinals.stream_length() };
                    pe_counts[(row * array.cols + column) as usize] += elements * per_element;
                }
            }
            (0..ordinals.occupied_columns(&walk.fold)).for_each(|column| adders[column as usize] += ordinals.stream_length());
            ordinals.folds.insert(ordinals.key(&walk.fold), walk);
        }
        Some(ordinals)
    }

    fn key(&self, fold: &Fold) -> (u32, u32) {
        match self.array.dataflow {
            Dataflow::Os => (fold.m.start, fold.n.start),
            Dataflow::Ws => (fold.n.start, fold.k.start),
            Dataflow::Is => (fold.m.start, fold.k.start),
        }
    }

    fn stream_length(&self) -> u64 {
        match self.array.dataflow {
            Dataflow::Os => 1,
            Dataflow::Ws => self.shape.m.into(),
            Dataflow::Is => self.shape.n.into(),
        }
    }

    fn occupied_columns(&self, fold: &Fold) -> u32 {
        let columns = if self.array.dataflow == Dataflow::Is { &fold.m } else { &fold.n };
        columns.end - columns.start
    }

    /// Where the sums of a fold begin and end.
    fn extent(&self, fold: &Fold) -> (u32, u32) {
        let outside = self.array.dataflow != Dataflow::Os && self.array.partial_sums == PartialSums::Outside;
        if outside { (fold.k.start, fold.k.end) } else { (0, self.shape.k) }
    }

    /// Roundings a PE of a row makes for one element in a fold.
    fn roundings(&self, fold: &Fold, row: u32) -> u64 {
        let (start, end) = self.extent(fold);
        match self.array.dataflow {
            Dataflow::Os if row < fold.m.end - fold.m.start => self.mac.roundings(0..self.shape.k, start, end),
            Dataflow::Os => 0,
            Dataflow::Ws | Dataflow::Is => self.mac.roundings(self.products(fold, row), start, end),
        }
    }

    /// The products of a PE row of a stationary array.
    fn products(&self, fold: &Fold, row: u32) -> std::ops::Range<u32> {
        let lanes = self.mac.mode().lanes;
        let first = fold.k.start.saturating_add(row.saturating_mul(lanes)).min(fold.k.end);
        first..first.saturating_add(lanes).min(fold.k.end)
    }

    /// The fold that adds product `k` of an output.
    fn walk(&self, row: u32, column: u32, k: u32) -> &Walk {
        let tile = |x: u32, side: u32| x / side * side;
        let depth = self.array.rows.saturating_mul(self.mac.mode().lanes);
        let key = match self.array.dataflow {
            Dataflow::Os => (tile(row, self.array.rows), tile(column, self.array.cols)),
            Dataflow::Ws => (tile(column, self.array.cols), tile(k, depth)),
            Dataflow::Is => (tile(row, self.array.cols), tile(k, depth)),
        };
        &self.folds[&key]
    }

    /// State of a PE's register as it takes its first product `k` of an output; `None` if it
    /// has taken one before.
    fn pe_state(&self, row: u32, column: u32, k: u32) -> Option<u64> {
        let Walk { fold, before, .. } = self.walk(row, column, k);
        let (pe_row, pe_column, done) = match self.array.dataflow {
            Dataflow::Os if k > 0 => return None,
            Dataflow::Os => (row - fold.m.start, column - fold.n.start, 0),
            Dataflow::Ws | Dataflow::Is => {
                let input_stationary = self.array.dataflow == Dataflow::Is;
                let (element, pe_column) = if input_stationary { (column, row - fold.m.start) } else { (row, column - fold.n.start) };
                let lanes = self.mac.mode().lanes;
                let pe_row = (k - fold.k.start) / lanes;
                if !(k - fold.k.start).is_multiple_of(lanes) {
                    return None;
                }
                (pe_row, pe_column, u64::from(element) * self.roundings(fold, pe_row))
            }
        };
        let count = before[(pe_row * self.array.cols + pe_column) as usize] + done;
        let register = pe_register(&self.array, self.share, fold.array, pe_row, pe_column);
        Some(self.jumps.advance(self.lfsr.initial(self.site, register), count))
    }

    /// State of the memory adder's register as it adds the fold that ends with product `k`.
    fn adder_state(&self, row: u32, column: u32, k: u32) -> u64 {
        let Walk { fold, added, .. } = self.walk(row, column, k);
        let (element, pe_column) =
            if self.array.dataflow == Dataflow::Is { (column, row - fold.m.start) } else { (row, column - fold.n.start) };
        let register = adder_register(&self.array, self.share, fold.array, pe_column);
        self.jumps.advance(self.lfsr.initial(self.site, register), added[pe_column as usize] + u64::from(element))
    }

    /// The random bits of one output.
    pub fn of(&self, row: u32, column: u32) -> OrdinalDraws<'_> {
        OrdinalDraws { ordinals: self, element: Element { site: self.site, row, column }, state: Cell::new(0) }
    }
}

/// Random bits of one output by the ordinals of its roundings.
pub struct OrdinalDraws<'a> {
    ordinals: &'a Ordinals,
    element: Element,
    state: Cell<u64>,
}

impl Entropy for OrdinalDraws<'_> {
    fn begin(&self, k: u32) {
        if let Some(state) = self.ordinals.pe_state(self.element.row, self.element.column, k) {
            self.state.set(state);
        }
    }

    fn random(&self, bits: u32, stage: Stage, index: u32) -> u64 {
        let lfsr = self.ordinals.lfsr;
        match stage {
            Stage::Output | Stage::Vector => self.element.random(bits, stage, index),
            Stage::Memory => lfsr.bits(self.ordinals.adder_state(self.element.row, self.element.column, index), bits),
            _ => {
                let state = self.state.get();
                if bits > 0 {
                    self.state.set(lfsr.advance(state));
                }
                lfsr.bits(state, bits)
            }
        }
    }
}

/// The random bits of a problem's outputs, from wherever the mode takes them.
pub enum Draws {
    /// Counter-based.
    Counter(Site),
    /// From shift registers.
    Registers(Box<Ordinals>),
}

impl Draws {
    /// Those of a problem. Where nothing rounds stochastically registers are not looked at.
    pub fn new(setup: &Setup, shape: Shape) -> Self {
        let stochastic = setup.mode.random_bits() > 0;
        let ordinals = stochastic.then(|| Ordinals::new(setup, shape)).flatten();
        ordinals.map_or(Self::Counter(setup.site), |ordinals| Self::Registers(Box::new(ordinals)))
    }

    /// Hands the source of one output to `use_it`.
    pub fn with<T>(&self, row: u32, column: u32, use_it: impl FnOnce(&dyn Entropy) -> T) -> T {
        match self {
            Self::Counter(site) => use_it(&Element { site: *site, row, column }),
            Self::Registers(ordinals) => use_it(&ordinals.of(row, column)),
        }
    }
}
