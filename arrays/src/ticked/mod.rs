//! The ticked engine: every register of every PE, every cycle.
//!
//! A synchronous loop without events or formulas. Within a cycle each register takes its next
//! value from registers as they were when the cycle began: tokens move first, then PEs work on
//! what has reached them. Sums are stepped by
//! [`Chain::run`] inside the PEs; cycles and events are counted
//! where registers are written, and sequencers start folds when the registers they need are
//! free. [`crate::dataflow`] predicts all of it.

mod edge;
mod lanes;
mod mesh;
mod observe;
mod os;
mod stationary;

use crate::dataflow::{Plan, Selection};
use crate::datapath::{Chain, Element, Entropy, Mac, Register, Registers};
use crate::mask::Mask;
use crate::ordinal::{adder_register, pe_register};
use crate::problem::{Cost, Operands, Setup, Shape, Values};
use crate::toggles::meter::{Meter, Port};
use edge::{Skew, Token};
use lanes::{Lanes, Many, One};
use observe::Probe;
use std::cell::Cell;
use std::ops::Range;
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, Convention, Dataflow, EntropySource, MacMode};
use systole_isa::device::{Activity, Events, Toggles};
use systole_isa::lfsr::Lfsr;

pub use observe::{Edge, Held, Name, Observer, Place, Side};

/// PEs this engine holds at most, of all arrays.
const MAX_PES: u64 = 1 << 24;

/// Skew registers along an edge of all arrays at most.
const MAX_SKEW: u64 = 1 << 26;

/// A problem the ticked engine does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TickedError {
    /// The array is too large to hold.
    #[error("{count} array(s) of {rows} x {cols} PEs are beyond the ticked engine's 2^24 PEs; use --engine fast or timing")]
    TooLarge {
        /// Arrays.
        count: u32,
        /// PE rows.
        rows: u32,
        /// PE columns.
        cols: u32,
    },
    /// Too many registers along an edge.
    #[error(
        "{count} array(s) with edges of {lanes} lanes have {registers} skew registers, beyond the ticked engine's 2^26; use --engine fast or timing"
    )]
    TooSkewed {
        /// Arrays.
        count: u32,
        /// Lanes of the longest edge.
        lanes: u32,
        /// Its registers on all arrays.
        registers: u64,
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
    /// A mask of other extents than D.
    #[error("the mask is {0} x {1}, D {2} x {3}; a mask has an element for each output")]
    MaskExtents(u32, u32, u32, u32),
    /// A mask beside what no product has beside one.
    #[error("a product with a mask has no {0}")]
    Masked(&'static str),
}

/// D = A B, or A B + C, by stepping every register of the design's arrays.
///
/// Cycles and all events but those of `convention: scalesim` (accounting only: its cycle
/// count, and the idle lanes that follow from it) are counted.
///
/// # Errors
/// [`TickedError`]: an array of more than 2^24 PEs, an extent of 0, or operands of another
/// length than the shape asks for.
pub fn gemm(setup: &Setup, shape: Shape, operands: &Operands<'_>) -> Result<(Values, Cost), TickedError> {
    observe(setup, shape, operands, &mut ())
}

/// [`gemm`] with an observer at the registers, which changes nothing of the result.
///
/// # Errors
/// As [`gemm`].
pub fn observe<O: Observer>(setup: &Setup, shape: Shape, operands: &Operands<'_>, observer: &mut O) -> Result<(Values, Cost), TickedError> {
    check(setup, shape, operands)?;
    let (values, cost, _) = simulate(setup, shape, operands, observer);
    Ok((values, cost))
}

/// [`observe`] with the bits that operands changed in registers and multipliers, counted there.
///
/// # Errors
/// As [`gemm`].
pub fn gemm_with_toggles<O: Observer>(
    setup: &Setup,
    shape: Shape,
    operands: &Operands<'_>,
    observer: &mut O,
) -> Result<(Values, Cost, Toggles), TickedError> {
    check(setup, shape, operands)?;
    let mut bench = Bench::new(setup, shape, operands);
    bench.meter = Some(Box::new(Meter::new(setup)));
    let (bench, compute_cycles, _) = walk(bench, observer);
    let toggles = bench.meter.as_deref().map(Meter::toggles).unwrap_or_default();
    Ok((Values { d: bench.d, activity: bench.activity }, Cost { compute_cycles, events: bench.events }, toggles))
}

/// When a fold was seen to run, as [`crate::dataflow::Fold`] predicts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u64,
    stream: u64,
    end: u64,
}

/// [`gemm`] of a checked problem, with the spans of each array's folds.
fn simulate<O: Observer>(setup: &Setup, shape: Shape, operands: &Operands<'_>, observer: &mut O) -> (Values, Cost, Vec<Vec<Span>>) {
    let (bench, compute_cycles, spans) = walk(Bench::new(setup, shape, operands), observer);
    (Values { d: bench.d, activity: bench.activity }, Cost { compute_cycles, events: bench.events }, spans)
}

/// Walks all folds of all arrays; compute cycles, and when each fold ran.
fn walk<'a, O: Observer>(mut bench: Bench<'a>, observer: &mut O) -> (Bench<'a>, u64, Vec<Vec<Span>>) {
    let Bench { setup, shape, operands, .. } = bench;
    let array = &setup.array;
    let mut plan = Plan::new(array, &setup.mode, &setup.output, shape, operands.c.is_some());
    if let Some(mask) = operands.mask {
        let selection = bench.read_mask(&plan, mask);
        plan = plan.with_mask(mask.element_bytes(), Some(selection));
    }
    let mut queues = vec![Vec::new(); array.count as usize];
    for fold in plan.folds() {
        queues[fold.array as usize].push(fold);
    }
    let mut spans = Vec::new();
    // An array without folds moves nothing.
    for folds in queues.iter().filter(|folds| !folds.is_empty()) {
        bench.events.folds += folds.len() as u64;
        bench.registers = ShiftRegisters::new(setup, folds[0].array);
        if let Some(meter) = &mut bench.meter {
            meter.clear();
        }
        let probe = Probe::new(observer, folds[0].array);
        spans.push(match array.dataflow {
            Dataflow::Os if setup.mode.lanes == 1 => os::run::<One, O>(&mut bench, folds, probe),
            Dataflow::Os => os::run::<Many, O>(&mut bench, folds, probe),
            Dataflow::Ws | Dataflow::Is if setup.mode.lanes == 1 => stationary::run::<One, O>(&mut bench, folds, probe),
            Dataflow::Ws | Dataflow::Is => stationary::run::<Many, O>(&mut bench, folds, probe),
        });
    }
    let compute_cycles = match array.convention {
        Convention::Rtl => spans.iter().flatten().map(|span| span.end).max().unwrap_or(0),
        Convention::Scalesim => plan.cost().compute_cycles,
    };
    let lanes = u64::from(array.rows) * u64::from(array.cols) * u64::from(array.count) * u64::from(setup.mode.lanes);
    bench.events.macs = shape.macs();
    bench.events.idle_lane_cycles = (lanes * compute_cycles).saturating_sub(bench.events.macs_spent);
    (bench, compute_cycles, spans)
}

fn check(setup: &Setup, shape: Shape, operands: &Operands<'_>) -> Result<(), TickedError> {
    let Shape { m, n, k } = shape;
    let ArraySpec { rows, cols, count, mac_stages, .. } = setup.array;
    if (u64::from(rows) * u64::from(cols)).saturating_mul(count.into()) > MAX_PES {
        return Err(TickedError::TooLarge { count, rows, cols });
    }
    let lanes = rows.max(cols);
    let skew = u64::from(lanes) * u64::from(lanes) / 2;
    let registers = skew.saturating_mul(mac_stages.into()).saturating_mul(count.into());
    if registers > MAX_SKEW {
        return Err(TickedError::TooSkewed { count, lanes, registers });
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
    if let Some(mask) = operands.mask {
        let (height, width) = mask.extents();
        if (height, width) != (m, n) {
            return Err(TickedError::MaskExtents(height, width, m, n));
        }
        if operands.c.is_some() {
            return Err(TickedError::Masked("C"));
        }
        if draws_from_registers(&setup.mode) {
            return Err(TickedError::Masked("random bits from shift registers"));
        }
    }
    Ok(())
}

/// True if a mode's random bits are those of shift registers: they depend on all outputs computed
/// before, so that a mask would change them.
pub fn draws_from_registers(mode: &MacMode) -> bool {
    matches!(mode.entropy, EntropySource::Lfsr { .. }) && mode.random_bits() > 0
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
    /// Of the array under way, where the mode draws from shift registers.
    registers: Option<ShiftRegisters>,
    /// Where toggles are counted.
    meter: Option<Box<Meter>>,
}

/// The shift registers of an array: one per PE, and one per column for the memory's adder.
struct ShiftRegisters {
    lfsr: Lfsr,
    pes: Vec<Cell<u64>>,
    adders: Vec<Cell<u64>>,
}

impl ShiftRegisters {
    /// Those of one array, as an instruction loads them.
    fn new(setup: &Setup, index: u32) -> Option<Self> {
        let EntropySource::Lfsr { width, taps, shared } = setup.mode.entropy else { return None };
        let (lfsr, array) = (Lfsr { width, taps }, &setup.array);
        let load = |register| Cell::new(lfsr.initial(setup.site, register));
        let places = (0..array.rows).flat_map(|row| (0..array.cols).map(move |column| (row, column)));
        Some(Self {
            lfsr,
            pes: places.map(|(row, column)| load(pe_register(array, shared, index, row, column))).collect(),
            adders: (0..array.cols).map(|column| load(adder_register(array, shared, index, column))).collect(),
        })
    }

    fn of(&self, pe: usize, element: Element) -> Registers<'_> {
        Registers { lfsr: self.lfsr, pe: &self.pes[pe], adder: &self.adders[pe % self.adders.len()], element }
    }
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
            registers: None,
            meter: None,
        }
    }

    /// The sequencer reads the mask, element by element, to see which folds it walks.
    fn read_mask(&mut self, plan: &Plan, mask: &Mask) -> Selection {
        let (rows, columns) = mask.extents();
        self.events.scratchpad_read_bytes += u64::from(rows) * u64::from(columns) * u64::from(mask.element_bytes());
        plan.select(mask)
    }

    /// A fold's sum added by the memory beside PE column `column`.
    fn add_fold(&mut self, column: usize, memory: &Register, fold: &Register, last_k: u32, element: Element) -> Register {
        let registers = self.registers.as_ref().map(|r| r.of(column, element));
        let entropy: &dyn Entropy = registers.as_ref().map_or(&element, |r| r);
        self.mac.add_fold(memory, fold, last_k, entropy, &mut self.activity)
    }

    const fn element(&self, row: u32, column: u32) -> Element {
        Element { site: self.setup.site, row, column }
    }

    /// The k that the lanes of an output-stationary PE multiply in a cycle of the stream.
    fn lanes_at(&self, cycle: u32) -> Range<u32> {
        let lanes = self.setup.mode.lanes;
        cycle * lanes..self.shape.k.min((cycle + 1).saturating_mul(lanes))
    }

    /// Elements of A as one PE's lanes take them in a cycle; `fold` is where the fold began.
    fn read_a<L: Lanes>(&mut self, row: u32, k: Range<u32>, fold: u32) -> L {
        let mode = &self.setup.mode;
        self.events.scratchpad_read_bytes += u64::from(k.end - k.start) * u64::from(mode.a.storage_bytes());
        if self.operands.scales.a.is_some() {
            self.events.scratchpad_read_bytes += blocks_entered(mode, k.clone(), fold) * u64::from(mode.scale_format.storage_bytes());
        }
        L::new(k.map(|k| self.operands.a.get(row as usize * self.shape.k as usize + k as usize)))
    }

    fn read_b<L: Lanes>(&mut self, k: Range<u32>, column: u32, fold: u32) -> L {
        let mode = &self.setup.mode;
        self.events.scratchpad_read_bytes += u64::from(k.end - k.start) * u64::from(mode.b.storage_bytes());
        if self.operands.scales.b.is_some() {
            self.events.scratchpad_read_bytes += blocks_entered(mode, k.clone(), fold) * u64::from(mode.scale_format.storage_bytes());
        }
        L::new(k.map(|k| self.operands.b.get(k as usize * self.shape.n as usize + column as usize)))
    }

    /// One PE's products of one cycle, first at `k`, added to a chain whose sums began at
    /// `start` and end before `end`; `output` is the sum's row and column.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "a PE, operands, their place in the sum, and where the sum stands")]
    fn multiply_accumulate<L: Lanes>(
        &mut self,
        pe: usize,
        chain: &mut Chain,
        a: &L,
        b: &L,
        k: u32,
        (start, end): (u32, u32),
        output: impl FnOnce() -> (u32, u32),
    ) {
        if let Some(meter) = &mut self.meter {
            meter.multiply(pe, (0..a.len()).map(|lane| (a.get(lane), b.get(lane))));
        }
        if a.len() == 1
            && let Some(closed) = chain.run_one(&self.mac, (k, start, end), (a.get(0), b.get(0)), &mut self.activity)
        {
            self.events.macs_spent += 1;
            self.events.outer_additions += u64::from(closed);
        } else {
            self.multiply_accumulate_lanes(pe, chain, a, b, k, (start, end), output());
        }
    }

    /// The like for any mode.
    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "a PE, operands, their place in the sum, and where the sum stands")]
    fn multiply_accumulate_lanes<L: Lanes>(
        &mut self,
        pe: usize,
        chain: &mut Chain,
        a: &L,
        b: &L,
        k: u32,
        (start, end): (u32, u32),
        (row, column): (u32, u32),
    ) {
        let products = a.len() as u32;
        let element = self.element(row, column);
        let registers = self.registers.as_ref().map(|r| r.of(pe, element));
        let entropy: &dyn Entropy = registers.as_ref().map_or(&element, |r| r);
        let (mac, operands, shape) = (&self.mac, self.operands, self.shape);
        chain.run(
            mac,
            k..k + products,
            start,
            end,
            |i| (a.get((i - k) as usize), b.get((i - k) as usize)),
            |i| operands.factor(mac, shape, row, column, i),
            entropy,
            &mut self.activity,
        );
        self.events.macs_spent += u64::from(products);
        let closed = (k..k + products).filter(|&k| Chain::closes(mac, k, start, k + 1 == end)).count();
        self.events.outer_additions += closed as u64;
    }

    /// A register takes the elements of a token.
    #[inline(always)]
    fn meter<L: Lanes>(&mut self, port: Port, codes: &L) {
        if let Some(meter) = &mut self.meter {
            meter.write(port, (0..codes.len()).map(|lane| codes.get(lane)));
        }
    }

    /// The skew registers of an edge take the elements of the tokens they hold now.
    fn meter_edge<T: Token, L: Lanes>(&mut self, edge: &Skew<T>, port: fn(usize) -> Port, codes: impl Fn(&T) -> Option<&L>) {
        let mut at = 0;
        for lane in 0..edge.lanes() {
            for token in edge.registers(lane) {
                codes(token).into_iter().for_each(|codes| self.meter(port(at), codes));
                at += 1;
            }
        }
    }

    /// An element of C; `None` where the product has none.
    fn read_c(&mut self, row: u32, column: u32) -> Option<u64> {
        let c = self.operands.c?;
        self.events.scratchpad_read_bytes += u64::from(self.setup.addend_format().storage_bytes());
        Some(c.get(row as usize * self.shape.n as usize + column as usize))
    }

    /// A finished sum written to an output register, as this code, leaves for the scratchpad.
    fn write_output(&mut self, row: u32, column: u32, outermost: &Register) -> u64 {
        self.events.drain_register_writes += 1;
        self.events.conversions += u64::from(self.setup.output.converts(self.setup.mode.outermost()));
        self.events.scratchpad_write_bytes += u64::from(self.setup.output.format.storage_bytes());
        let element = self.element(row, column);
        let code = self.mac.finish(outermost, &self.setup.output, &element, &mut self.activity);
        self.d.set(row as usize * self.shape.n as usize + column as usize, code);
        code
    }
}

/// Block scales that enter with products `k` of a fold that began at `fold`: one where a
/// block begins, and one at the fold's own beginning.
fn blocks_entered(mode: &MacMode, k: Range<u32>, fold: u32) -> u64 {
    let length = mode.chunk.unwrap_or(u32::MAX);
    k.filter(|&k| k.is_multiple_of(length) || k == fold).count() as u64
}

#[cfg(test)]
mod tests;
