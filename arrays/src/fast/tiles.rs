//! A whole product as independent tiles of outputs, each walked in the order of sums.

use super::drain::{Drain, Place, Row};
use super::kernels::{Kernel, Tile};
use super::order::{Knowledge, Order, Randomness, Stages, Way};
use super::panels::Panels;
use super::reach::Reach;
use super::reader::Reader;
use super::rounder::{Constants, Counts, Mode, Rounder, Tally};
use super::scalar::{self, Problem};
use super::scales::{BlockScales, Factors};
use super::survey::Survey;
use crate::mask::Mask;
use crate::simd::{Lanes, Number, Work};
use rayon::prelude::*;
use std::ops::Range;
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::entropy::{Block, Stage};

/// Panels of rows and of columns in one block, which one thread computes.
pub(super) const BLOCK: usize = 8;

/// MACs below which threads cost more than they bring.
const SEQUENTIAL_MACS: u64 = 1 << 17;

/// Everything a product needs, operands surveyed and packed.
pub(super) struct Tiles<'a, L, K: Kernel> {
    pub lanes: L,
    pub kernel: &'a K,
    pub problem: &'a Problem<'a>,
    pub stages: &'a Stages,
    pub order: Order,
    pub randomness: &'a Randomness,
    pub drain: &'a Drain<'a>,
    pub a: &'a Panels<K::Number>,
    pub b: &'a Panels<K::Number>,
    pub a_survey: &'a Survey,
    pub b_survey: &'a Survey,
    /// C, row-major, with its reach.
    pub c: Option<Addends<'a>>,
    pub c_reach: Reach,
    /// The ways of every tile, where the whole product is cheap.
    pub ways: Option<Ways>,
    /// What finished chunks are multiplied by.
    pub scales: Option<&'a BlockScales>,
    pub scale_reach: Reach,
}

/// Codes that sums start from.
#[derive(Clone, Copy)]
pub(super) struct Addends<'a> {
    pub codes: &'a Codes,
    pub reader: &'a Reader,
    /// False where there is no -0.
    pub signed_zeros: bool,
}

impl Addends<'_> {
    fn value(&self, index: usize) -> f64 {
        let value = self.reader.value(self.codes.get(index));
        if self.signed_zeros { value } else { value + 0.0 }
    }
}

/// How each level of sums of one tile is rounded.
#[derive(Clone, Copy)]
pub(super) struct Ways {
    inner: Way,
    outer: Option<Way>,
    memory: Option<Way>,
}

impl Ways {
    /// The ways for what is known; `None` where only the definition will do.
    pub fn new<K: Kernel>(kernel: &K, knowledge: &Knowledge, stages: &Stages) -> Option<Self> {
        let level = |known: Option<(Reach, _)>| match known {
            None => Some(None),
            Some((addend, sums)) => Way::of(&stages.outermost, addend, &sums).map(Some),
        };
        Some(Self { inner: kernel.way(knowledge)?, outer: level(knowledge.outer)?, memory: level(knowledge.memory)? })
    }

    /// True if no closer look at a tile would find a cheaper way for its products.
    pub const fn are_cheap(&self) -> bool {
        matches!(self.inner, Way::Exact | Way::Proved)
    }
}

/// Outputs of a block, or of a tile in it.
#[derive(Clone)]
pub(super) struct Outputs {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

impl Outputs {
    /// The columns as masks take them.
    pub const fn columns(&self) -> Range<u32> {
        self.columns.start as u32..self.columns.end as u32
    }

    /// How many of them a mask selects.
    fn selected(&self, mask: &Mask) -> u64 {
        self.rows.clone().map(|row| mask.count(row as u32, self.columns())).sum()
    }
}

/// Sums of one tile under way.
struct Buffers<T> {
    inner: Vec<T>,
    outer: Vec<f64>,
    memory: Vec<f64>,
    factors: Factors,
    positions: Vec<Block>,
}

impl<L: Lanes<Number = f64>, K: Kernel> Tiles<'_, L, K> {
    /// Computes blocks of outputs, each with its place and where its codes go: activity without
    /// zero operands, and the number of tiles that fell to the definition.
    pub fn run(&self, blocks: Vec<(Outputs, Vec<Row<'_>>)>) -> (Activity, u64) {
        let compute = |(block, mut to): (Outputs, Vec<Row<'_>>)| self.block(&block, &mut to);
        let done: Vec<(Activity, u64)> = if self.problem.shape.macs() < SEQUENTIAL_MACS {
            blocks.into_iter().map(compute).collect()
        } else {
            blocks.into_par_iter().map(compute).collect()
        };
        let mut activity = Activity::default();
        let mut by_definition = 0;
        for (block_activity, tiles) in done {
            activity += block_activity;
            by_definition += tiles;
        }
        (activity, by_definition)
    }

    /// The ways of one tile.
    fn ways_of(&self, tile: &Outputs) -> Option<Ways> {
        self.ways.or_else(|| {
            let (a, b) = (self.a_survey.of(tile.rows.clone()), self.b_survey.of(tile.columns.clone()));
            Ways::new(self.kernel, &Knowledge::new(self.stages, &self.order, a, b, self.c_reach, self.scale_reach), self.stages)
        })
    }

    /// Computes a block of outputs into its rows.
    fn block(&self, block: &Outputs, to: &mut [Row<'_>]) -> (Activity, u64) {
        let mut activity = Activity::default();
        let mut by_definition = 0;
        let outputs = K::ROWS * K::COLUMNS;
        let mut buffers = Buffers {
            inner: vec![K::Number::default(); outputs],
            outer: vec![0.0; outputs],
            memory: vec![0.0; outputs],
            factors: Factors::ONES,
            positions: Vec::with_capacity(outputs / 4),
        };
        for column in block.columns.clone().step_by(K::COLUMNS) {
            for row in block.rows.clone().step_by(K::ROWS) {
                let tile =
                    Outputs { rows: row..block.rows.end.min(row + K::ROWS), columns: column..block.columns.end.min(column + K::COLUMNS) };
                // Of tiles that are not all wanted, what each output counts must be told apart.
                let mut partly = None;
                if let Some(mask) = self.problem.operands.mask {
                    let selected = tile.selected(mask);
                    if selected == 0 {
                        continue;
                    }
                    partly = (selected < (tile.rows.len() * tile.columns.len()) as u64).then_some(mask);
                }
                let ways = self.ways_of(&tile);
                let at = column - block.columns.start;
                let rows = &mut to[row - block.rows.start..][..tile.rows.len()];
                match ways {
                    Some(ways) => {
                        let mut counts = self.tile(&tile, ways, &mut buffers);
                        if let Some(mask) = partly {
                            counts = self.counts_of_selected(mask, &tile, counts);
                            keep_selected(mask, &tile, &mut buffers.memory, K::COLUMNS);
                        }
                        activity.accumulator_overflows += counts.overflows;
                        activity.accumulator_underflows += counts.underflows;
                        for ((i, r), to) in tile.rows.clone().enumerate().zip(rows) {
                            let positions = match buffers.positions.len() {
                                0 => &[][..],
                                _ => &buffers.positions[i * K::COLUMNS / 4..][..K::COLUMNS / 4],
                            };
                            let place = Place { row: r, column, positions };
                            let sums = &buffers.memory[i * K::COLUMNS..][..K::COLUMNS];
                            self.drain.row(self.lanes, sums, tile.columns.len(), place, to, at, &mut activity);
                        }
                    }
                    None => {
                        by_definition += 1;
                        for (r, to) in tile.rows.clone().zip(rows) {
                            let wanted = |c: usize| self.problem.operands.selects(r as u32, c as u32);
                            let code = |c: usize| if wanted(c) { scalar::element(self.problem, r, c, &mut activity) } else { 0 };
                            let codes: Vec<u64> = tile.columns.clone().map(code).collect();
                            to.write(at, &codes);
                        }
                    }
                }
            }
        }
        // Zero operands are counted once for the whole product.
        activity.zero_operand_macs = 0;
        (activity, by_definition)
    }

    /// What the selected outputs count of what all outputs of a tile do: nothing if those do not, as
    /// is usual; else what the fewer ones count by the definition, or what they leave.
    fn counts_of_selected(&self, mask: &Mask, tile: &Outputs, all: Counts) -> Counts {
        if all == Counts::default() {
            return all;
        }
        let most = 2 * tile.selected(mask) > (tile.rows.len() * tile.columns.len()) as u64;
        let mut counted = Activity::default();
        for row in tile.rows.clone() {
            for column in tile.columns.clone().filter(|&column| mask.holds(row as u32, column as u32) != most) {
                scalar::element(self.problem, row, column, &mut counted);
            }
        }
        let Activity { accumulator_overflows: overflows, accumulator_underflows: underflows, .. } = counted;
        if most {
            Counts { overflows: all.overflows - overflows, underflows: all.underflows - underflows }
        } else {
            Counts { overflows, underflows }
        }
    }

    /// Leaves the finished sums of a tile in `buffers.memory`.
    fn tile(&self, outputs: &Outputs, ways: Ways, buffers: &mut Buffers<K::Number>) -> Counts {
        let n = self.problem.shape.n as usize;
        let (row, column) = (outputs.rows.start, outputs.columns.start);
        let Buffers { inner, outer, memory, factors, positions } = buffers;
        positions.clear();
        if self.randomness.bits > 0 || self.drain.draws() {
            let (site, places) = (self.randomness.site, self.problem.places);
            positions.extend((0..K::ROWS).flat_map(|r| {
                let row = places.row((row + r) as u32);
                (0..K::COLUMNS / 4).map(move |c| site.position(row, places.column((column + 4 * c) as u32)))
            }));
        }
        // Lines past the last are multiplied by 1.
        if let Some(scales) = self.scales {
            *factors = Factors { in_two: scales.in_two, ..Factors::ONES };
        }
        memory.fill(0.0);
        if let Some(c) = self.c {
            for (r, sums) in outputs.rows.clone().zip(memory.chunks_exact_mut(K::COLUMNS)) {
                sums.iter_mut().zip(outputs.columns.clone()).for_each(|(sum, column)| *sum = c.value(r * n + column));
            }
        }
        let tile = Tile { a: self.a.panel(row, K::ROWS), b: self.b.panel(column, K::COLUMNS), positions };
        match self.order.fold {
            None => self.chain(&tile, outputs, 0..self.order.k, ways, inner, factors, memory),
            Some(fold) => {
                let mut counts = Counts::default();
                for begin in (0..self.order.k).step_by(fold) {
                    let end = self.order.k.min(begin + fold);
                    outer.fill(0.0);
                    counts += self.chain(&tile, outputs, begin..end, ways, inner, factors, outer);
                    counts += self.add(ways.memory, memory, outer, None, positions, Stage::Memory, end - 1);
                }
                counts
            }
        }
    }

    /// One chain over `k` onto `sums`, which stand for the outermost accumulator.
    #[allow(clippy::too_many_arguments, reason = "a tile, its place, and where its sums stand")]
    fn chain(
        &self,
        tile: &Tile<'_, K::Number>,
        outputs: &Outputs,
        k: Range<usize>,
        ways: Ways,
        inner: &mut [K::Number],
        factors: &mut Factors,
        sums: &mut [f64],
    ) -> Counts {
        let Some(chunk) = self.order.chunk else {
            for (inner, &sum) in inner.iter_mut().zip(&*sums) {
                *inner = K::Number::from_f64(sum);
            }
            let counts = self.kernel.span(ways.inner, tile, k, inner);
            for (sum, inner) in sums.iter_mut().zip(&*inner) {
                *sum = inner.to_f64();
            }
            return counts;
        };
        let mut counts = Counts::default();
        let mut begin = k.start;
        while begin < k.end {
            let open = if self.order.aligned { begin - begin % chunk } else { begin };
            let end = k.end.min(open + chunk);
            inner.fill(K::Number::default());
            counts += self.kernel.span(ways.inner, tile, begin..end, inner);
            if let Some(scales) = self.scales {
                scales.of_tile(begin, &outputs.rows, &outputs.columns, factors);
            }
            let factors = self.scales.is_some().then_some(&*factors);
            counts += self.add(ways.outer, sums, inner, factors, tile.positions, Stage::Outer, end - 1);
            begin = end;
        }
        counts
    }

    /// Adds finished sums, multiplied by `factors`, to the outermost accumulator.
    #[allow(clippy::too_many_arguments, reason = "sums, what is added to them, and which addition it is")]
    fn add<T: Number>(
        &self,
        way: Option<Way>,
        sums: &mut [f64],
        addends: &[T],
        factors: Option<&Factors>,
        positions: &[Block],
        stage: Stage,
        k: usize,
    ) -> Counts {
        let rounder = &self.stages.outermost;
        let bits = self.randomness.bits;
        let addition = if bits > 0 { self.randomness.site.addition(stage, k as u32) } else { [0; 4] };
        let way = way.unwrap_or(Way::Checked);
        let add = Add { rounder, way, sums, addends, factors, columns: K::COLUMNS, positions, addition, bits };
        if factors.is_some_and(|factors| factors.in_two) { self.lanes.enter(InTwo(add)) } else { self.lanes.enter(add) }
    }
}

/// Makes +0 of sums that are not wanted: they convert to code 0 without a flag.
fn keep_selected(mask: &Mask, tile: &Outputs, sums: &mut [f64], width: usize) {
    for (row, sums) in tile.rows.clone().zip(sums.chunks_exact_mut(width)) {
        for (column, sum) in tile.columns.clone().zip(sums) {
            if !mask.holds(row as u32, column as u32) {
                *sum = 0.0;
            }
        }
    }
}

/// The 26 upper bits of a binary64 significand.
const HIGH_BITS: f64 = f64::from_bits(u64::MAX << 27);

struct Add<'a, T> {
    rounder: &'a Rounder,
    way: Way,
    sums: &'a mut [f64],
    addends: &'a [T],
    factors: Option<&'a Factors>,
    /// Sums in a row.
    columns: usize,
    positions: &'a [Block],
    addition: Block,
    bits: u32,
}

/// The same with every addend in two halves: [`Factors::in_two`].
struct InTwo<'a, T>(Add<'a, T>);

impl<L: Lanes<Number = f64>, T: Number> Work<L> for Add<'_, T> {
    type Out = Counts;

    #[inline(always)]
    fn run(self, s: L) -> Counts {
        self.sums::<L, false>(s)
    }
}

impl<L: Lanes<Number = f64>, T: Number> Work<L> for InTwo<'_, T> {
    type Out = Counts;

    #[inline(always)]
    fn run(self, s: L) -> Counts {
        self.0.sums::<L, true>(s)
    }
}

impl<T: Number> Add<'_, T> {
    #[inline(always)]
    fn sums<L: Lanes<Number = f64>, const IN_TWO: bool>(self, s: L) -> Counts {
        let step = Step { rounder: self.rounder, way: self.way };
        let constants = self.rounder.constants(s);
        let mut tally = Tally::new(s);
        let rows = self.sums.chunks_exact_mut(self.columns).zip(self.addends.chunks_exact(self.columns));
        for (row, (sums, addends)) in rows.enumerate() {
            let of_row = self.factors.map(|factors| s.splat(factors.rows[row]));
            let lanes = sums.chunks_exact_mut(L::LANES).zip(addends.chunks_exact(L::LANES));
            for (i, (to, addends)) in lanes.enumerate() {
                let mut wide = [0.0; 8];
                wide.iter_mut().zip(addends).for_each(|(wide, addend)| *wide = addend.to_f64());
                let (sum, mut addend, mut low) = (s.load(to), s.load(&wide), None);
                if let (Some(factors), Some(of_row)) = (self.factors, of_row) {
                    let of_column = s.load(&factors.columns[i * L::LANES..]);
                    if IN_TWO {
                        let scaled = s.mul(addend, of_row);
                        let high = s.and(scaled, s.splat(HIGH_BITS));
                        (addend, low) = (s.mul(high, of_column), Some(s.mul(s.sub(scaled, high), of_column)));
                    } else {
                        addend = s.mul(addend, s.mul(of_row, of_column));
                    }
                }
                let draw = match self.bits {
                    0 => constants.zero,
                    _ => s.draw(&self.positions[(row * self.columns + i * L::LANES) / 4..], &self.addition, self.bits),
                };
                s.store(step.sum(s, &constants, sum, (addend, low), draw, &mut tally), to);
            }
        }
        tally.counts(s)
    }
}

/// How one addition is rounded.
#[derive(Clone, Copy)]
struct Step<'a> {
    rounder: &'a Rounder,
    way: Way,
}

impl Step<'_> {
    #[inline(always)]
    fn sum<L: Lanes<Number = f64>>(
        &self,
        s: L,
        constants: &Constants<L::V>,
        sum: L::V,
        (addend, low): (L::V, Option<L::V>),
        draw: L::V,
        tally: &mut Tally<L::V>,
    ) -> L::V {
        let rounder = self.rounder;
        let nearest = rounder.is_nearest_even();
        // Where sums span 53 bits at most, so do the addends.
        let whole = || low.map_or(addend, |low| s.add(addend, low));
        match self.way {
            Way::Exact => s.add(sum, whole()),
            Way::Proved => {
                let addend = whole();
                let sum = rounder.cancelled(s, constants, s.add(sum, addend), sum, addend);
                if nearest {
                    rounder.proved::<L, { Mode::RNE }>(s, constants, sum, draw)
                } else {
                    rounder.proved::<L, { Mode::ANY }>(s, constants, sum, draw)
                }
            }
            Way::Watched | Way::Checked => {
                let sum = match low {
                    None => rounder.sum(s, constants, sum, addend),
                    Some(low) => rounder.sum_of_three(s, constants, sum, addend, low),
                };
                if nearest {
                    rounder.checked_sum::<L, true>(s, constants, sum, draw, tally)
                } else {
                    rounder.checked_sum::<L, false>(s, constants, sum, draw, tally)
                }
            }
        }
    }
}
