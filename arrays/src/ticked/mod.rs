//! The ticked engine: every register of every PE, every cycle.
//!
//! A synchronous loop without events or formulas. Within a cycle each register takes its next
//! value from registers as they were when the cycle began; since data only moves right and
//! down, walking PEs from the last to the first does that in place. Sums are stepped by
//! [`Chain::step`] inside the PEs; cycles and events are counted
//! where registers are written, and sequencers start folds when the registers they need are
//! free. [`crate::dataflow`] predicts all of it.

mod edge;
mod os;
mod stationary;

use crate::dataflow::{Fold, Plan};
use crate::datapath::{Chain, Element, Mac};
use crate::problem::{Cost, Operands, Setup, Shape, Values};
use systole_isa::codes::Codes;
use systole_isa::design::{Convention, Dataflow};
use systole_isa::device::{Activity, Events};

/// PEs this engine holds at most.
const MAX_PES: u64 = 1 << 24;

/// A problem the ticked engine does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TickedError {
    /// The mode's PE adds several products a cycle.
    #[error(
        "mac.lanes = {0}: the ticked engine has PEs of one product a cycle; set mac.lanes=1, or use --engine timing for cycles and costs"
    )]
    Lanes(u32),
    /// The array is too large to hold.
    #[error("an array of {rows} x {cols} PEs is beyond the ticked engine's 2^24; use --engine fast or timing")]
    TooLarge {
        /// PE rows.
        rows: u32,
        /// PE columns.
        cols: u32,
    },
    /// An extent is zero.
    #[error("a product of {0} x {1} x {2} (M, N, K) has nothing to compute; every extent must be at least 1")]
    Empty(u32, u32, u32),
    /// An operand's length does not fit the shape.
    #[error("operand {name} has {found} elements, its extents ask for {expected}")]
    Length {
        /// `A`, `B` or `C`.
        name: char,
        /// Elements given.
        found: usize,
        /// Elements the shape asks for.
        expected: u64,
    },
}

/// D = A B, or A B + C, by stepping every register of the design's arrays.
///
/// Cycles and all events but those of `convention: scalesim` (accounting only: its cycle
/// count, and the idle lanes that follow from it) are counted.
///
/// # Errors
/// [`TickedError`]: more than one product per PE and cycle, an array of more than 2^24 PEs,
/// an extent of 0, or operands of another length than the shape asks for.
pub fn gemm(setup: &Setup, shape: Shape, operands: &Operands<'_>) -> Result<(Values, Cost), TickedError> {
    check(setup, shape, operands)?;
    let (values, cost, _) = simulate(setup, shape, operands);
    Ok((values, cost))
}

/// When a fold was seen to run, as [`Fold`] predicts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u64,
    stream: u64,
    end: u64,
}

/// [`gemm`] of a checked problem, with the spans of each array's folds.
fn simulate(setup: &Setup, shape: Shape, operands: &Operands<'_>) -> (Values, Cost, Vec<Vec<Span>>) {
    let array = &setup.array;
    let plan = Plan::new(array, &setup.mode, &setup.output, shape, operands.c.is_some());
    let mut bench = Bench::new(setup, shape, operands);
    let mut queues = vec![Vec::new(); array.count as usize];
    for fold in plan.folds() {
        queues[fold.array as usize].push(fold);
    }
    let mut spans = Vec::new();
    // An array without folds moves nothing.
    for folds in queues.iter().filter(|folds| !folds.is_empty()) {
        bench.events.folds += folds.len() as u64;
        spans.push(match array.dataflow {
            Dataflow::Os => os::run(&mut bench, folds),
            Dataflow::Ws | Dataflow::Is => stationary::run(&mut bench, folds),
        });
    }
    let compute_cycles = match array.convention {
        Convention::Rtl => spans.iter().flatten().map(|span| span.end).max().unwrap_or(0),
        Convention::Scalesim => plan.cost().compute_cycles,
    };
    let lanes = u64::from(array.rows) * u64::from(array.cols) * u64::from(array.count);
    bench.events.idle_lane_cycles = (lanes * compute_cycles).saturating_sub(bench.events.macs);
    (Values { d: bench.d, activity: bench.activity }, Cost { compute_cycles, events: bench.events }, spans)
}

fn check(setup: &Setup, shape: Shape, operands: &Operands<'_>) -> Result<(), TickedError> {
    let Shape { m, n, k } = shape;
    let (rows, cols) = (setup.array.rows, setup.array.cols);
    if setup.mode.lanes != 1 {
        return Err(TickedError::Lanes(setup.mode.lanes));
    }
    if u64::from(rows) * u64::from(cols) > MAX_PES {
        return Err(TickedError::TooLarge { rows, cols });
    }
    if m == 0 || n == 0 || k == 0 {
        return Err(TickedError::Empty(m, n, k));
    }
    for (name, codes, height, width) in [('A', Some(operands.a), m, k), ('B', Some(operands.b), k, n), ('C', operands.c, m, n)] {
        let expected = u64::from(height) * u64::from(width);
        if let Some(found) = codes.map(Codes::len).filter(|&found| found as u64 != expected) {
            return Err(TickedError::Length { name, found, expected });
        }
    }
    Ok(())
}

/// What surrounds the PEs: the scratchpad side of the edges, and the counters.
struct Bench<'a> {
    setup: &'a Setup,
    mac: Mac,
    shape: Shape,
    operands: &'a Operands<'a>,
    d: Codes,
    activity: Activity,
    events: Events,
}

impl<'a> Bench<'a> {
    fn new(setup: &'a Setup, shape: Shape, operands: &'a Operands<'a>) -> Self {
        Self {
            setup,
            mac: Mac::new(&setup.mode, setup.bias_a, setup.bias_b),
            shape,
            operands,
            d: Codes::zeros(setup.output.format, shape.m as usize * shape.n as usize),
            activity: Activity::default(),
            events: Events::default(),
        }
    }

    const fn element(&self, row: u32, column: u32) -> Element {
        Element { site: self.setup.site, row, column }
    }

    fn read_a(&mut self, row: u32, k: u32) -> u64 {
        self.events.scratchpad_read_bytes += u64::from(self.setup.mode.a.storage_bytes());
        self.operands.a.get(row as usize * self.shape.k as usize + k as usize)
    }

    fn read_b(&mut self, k: u32, column: u32) -> u64 {
        self.events.scratchpad_read_bytes += u64::from(self.setup.mode.b.storage_bytes());
        self.operands.b.get(k as usize * self.shape.n as usize + column as usize)
    }

    /// An element of C; `None` where the product has none.
    fn read_c(&mut self, row: u32, column: u32) -> Option<u64> {
        let c = self.operands.c?;
        self.events.scratchpad_read_bytes += u64::from(self.setup.mode.outermost().storage_bytes());
        Some(c.get(row as usize * self.shape.n as usize + column as usize))
    }

    /// A finished sum written to an output register leaves for the scratchpad.
    fn write_output(&mut self, row: u32, column: u32, outermost: u64) {
        self.events.drain_register_writes += 1;
        self.events.conversions += u64::from(self.setup.output.converts(self.setup.mode.outermost()));
        self.events.scratchpad_write_bytes += u64::from(self.setup.output.format.storage_bytes());
        let element = self.element(row, column);
        let code = self.mac.finish(outermost, &self.setup.output, &element, &mut self.activity);
        self.d.set(row as usize * self.shape.n as usize + column as usize, code);
    }
}

/// True for the last product of a fold's chain, or one that fills its chunk.
fn closes(bench: &Bench<'_>, fold: &Fold, k: u32, separate: bool) -> bool {
    if separate {
        Chain::closes(&bench.mac, k - fold.k.start, k + 1 == fold.k.end)
    } else {
        Chain::closes(&bench.mac, k, k + 1 == bench.shape.k)
    }
}

#[cfg(test)]
mod tests;
