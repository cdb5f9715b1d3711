//! Output-stationary: A moves right, B moves down, each PE accumulates one element of D.
//!
//! R = C = 2, K = 3, no C; the last of lane i's i + 1 skew registers is written in cycle k + i:
//! ```text
//! cycle        0    1    2    3    4    5    6    7    8
//! skew row 0   a00  a01  a02                                 row 1 and column 1 a cycle later
//! PE (0,0)          k=0  k=1  k=2  cap                       MAC k in cycle 1 + k + i + j
//! PE (0,1)               k=0  k=1  k=2  cap                  cap: sum moves to drain register
//! PE (1,0)               k=0  k=1  k=2  cap                  (a next fold's k=0 may coincide)
//! PE (1,1)                    k=0  k=1  k=2  cap
//! out row 0                                  d01  d00        row i shifts right C times once
//! out row 1                                       d11  d10   its last column has captured
//! ```
//! One fold: K + R + 2C cycles. A drain chain is busy C cycles per fold: period max(K, C).
//!
//! MACs of S stages write a sum S cycles after its operands, and take the next product of that sum
//! once it has passed the L stages of their loop: products enter every L cycles, and a fold takes
//! (K - 1) L + S + R + 2C.

use super::{Moved, Plan, triangle};
use systole_isa::design::Drain;

/// Products of a PE in one fold: K, or K over its lanes.
pub(super) fn stream_length(plan: &Plan) -> u64 {
    u64::from(plan.shape.k).div_ceil(plan.lanes)
}

fn interval(plan: &Plan) -> u64 {
    plan.array.issue_interval().into()
}

/// Cycles for which the operands of one fold have the edges.
pub(super) fn stream_cycles(plan: &Plan) -> u64 {
    stream_length(plan) * interval(plan)
}

/// Cycles from the first operand to the capture that follows the last, at the edge.
fn streamed(plan: &Plan) -> u64 {
    (stream_length(plan) - 1) * interval(plan) + 1
}

/// The same where the capture takes place, behind the last stage.
pub(super) fn captured(plan: &Plan) -> u64 {
    streamed(plan) + plan.stages() - 1
}

/// C is shifted into the drain registers, C cycles, before the first product.
pub(super) fn first_stream(plan: &Plan) -> u64 {
    if plan.has_c { plan.cols() } else { 0 }
}

/// From the first streaming operand to the last result, drain registers free.
pub(super) fn stream_to_end(plan: &Plan) -> u64 {
    captured(plan) + plan.rows() + 2 * plan.cols()
}

/// Cycles between the first operands of successive folds.
///
/// With C, a PE swaps in its first MAC: the drain register's C against the finished sum of
/// the fold before. Only when the swap has reached the last column (C cycles) may the row
/// shift, C cycles, results out and the next fold's C in together: 2C per fold. A swap takes
/// place behind the last stage, while C is in place before the first product enters.
pub(super) fn period(plan: &Plan) -> u64 {
    match plan.array.drain {
        Drain::Serial => first_stream(plan) + stream_to_end(plan),
        Drain::Overlap if plan.has_c => stream_cycles(plan).max(2 * plan.cols() + plan.stages() - 1),
        Drain::Overlap => stream_cycles(plan).max(plan.cols()),
    }
}

/// First operand and end of a fold that streams from cycle `stream` on, by the stream of the
/// fold before it on the same array.
pub(super) fn span(plan: &Plan, stream: u64, previous: Option<u64>, last_on_array: bool) -> (u64, u64) {
    let (rows, cols) = (plan.rows(), plan.cols());
    if !plan.has_c || plan.array.drain == Drain::Serial {
        return (stream - first_stream(plan), stream.saturating_add(stream_to_end(plan)));
    }
    let behind = plan.stages() - 1;
    let start = previous.map_or(0, |p| p.saturating_add(cols + behind));
    let swap = if last_on_array {
        // No swap follows: captured at once, but behind the results of the fold before.
        let busy = if previous.is_some() { cols } else { 0 };
        stream.saturating_add(streamed(plan).max(busy))
    } else {
        stream.saturating_add(period(plan))
    };
    (start, swap.saturating_add(behind + rows + 2 * cols))
}

pub(super) fn moved(plan: &Plan) -> Moved {
    let (rows, cols) = (u128::from(plan.rows()), u128::from(plan.cols()));
    let (m, n, k) = (u128::from(plan.shape.m), u128::from(plan.shape.n), u128::from(plan.shape.k));
    let walked = plan.walked();
    let (a, b) = (walked.lines_down * k, walked.lines_across * k);
    let c_lanes = u128::from(plan.has_c);
    Moved {
        a,
        b,
        streaming: a * cols,
        stationary: b * rows,
        accumulator: walked.results * u128::from(stream_length(plan)),
        outer_additions: walked.results * plan.closes(plan.shape.k.into()),
        skew: k * (walked.triangles_down + walked.triangles_across) + c_lanes * n * plan.down.sum(triangle),
        // Column j: C + 1 - j writes, and j + 1 of C.
        drain: walked.results * (cols + 2) - walked.columns + c_lanes * m * plan.across.sum(triangle),
        memory_accesses: 0,
        memory_additions: 0,
    }
}
