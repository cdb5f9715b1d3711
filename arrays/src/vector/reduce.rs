//! Reductions along the axes where the result has extent 1 and the operand has not.

use super::adder::{Adder, with_adder};
use super::operation::{Operand, Reduction, Target, VectorError, check_buffers, check_count};
use super::order::{Key, Order};
use super::random::{Draws, addition};
use super::{PARALLEL_ELEMENTS, total};
use rayon::prelude::*;
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::entropy::Stage;

/// Elements staged at a time.
const BLOCK: usize = 512;
/// Columns one thread takes at a time.
const COLUMNS: usize = 128;

/// Refuses shapes that do not reduce to the result's.
pub(super) fn check_shapes(op: Reduction, target: (usize, usize), operand: (usize, usize)) -> Result<(), VectorError> {
    let fits = |t: usize, o: usize| o > 0 && (t == o || t == 1);
    if fits(target.0, operand.0) && fits(target.1, operand.1) {
        return Ok(());
    }
    let ((rows, cols), (target_rows, target_cols)) = (operand, target);
    Err(VectorError::Reduce { mnemonic: op.mnemonic(), rows, cols, target_rows, target_cols })
}

/// A reduction: result codes, row-major, and counts. Sums count every addition that overflows
/// or underflows, and results that are NaN.
///
/// Stochastic rounding draws at the result's row and column, stage `Vector`; index t is the
/// chain's t-th addition (modulo 2^32), 0 for the one conversion of a maximum.
///
/// # Errors
/// A wrong number of operands, buffers that do not hold them, or shapes that do not reduce.
pub fn reduce(op: Reduction, target: &Target, operands: &[Operand]) -> Result<(Codes, Activity), VectorError> {
    check_count(op.mnemonic(), 1, operands.len())?;
    let operand = &operands[0];
    check_shapes(op, target.shape(), operand.shape())?;
    check_buffers(op.mnemonic(), operands)?;
    let (results, activity) = match op {
        Reduction::Sum => with_adder!(operand.format, target, |adder| sum(&adder, target, operand)),
        Reduction::Maximum => maximum(Key::Value, target, operand),
        Reduction::Amax => maximum(Key::Magnitude, target, operand),
    };
    Ok((Codes::from_fn(target.format, results.len(), |i| results[i]), activity))
}

/// How chains lie in the operand.
enum Chains {
    /// Each result reduces this many consecutive elements.
    Consecutive(usize),
    /// Result c reduces column c of a matrix of this many columns.
    Columns(usize),
}

fn chains(target: &Target, operand: &Operand) -> Chains {
    match (target.rows == operand.rows, target.cols == operand.cols) {
        (true, true) => Chains::Consecutive(1),
        (true, false) => Chains::Consecutive(operand.cols),
        (false, false) => Chains::Consecutive(operand.rows * operand.cols),
        (false, true) => Chains::Columns(operand.cols),
    }
}

/// Computes the results in parallel where there is enough to do: `kernel` gets the index of
/// the first result and a run of at most `grain` of them.
fn run(elements: usize, grain: usize, results: &mut [u64], kernel: impl Fn(usize, &mut [u64]) -> Activity + Sync) -> Activity {
    let part = |(i, results): (usize, &mut [u64])| kernel(i * grain, results);
    if elements <= PARALLEL_ELEMENTS {
        results.chunks_mut(grain).enumerate().map(part).fold(Activity::default(), total)
    } else {
        results.par_chunks_mut(grain).enumerate().map(part).reduce(Activity::default, total)
    }
}

fn sum<A: Adder>(adder: &A, target: &Target, operand: &Operand) -> (Vec<u64>, Activity) {
    let bits = target.policy.rounding.random_bits();
    let site = target.site;
    let elements = operand.codes.len();
    let mut results = vec![0; target.rows * target.cols];
    let activity = match chains(target, operand) {
        Chains::Consecutive(length) => run(elements, (4 * BLOCK).div_ceil(length), &mut results, |first, results| {
            let mut activity = Activity::default();
            let mut terms = [A::NOTHING; BLOCK];
            for (i, result) in results.iter_mut().enumerate() {
                let index = first + i;
                let draws = Draws::new(site, bits, index / target.cols, index % target.cols);
                let mut sum = adder.zero();
                for start in (0..length).step_by(BLOCK) {
                    let terms = &mut terms[..BLOCK.min(length - start)];
                    adder.terms(operand.codes, index * length + start, terms);
                    for (t, &term) in terms.iter().enumerate() {
                        sum = adder.add(sum, term, draws.draw(addition(site, bits, start + t)), &mut activity);
                    }
                }
                *result = adder.finish(sum, &mut activity);
            }
            activity
        }),
        Chains::Columns(cols) => run(elements, COLUMNS, &mut results, |first, results| {
            let mut activity = Activity::default();
            let draws: Vec<Draws> = (first..first + results.len()).map(|col| Draws::new(site, bits, 0, col)).collect();
            let mut sums = vec![adder.zero(); results.len()];
            let mut terms = vec![A::NOTHING; results.len()];
            for row in 0..operand.rows {
                adder.terms(operand.codes, row * cols + first, &mut terms);
                if bits == 0 {
                    for (sum, &term) in sums.iter_mut().zip(&terms) {
                        *sum = adder.add(*sum, term, 0, &mut activity);
                    }
                } else {
                    let addition = addition(site, bits, row);
                    for ((sum, &term), draws) in sums.iter_mut().zip(&terms).zip(&draws) {
                        *sum = adder.add(*sum, term, draws.draw(addition), &mut activity);
                    }
                }
            }
            for (result, sum) in results.iter_mut().zip(sums) {
                *result = adder.finish(sum, &mut activity);
            }
            activity
        }),
    };
    (results, activity)
}

fn maximum(key: Key, target: &Target, operand: &Operand) -> (Vec<u64>, Activity) {
    let order = Order::new(operand.format, target.policy.subnormals);
    let elements = operand.codes.len();
    let bits = target.policy.rounding.random_bits();
    let mut results = vec![0; target.rows * target.cols];
    let finish = |index: usize, winner: usize, activity: &mut Activity| {
        let (row, col) = ((index / target.cols) as u32, (index % target.cols) as u32);
        let random = target.site.random(bits, row, col, Stage::Vector, 0);
        order.finish(key, operand.codes.get(winner), target.format, target.policy, random, activity)
    };
    let activity = match chains(target, operand) {
        Chains::Consecutive(length) => run(elements, (4 * BLOCK).div_ceil(length), &mut results, |first, results| {
            let mut activity = Activity::default();
            let mut keys = [0; BLOCK];
            for (i, result) in results.iter_mut().enumerate() {
                let base = (first + i) * length;
                let (mut winner, mut best) = (base, 0);
                for start in (base..base + length).step_by(BLOCK) {
                    let keys = &mut keys[..BLOCK.min(base + length - start)];
                    order.fill(key, operand.codes, start, keys);
                    let highest = keys.iter().copied().max().unwrap_or(0);
                    if highest > best {
                        best = highest;
                        winner = start + keys.iter().position(|&k| k == highest).unwrap_or(0);
                    }
                }
                *result = finish(first + i, winner, &mut activity);
            }
            activity
        }),
        Chains::Columns(cols) => run(elements, COLUMNS, &mut results, |first, results| {
            let mut activity = Activity::default();
            let mut winners: Vec<usize> = (first..first + results.len()).collect();
            let mut best = vec![0; results.len()];
            let mut keys = vec![0; results.len()];
            for row in 0..operand.rows {
                let start = row * cols + first;
                order.fill(key, operand.codes, start, &mut keys);
                for (i, ((winner, best), &key)) in winners.iter_mut().zip(&mut best).zip(&keys).enumerate() {
                    if key > *best {
                        (*winner, *best) = (start + i, key);
                    }
                }
            }
            for (i, (result, &winner)) in results.iter_mut().zip(&winners).enumerate() {
                *result = finish(first + i, winner, &mut activity);
            }
            activity
        }),
    };
    (results, activity)
}
