//! Output-stationary array: PEs with an accumulator and a drain register each.
//!
//! Control travels with A's tokens: the first product of a fold makes a PE start a sum (from
//! the C in its drain register, if there is a C), a capture moves the finished sum to the
//! drain register. When a capture has passed a row's last column, the row shifts C times. A PE
//! whose output is not selected takes its operands and does nothing with them.

mod show;

use super::edge::{Skew, Token};
use super::lanes::Lanes;
use super::mesh::Mesh;
use super::observe::{Observer, Probe};
use super::{Bench, Span};
use crate::dataflow::Fold;
use crate::datapath::{Chain, Register};
use crate::toggles::meter::Port;
use std::collections::VecDeque;
use systole_isa::design::Drain;

#[derive(Clone, Default)]
struct Left<L> {
    codes: L,
    k: u32,
    row: u32,
    data: bool,
    first: bool,
    capture: bool,
}

#[derive(Clone, Default)]
struct Top<L> {
    codes: L,
    column: u32,
    data: bool,
}

/// An element of C on its way to the drain register of PE column `slot`.
#[derive(Clone, Copy, Default)]
struct Initial {
    code: u64,
    slot: u32,
    data: bool,
    /// Shifts the row, with or without data.
    shifts: bool,
}

impl<L: Lanes> Token for Left<L> {
    fn elements(&self) -> u64 {
        if self.data { self.codes.len() as u64 } else { 0 }
    }
}

impl<L: Lanes> Token for Top<L> {
    fn elements(&self) -> u64 {
        if self.data { self.codes.len() as u64 } else { 0 }
    }
}

impl Token for Initial {
    fn elements(&self) -> u64 {
        self.data.into()
    }
}

#[derive(Clone, Default)]
struct Accumulator {
    chain: Chain,
    row: u32,
    column: u32,
    full: bool,
}

/// Contents of a drain register.
#[derive(Clone, Default, PartialEq, Eq)]
enum Cell {
    #[default]
    Empty,
    Initial(u64),
    Result {
        outermost: Register,
        row: u32,
        column: u32,
    },
}

/// What enters the edges in one cycle: positions in the queue of folds.
#[derive(Clone, Copy, Default)]
struct Issue {
    /// A fold's C for one PE column.
    initial: Option<(usize, u32)>,
    /// A fold's products, by the cycle of its stream.
    product: Option<(usize, u32)>,
    /// The finished sums move to the drain registers behind this cycle's tokens.
    capture: bool,
}

/// Starts folds when the registers they need are free.
struct Sequencer {
    folds: usize,
    /// Products of a stream, and the cycles from one to the next.
    length: u32,
    interval: u64,
    /// Cycles from a PE's operand registers to the stage that writes its sum.
    behind: u64,
    cols: u64,
    has_c: bool,
    overlap: bool,
    /// Folds whose C has been started, and columns of the last one's that have entered.
    initials: usize,
    initial_columns: u64,
    /// Folds whose stream has been started, the cycles of the last one's that have entered,
    /// and the cycles since its start.
    streams: usize,
    products: u32,
    since_stream: u64,
    captured: usize,
}

impl Sequencer {
    /// `drained`: folds whose last result is in its output register.
    fn issue(&mut self, drained: usize) -> Issue {
        let mut issue = Issue::default();
        self.since_stream += 1;
        let streaming = self.streams > 0 && self.since_stream < u64::from(self.length) * self.interval;
        let next = self.streams;
        if !streaming && next < self.folds && self.may_stream(drained) {
            self.streams += 1;
            self.products = 0;
            self.since_stream = 0;
            // The sum of the fold before makes room: with C, the first product swaps them.
            issue.capture = next > self.captured;
        }
        if self.streams > 0 {
            if self.products < self.length {
                // Between these the loop has the sum that the next product goes into.
                if self.since_stream.is_multiple_of(self.interval) {
                    issue.product = Some((self.streams - 1, self.products));
                    self.products += 1;
                }
            } else if self.captured < self.streams && self.may_capture() {
                issue.capture = true;
            }
        }
        self.captured += usize::from(issue.capture);
        if self.has_c {
            if self.may_initialise(drained) {
                self.initials += 1;
                self.initial_columns = 0;
            }
            if self.initials > 0 && self.initial_columns < self.cols {
                // The last column's C goes first.
                self.initial_columns += 1;
                issue.initial = Some((self.initials - 1, (self.cols - self.initial_columns) as u32));
            }
        }
        issue
    }

    fn may_stream(&self, drained: usize) -> bool {
        let next = self.streams;
        if self.has_c {
            return self.initials > next && self.initial_columns == self.cols;
        }
        // A sum of the next fold, captured as many cycles later as it starts later, finds the
        // drain register empty once each of the C shifts has had its cycle.
        next == 0 || if self.overlap { self.since_stream >= self.cols } else { drained == next }
    }

    fn may_capture(&self) -> bool {
        if !self.has_c || !self.overlap {
            return true;
        }
        // Other folds are captured by the swap; the last one waits for the results swapped
        // out by its own first products.
        self.streams == self.folds && (self.streams == 1 || self.since_stream >= self.cols)
    }

    fn may_initialise(&self, drained: usize) -> bool {
        let next = self.initials;
        if next == self.folds || (next > 0 && self.initial_columns < self.cols) {
            return false;
        }
        // The swap of the fold before has passed all columns.
        next == 0 || if self.overlap { self.streams == next && self.since_stream >= self.cols + self.behind } else { drained == next }
    }
}

/// What the operand registers of all PEs held in one cycle.
type Stage<L> = (Mesh<Left<L>>, Mesh<Top<L>>);

struct Array<L> {
    rows: usize,
    cols: usize,
    left: Skew<Left<L>>,
    top: Skew<Top<L>>,
    initial: Skew<Initial>,
    a: Mesh<Left<L>>,
    b: Mesh<Top<L>>,
    /// What those held in each of the last cycles, the oldest first: what goes through the stages
    /// of the MACs before the one that writes the sum.
    stages: VecDeque<Stage<L>>,
    accumulators: Vec<Accumulator>,
    drain: Vec<Cell>,
    /// Per row: shifts out still to come.
    shifts_left: Vec<usize>,
    has_c: bool,
    /// Folds whose last row has shifted out.
    drained: usize,
}

/// Walks one array's folds; returns when each ran.
pub(super) fn run<L: Lanes, O: Observer>(bench: &mut Bench<'_>, folds: &[Fold], mut probe: Probe<'_, O>) -> Vec<Span> {
    let (rows, cols) = (bench.setup.array.rows as usize, bench.setup.array.cols as usize);
    let has_c = bench.operands.c.is_some();
    let behind = u64::from(bench.setup.array.mac_stages - 1);
    let mut array: Array<L> = Array {
        rows,
        cols,
        left: Skew::new(rows),
        top: Skew::new(cols),
        initial: Skew::new(rows),
        a: Mesh::new(rows, cols),
        b: Mesh::new(rows, cols),
        stages: (0..behind).map(|_| (Mesh::new(rows, cols), Mesh::new(rows, cols))).collect(),
        accumulators: vec![Accumulator::default(); rows * cols],
        drain: vec![Cell::default(); rows * cols],
        shifts_left: vec![0; rows],
        has_c,
        drained: 0,
    };
    let mut sequencer = Sequencer {
        folds: folds.len(),
        length: bench.shape.k.div_ceil(bench.setup.mode.lanes),
        interval: bench.setup.array.issue_interval().into(),
        behind,
        cols: cols as u64,
        has_c,
        overlap: bench.setup.array.drain == Drain::Overlap,
        initials: 0,
        initial_columns: 0,
        streams: 0,
        products: 0,
        since_stream: 0,
        captured: 0,
    };
    let mut spans = vec![Span::default(); folds.len()];
    let mut cycle = 0;
    while array.drained < folds.len() {
        let drained = array.drained;
        let issue = sequencer.issue(drained);
        probe.open(cycle, rows, 0);
        array.shift_drains(bench, &mut probe);
        array.step_pes(bench);
        array.shift_edges(bench, folds, issue);
        if probe.is_on() {
            array.show(bench, folds, issue, &mut probe);
        }
        if let Some((fold, 0)) = issue.product {
            spans[fold].stream = cycle;
            if !has_c {
                spans[fold].start = cycle;
            }
        }
        if let Some((fold, slot)) = issue.initial
            && slot as usize + 1 == cols
        {
            spans[fold].start = cycle;
        }
        cycle += 1;
        if array.drained > drained {
            spans[drained].end = cycle;
        }
    }
    probe.end(cycle);
    spans
}

impl<L: Lanes> Array<L> {
    /// Rows that drain move results right and into the output register, rows that receive C
    /// move it in behind them.
    fn shift_drains<O: Observer>(&mut self, bench: &mut Bench<'_>, probe: &mut Probe<'_, O>) {
        for i in 0..self.rows {
            let out = self.shifts_left[i];
            let entering = *self.initial.facing(i);
            if out == 0 && !entering.shifts {
                continue;
            }
            let row = &mut self.drain[i * self.cols..][..self.cols];
            // Results still lie in the last `out` columns; C reaches column C - 1 - slot.
            let results = self.cols - out;
            let initials = if entering.shifts { self.cols - entering.slot as usize } else { 0 };
            debug_assert!(out == 0 || !entering.shifts || initials == results + 1, "C and results shift together");
            if out > 0 {
                if let Cell::Result { outermost, row, column } = &row[self.cols - 1] {
                    let code = bench.write_output(*row, *column, outermost);
                    probe.output(i, (*row, *column), code);
                }
                row[results..].rotate_right(1);
                row[results] = Cell::Empty;
                let moved = row[results + 1..].iter().filter(|cell| **cell != Cell::Empty).count();
                bench.events.drain_register_writes += moved as u64;
                self.shifts_left[i] -= 1;
                if out == 1 && i + 1 == self.rows {
                    self.drained += 1;
                }
            }
            if entering.shifts {
                debug_assert!(row[initials - 1] == Cell::Empty, "C runs into a result");
                row[..initials].rotate_right(1);
                row[0] = if entering.data { Cell::Initial(entering.code) } else { Cell::Empty };
                let moved = row[..initials].iter().filter(|cell| **cell != Cell::Empty).count();
                bench.events.drain_register_writes += moved as u64;
            }
        }
    }

    fn step_pes(&mut self, bench: &mut Bench<'_>) {
        self.a.shift_right(|row| self.left.facing(row).clone());
        self.b.shift_down(|column| self.top.facing(column).clone());
        if bench.meter.is_some() {
            self.meter(bench);
        }
        if self.stages.is_empty() {
            return (0..self.rows).for_each(|row| self.step_row(bench, row));
        }
        // What reaches the last stage takes the place of the operand registers while it is added.
        self.stages.push_back((self.a.clone(), self.b.clone()));
        if let Some(oldest) = self.stages.pop_front() {
            let (a, b) = (std::mem::replace(&mut self.a, oldest.0), std::mem::replace(&mut self.b, oldest.1));
            (0..self.rows).for_each(|row| self.step_row(bench, row));
            (self.a, self.b) = (a, b);
        }
    }

    /// Operand registers as they were written this cycle.
    fn meter(&self, bench: &mut Bench<'_>) {
        for row in 0..self.rows {
            let operands = self.a.row(row).iter().zip(self.b.row(row));
            for (pe, (a, b)) in (row * self.cols..).zip(operands) {
                if a.data {
                    bench.meter(Port::Streaming(pe), &a.codes);
                }
                if b.data {
                    bench.meter(Port::Shadow(pe), &b.codes);
                }
            }
        }
    }

    /// The same of the skew registers.
    fn meter_edges(&self, bench: &mut Bench<'_>) {
        bench.meter_edge(&self.left, Port::Left, |token| token.data.then_some(&token.codes));
        bench.meter_edge(&self.top, Port::Top, |token| token.data.then_some(&token.codes));
    }

    fn step_row(&mut self, bench: &mut Bench<'_>, row: usize) {
        let pes = row * self.cols..(row + 1) * self.cols;
        let operands = self.a.row(row).iter().zip(self.b.row(row));
        let sums = self.accumulators[pes.clone()].iter_mut().zip(&mut self.drain[pes.clone()]);
        let (mut streaming, mut stationary, mut written) = (0, 0, 0);
        for ((pe, (a, b)), (accumulator, drain)) in pes.zip(operands).zip(sums) {
            streaming += a.elements();
            stationary += b.elements();
            let multiplies = a.data && b.data && bench.operands.selects(a.row, b.column);
            if a.capture | a.first {
                let next = (a.first && multiplies).then_some((a.row, b.column));
                turn_over(bench, a.capture, next, accumulator, drain, self.has_c);
            }
            if multiplies {
                let whole = (0, bench.shape.k);
                bench.multiply_accumulate(pe, &mut accumulator.chain, &a.codes, &b.codes, a.k, whole, || (a.row, b.column));
                written += 1;
            }
        }
        if self.a.row(row)[self.cols - 1].capture {
            debug_assert_eq!(self.shifts_left[row], 0, "a row drains into itself");
            self.shifts_left[row] = self.cols;
        }
        bench.events.streaming_register_writes += streaming;
        bench.events.stationary_register_writes += stationary;
        bench.events.accumulator_register_writes += written;
    }

    fn shift_edges(&mut self, bench: &mut Bench<'_>, folds: &[Fold], issue: Issue) {
        let mut writes = self.left.shift(|i| {
            let control = Left { capture: issue.capture, ..Left::default() };
            let Some((fold, cycle)) = issue.product.map(|(f, cycle)| (&folds[f], cycle)) else { return control };
            let row = fold.m.start + i as u32;
            if row >= fold.m.end {
                return control;
            }
            let k = bench.lanes_at(cycle);
            Left { k: k.start, codes: bench.read_a(row, k, 0), row, data: true, first: cycle == 0, ..control }
        });
        writes += self.top.shift(|j| {
            let Some((fold, cycle)) = issue.product.map(|(f, cycle)| (&folds[f], cycle)) else { return Top::default() };
            let column = fold.n.start + j as u32;
            if column >= fold.n.end {
                return Top::default();
            }
            Top { codes: bench.read_b(bench.lanes_at(cycle), column, 0), column, data: true }
        });
        if self.has_c {
            writes += self.initial.shift(|i| {
                let Some((fold, slot)) = issue.initial.map(|(f, slot)| (&folds[f], slot)) else { return Initial::default() };
                let (row, column) = (fold.m.start + i as u32, fold.n.start + slot);
                let code = if row < fold.m.end && column < fold.n.end { bench.read_c(row, column) } else { None };
                Initial { code: code.unwrap_or(0), slot, data: code.is_some(), shifts: true }
            });
        }
        bench.events.skew_register_writes += writes;
        if bench.meter.is_some() {
            self.meter_edges(bench);
        }
    }
}

/// A captured sum moves to the drain register; the `next` one, of that row and column, starts
/// from the C which that register held before.
#[inline(never)]
fn turn_over(bench: &mut Bench<'_>, capture: bool, next: Option<(u32, u32)>, accumulator: &mut Accumulator, drain: &mut Cell, has_c: bool) {
    let finished = (capture && accumulator.full).then(|| std::mem::take(accumulator));
    if let Some((row, column)) = next {
        let start = if has_c {
            let Cell::Initial(c) = *drain else { unreachable!("C is in place before the first product") };
            *drain = Cell::Empty;
            bench.mac.load(c, &bench.setup.output)
        } else {
            bench.mac.zero()
        };
        debug_assert!(!accumulator.full, "a sum is overwritten before its capture");
        *accumulator = Accumulator { chain: Chain::start(&bench.mac, start), row, column, full: true };
    }
    if let Some(Accumulator { chain, row, column, .. }) = finished {
        debug_assert!(*drain == Cell::Empty, "a drain register is captured before it is free");
        *drain = Cell::Result { outermost: chain.into_outermost(&bench.mac), row, column };
        bench.events.drain_register_writes += 1;
    }
}
