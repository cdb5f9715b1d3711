//! When everything happens: one deterministic scheduler for every engine.
//!
//! Instructions issue in order, one a cycle; configuration takes effect as it issues. Loads,
//! stores, matrix and vector instructions then go to their units, at most [`IN_FLIGHT`] of
//! them unfinished, and wait for those before them with which they share bytes (read after
//! write, write after read, write after write; by the bounds of their views). They retire in
//! order. Loads and stores share the DRAM channel ([`channel`]); matrix and vector
//! instructions stream tiles through double buffers ([`flow`], [`matrix`]).
//! The timing depends on program and design alone, and on what the masks of masked products select.

mod account;
mod channel;
mod detail;
mod flow;
mod matrix;
mod scales;
mod traffic;

use super::operation::{Hardware, Matrix, Operation, Vector};
use super::watch::{Charge, Passage as Watched, Station};
use account::{Account, Kind, Passage};
use channel::Channel;
use detail::{Detail, MAX_WAVES, Timing};
use flow::{Flow, Rhythm, Run, Unit, Wave};
use matrix::Product;
use std::collections::VecDeque;
use systole_arrays::dataflow::Selection;
use systole_arrays::vector::{Operation as VectorKind, VectorWork};
use systole_isa::design::Ports;
use systole_isa::device::{Events, Record, Stall};
use systole_isa::view::{Space, TensorView};
use traffic::real_elements;

/// Loads, stores, matrix and vector instructions under way at a time.
pub const IN_FLIGHT: usize = 8;

/// Slots per lane of a strip: what the vector unit loads, computes and stores at a time.
const STRIP: u64 = 256;

/// Cycles a program may take.
const MAX_CYCLES: u64 = 1 << 52;

const TOO_LONG: &str = "the program takes more than 2^52 cycles; shorten it, or give the design more arrays or bandwidth";

fn within(cycles: u64) -> Result<(), String> {
    if cycles > MAX_CYCLES { Err(TOO_LONG.to_owned()) } else { Ok(()) }
}

/// Bytes read or written by an instruction in flight.
#[derive(Clone, Copy, Debug)]
struct Access {
    space: Space,
    first: i128,
    last: i128,
    writes: bool,
    done: u64,
}

/// An instruction in flight.
#[derive(Debug)]
struct Flight {
    retired: u64,
    accesses: Vec<Access>,
}

/// The schedule of a program under way.
#[derive(Debug)]
pub struct Schedule<'a> {
    hardware: &'a Hardware,
    /// Scratchpad bytes for staging.
    staging: u64,
    /// Whether steady waves are skipped; off only in tests.
    skip: bool,
    channel: Channel,
    arrays: Unit,
    vector: Unit,
    /// Cycle in which the next instruction issues.
    issue: u64,
    /// Cycle by which every instruction so far has retired.
    retired: u64,
    flights: VecDeque<Flight>,
    account: Account,
    /// The last instruction's transfers and waits, where someone watches.
    detail: Option<Detail>,
}

const fn bytes(view: &TensorView) -> u64 {
    view.elements() * view.format.storage_bytes() as u64
}

/// DRAM bytes of a view read or written once.
fn dram_bytes(view: &TensorView) -> u64 {
    (real_elements(view) * u128::from(view.format.storage_bytes())) as u64
}

impl<'a> Schedule<'a> {
    /// A schedule that begins at cycle 0. `named` is the first scratchpad byte above all that
    /// the program names.
    pub fn new(hardware: &'a Hardware, named: u64) -> Self {
        let memory = &hardware.design.memory;
        Self {
            hardware,
            staging: hardware.size(Space::Scratchpad).saturating_sub(named),
            skip: true,
            channel: Channel::new(memory.dram_bytes_per_cycle, memory.dram_latency_cycles.into()),
            arrays: Unit::default(),
            vector: Unit::default(),
            issue: 0,
            retired: 0,
            flights: VecDeque::new(),
            account: Account::default(),
            detail: None,
        }
    }

    /// The same, telling of each instruction what [`Schedule::watched`] returns.
    pub fn watch(mut self) -> Self {
        self.account.watch();
        self.detail = Some(Detail::default());
        self
    }

    /// Instructions from here on belong to a region.
    pub fn enter(&mut self, region: &str) {
        self.account.enter(region);
    }

    /// Schedules the next instruction; `selection` is what the mask of a masked product leaves,
    /// everything where that is not known.
    ///
    /// # Errors
    /// The program takes longer than can be counted.
    pub fn operation(&mut self, operation: &Operation, selection: Option<&Selection>) -> Result<Timing, String> {
        let events = Events { instructions: 1, ..Events::default() };
        let issue = self.issue;
        let timing = match operation {
            Operation::Configure | Operation::Mark(_) => {
                self.issue += 1;
                Timing::new(Station::Sequencer, issue, self.issue, self.issue)
            }
            Operation::Fence => {
                self.issue = issue.max(self.retired) + 1;
                Timing::new(Station::Sequencer, issue, self.issue, self.issue)
            }
            Operation::Load { dst, src } => self.copy(dst, src, Kind::Load),
            Operation::Store { dst, src } => self.copy(dst, src, Kind::Store),
            Operation::Matrix(matrix) => self.matrix(matrix, selection)?,
            Operation::Vector(vector) => self.vector(vector)?,
        };
        self.account.count(events);
        if self.channel.is_exhausted() {
            return Err(TOO_LONG.to_owned());
        }
        within(self.issue.max(self.retired))?;
        Ok(timing)
    }

    /// Schedules the next instruction and tells its way.
    ///
    /// # Errors
    /// As [`Schedule::operation`].
    pub fn watched(&mut self, operation: &Operation, selection: Option<&Selection>) -> Result<Watched, String> {
        let timing = self.operation(operation, selection)?;
        let detail = self.detail.as_mut().map(std::mem::take).unwrap_or_default();
        Ok(timing.passage(detail, self.account.charges()))
    }

    /// The record, activity absent, and the charges not told yet.
    pub fn finish(self) -> (Record, Vec<Charge>) {
        let end = self.issue.max(self.retired);
        self.account.finish(end)
    }

    /// Whether each wave of an instruction is told: not where there are too many.
    fn tell_waves(&mut self, runs: impl Iterator<Item = Run>) {
        if let Some(detail) = &mut self.detail {
            detail.whole = runs.map(|(_, times)| u128::from(times)).sum::<u128>() <= MAX_WAVES.into();
        }
    }

    /// Issues an instruction that goes to a unit: the cycle from which the unit has it.
    fn dispatch(&mut self) -> u64 {
        if self.flights.len() == IN_FLIGHT
            && let Some(oldest) = self.flights.pop_front()
        {
            self.issue = self.issue.max(oldest.retired);
        }
        self.issue += 1;
        self.issue
    }

    /// Cycle from which a view may be read or written.
    fn free(&self, view: &TensorView, writes: bool) -> u64 {
        let Some((first, last)) = view.byte_range() else { return 0 };
        let conflicts = |a: &&Access| (writes || a.writes) && a.space == view.space && a.first <= last && first <= a.last;
        self.flights.iter().flat_map(|f| &f.accesses).filter(conflicts).map(|a| a.done).max().unwrap_or(0)
    }

    /// Ends an instruction that reads `reads` until `read`, and has written `d` by `done`.
    fn retire(&mut self, kind: Kind, reads: impl IntoIterator<Item = TensorView>, read: u64, d: &TensorView, done: u64) {
        let access = |view: &TensorView, writes, done| {
            view.byte_range().map(|(first, last)| Access { space: view.space, first, last, writes, done })
        };
        let mut accesses: Vec<Access> = reads.into_iter().filter_map(|view| access(&view, false, read)).collect();
        accesses.extend(access(d, true, done));
        self.retired = self.retired.max(done).max(read);
        self.flights.push_back(Flight { retired: self.retired, accesses });
        self.account.ended(kind, self.retired);
        self.channel.settle();
    }

    fn copy(&mut self, dst: &TensorView, src: &TensorView, kind: Kind) -> Timing {
        let begin = self.dispatch().max(self.free(src, false)).max(self.free(dst, true));
        let (done, events) = if kind == Kind::Load {
            let fetched = dram_bytes(src);
            let events = Events { dram_read_bytes: fetched, scratchpad_write_bytes: bytes(dst), ..Events::default() };
            (self.channel.read(begin, fetched), events)
        } else {
            let events = Events { scratchpad_read_bytes: dram_bytes(src), dram_write_bytes: bytes(dst), ..Events::default() };
            (self.channel.transfer(begin, bytes(dst)), events)
        };
        self.account.count(events);
        self.retire(kind, [*src], done, dst, done);
        if let Some(detail) = &mut self.detail {
            detail.whole = true;
            detail.transfer(kind, begin, done, if kind == Kind::Load { dram_bytes(src) } else { bytes(dst) });
        }
        let station = if kind == Kind::Load { Station::Load } else { Station::Store };
        Timing::new(station, begin, done, done)
    }

    /// Cycles from which loads and the first wave of a streaming instruction may begin.
    fn begin(&mut self, operands: &[TensorView], d: &TensorView) -> (u64, u64) {
        let issued = self.dispatch();
        let (mut loads, mut start) = (issued, issued.max(self.free(d, true)));
        for view in operands {
            let free = self.free(view, false);
            match view.space {
                Space::Dram => loads = loads.max(free),
                Space::Scratchpad => start = start.max(free),
            }
        }
        (loads, start)
    }

    fn matrix(&mut self, matrix: &Matrix, selection: Option<&Selection>) -> Result<Timing, String> {
        let operands: Vec<TensorView> = matrix.operands().collect();
        let (loads, start) = self.begin(&operands, &matrix.d);
        let product = Product::new(self.hardware, matrix, self.staging, selection);
        if let Some(mask) = product.mask_alone() {
            let loaded = if mask.load > 0 { self.channel.read(loads, mask.load) } else { 0 };
            let begin = start.max(self.arrays.free).max(loaded);
            let end = begin + mask.slot;
            if let Some(detail) = &mut self.detail {
                detail.whole = true;
                detail.transfer(Kind::Load, loads, loaded, mask.load);
            }
            self.arrays.free = end;
            self.account.count(product.cost.events);
            self.account.count(transfers(&Flow { load_bytes: mask.load, ..Flow::default() }, 0));
            self.retire(Kind::Load, operands, end, &matrix.d, end);
            return Ok(Timing::new(Station::Array, begin, end, end));
        }
        within(product.cost.compute_cycles)?;
        self.tell_waves(product.runs());
        let listener = self.detail.as_mut();
        let flow = flow::run(&mut self.arrays, &mut self.channel, product.rhythm, (loads, start), product.runs(), self.skip, listener);
        let compute = product.cost.compute_cycles;
        let end = flow.start + compute + flow.delayed();
        self.arrays.free = end;
        let since = if flow.bound == Some(Stall::OperandLoad) {
            loads
        } else if flow.bound.is_some() {
            start
        } else {
            flow.start
        };
        self.account.matrix(&Passage {
            since,
            start: flow.start,
            bound: flow.bound.unwrap_or(Stall::Issue),
            compute,
            delays: std::array::from_fn(|i| (Flow::REASONS[i], flow.delays[i])),
            waits: self.detail.as_ref().filter(|detail| detail.whole).map(|detail| detail.waits.as_slice()),
            mode: matrix.mode,
            macs: product.cost.events.macs_spent,
        });
        self.account.count(product.cost.events);
        self.account.count(transfers(&flow, product.spilled_bytes()));
        self.retire(Kind::Matrix, operands, end, &matrix.d, end.max(flow.stored));
        Ok(Timing { compute, ..Timing::new(Station::Array, flow.start, end.max(flow.stored), end) })
    }

    fn vector(&mut self, vector: &Vector) -> Result<Timing, String> {
        let operands = vector.operands();
        let (loads, start) = self.begin(operands, &vector.d);
        let spec = &self.hardware.design.vector;
        let latency = u64::from(spec.latency_cycles);
        within(vector.work.cycles(spec))?;
        let memory = &self.hardware.design.memory;
        let shared = (memory.scratchpad_ports == Ports::Shared).then(|| memory.scratchpad_bytes_per_cycle());
        let (runs, stream) = strips(vector, |work| work.cycles(spec) - latency, u64::from(spec.lanes) * STRIP, shared);
        let rhythm = Rhythm { first: 0, stream, to_result: latency, to_end: latency + stream };
        self.tell_waves(runs.iter().copied());
        let listener = self.detail.as_mut();
        let flow = flow::run(&mut self.vector, &mut self.channel, rhythm, (loads, start), runs.into_iter(), self.skip, listener);
        let end = flow.start + vector.work.cycles(spec) + flow.delayed();
        self.vector.free = end - latency;
        self.account.count(vector.work.events());
        self.account.count(Events {
            scratchpad_read_bytes: operands.iter().map(dram_bytes).sum(),
            scratchpad_write_bytes: bytes(&vector.d),
            ..Events::default()
        });
        self.account.count(transfers(&flow, 0));
        self.retire(Kind::Vector, operands.iter().copied(), end, &vector.d, end.max(flow.stored));
        Ok(Timing::new(Station::Vector, flow.start, end.max(flow.stored), end))
    }
}

/// A flow's transfers: through the scratchpad both ways, but for `spilled` partial sums.
fn transfers(flow: &Flow, spilled: u64) -> Events {
    Events {
        dram_read_bytes: flow.load_bytes,
        scratchpad_write_bytes: flow.load_bytes - spilled,
        dram_write_bytes: flow.store_bytes,
        scratchpad_read_bytes: flow.store_bytes - spilled,
        ..Events::default()
    }
}

/// A vector instruction as strips of `strip` slots, and the cycles of a full one. Operands
/// that repeat come whole with the first strip; a reduction's result leaves with the last. `shared` are
/// the bytes a cycle of a scratchpad whose ports all of them share.
fn strips(vector: &Vector, cycles: impl Fn(VectorWork) -> u64, strip: u64, shared: Option<u64>) -> (Vec<Run>, u64) {
    let slots = vector.work.slots;
    let count = slots.div_ceil(strip).max(1);
    let in_dram = |view: &&TensorView| view.space == Space::Dram;
    let longest = vector.operands().iter().chain([&vector.d]).map(TensorView::elements).max().unwrap_or(0);
    let (streaming, repeating): (Vec<&TensorView>, Vec<&TensorView>) =
        vector.operands().iter().filter(in_dram).partition(|view| view.elements() * 2 > longest);
    let sum = |views: Vec<&TensorView>| views.into_iter().map(dram_bytes).sum::<u64>();
    let (streaming, repeating) = (sum(streaming), sum(repeating));
    let stored = if vector.d.space == Space::Dram { bytes(&vector.d) } else { 0 };
    let at_end = matches!(vector.kind, VectorKind::Reduce(_));
    let part = |total: u64| total / count;
    let rest = |total: u64| total - total / count * (count - 1);
    let slot = |slots| cycles(VectorWork { slots, ..vector.work });
    let full = slot(strip.min(slots));
    let read: u64 = vector.operands().iter().map(|view| u64::from(view.format.storage_bytes())).sum();
    let written = bytes(&vector.d) / count;
    let extra = |load: u64, store: u64, slot: u64| {
        shared.map_or(0, |rate| (strip.min(slots) * read + written + load + store).div_ceil(rate).saturating_sub(slot))
    };
    let wave = |load, store, slot| Wave { load, store, slot, extra: extra(load, store, slot) };
    let last_store = if at_end { stored } else { rest(stored) };
    let store = if at_end { 0 } else { part(stored) };
    let last_slot = slot(slots - strip * (count - 1));
    let runs = if count == 1 {
        vec![(wave(repeating + streaming, last_store, last_slot), 1)]
    } else {
        vec![
            (wave(repeating + part(streaming), store, full), 1),
            (wave(part(streaming), store, full), count - 2),
            (wave(rest(streaming), last_store, last_slot), 1),
        ]
    };
    (runs, full)
}
