//! Folds and costs of a matrix product in closed form.
//!
//! An array of R x C PEs walks a product in *folds*, always at full geometry: a ragged fold
//! takes the time of a whole one, its idle lanes masked. Folds that finish the same outputs
//! form an *output group*; groups go to a design's arrays in turn. A [`Plan`] says when each
//! fold runs and what the whole product costs, in a handful of operations whatever its size.
//! Timing drawings: [`os`] for output-stationary, [`stationary`] for weight- and
//! input-stationary arrays. The ticked engine counts the same numbers register by register.

pub mod os;
mod selection;
pub mod stationary;
mod tiling;

use crate::datapath::Output;
use crate::problem::{Cost, Shape};
use std::ops::Range;
use systole_isa::design::{ArraySpec, Convention, Dataflow, MacMode, PartialSums, Scaling};
use systole_isa::device::Events;
use tiling::Tiling;

pub use selection::{Selection, Tile};

/// One pass of operands through an array. Cycles count from the array's first operand and
/// know no memory stalls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Index of the array, from 0.
    pub array: u32,
    /// Rows of D (and A).
    pub m: Range<u32>,
    /// Columns of D (and B).
    pub n: Range<u32>,
    /// Products added.
    pub k: Range<u32>,
    /// Starts its outputs' sums.
    pub first_k: bool,
    /// Finishes them.
    pub last_k: bool,
    /// Cycle in which its first operand enters: the stationary tile or C, where there is one.
    /// It may lie inside the fold before.
    pub start: u64,
    /// Cycle in which its first streaming operand enters.
    pub stream: u64,
    /// Cycle after the one in which its last result is written to its output register.
    pub end: u64,
}

/// Products per fold where the accumulator memory adds the folds (`partial_sums: outside`
/// on a weight- or input-stationary array), as [`crate::datapath::dot`] takes it; `None`
/// where each output is one chain.
pub fn separate_fold_length(array: &ArraySpec, mode: &MacMode) -> Option<u32> {
    let outside = array.dataflow != Dataflow::Os && array.partial_sums == PartialSums::Outside;
    outside.then(|| array.rows.saturating_mul(mode.lanes))
}

/// A product on a design's arrays.
///
/// The design is a validated one: its sides, counts and lanes are at least 1. A product with
/// an extent of 0 has no folds and costs nothing.
#[derive(Clone, Debug)]
pub struct Plan {
    array: ArraySpec,
    shape: Shape,
    has_c: bool,
    lanes: u64,
    chunk: Option<u32>,
    /// Chunks are blocks with scales.
    scaled: bool,
    /// Bytes of one scale of A and of B; 0 where an operand has none.
    scale_bytes: [u32; 2],
    /// Bytes of an element of the mask; 0 where there is none.
    mask_bytes: u32,
    /// What the mask leaves; everything where there is none, or its values are not known.
    selection: Option<Selection>,
    converts: bool,
    bytes: Bytes,
    /// What the array's rows hold: rows of D (`os`), else products.
    down: Tiling,
    /// What its columns hold: columns of D (`os`, `ws`) or rows of D (`is`).
    across: Tiling,
}

/// Storage bytes of one element.
#[derive(Clone, Copy, Debug)]
struct Bytes {
    a: u32,
    b: u32,
    c: u32,
    d: u32,
}

impl Plan {
    /// The plan of D = A B, or D = A B + C, in a MAC mode.
    pub fn new(array: &ArraySpec, mode: &MacMode, output: &Output, shape: Shape, has_c: bool) -> Self {
        let across = if array.dataflow == Dataflow::Is { shape.m } else { shape.n };
        let down = match array.dataflow {
            Dataflow::Os => Tiling { extent: shape.m, tile: array.rows },
            Dataflow::Ws | Dataflow::Is => Tiling { extent: shape.k, tile: array.rows.saturating_mul(mode.lanes) },
        };
        let outermost = mode.outermost();
        Self {
            array: *array,
            shape,
            has_c,
            lanes: mode.lanes.into(),
            chunk: mode.chunk,
            scaled: mode.scale != Scaling::None,
            scale_bytes: [0; 2],
            mask_bytes: 0,
            selection: None,
            converts: output.converts(outermost),
            bytes: Bytes {
                a: mode.a.storage_bytes(),
                b: mode.b.storage_bytes(),
                c: if outermost.is_wide() { output.format } else { outermost }.storage_bytes(),
                d: output.format.storage_bytes(),
            },
            down,
            across: Tiling { extent: across, tile: array.cols },
        }
    }

    /// The same with block scales of the mode's scale format on A, on B, or on both.
    #[must_use]
    pub fn with_scales(self, mode: &MacMode, present: [bool; 2]) -> Self {
        Self { scale_bytes: present.map(|present| if present { mode.scale_format.storage_bytes() } else { 0 }), ..self }
    }

    /// The same under a mask whose elements take `element_bytes` of storage each. What it selects
    /// is [`Plan::select`]'s; where that is not known, everything: the most that the product can
    /// cost. A product with a mask has no C.
    #[must_use]
    pub fn with_mask(self, element_bytes: u32, selection: Option<Selection>) -> Self {
        debug_assert!(!self.has_c, "a product has a mask or a C");
        Self { mask_bytes: element_bytes, selection, ..self }
    }

    /// Over all folds along k, the blocks that each begins, its own beginning included.
    fn blocks_entered(&self) -> u128 {
        let Some(length) = self.chunk.map(u64::from) else { return 0 };
        let k = u64::from(self.shape.k);
        if self.array.dataflow == Dataflow::Os {
            return k.div_ceil(length).into();
        }
        let aligned = k.div_ceil(lcm(self.down.tile.into(), length));
        u128::from(k.div_ceil(length) + self.down.count() - aligned)
    }

    /// Over all folds along k that end their sums, the blocks with scales closed.
    fn scaled_closes(&self) -> u128 {
        let Some(length) = self.chunk.map(u64::from) else { return 0 };
        let k = u64::from(self.shape.k);
        let ends = self.down.count();
        let aligned = (k - 1) / lcm(self.down.tile.into(), length) + u64::from(k.is_multiple_of(length));
        u128::from(k / length + ends - aligned)
    }

    const fn rows(&self) -> u64 {
        self.array.rows as u64
    }

    const fn stages(&self) -> u64 {
        self.array.mac_stages as u64
    }

    /// Cycles in which a fold's streaming operands enter, its place in the queue of folds.
    pub fn stream_cycles(&self) -> u64 {
        match self.array.dataflow {
            Dataflow::Os => os::stream_cycles(self),
            Dataflow::Ws | Dataflow::Is => stationary::stream_length(self),
        }
    }

    /// Cycles from a fold's first streaming operand until its first result may leave the PEs.
    pub fn first_result(&self) -> u64 {
        match self.array.dataflow {
            Dataflow::Os => os::captured(self) + self.cols(),
            Dataflow::Ws | Dataflow::Is => self.rows() * self.stages(),
        }
    }

    const fn cols(&self) -> u64 {
        self.array.cols as u64
    }

    const fn is_empty(&self) -> bool {
        self.shape.m == 0 || self.shape.n == 0 || self.shape.k == 0
    }

    /// Output groups of the whole product, by the grid of tiles.
    fn grid(&self) -> u64 {
        match self.array.dataflow {
            _ if self.is_empty() => 0,
            Dataflow::Os => self.down.count() * self.across.count(),
            Dataflow::Ws | Dataflow::Is => self.across.count(),
        }
    }

    /// Output groups that are walked, over all arrays.
    pub fn groups(&self) -> u64 {
        self.selection.as_ref().map_or_else(|| self.grid(), |selection| selection.tiles().len() as u64)
    }

    /// Place in the grid of a group that is walked, by its ordinal among those.
    fn place(&self, group: u64) -> u64 {
        self.selection.as_ref().map_or(group, |selection| selection.tiles()[group as usize].group)
    }

    /// Rows and columns of D of a group, by its place in the grid.
    fn outputs(&self, place: u64) -> (Range<u32>, Range<u32>) {
        let Shape { m, n, .. } = self.shape;
        match self.array.dataflow {
            Dataflow::Os => (self.down.range(place / self.across.count()), self.across.range(place % self.across.count())),
            Dataflow::Ws => (0..m, self.across.range(place)),
            Dataflow::Is => (self.across.range(place), 0..n),
        }
    }

    /// Folds of one output group.
    pub fn folds_per_group(&self) -> u64 {
        if self.array.dataflow == Dataflow::Os { 1 } else { self.down.count() }
    }

    /// Output groups of one array; array 0 has the most.
    fn groups_on(&self, array: u32) -> u64 {
        self.groups().saturating_sub(array.into()).div_ceil(self.array.count.into())
    }

    /// Cycles from a fold's first streaming operand to the next fold's, where the next fold
    /// has other outputs.
    pub fn period(&self) -> u64 {
        match self.array.dataflow {
            Dataflow::Os => os::period(self),
            Dataflow::Ws | Dataflow::Is => stationary::period(self),
        }
    }

    /// The same where the next fold goes on with the same outputs: longer than
    /// [`Plan::period`] if partial sums are not back in the accumulator memory by then.
    pub fn period_within_group(&self) -> u64 {
        match self.array.dataflow {
            Dataflow::Os => os::period(self),
            Dataflow::Ws | Dataflow::Is => stationary::period_within_group(self),
        }
    }

    /// Cycles a lone fold takes, from its first operand to its last result.
    pub fn latency(&self) -> u64 {
        match self.array.dataflow {
            Dataflow::Os => os::first_stream(self) + os::stream_to_end(self),
            Dataflow::Ws | Dataflow::Is => stationary::first_stream(self) + stationary::stream_to_end(self),
        }
    }

    /// First streaming operand of an array's fold, by the ordinals of its group on that
    /// array and of the fold in its group.
    fn stream(&self, group: u64, fold: u64) -> u64 {
        let first = match self.array.dataflow {
            Dataflow::Os => os::first_stream(self),
            Dataflow::Ws | Dataflow::Is => stationary::first_stream(self),
        };
        let within = self.period_within_group();
        let group_period = (self.folds_per_group() - 1).saturating_mul(within).saturating_add(self.period());
        first.saturating_add(group.saturating_mul(group_period)).saturating_add(fold.saturating_mul(within))
    }

    /// Every fold: output groups row-major (`os`) or by column tile, the folds of a group
    /// by ascending k. Under a mask, groups without a selected output have none, and those that
    /// are left go to the arrays in turn.
    pub fn folds(&self) -> impl Iterator<Item = Fold> + '_ {
        let per_group = self.folds_per_group();
        (0..self.groups()).flat_map(move |group| (0..per_group).map(move |i| self.fold(group, i)))
    }

    fn fold(&self, group: u64, i: u64) -> Fold {
        let count = u64::from(self.array.count);
        let (array, local) = ((group % count) as u32, group / count);
        let per_group = self.folds_per_group();
        let stream = self.stream(local, i);
        let previous = match (local, i) {
            (0, 0) => None,
            (_, 0) => Some(self.stream(local - 1, per_group - 1)),
            _ => Some(self.stream(local, i - 1)),
        };
        let (m, n) = self.outputs(self.place(group));
        let (k, (start, end)) = match self.array.dataflow {
            Dataflow::Os => (0..self.shape.k, os::span(self, stream, previous, local + 1 == self.groups_on(array))),
            Dataflow::Ws | Dataflow::Is => (self.down.range(i), stationary::span(self, stream, previous)),
        };
        Fold { array, m, n, k, first_k: i == 0, last_k: i + 1 == per_group, start, stream, end }
    }

    /// Cycles by the design's convention, and events.
    ///
    /// Under `convention: scalesim` the cycles are SCALE-Sim's F (R + C + T - 2) - 1 for `os`
    /// and F (2R + C + T - 2) - 1 for `ws` and `is`, F the folds of the busiest array and T
    /// the length of a stream; all other events are those of the `rtl` registers.
    ///
    /// Events count elements, wherever they are held; a multi-lane PE's operand register of
    /// L elements counts L. Idle lanes hold nothing and write nothing. Let a fold have r
    /// occupied rows and c occupied columns, and call 1 + 2 + ... + x the triangle of x.
    ///
    /// - `streaming_register_writes`: every streaming element is written once in each of the
    ///   C PEs of its row.
    /// - `stationary_register_writes`: under `os` every element of B once in each of the R PEs
    ///   of its column. Else an element for row i passes i + 1 PEs; with a shadow register
    ///   (`preload: double`) one more write makes it the active one.
    /// - `accumulator_register_writes`: under `os` one per MAC step. Else every partial sum
    ///   once in each of the R PEs of its column, idle rows included.
    /// - `skew_register_writes`: lane i of an edge has i + 1 registers, the last one facing
    ///   the array; every element entering there writes them all. Rows that wait for partial sums
    ///   from MACs of S stages (`ws`, `is`) have S i + 1. C enters by rows beside A
    ///   (`os`), at the column tops (`feedback`) or at the accumulator memory (`outside`). A
    ///   partial sum read back (`feedback`) writes the last register only.
    /// - `drain_register_writes`: under `os` a result in column j is captured once, moves
    ///   C - 1 - j times and writes its row's output register; an element of C for column j
    ///   is written j + 1 times. Else one write of the column's output register per result.
    /// - `accumulator_memory_*`, words of one partial sum (inner and outer accumulator
    ///   together where there are chunks): every fold but a group's last writes its partial
    ///   sums, every fold but a group's first reads them back; under `outside` every fold's
    ///   results are added, the first fold's to C or to a constant +0 that is not read.
    /// - `outer_additions`: chunks closed.
    /// - `conversions`: M N where the output format or its overflow needs a converter.
    /// - `scratchpad_read_bytes`: A, B, C and block scales where they enter the edges, storage
    ///   bytes each (a scale with the first product of its block and of each fold);
    ///   `scratchpad_write_bytes`: results of each group's last fold.
    /// - `idle_lane_cycles`: lanes of all arrays times compute cycles, less MACs spent (at least 0).
    ///
    /// Under a mask, `macs` are those of all outputs, and the groups without a selected one add to
    /// nothing else. In the other groups operands move as ever. An output that is not selected is
    /// gated like an idle lane: no MAC is spent on it, its accumulator or partial sum is not
    /// written, it is not converted, drained or written back. The sequencer reads each element of
    /// the mask once, in `scratchpad_read_bytes`.
    ///
    /// Counts beyond 2^64 - 1 saturate.
    pub fn cost(&self) -> Cost {
        if self.is_empty() {
            return Cost::default();
        }
        let Shape { m, n, k } = self.shape;
        let outputs = u128::from(m) * u128::from(n);
        let macs = outputs * u128::from(k);
        let mask = outputs * u128::from(self.mask_bytes);
        if self.groups() == 0 {
            let events = Events { macs: clamp(macs), scratchpad_read_bytes: clamp(mask), ..Events::default() };
            return Cost { compute_cycles: 0, events };
        }
        let compute_cycles = self.compute_cycles();
        let lanes = u128::from(self.rows() * self.cols() * self.lanes) * u128::from(self.array.count);
        let results = self.walked().results;
        let spent = results * u128::from(k);
        let folds = u128::from(self.groups()) * u128::from(self.folds_per_group());
        let moved = match self.array.dataflow {
            Dataflow::Os => os::moved(self),
            Dataflow::Ws | Dataflow::Is => stationary::moved(self),
        };
        let [a_scales, b_scales] = self.scale_bytes.map(u128::from);
        let blocks = self.blocks_entered();
        // Scales enter as often as the operands of one k.
        let scales = moved.a / u128::from(k) * blocks * a_scales + moved.b / u128::from(k) * blocks * b_scales;
        let read = moved.a * u128::from(self.bytes.a)
            + moved.b * u128::from(self.bytes.b)
            + self.c_elements() * u128::from(self.bytes.c)
            + scales
            + mask;
        Cost {
            compute_cycles,
            events: Events {
                macs: clamp(macs),
                macs_spent: clamp(spent),
                idle_lane_cycles: clamp(lanes.saturating_mul(compute_cycles.into()).saturating_sub(spent)),
                streaming_register_writes: clamp(moved.streaming),
                stationary_register_writes: clamp(moved.stationary),
                accumulator_register_writes: clamp(moved.accumulator),
                outer_additions: clamp(moved.outer_additions),
                skew_register_writes: clamp(moved.skew),
                drain_register_writes: clamp(moved.drain),
                accumulator_memory_reads: clamp(moved.memory_accesses),
                accumulator_memory_writes: clamp(moved.memory_accesses),
                accumulator_memory_additions: clamp(moved.memory_additions),
                conversions: if self.converts { clamp(results) } else { 0 },
                scratchpad_read_bytes: clamp(read),
                scratchpad_write_bytes: clamp(results * u128::from(self.bytes.d)),
                folds: clamp(folds),
                ..Events::default()
            },
        }
    }

    /// Cycles by the design's convention.
    fn compute_cycles(&self) -> u64 {
        let groups = self.groups_on(0);
        match self.array.convention {
            Convention::Rtl => self.fold((groups - 1) * u64::from(self.array.count), self.folds_per_group() - 1).end,
            Convention::Scalesim => {
                let per_fold = match self.array.dataflow {
                    Dataflow::Os => self.rows() + self.cols() + os::stream_length(self) - 2,
                    Dataflow::Ws | Dataflow::Is => 2 * self.rows() + self.cols() + stationary::stream_length(self) - 2,
                };
                groups.saturating_mul(self.folds_per_group()).saturating_mul(per_fold) - 1
            }
        }
    }

    fn c_elements(&self) -> u128 {
        if self.has_c { u128::from(self.shape.m) * u128::from(self.shape.n) } else { 0 }
    }

    /// Chunks that close in `products` successive products.
    fn closes(&self, products: u64) -> u128 {
        self.chunk.map_or(0, |chunk| products.div_ceil(chunk.into()).into())
    }
}

/// Elements moved, over all folds; see [`Plan::cost`].
struct Moved {
    /// A read at the edges.
    a: u128,
    /// B read at the edges.
    b: u128,
    streaming: u128,
    stationary: u128,
    accumulator: u128,
    outer_additions: u128,
    skew: u128,
    drain: u128,
    /// Reads, and as many writes.
    memory_accesses: u128,
    memory_additions: u128,
}

fn clamp(count: u128) -> u64 {
    count.try_into().unwrap_or(u64::MAX)
}

/// 1 + 2 + ... + x.
const fn triangle(x: u64) -> u128 {
    x as u128 * (x as u128 + 1) / 2
}

/// Least common multiple.
const fn lcm(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

#[cfg(test)]
mod tests;
