//! Weight-stationary, and input-stationary, which is the same array with A and B exchanged.
//!
//! `ws`: PE (r, c) holds B[k0 + r, n0 + c], A[m, k0 + r] moves right, partial sums move down.
//! R = C = 2, M = 3 (`is`: PE (r, c) holds A[m0 + c, k0 + r]; read b for a, n for m):
//! ```text
//! cycle        0    1    2    3    4    5    6    7    8
//! skew col 0   b10  b00                                      column 1 a cycle later; the token
//! load (0,0)        b10  b00                                 of the bottom row goes first
//! load (1,0)             b10
//! skew row 0             a00  a10  a20                       row 1 a cycle later
//! PE (0,0)                    m=0  m=1  m=2                  the first token makes the shadow
//! PE (1,0)                         m=0  m=1  m=2             register the active one
//! PE (1,1)                              m=0  m=1  m=2
//! out col 0                             d00  d10  d20        or the accumulator memory
//! out col 1                                  d01  d11  d21
//! ```
//! The first fold: R + M + R + C cycles, M the stream (`is`: N).
//!
//! A partial sum passes the S stages of each MAC on its way down: row i's stream enters S i cycles
//! after row 0's, and the first fold takes R + M + S R + C. Every PE still forms a product every
//! cycle. Tiles move down a row a cycle as ever, so they set out (S - 1)(R - 1) cycles later, lest
//! they reach a row before its activation.

use super::{Moved, Plan, triangle};
use systole_isa::design::{Dataflow, Drain, PartialSums, Preload};

/// Cycles in which streaming operands of one fold enter.
pub(super) fn stream_length(plan: &Plan) -> u64 {
    if plan.array.dataflow == Dataflow::Is { plan.shape.n.into() } else { plan.shape.m.into() }
}

/// The stationary tile enters in R cycles.
pub(super) fn first_stream(plan: &Plan) -> u64 {
    plan.rows()
}

/// From the first streaming operand to the last result.
pub(super) fn stream_to_end(plan: &Plan) -> u64 {
    stream_length(plan) + plan.stages() * plan.rows() + plan.cols()
}

/// Cycles by which the last row's stream is later than tiles would reach it.
const fn lag(plan: &Plan) -> u64 {
    (plan.stages() - 1) * (plan.rows() - 1)
}

/// Cycles from a fold's stream until the next tile may start to enter.
///
/// With shadow registers at once, behind the swap that the first token makes; without, behind
/// the last token (a PE does not load and multiply in one cycle), or behind the last result.
fn next_preload(plan: &Plan) -> u64 {
    match (plan.array.preload, plan.array.drain) {
        (Preload::Double, _) => lag(plan),
        (Preload::Serial, Drain::Overlap) => stream_length(plan) + lag(plan),
        (Preload::Serial, Drain::Serial) => stream_to_end(plan),
    }
}

/// Cycles between the streams of successive folds: the next tile is loaded, and the stream
/// (`drain: serial`: the last result) has passed.
pub(super) fn period(plan: &Plan) -> u64 {
    let passed = match plan.array.drain {
        Drain::Overlap => stream_length(plan),
        Drain::Serial => stream_to_end(plan),
    };
    passed.max(next_preload(plan) + plan.rows())
}

/// Under `feedback` the first partial sum crosses the skew register, the stages of R PEs and the
/// accumulator memory, S R + 2 registers, before the next fold can read it.
pub(super) fn period_within_group(plan: &Plan) -> u64 {
    match plan.array.partial_sums {
        PartialSums::Feedback => period(plan).max(plan.stages() * plan.rows() + 2),
        PartialSums::Outside => period(plan),
    }
}

/// First operand and end of a fold that streams from cycle `stream` on, by the stream of the
/// fold before it on the same array.
pub(super) fn span(plan: &Plan, stream: u64, previous: Option<u64>) -> (u64, u64) {
    (previous.map_or(0, |p| p.saturating_add(next_preload(plan))), stream.saturating_add(stream_to_end(plan)))
}

pub(super) fn moved(plan: &Plan) -> Moved {
    let (rows, stages) = (u128::from(plan.rows()), u128::from(plan.stages()));
    let (stream, k) = (u128::from(stream_length(plan)), u128::from(plan.shape.k));
    let walked = plan.walked();
    let (width, groups, results) = (walked.lines_across, u128::from(plan.groups()), walked.results);
    let folds = u128::from(plan.down.count());
    // Each product's row, counted from 1: L products share a row.
    let row_numbers = plan.down.sum(|products| {
        let (full, rest) = (products / plan.lanes, products % plan.lanes);
        u128::from(plan.lanes) * triangle(full) + u128::from(rest) * u128::from(full + 1)
    });
    let outside = plan.array.partial_sums == PartialSums::Outside;
    let moving = stream * k * groups;
    let resting = width * k;
    let (a, b) = if plan.array.dataflow == Dataflow::Is { (resting, moving) } else { (moving, resting) };
    let activations = if plan.array.preload == Preload::Double { resting } else { 0 };
    Moved {
        a,
        b,
        streaming: moving * u128::from(plan.cols()),
        stationary: width * row_numbers + activations,
        accumulator: results * rows * folds,
        outer_additions: results
            * match (outside, plan.scaled) {
                (true, true) => plan.scaled_closes(),
                (true, false) => plan.down.sum(|products| plan.closes(products)),
                (false, _) => plan.closes(plan.shape.k.into()),
            },
        skew: stream * (stages * (row_numbers - k) + k) * groups
            + k * walked.triangles_across
            + if plan.has_c { stream * walked.triangles_across } else { 0 }
            + if outside { 0 } else { results * (folds - 1) },
        drain: results,
        memory_accesses: results * (folds - 1),
        memory_additions: if outside { results * folds } else { 0 },
    }
}
