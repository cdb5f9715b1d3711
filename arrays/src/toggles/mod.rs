//! Bits that operands change in registers and multipliers, counted for whole products.
//!
//! A product's toggles follow from its operands and the order in which the dataflow brings them to
//! each register; sums do not enter. Every register holds what it has until an element is written
//! to it, a multiplier its last two factors until the next product, and all begin a product at 0.
//! The ticked engine counts the same where it writes its registers.
//!
//! Nothing here visits single products, but for masks. PEs of a row take the same streaming
//! elements, so one sequence stands for all. Partial products of a and b are the pairs of one set bit
//! of each; from (a, b) to (a', b') |a||b| + |a'||b'| - 2 |a & a'||b & b'| of them change, and summed
//! over a tile of PEs each term is the product of a sum over rows and one over columns. Only the
//! first product of a fold meets what the fold before left, PE by PE.

pub(crate) mod meter;
mod multiplicand;
mod os;
mod stationary;

pub(crate) use multiplicand::Multiplicands;

use crate::dataflow::{Fold, Plan};
use crate::problem::{Operands, Setup, Shape};
use systole_isa::design::Dataflow;
use systole_isa::device::Toggles;

/// Toggles of D = A B on the design's arrays.
///
/// # Panics
/// If the lengths of operands are not those of `shape`.
pub fn count(setup: &Setup, shape: Shape, operands: &Operands<'_>) -> Toggles {
    let (m, n, k) = (shape.m as usize, shape.n as usize, shape.k as usize);
    assert!(operands.a.len() == m * k && operands.b.len() == k * n, "A is M x K, B is K x N");
    let mut plan = Plan::new(&setup.array, &setup.mode, &setup.output, shape, operands.c.is_some());
    if let Some(mask) = operands.mask {
        let selection = plan.select(mask);
        plan = plan.with_mask(mask.element_bytes(), Some(selection));
    }
    let mut queues = vec![Vec::new(); setup.array.count.min(plan.groups().try_into().unwrap_or(u32::MAX)) as usize];
    for fold in plan.folds() {
        queues[fold.array as usize].push(fold);
    }
    let product = Product { setup, shape, operands, a: Multiplicands::of(setup.mode.a), b: Multiplicands::of(setup.mode.b) };
    let mut toggles = Toggles::default();
    for folds in &queues {
        toggles += match setup.array.dataflow {
            Dataflow::Os => os::count(&product, folds),
            Dataflow::Ws | Dataflow::Is => stationary::count(&product, folds),
        };
    }
    toggles
}

/// A product and what its multipliers see of its operands.
struct Product<'a> {
    setup: &'a Setup,
    shape: Shape,
    operands: &'a Operands<'a>,
    a: Multiplicands,
    b: Multiplicands,
}

impl Product<'_> {
    fn a_code(&self, row: u32, k: u32) -> u64 {
        self.operands.a.get(row as usize * self.shape.k as usize + k as usize)
    }

    fn b_code(&self, k: u32, column: u32) -> u64 {
        self.operands.b.get(k as usize * self.shape.n as usize + column as usize)
    }

    const fn lanes(&self) -> u32 {
        self.setup.mode.lanes
    }

    /// Partial products of one MAC.
    fn cells(&self) -> u64 {
        u64::from(self.setup.mode.a.precision()) * u64::from(self.setup.mode.b.precision())
    }
}

/// Bits of `codes` buffers are compared as they are stored.
const fn distance(old: u64, new: u64) -> u64 {
    (old ^ new).count_ones() as u64
}

const fn ones(x: u64) -> u64 {
    x.count_ones() as u64
}

/// Partial products that change from one pair of factors to the next.
const fn partial_products(old: (u64, u64), new: (u64, u64)) -> u64 {
    ones(old.0) * ones(old.1) + ones(new.0) * ones(new.1) - 2 * ones(old.0 & new.0) * ones(old.1 & new.1)
}

/// Registers that see one sequence of elements.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    held: u64,
}

impl Line {
    /// Bits that change when an element is written.
    const fn take(&mut self, code: u64) -> u64 {
        let changed = distance(self.held, code);
        self.held = code;
        changed
    }
}

/// The largest extents of an array's folds: of rows and columns of D, and of products.
fn extents(folds: &[Fold]) -> (u32, u32, u32) {
    let most = |length: fn(&Fold) -> u32| folds.iter().map(length).max().unwrap_or(0);
    (most(|f| f.m.end - f.m.start), most(|f| f.n.end - f.n.start), most(|f| f.k.end - f.k.start))
}

/// A count of 128 bits where it is stored.
fn clamp(count: u128) -> u64 {
    count.try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
