//! Reductions along the axes where the result has extent 1 and the operand has not, or within
//! blocks.

use super::adder::{Adder, with_adder};
use super::elementwise::elementwise_into;
use super::operation::{Blocks, Elementwise, Operand, Reduction, Target, VectorError, check_buffers, check_count};
use super::order::{Extreme, Key, Order};
use super::random::{Draws, addition};
use super::{PARALLEL_ELEMENTS, count_result, fit, total};
use crate::simd::on_wide_lanes;
use rayon::prelude::*;
use std::ops::Range;
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::entropy::Stage;
use systole_isa::format::Decoded;
use systole_isa::round::encode_decoded;

/// Elements staged at a time.
const BLOCK: usize = 512;
/// Chains one thread computes side by side.
const LANES: usize = 128;
/// Elements one thread takes at a time.
const GRAIN: usize = 16 * BLOCK;
/// Results from which on maxima are converted in bulk.
const BULK: usize = 256;

/// Refuses shapes that do not reduce to the result's.
pub(super) fn check_shapes(op: Reduction, blocks: Blocks, target: (usize, usize), operand: (usize, usize)) -> Result<(), VectorError> {
    if operand.0 > 0 && operand.1 > 0 && blocks.steps(operand, target).is_some() {
        return Ok(());
    }
    let ((rows, cols), (target_rows, target_cols)) = (operand, target);
    Err(VectorError::Reduce { mnemonic: op.mnemonic(), rows, cols, target_rows, target_cols, blocks })
}

/// A reduction: result codes, row-major, and counts. Sums count every addition that overflows
/// or underflows, and results that are NaN.
///
/// Along each axis the result has the operand's extent, or 1, or one element for each of the
/// target's blocks. Elements that belong to a result are taken in row-major order.
///
/// Stochastic rounding draws at the result's row and column, stage `Vector`; index t is the
/// chain's t-th addition (modulo 2^32), 0 for the one conversion of a maximum.
///
/// # Errors
/// A wrong number of operands, buffers that do not hold them, or shapes that do not reduce.
pub fn reduce(op: Reduction, target: &Target, operands: &[Operand]) -> Result<(Codes, Activity), VectorError> {
    check_count(op.mnemonic(), 1, operands.len())?;
    let operand = &operands[0];
    check_shapes(op, target.blocks, target.shape(), operand.shape())?;
    check_buffers(op.mnemonic(), operands)?;
    match op {
        Reduction::Sum => {
            let (results, activity) = with_adder!(operand.format, target, |adder| sum(&adder, target, operand));
            Ok((Codes::from_fn(target.format, results.len(), |i| results[i]), activity))
        }
        Reduction::Maximum => maximum(Key::Value, target, operand),
        Reduction::Amax => maximum(Key::Magnitude, target, operand),
    }
}

/// How blocks lie in the operand: in bands of `height` rows, `across` of them, each `width` columns.
/// The last band may have fewer rows, a band's last block fewer columns.
#[derive(Clone, Copy)]
struct Cut {
    rows: usize,
    cols: usize,
    height: usize,
    width: usize,
    across: usize,
}

impl Cut {
    fn new(target: &Target, operand: &Operand) -> Self {
        let (height, width) = target.blocks.steps(operand.shape(), target.shape()).unwrap_or((1, 1));
        let (rows, cols) = operand.shape();
        // Blocks of consecutive elements lie in one row as well.
        let (rows, cols, height, width) = if width >= cols {
            (1, rows * cols, 1, height * cols)
        } else if height == 1 && cols.is_multiple_of(width) {
            (1, rows * cols, 1, width)
        } else {
            (rows, cols, height, width)
        };
        Self { rows, cols, height, width, across: cols.div_ceil(width) }
    }

    /// Rows of a band.
    fn band(&self, band: usize) -> Range<usize> {
        band * self.height..self.rows.min((band + 1) * self.height)
    }

    /// Columns of `count` blocks from `first` on.
    fn columns(&self, first: usize, count: usize) -> Range<usize> {
        first * self.width..self.cols.min((first + count) * self.width)
    }

    /// Computes results in parallel where there is enough to do: `kernel` gets a band, its first
    /// block and a run of results from there on, of one band or of whole ones.
    fn run<T: Send>(&self, results: &mut [T], kernel: impl Fn(usize, usize, &mut [T]) -> Activity + Sync) -> Activity {
        // Columns stay side by side, however many rows they have.
        let grain = (GRAIN / (self.height * self.width)).max(LANES / self.width).max(1);
        let bands = (grain / self.across).max(1);
        let lots = results.chunks_mut(bands * self.across).enumerate();
        let grain = grain.min(bands * self.across);
        let tasks =
            lots.flat_map(|(lot, results)| results.chunks_mut(grain).enumerate().map(move |(i, part)| (lot * bands, i * grain, part)));
        if self.rows * self.cols <= PARALLEL_ELEMENTS {
            return tasks.map(|(band, first, part)| kernel(band, first, part)).fold(Activity::default(), total);
        }
        let tasks: Vec<_> = tasks.collect();
        tasks.into_par_iter().map(|(band, first, part)| kernel(band, first, part)).reduce(Activity::default, total)
    }
}

fn sum<A: Adder>(adder: &A, target: &Target, operand: &Operand) -> (Vec<u64>, Activity) {
    let cut = Cut::new(target, operand);
    let mut results = vec![0; target.rows * target.cols];
    let chains = Chains { adder, target, operand, cut };
    let activity = cut.run(&mut results, |band, first, results| {
        let mut activity = Activity::default();
        let mut terms = [A::NOTHING; BLOCK];
        for (i, results) in results.chunks_mut(cut.across).enumerate() {
            if cut.width == 1 {
                for (n, results) in results.chunks_mut(LANES).enumerate() {
                    chains.columns(band + i, first + n * LANES, results, &mut activity);
                }
            } else {
                for (n, result) in results.iter_mut().enumerate() {
                    *result = chains.block(band + i, first + n, &mut terms, &mut activity);
                }
            }
        }
        activity
    });
    (results, activity)
}

/// Sums of blocks.
struct Chains<'a, A> {
    adder: &'a A,
    target: &'a Target,
    operand: &'a Operand<'a>,
    cut: Cut,
}

impl<A: Adder> Chains<'_, A> {
    /// Draws of the result of a block.
    fn draws(&self, band: usize, block: usize) -> Draws {
        let (target, index) = (self.target, band * self.cut.across + block);
        Draws::new(target.site, target.policy.rounding.random_bits(), index / target.cols, index % target.cols)
    }

    /// The sum of one block; `terms` is staging.
    fn block(&self, band: usize, block: usize, terms: &mut [A::Term; BLOCK], activity: &mut Activity) -> u64 {
        let Self { adder, target, operand, cut } = self;
        let (site, bits) = (target.site, target.policy.rounding.random_bits());
        let (columns, draws) = (cut.columns(block, 1), self.draws(band, block));
        let (mut sum, mut before) = (adder.zero(), 0);
        for row in cut.band(band) {
            for start in columns.clone().step_by(BLOCK) {
                let terms = &mut terms[..BLOCK.min(columns.end - start)];
                adder.terms(operand.codes, row * cut.cols + start, terms);
                for (t, &term) in terms.iter().enumerate() {
                    sum = adder.add(sum, term, draws.draw(addition(site, bits, before + t)), activity);
                }
                before += terms.len();
            }
        }
        adder.finish(sum, activity)
    }

    /// The sums of blocks of one column, side by side.
    fn columns(&self, band: usize, first: usize, results: &mut [u64], activity: &mut Activity) {
        let Self { adder, target, operand, cut } = self;
        let (site, bits) = (target.site, target.policy.rounding.random_bits());
        let draws: Vec<Draws> = (first..first + results.len()).map(|block| self.draws(band, block)).collect();
        let mut sums = vec![adder.zero(); results.len()];
        let mut terms = vec![A::NOTHING; results.len()];
        for (n, row) in cut.band(band).enumerate() {
            adder.terms(operand.codes, row * cut.cols + first, &mut terms);
            if bits == 0 {
                for (sum, &term) in sums.iter_mut().zip(&terms) {
                    *sum = adder.add(*sum, term, 0, activity);
                }
            } else {
                let addition = addition(site, bits, n);
                for ((sum, &term), draws) in sums.iter_mut().zip(&terms).zip(&draws) {
                    *sum = adder.add(*sum, term, draws.draw(addition), activity);
                }
            }
        }
        for (result, sum) in results.iter_mut().zip(sums) {
            *result = adder.finish(sum, activity);
        }
    }
}

fn maximum(key: Key, target: &Target, operand: &Operand) -> Result<(Codes, Activity), VectorError> {
    let order = Order::new(operand.format, target.policy.subnormals);
    if order.is_narrow() {
        let winners = extremes::<i32>(&order, key, target, operand);
        let code = |i: usize| order.code_of_narrow(winners[i]);
        let codes = Codes::from_fn(operand.format, winners.len(), code);
        let winners = Operand { format: operand.format, rows: target.rows, cols: target.cols, codes: &codes };
        if codes.len() >= BULK {
            let mut results = Codes::zeros(target.format, 0);
            let activity = elementwise_into(Elementwise::Convert, target, &[winners], &mut results)?;
            return Ok((results, activity));
        }
        return Ok(convert(target, codes.len(), |i| operand.format.decode(codes.get(i))));
    }
    let winners = extremes::<u64>(&order, key, target, operand);
    Ok(convert(target, winners.len(), |i| order.value_of(key, winners[i])))
}

/// Values rounded to the target by definition.
fn convert(target: &Target, len: usize, value: impl Fn(usize) -> Decoded) -> (Codes, Activity) {
    let bits = target.policy.rounding.random_bits();
    let mut activity = Activity::default();
    let mut results = Codes::zeros(target.format, 0);
    fit(&mut results, target.format, len);
    for i in 0..len {
        let random = target.site.random(bits, (i / target.cols) as u32, (i % target.cols) as u32, Stage::Vector, 0);
        let (code, flags) = encode_decoded(target.format, value(i), target.policy, random);
        count_result(target.format, code, flags, &mut activity);
        results.set(i, code);
    }
    (results, activity)
}

/// The highest key of every block.
fn extremes<K: Extreme>(order: &Order, key: Key, target: &Target, operand: &Operand) -> Vec<K> {
    let cut = Cut::new(target, operand);
    let mut results = vec![K::LOWEST; target.rows * target.cols];
    cut.run(&mut results, |band, first, results| {
        highest(order, key, &cut, operand.codes, band, first, results);
        Activity::default()
    });
    results
}

on_wide_lanes! {
    /// The highest keys of the blocks from `first` on of a band, or of whole bands from it on: first
    /// along a band's rows, then within its blocks.
    fn highest[K: Extreme](order: &Order, key: Key, cut: &Cut, codes: &Codes, band: usize, first: usize, results: &mut [K]) -> () {
        // Whole blocks at a time, or parts of one.
        let (step, part) = if cut.width > BLOCK { (cut.width, BLOCK) } else { (BLOCK / cut.width * cut.width, cut.width) };
        let mut best = [K::LOWEST; BLOCK];
        for (i, results) in results.chunks_mut(cut.across).enumerate() {
            let (rows, columns) = (cut.band(band + i), cut.columns(first, results.len()));
            for (n, results) in results.chunks_mut(step / cut.width).enumerate() {
                let start = columns.start + n * step;
                let end = columns.end.min(start + step);
                for piece in (start..end).step_by(BLOCK) {
                    let best = &mut best[..BLOCK.min(end - piece)];
                    best.fill(K::LOWEST);
                    for row in rows.clone() {
                        K::raise(order, key, codes, row * cut.cols + piece, best);
                    }
                    match part {
                        1 => within::<K, 1>(best, results),
                        16 => within::<K, 16>(best, results),
                        32 => within::<K, 32>(best, results),
                        _ => {
                            for (result, block) in results.iter_mut().zip(best.chunks(part)) {
                                *result = (*result).max(of_all(block));
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The highest of a block.
#[inline(always)]
fn of_all<K: Extreme>(block: &[K]) -> K {
    let mut highest = K::LOWEST;
    for &key in block {
        highest = highest.max(key);
    }
    highest
}

/// The highest of every `N`.
#[inline(always)]
fn within<K: Extreme, const N: usize>(best: &[K], results: &mut [K]) {
    let (blocks, rest) = best.as_chunks::<N>();
    for (result, block) in results.iter_mut().zip(blocks) {
        *result = (*result).max(of_all(block));
    }
    if !rest.is_empty() {
        results[blocks.len()] = results[blocks.len()].max(of_all(rest));
    }
}
