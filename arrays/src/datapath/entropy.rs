//! Where a sum's random bits come from.

use super::{Chain, Mac};
use std::cell::Cell;
use systole_isa::design::{Addend, Product, Scaling, Unit};
use systole_isa::entropy::{Site, Stage};
use systole_isa::lfsr::Lfsr;

/// Random bits for the roundings of one output, asked for in the order the PE rounds.
pub trait Entropy {
    /// A PE is about to add a block that begins with product `k`.
    fn begin(&self, k: u32);

    /// The `bits` random bits of one rounding; 0 for 0 bits.
    fn random(&self, bits: u32, stage: Stage, index: u32) -> u64;
}

/// An output's place in the problem: its roundings take counter-based bits.
#[derive(Clone, Copy, Debug)]
pub struct Element {
    /// The instruction's site.
    pub site: Site,
    /// Output row.
    pub row: u32,
    /// Output column.
    pub column: u32,
}

impl Entropy for Element {
    fn begin(&self, _: u32) {}

    fn random(&self, bits: u32, stage: Stage, index: u32) -> u64 {
        self.site.random(bits, self.row, self.column, stage, index)
    }
}

/// Bits from registers that are there to be stepped: what a PE, and the adder of the
/// accumulator memory beside its column, hold. Output conversions take counter-based bits.
#[derive(Clone, Copy, Debug)]
pub struct Registers<'a> {
    /// Their structure.
    pub lfsr: Lfsr,
    /// State of the PE's.
    pub pe: &'a Cell<u64>,
    /// State of the memory adder's.
    pub adder: &'a Cell<u64>,
    /// The output, for its conversion.
    pub element: Element,
}

impl Entropy for Registers<'_> {
    fn begin(&self, _: u32) {}

    fn random(&self, bits: u32, stage: Stage, index: u32) -> u64 {
        let cell = match stage {
            Stage::Output | Stage::Vector => return self.element.random(bits, stage, index),
            Stage::Memory => self.adder,
            _ => self.pe,
        };
        let state = cell.get();
        if bits > 0 {
            cell.set(self.lfsr.advance(state));
        }
        self.lfsr.bits(state, bits)
    }
}

impl Mac {
    /// Roundings a PE makes for `products` products of one block, and more if its chunk
    /// closes there.
    fn roundings_of_block(&self, products: u64, closes: bool) -> u64 {
        let mode = self.mode();
        let rounded = if mode.product == Product::Exact { 0 } else { products };
        let sums = match mode.unit {
            Unit::Chain | Unit::Descending => products,
            Unit::Interleaved { ways } => products + products.min(ways.into()),
            Unit::Exact => 1,
            Unit::ExactApart => 2,
            Unit::Aligned(unit) => 1 + u64::from(unit.addend == Addend::Apart),
        };
        let closing = if closes { 1 + u64::from(mode.scale == Scaling::ChunkRounded) } else { 0 };
        rounded + sums + closing
    }

    /// Roundings of the PE for products `k` of sums that begin at `start` and end before `end`.
    pub fn roundings(&self, k: std::ops::Range<u32>, start: u32, end: u32) -> u64 {
        let (mut total, mut products) = (0, 0);
        for i in k {
            products += 1;
            let last = i + 1 == end;
            if Chain::ends_block(self, i, start, last) {
                total += self.roundings_of_block(products, Chain::closes(self, i, start, last));
                products = 0;
            }
        }
        total
    }
}
