//! Observers: what looks at the ticked engine's registers, cycle by cycle.
//!
//! The engine knows nothing of who looks. An observer that wants no cycle, as `()`, costs a
//! branch a cycle, which its constant answer removes; no observer changes what is computed. What
//! it is shown are the registers themselves as a cycle leaves them. Output registers and the
//! write ports of the accumulator memory are shown in the cycle in which they take a word.

use super::edge::{Skew, Token};
use super::lanes::Lanes;
use crate::datapath::{Chain, Mac, Register};

/// What runs along the array's edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edge {
    /// Elements of A.
    A,
    /// Elements of B.
    B,
    /// Elements of C.
    C,
    /// Partial sums at the column tops.
    PartialSums,
}

/// Which lanes an edge or a port has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// One for each row.
    Rows,
    /// One for each column.
    Columns,
}

/// Where a register stands in its array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// What the sequencer sends to the edges in this cycle.
    Sequencer,
    /// A skew register: stage 0 takes from the scratchpad, the last faces the array.
    Skew {
        /// What it holds.
        edge: Edge,
        /// Whether lanes are rows or columns.
        side: Side,
        /// The row or column.
        lane: u32,
        /// The register of that lane.
        stage: u32,
    },
    /// A PE.
    Pe {
        /// Its row.
        row: u32,
        /// Its column.
        column: u32,
    },
    /// The output register behind the last PE of a row (`os`) or column (`ws`, `is`).
    Output {
        /// Whether lanes are rows or columns.
        side: Side,
        /// The row or column.
        lane: u32,
    },
    /// The write port of a column's bank of the accumulator memory.
    Memory {
        /// The column.
        column: u32,
    },
}

/// What a register is called at its place: `a`, `a_valid`, and `a_0`, `a_1` ... where a PE has lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// What it holds.
    pub stem: &'static str,
    /// What of that; mostly empty.
    pub suffix: &'static str,
    /// Lane of the PE, where there are several.
    pub lane: Option<u32>,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.stem, self.suffix)?;
        self.lane.map_or(Ok(()), |lane| write!(f, "_{lane}"))
    }
}

/// What a register holds at the end of a cycle.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// Where it stands.
    pub place: Place,
    /// Its name there.
    pub name: Name,
    /// Its width.
    pub bits: u32,
    /// Its bits, 64 at a time, the lowest first; those above `bits` mean nothing. `None` where it
    /// holds nothing.
    pub words: Option<&'a [u64]>,
}

/// What looks at the registers of a product's arrays. A design's arrays are stepped one after the
/// other, each from its cycle 0.
pub trait Observer {
    /// An array begins.
    fn begin(&mut self, array: u32) {
        let _ = array;
    }

    /// Whether a cycle of this array is looked at.
    fn wants(&self, cycle: u64) -> bool {
        let _ = cycle;
        false
    }

    /// A register at the end of a cycle that is looked at: always all of an array's, in the same order.
    fn register(&mut self, cycle: u64, held: Held<'_>) {
        let _ = (cycle, held);
    }

    /// An array has ended after so many cycles.
    fn end(&mut self, cycles: u64) {
        let _ = cycles;
    }
}

/// Nobody looks.
impl Observer for () {}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn begin(&mut self, array: u32) {
        (**self).begin(array);
    }

    fn wants(&self, cycle: u64) -> bool {
        (**self).wants(cycle)
    }

    fn register(&mut self, cycle: u64, held: Held<'_>) {
        (**self).register(cycle, held);
    }

    fn end(&mut self, cycles: u64) {
        (**self).end(cycles);
    }
}

/// A word taken by an output register or a memory.
struct Taken {
    /// Row and column of D, or the memory's row and nothing.
    at: (u32, u32),
    words: Chain,
}

/// An observer at an array, and what passed the ports in the present cycle.
pub(super) struct Probe<'o, O> {
    observer: &'o mut O,
    cycle: u64,
    on: bool,
    outputs: Vec<Option<Taken>>,
    writes: Vec<Option<Taken>>,
}

impl<'o, O: Observer> Probe<'o, O> {
    /// At array `array`.
    pub fn new(observer: &'o mut O, array: u32) -> Self {
        observer.begin(array);
        Self { observer, cycle: 0, on: false, outputs: Vec::new(), writes: Vec::new() }
    }

    /// Opens a cycle of an array with so many output registers and memory banks.
    pub fn open(&mut self, cycle: u64, outputs: usize, banks: usize) {
        self.on = self.observer.wants(cycle);
        if self.on {
            self.cycle = cycle;
            self.outputs.clear();
            self.outputs.resize_with(outputs, || None);
            self.writes.clear();
            self.writes.resize_with(banks, || None);
        }
    }

    /// Whether the present cycle is looked at.
    pub const fn is_on(&self) -> bool {
        self.on
    }

    /// Output register `lane` takes the code of element `at` of D.
    pub fn output(&mut self, lane: usize, at: (u32, u32), code: u64) {
        if self.on {
            let words = Chain { inner: Register::Narrow(code), outer: Register::default() };
            self.outputs[lane] = Some(Taken { at, words });
        }
    }

    /// A column's bank takes a sum in row `row`.
    pub fn write(&mut self, column: usize, row: u32, sum: &Chain) {
        if self.on {
            self.writes[column] = Some(Taken { at: (row, 0), words: sum.clone() });
        }
    }

    /// The array has ended.
    pub fn end(self, cycles: u64) {
        self.observer.end(cycles);
    }

    fn held(&mut self, place: Place, stem: &'static str, suffix: &'static str, lane: Option<u32>, bits: u32, words: Option<&[u64]>) {
        self.observer.register(self.cycle, Held { place, name: Name { stem, suffix, lane }, bits, words });
    }

    /// A counter or an index.
    pub fn number(&mut self, place: Place, stem: &'static str, value: Option<u64>) {
        self.held(place, stem, "", None, 32, value.as_ref().map(std::slice::from_ref));
    }

    /// One bit.
    pub fn flag(&mut self, place: Place, stem: &'static str, suffix: &'static str, value: bool) {
        self.held(place, stem, suffix, None, 1, Some(&[value.into()]));
    }

    /// A code, or nothing.
    pub fn code(&mut self, place: Place, stem: &'static str, bits: u32, code: Option<u64>) {
        self.held(place, stem, "", None, bits, code.as_ref().map(std::slice::from_ref));
    }

    /// An operand register of a PE with `lanes` lanes, and the valid bit of each lane.
    pub fn operand<L: Lanes>(
        &mut self,
        place: Place,
        (stem, suffix, valid): (&'static str, &'static str, &'static str),
        (bits, lanes): (u32, u32),
        codes: Option<&L>,
    ) {
        let mut bitmap = vec![0u64; lanes.div_ceil(64) as usize];
        for lane in 0..lanes {
            let code = codes.filter(|codes| (lane as usize) < codes.len()).map(|codes| codes.get(lane as usize));
            bitmap[lane as usize / 64] |= u64::from(code.is_some()) << (lane % 64);
            self.held(place, stem, suffix, (lanes > 1).then_some(lane), bits, code.as_ref().map(std::slice::from_ref));
        }
        self.held(place, stem, valid, None, lanes, Some(&bitmap));
    }

    /// A sum in the accumulators of a mode, and its valid bit.
    pub fn sum(&mut self, place: Place, stem: &'static str, mac: &Mac, sum: Option<&Chain>) {
        let mode = mac.mode();
        self.held(place, stem, "", None, mode.accumulator.bits(), sum.map(|sum| sum.inner.words()));
        if mode.chunk.is_some() {
            self.held(place, stem, "_outer", None, mode.outermost().bits(), sum.map(|sum| sum.outer.words()));
        }
        self.flag(place, stem, "_valid", sum.is_some());
    }

    /// A value of the outermost accumulator, and its valid bit.
    pub fn outermost(&mut self, place: Place, stem: &'static str, mac: &Mac, value: Option<&Register>) {
        self.held(place, stem, "", None, mac.mode().outermost().bits(), value.map(Register::words));
        self.flag(place, stem, "_valid", value.is_some());
    }

    /// The output registers, `bits` wide.
    pub fn output_registers(&mut self, side: Side, bits: u32) {
        for (lane, taken) in (0..).zip(std::mem::take(&mut self.outputs)) {
            let place = Place::Output { side, lane };
            self.held(place, "d", "", None, bits, taken.as_ref().map(|taken| taken.words.inner.words()));
            self.flag(place, "d", "_valid", taken.is_some());
            self.number(place, "row", taken.as_ref().map(|taken| taken.at.0.into()));
            self.number(place, "col", taken.map(|taken| taken.at.1.into()));
        }
    }

    /// The write ports of the accumulator memory: whole sums, or outermost ones alone.
    pub fn memory_ports(&mut self, mac: &Mac, outermost: bool) {
        for (column, taken) in (0..).zip(std::mem::take(&mut self.writes)) {
            let place = Place::Memory { column };
            if outermost {
                self.outermost(place, "sum", mac, taken.as_ref().map(|taken| &taken.words.inner));
            } else {
                self.sum(place, "sum", mac, taken.as_ref().map(|taken| &taken.words));
            }
            self.number(place, "address", taken.map(|taken| taken.at.0.into()));
        }
    }

    /// Every register of an edge, by its lanes.
    pub fn edge<T: Token>(&mut self, edge: Edge, side: Side, skew: &Skew<T>, lanes: usize, mut show: impl FnMut(&mut Self, Place, &T)) {
        for lane in 0..lanes {
            for (stage, token) in (0..).zip(skew.registers(lane)) {
                show(self, Place::Skew { edge, side, lane: lane as u32, stage }, token);
            }
        }
    }
}
