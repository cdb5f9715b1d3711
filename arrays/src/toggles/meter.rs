//! Toggles where the ticked engine writes its registers.

use super::{Line, Multiplicands, clamp, partial_products};
use crate::problem::Setup;
use systole_isa::design::Dataflow;
use systole_isa::device::Toggles;

/// A register's data input: of a PE's streaming, shadow or active operand register, or one of the skew
/// registers of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// By PE.
    Streaming(usize),
    /// By PE.
    Shadow(usize),
    /// By PE.
    Active(usize),
    /// By place among the left edge's skew registers.
    Left(usize),
    /// By place among the top edge's skew registers.
    Top(usize),
}

/// What the registers of one array hold, and what has changed in them so far.
pub(crate) struct Meter {
    lanes: usize,
    widths: [u64; 2],
    cells: u64,
    a: Multiplicands,
    b: Multiplicands,
    streaming: Vec<Line>,
    shadow: Vec<Line>,
    active: Vec<Line>,
    left: Vec<Line>,
    top: Vec<Line>,
    factors: Vec<(u64, u64)>,
    /// Changed and written, of streaming, stationary and skew registers and partial products.
    counts: [[u128; 2]; 4],
}

impl Meter {
    pub fn new(setup: &Setup) -> Self {
        let (array, mode) = (&setup.array, &setup.mode);
        let (rows, cols, lanes) = (array.rows as usize, array.cols as usize, mode.lanes as usize);
        let row_stages = if array.dataflow == Dataflow::Os { 1 } else { array.mac_stages as usize };
        let registers = |places: usize| vec![Line::default(); places * lanes];
        let (moving, resting) = if array.dataflow == Dataflow::Is { (mode.b, mode.a) } else { (mode.a, mode.b) };
        Self {
            lanes,
            widths: [moving.bits().into(), resting.bits().into()],
            cells: u64::from(mode.a.precision()) * u64::from(mode.b.precision()),
            a: Multiplicands::of(mode.a),
            b: Multiplicands::of(mode.b),
            streaming: registers(rows * cols),
            shadow: registers(rows * cols),
            active: registers(rows * cols),
            left: registers(rows + row_stages * rows * (rows - 1) / 2),
            top: registers(cols * (cols + 1) / 2),
            factors: vec![(0, 0); rows * cols * lanes],
            counts: [[0; 2]; 4],
        }
    }

    /// Another array's registers, all 0; the counts go on.
    pub fn clear(&mut self) {
        for registers in [&mut self.streaming, &mut self.shadow, &mut self.active, &mut self.left, &mut self.top] {
            registers.fill(Line::default());
        }
        self.factors.fill((0, 0));
    }

    /// A register takes an element for each lane that is not idle.
    pub fn write(&mut self, port: Port, codes: impl Iterator<Item = u64>) {
        let (registers, at, width, counts) = match port {
            Port::Streaming(pe) => (&mut self.streaming, pe, self.widths[0], &mut self.counts[0]),
            Port::Shadow(pe) => (&mut self.shadow, pe, self.widths[1], &mut self.counts[1]),
            Port::Active(pe) => (&mut self.active, pe, self.widths[1], &mut self.counts[1]),
            Port::Left(at) => (&mut self.left, at, self.widths[0], &mut self.counts[2]),
            Port::Top(at) => (&mut self.top, at, self.widths[1], &mut self.counts[2]),
        };
        for (register, code) in registers[at * self.lanes..].iter_mut().zip(codes) {
            counts[0] += u128::from(register.take(code));
            counts[1] += u128::from(width);
        }
    }

    /// A PE multiplies elements of A and B.
    pub fn multiply(&mut self, pe: usize, operands: impl Iterator<Item = (u64, u64)>) {
        for (held, (a, b)) in self.factors[pe * self.lanes..].iter_mut().zip(operands) {
            let new = (self.a.get(a), self.b.get(b));
            self.counts[3][0] += u128::from(partial_products(*held, new));
            self.counts[3][1] += u128::from(self.cells);
            *held = new;
        }
    }

    /// What was counted.
    pub fn toggles(&self) -> Toggles {
        let [streaming, stationary, skew, products] = self.counts.map(|pair| pair.map(clamp));
        Toggles {
            streaming_register_toggles: streaming[0],
            streaming_register_bits: streaming[1],
            stationary_register_toggles: stationary[0],
            stationary_register_bits: stationary[1],
            skew_register_toggles: skew[0],
            skew_register_bits: skew[1],
            partial_product_toggles: products[0],
            partial_product_cells: products[1],
        }
    }
}
