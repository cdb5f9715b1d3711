//! Weight- and input-stationary array: PEs with a preloaded operand and a partial sum.
//!
//! Tile tokens shift down their column to the row they are for; the first streaming token of
//! a fold makes them the active ones. A partial sum starts in the top PE, passes idle rows
//! unchanged, and meets the accumulator memory or the output register below the last row.
//! Streaming tokens pass idle rows as control, so a ragged fold keeps time with a whole one.
//! An output that is not selected has no partial sum: its place is kept by control as well.

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
use std::ops::Range;
use systole_isa::design::{Dataflow, Drain, PartialSums, Preload};

/// A streaming operand: element `t` of its row's stream.
#[derive(Clone, Default)]
struct Stream<L> {
    codes: L,
    t: u32,
    fold: u32,
    present: bool,
    data: bool,
}

impl<L> Stream<L> {
    /// Makes the tile it meets the active one.
    const fn begins(&self) -> bool {
        self.present && self.t == 0
    }
}

/// A preloaded operand for PE row `row`; it moves down until it is there.
#[derive(Clone, Default)]
struct Tile<L> {
    codes: L,
    /// Of the first lane.
    k: u32,
    row: u32,
    fold: u32,
    present: bool,
    data: bool,
}

impl<L> Tile<L> {
    const fn moves_on_from(&self, row: usize) -> bool {
        self.present && self.row as usize != row
    }
}

/// A partial sum for element `t` of a column, or the control that keeps its place.
#[derive(Clone, Default)]
struct Partial {
    chain: Chain,
    t: u32,
    fold: u32,
    present: bool,
    data: bool,
}

impl<L: Lanes> Token for Stream<L> {
    fn elements(&self) -> u64 {
        if self.data { self.codes.len() as u64 } else { 0 }
    }
}

impl<L: Lanes> Token for Tile<L> {
    fn elements(&self) -> u64 {
        if self.data { self.codes.len() as u64 } else { 0 }
    }
}

impl Token for Partial {
    fn elements(&self) -> u64 {
        self.data.into()
    }
}

/// A word of the accumulator memory: the chain under `feedback`, an outermost sum in
/// `inner` under `outside`.
#[derive(Clone, Default)]
struct Word {
    chain: Chain,
    /// Ordinal of the fold that wrote it, from 1; 0 before any.
    folds: u32,
    cycle: u64,
}

/// What enters the edges in one cycle: positions in the queue of folds.
#[derive(Clone, Copy, Default)]
struct Issue {
    /// A fold's tile for one PE row.
    tile: Option<(usize, u32)>,
    /// A fold's streaming elements t.
    stream: Option<(usize, u32)>,
}

/// Starts folds when the registers they need are free.
struct Sequencer<'a> {
    folds: &'a [Fold],
    rows: u32,
    /// Cycles by which the last row's stream is later than a tile would reach it.
    lag: u64,
    length: u32,
    preload: Preload,
    drain: Drain,
    feedback: bool,
    /// Tiles started, and the rows of the last one that have entered.
    tiles: usize,
    tile_rows: u32,
    /// Streams started, and the elements of the last one that have entered.
    streams: usize,
    elements: u32,
    /// Cycles since the last stream started, and since it ended.
    since_stream: u64,
    since_end: u64,
}

impl Sequencer<'_> {
    /// `drained`: folds whose last result is in its output register or in memory;
    /// `returned`: folds whose first partial sum is in the accumulator memory.
    fn issue(&mut self, drained: usize, returned: u32) -> Issue {
        let mut issue = Issue::default();
        let streaming = self.streams > 0 && self.elements < self.length;
        self.since_stream += 1;
        self.since_end = if streaming { 0 } else { self.since_end + 1 };
        if !streaming && self.may_stream(drained, returned) {
            self.streams += 1;
            self.elements = 0;
            (self.since_stream, self.since_end) = (0, 0);
        }
        if self.streams > 0 && self.elements < self.length {
            issue.stream = Some((self.streams - 1, self.elements));
            self.elements += 1;
        }
        if self.may_load(drained) {
            self.tiles += 1;
            self.tile_rows = 0;
        }
        if self.tiles > 0 && self.tile_rows < self.rows {
            // The bottom row's token goes first.
            self.tile_rows += 1;
            issue.tile = Some((self.tiles - 1, self.rows - self.tile_rows));
        }
        issue
    }

    fn may_stream(&self, drained: usize, returned: u32) -> bool {
        let next = self.streams;
        let loaded = self.tiles > next && self.tile_rows == self.rows;
        let Some(fold) = self.folds.get(next).filter(|_| loaded) else { return false };
        let sums_are_back = !self.feedback || fold.first_k || returned as usize == next;
        sums_are_back && (self.drain == Drain::Overlap || drained == next)
    }

    fn may_load(&self, drained: usize) -> bool {
        let next = self.tiles;
        if next == self.folds.len() || (next > 0 && self.tile_rows < self.rows) {
            return false;
        }
        let previous_has_started = self.streams == next;
        next == 0
            || match (self.preload, self.drain) {
                (Preload::Double, _) => previous_has_started && self.since_stream >= self.lag,
                (Preload::Serial, Drain::Overlap) => previous_has_started && self.since_end > self.lag,
                (Preload::Serial, Drain::Serial) => drained == next,
            }
    }
}

/// Where the elements of an array's folds lie.
#[derive(Clone, Copy)]
struct Layout<'a> {
    folds: &'a [Fold],
    input_stationary: bool,
    /// The accumulator memory adds the folds.
    separate: bool,
}

impl Layout<'_> {
    /// Row and column of D of element `t` in PE column `column`.
    const fn place(&self, fold: &Fold, t: u32, column: usize) -> (u32, u32) {
        if self.input_stationary { (fold.m.start + column as u32, t) } else { (t, fold.n.start + column as u32) }
    }

    /// True if element `t` of an occupied column is wanted.
    fn selects(&self, bench: &Bench<'_>, fold: u32, t: u32, column: usize) -> bool {
        bench.operands.mask.is_none() || {
            let (row, column) = self.place(&self.folds[fold as usize], t, column);
            bench.operands.selects(row, column)
        }
    }

    const fn occupied_columns(&self, fold: &Fold) -> usize {
        let columns = if self.input_stationary { &fold.m } else { &fold.n };
        (columns.end - columns.start) as usize
    }

    /// C for element `t` of a column where a fold starts sums from it, else control alone.
    fn initial(&self, bench: &mut Bench<'_>, fold: u32, t: u32, column: usize) -> Partial {
        let control = Partial { t, fold, present: true, ..Partial::default() };
        let fold = &self.folds[fold as usize];
        if !fold.first_k || column >= self.occupied_columns(fold) {
            return control;
        }
        let (row, col) = self.place(fold, t, column);
        let Some(c) = bench.read_c(row, col) else { return control };
        let c = bench.mac.load(c, &bench.setup.output);
        let chain = if self.separate { Chain { inner: c, outer: Register::default() } } else { Chain::start(&bench.mac, c) };
        Partial { chain, data: true, ..control }
    }
}

struct Array<'a, L> {
    layout: Layout<'a>,
    rows: usize,
    cols: usize,
    /// Length of every stream.
    length: u32,
    double: bool,
    left: Skew<Stream<L>>,
    tiles: Skew<Tile<L>>,
    top: Skew<Partial>,
    /// C on its way to the accumulator memory, its outermost code in `inner`.
    bottom: Skew<Partial>,
    streaming: Mesh<Stream<L>>,
    /// The register tiles enter; the only one without double buffering.
    shadow: Vec<Tile<L>>,
    active: Vec<Tile<L>>,
    /// Per row: its tile registers took or lost a tile in the last cycle.
    changed: Vec<bool>,
    /// Rows of PEs, and for each its MACs' stages.
    partial: Mesh<Partial>,
    stages: usize,
    /// Streaming tokens at the last row in each of the last cycles, the oldest first: its partial
    /// sums are as many cycles behind.
    calls: VecDeque<Stream<L>>,
    /// Bank c holds column c; row t.
    memory: Vec<Word>,
    /// Folds whose first partial sum, or the control in its place, has left the array.
    returned: u32,
    drained: usize,
    cycle: u64,
}

/// Walks one array's folds; returns when each ran.
pub(super) fn run<L: Lanes, O: Observer>(bench: &mut Bench<'_>, folds: &[Fold], mut probe: Probe<'_, O>) -> Vec<Span> {
    let spec = bench.setup.array;
    let (rows, cols, stages) = (spec.rows as usize, spec.cols as usize, spec.mac_stages as usize);
    let input_stationary = spec.dataflow == Dataflow::Is;
    let length = if input_stationary { bench.shape.n } else { bench.shape.m };
    let layout = Layout { folds, input_stationary, separate: spec.partial_sums == PartialSums::Outside };
    let mut array: Array<'_, L> = Array {
        layout,
        rows,
        cols,
        length,
        double: spec.preload == Preload::Double,
        left: Skew::in_steps(rows, stages),
        tiles: Skew::new(cols),
        top: Skew::new(cols),
        bottom: Skew::new(cols),
        streaming: Mesh::new(rows, cols),
        shadow: vec![Tile::default(); rows * cols],
        active: vec![Tile::default(); rows * cols],
        changed: vec![false; rows],
        partial: Mesh::new(rows * stages, cols),
        stages,
        calls: (1..stages).map(|_| Stream::default()).collect(),
        memory: vec![Word::default(); length as usize * cols],
        returned: 0,
        drained: 0,
        cycle: 0,
    };
    let mut sequencer = Sequencer {
        folds,
        rows: spec.rows,
        lag: u64::from(spec.mac_stages - 1) * u64::from(spec.rows - 1),
        length,
        preload: spec.preload,
        drain: spec.drain,
        feedback: !layout.separate,
        tiles: 0,
        tile_rows: 0,
        streams: 0,
        elements: 0,
        since_stream: 0,
        since_end: 0,
    };
    let mut spans = vec![Span::default(); folds.len()];
    while array.drained < folds.len() {
        let drained = array.drained;
        let issue = sequencer.issue(drained, array.returned);
        probe.open(array.cycle, cols, cols);
        array.leave(bench, &mut probe);
        array.step_pes(bench);
        array.shift_edges(bench, issue);
        if probe.is_on() {
            array.show(bench, issue, &mut probe);
        }
        if let Some((fold, 0)) = issue.stream {
            spans[fold].stream = array.cycle;
        }
        if let Some((fold, row)) = issue.tile
            && row as usize + 1 == rows
        {
            spans[fold].start = array.cycle;
        }
        array.cycle += 1;
        if array.drained > drained {
            spans[drained].end = array.cycle;
        }
    }
    probe.end(array.cycle);
    spans
}

impl<L: Lanes> Array<'_, L> {
    /// A word that an earlier cycle of the fold before has written.
    fn read_memory(&self, bench: &mut Bench<'_>, token: &Partial, column: usize) -> Chain {
        let word = &self.memory[token.t as usize * self.cols + column];
        debug_assert!(word.folds == token.fold && word.cycle < self.cycle, "a partial sum is read before it is written");
        bench.events.accumulator_memory_reads += 1;
        word.chain.clone()
    }

    /// Partial sums in the bottom row go to the memory, or to the output registers.
    fn leave<O: Observer>(&mut self, bench: &mut Bench<'_>, probe: &mut Probe<'_, O>) {
        for column in 0..self.cols {
            let token = &mut self.partial.row_mut(self.rows * self.stages - 1)[column];
            if !token.present {
                continue;
            }
            if column + 1 == self.cols && token.t + 1 == self.length {
                self.drained += 1;
            }
            if column == 0 && token.t == 0 {
                self.returned = token.fold + 1;
            }
            if !token.data {
                continue;
            }
            // Its place is taken by what the row above passes on this very cycle.
            let mut chain = std::mem::take(&mut token.chain);
            let token = token.clone();
            let fold = &self.layout.folds[token.fold as usize];
            let (row, col) = self.layout.place(fold, token.t, column);
            if self.layout.separate {
                let memory = if !fold.first_k {
                    self.read_memory(bench, &token, column).inner
                } else if bench.operands.c.is_some() {
                    let c = self.bottom.facing(column);
                    debug_assert!(c.data && (c.t, c.fold) == (token.t, token.fold), "C misses its result");
                    c.chain.inner.clone()
                } else {
                    bench.mac.zero()
                };
                let element = bench.element(row, col);
                let sum = bench.add_fold(column, &memory, chain.outermost(&bench.mac), fold.k.end - 1, element);
                bench.events.accumulator_memory_additions += 1;
                if fold.last_k {
                    let code = bench.write_output(row, col, &sum);
                    probe.output(column, (row, col), code);
                    continue;
                }
                chain = Chain { inner: sum, outer: Register::default() };
            } else if fold.last_k {
                let code = bench.write_output(row, col, chain.outermost(&bench.mac));
                probe.output(column, (row, col), code);
                continue;
            }
            bench.events.accumulator_memory_writes += 1;
            probe.write(column, token.t, &chain);
            self.memory[token.t as usize * self.cols + column] = Word { chain, folds: token.fold + 1, cycle: self.cycle };
        }
    }

    fn step_pes(&mut self, bench: &mut Bench<'_>) {
        self.streaming.shift_right(|row| self.left.facing(row).clone());
        // Tiles move down, so the last row comes first.
        for row in (0..self.rows).rev() {
            self.step_tiles(bench, row);
        }
        let zero = Chain::start(&bench.mac, bench.mac.zero());
        let (streaming, active, layout) = (self.streaming.row(0), &self.active, &self.layout);
        self.partial.shift_down(|column| {
            let (a, top) = (&streaming[column], self.top.facing(column));
            // The top row is never idle where its column is not.
            let chain = if top.data { &top.chain } else { &zero };
            let data = a.data && active[column].data && layout.selects(bench, a.fold, a.t, column);
            Partial { chain: chain.clone(), t: a.t, fold: a.fold, present: a.present, data }
        });
        for row in 0..self.rows {
            self.step_partials(bench, row);
        }
    }

    /// Loads and activates the stationary operands of a row where any of them moves.
    fn step_tiles(&mut self, bench: &mut Bench<'_>, row: usize) {
        let enter = if row == 0 { (0..self.cols).any(|c| self.tiles.facing(c).present) } else { self.changed[row - 1] };
        let activate = self.streaming.row(row).iter().any(Stream::begins);
        if !(enter || activate || self.changed[row]) {
            return;
        }
        let mut changed = false;
        for column in 0..self.cols {
            changed |= self.step_tile(bench, row, column);
        }
        self.changed[row] = changed;
    }

    /// Loads and activates a stationary operand; whether its registers changed.
    fn step_tile(&mut self, bench: &mut Bench<'_>, r: usize, c: usize) -> bool {
        let pe = r * self.cols + c;
        let activate = self.streaming.row(r)[c].begins();
        let entering = if r == 0 {
            self.tiles.facing(c).clone()
        } else {
            let above = &self.shadow[pe - self.cols];
            if above.moves_on_from(r - 1) { above.clone() } else { Tile::default() }
        };
        let moves_on = self.shadow[pe].moves_on_from(r);
        if !self.double {
            // The one register: what it holds now is what this cycle multiplies by.
            self.active[pe] = self.shadow[pe].clone();
        } else if activate {
            debug_assert!(self.shadow[pe].present && !moves_on, "a tile is activated before it is in place");
            self.active[pe] = std::mem::take(&mut self.shadow[pe]);
            bench.events.stationary_register_writes += self.active[pe].elements();
            if self.active[pe].data {
                bench.meter(Port::Active(pe), &self.active[pe].codes);
            }
        }
        let enters = entering.present;
        if enters {
            debug_assert!(!self.double || !self.shadow[pe].present || moves_on, "a tile is overwritten before its use");
            bench.events.stationary_register_writes += entering.elements();
            if entering.data {
                bench.meter(Port::Shadow(pe), &entering.codes);
            }
            self.shadow[pe] = entering;
        } else if moves_on {
            self.shadow[pe] = Tile::default();
        }
        enters || moves_on
    }

    fn step_partials(&mut self, bench: &mut Bench<'_>, row: usize) {
        let Layout { folds, input_stationary, separate } = self.layout;
        let pes = row * self.cols..(row + 1) * self.cols;
        let tiles = &self.active[pes.clone()];
        let (mut streamed, mut written) = (0, 0);
        for (column, ((a, tile), partial)) in
            self.streaming.row(row).iter().zip(tiles).zip(self.partial.row_mut(row * self.stages)).enumerate()
        {
            streamed += a.elements();
            written += u64::from(partial.data);
            if a.data {
                bench.meter(Port::Streaming(pes.start + column), &a.codes);
            }
            debug_assert_eq!(partial.present, a.present, "operand and partial sum meet");
            if partial.present {
                debug_assert_eq!((partial.t, partial.fold), (a.t, a.fold), "operand and partial sum belong together");
                debug_assert_eq!(tile.fold, a.fold, "operands belong together");
            }
            if partial.data && a.data {
                let fold = || &folds[a.fold as usize];
                let (left, right) = if input_stationary { (&tile.codes, &a.codes) } else { (&a.codes, &tile.codes) };
                let sums = if separate { (fold().k.start, fold().k.end) } else { (0, bench.shape.k) };
                let output = || self.layout.place(fold(), a.t, column);
                bench.multiply_accumulate(pes.start + column, &mut partial.chain, left, right, tile.k, sums, output);
            }
        }
        bench.events.streaming_register_writes += streamed;
        bench.events.accumulator_register_writes += written;
    }

    fn shift_edges(&mut self, bench: &mut Bench<'_>, issue: Issue) {
        let layout = self.layout;
        let Layout { folds, input_stationary: is, separate } = layout;
        let mut writes = 0;
        if separate {
            // A streaming token leaving the last row's skew calls for its row of C.
            self.calls.push_back(self.left.facing(self.rows - 1).clone());
            let call = self.calls.pop_front().unwrap_or_default();
            writes += self.bottom.shift(|c| if call.present { layout.initial(bench, call.fold, call.t, c) } else { Partial::default() });
        } else {
            writes += self.top.shift(|c| issue.stream.map_or_else(Partial::default, |(f, t)| layout.initial(bench, f as u32, t, c)));
            writes += self.read_back(bench);
        }
        writes += self.left.shift(|r| {
            let Some((f, t)) = issue.stream else { return Stream::default() };
            let k = lanes_of_row(bench, &folds[f], r as u32);
            let data = !k.is_empty();
            let codes = match (data, is) {
                (false, _) => L::default(),
                (true, false) => bench.read_a(t, k, folds[f].k.start),
                (true, true) => bench.read_b(k, t, folds[f].k.start),
            };
            Stream { codes, t, fold: f as u32, present: true, data }
        });
        writes += self.tiles.shift(|c| {
            let Some((f, row)) = issue.tile else { return Tile::default() };
            let fold = &folds[f];
            let k = lanes_of_row(bench, fold, row);
            let column = if is { fold.m.start } else { fold.n.start } + c as u32;
            let tile = Tile { k: k.start, row, fold: f as u32, present: true, ..Tile::default() };
            if k.is_empty() || column >= if is { fold.m.end } else { fold.n.end } {
                return tile;
            }
            let codes = if is { bench.read_a(column, k, fold.k.start) } else { bench.read_b(k, column, fold.k.start) };
            Tile { codes, data: true, ..tile }
        });
        bench.events.skew_register_writes += writes;
        if bench.meter.is_some() {
            bench.meter_edge(&self.left, Port::Left, |token| token.data.then_some(&token.codes));
            bench.meter_edge(&self.tiles, Port::Top, |token| token.data.then_some(&token.codes));
        }
    }

    /// Partial sums of the fold before enter the registers facing the column tops.
    fn read_back(&mut self, bench: &mut Bench<'_>) -> u64 {
        let mut writes = 0;
        for column in 0..self.cols {
            let token = self.top.facing(column).clone();
            if token.present
                && !self.layout.folds[token.fold as usize].first_k
                && column < self.layout.occupied_columns(&self.layout.folds[token.fold as usize])
                && self.layout.selects(bench, token.fold, token.t, column)
            {
                let chain = self.read_memory(bench, &token, column);
                self.top.replace_facing(column, Partial { chain, data: true, ..token });
                writes += 1;
            }
        }
        writes
    }
}

/// The k that the lanes of PE row `row` hold in a fold; none in an idle row.
fn lanes_of_row(bench: &Bench<'_>, fold: &Fold, row: u32) -> Range<u32> {
    let lanes = bench.setup.mode.lanes;
    let start = fold.k.start.saturating_add(row.saturating_mul(lanes)).min(fold.k.end);
    start..start.saturating_add(lanes).min(fold.k.end)
}
