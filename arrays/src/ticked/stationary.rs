//! Weight- and input-stationary array: PEs with a preloaded operand and a partial sum.
//!
//! Tile tokens shift down their column to the row they are for; the first streaming token of
//! a fold makes them the active ones. A partial sum starts in the top PE, passes idle rows
//! unchanged, and meets the accumulator memory or the output register below the last row.
//! Streaming tokens pass idle rows as control, so a ragged fold keeps time with a whole one.

use super::edge::{Skew, Token};
use super::{Bench, Span, closes};
use crate::dataflow::Fold;
use crate::datapath::Chain;
use systole_isa::design::{Dataflow, Drain, PartialSums, Preload};

/// A streaming operand: element `t` of its row's stream.
#[derive(Clone, Copy, Default)]
struct Stream {
    code: u64,
    t: u32,
    fold: u32,
    present: bool,
    data: bool,
}

/// A preloaded operand for PE row `row`; it moves down until it is there.
#[derive(Clone, Copy, Default)]
struct Tile {
    code: u64,
    k: u32,
    row: u32,
    fold: u32,
    present: bool,
    data: bool,
    closes: bool,
}

impl Tile {
    const fn moves_on_from(&self, row: usize) -> bool {
        self.present && self.row as usize != row
    }
}

/// A partial sum for element `t` of a column, or the control that keeps its place.
#[derive(Clone, Copy, Default)]
struct Partial {
    chain: Chain,
    t: u32,
    fold: u32,
    present: bool,
    data: bool,
}

macro_rules! tokens {
    ($($name:ident),*) => {$(
        impl Token for $name {
            fn has_data(&self) -> bool {
                self.data
            }
        }
    )*};
}

tokens!(Stream, Tile, Partial);

/// A word of the accumulator memory: the chain under `feedback`, an outermost sum in
/// `inner` under `outside`.
#[derive(Clone, Copy, Default)]
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
}

impl Sequencer<'_> {
    /// `drained`: folds whose last result is in its output register or in memory;
    /// `returned`: folds whose first partial sum is in the accumulator memory.
    fn issue(&mut self, drained: usize, returned: u32) -> Issue {
        let mut issue = Issue::default();
        let streaming = self.streams > 0 && self.elements < self.length;
        if !streaming && self.may_stream(drained, returned) {
            self.streams += 1;
            self.elements = 0;
        }
        if self.streams > 0 && self.elements < self.length {
            issue.stream = Some((self.streams - 1, self.elements));
            self.elements += 1;
        }
        if self.may_load(drained, issue.stream.is_some()) {
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

    fn may_load(&self, drained: usize, streaming: bool) -> bool {
        let next = self.tiles;
        if next == self.folds.len() || (next > 0 && self.tile_rows < self.rows) {
            return false;
        }
        let previous_has_started = self.streams == next;
        next == 0
            || match (self.preload, self.drain) {
                (Preload::Double, _) => previous_has_started,
                (Preload::Serial, Drain::Overlap) => previous_has_started && !streaming,
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
        let chain = if self.separate { Chain { inner: c, outer: 0 } } else { Chain::start(&bench.mac, c) };
        Partial { chain, data: true, ..control }
    }
}

struct Array<'a> {
    layout: Layout<'a>,
    rows: usize,
    cols: usize,
    /// Length of every stream.
    length: u32,
    double: bool,
    left: Skew<Stream>,
    tiles: Skew<Tile>,
    top: Skew<Partial>,
    /// C on its way to the accumulator memory, its outermost code in `inner`.
    bottom: Skew<Partial>,
    streaming: Vec<Stream>,
    /// The register tiles enter; the only one without double buffering.
    shadow: Vec<Tile>,
    active: Vec<Tile>,
    partial: Vec<Partial>,
    /// Bank c holds column c; row t.
    memory: Vec<Word>,
    drained: usize,
    cycle: u64,
}

/// Walks one array's folds; returns when each ran.
pub(super) fn run(bench: &mut Bench<'_>, folds: &[Fold]) -> Vec<Span> {
    let spec = bench.setup.array;
    let (rows, cols) = (spec.rows as usize, spec.cols as usize);
    let input_stationary = spec.dataflow == Dataflow::Is;
    let length = if input_stationary { bench.shape.n } else { bench.shape.m };
    let layout = Layout { folds, input_stationary, separate: spec.partial_sums == PartialSums::Outside };
    let mut array = Array {
        layout,
        rows,
        cols,
        length,
        double: spec.preload == Preload::Double,
        left: Skew::new(rows),
        tiles: Skew::new(cols),
        top: Skew::new(cols),
        bottom: Skew::new(cols),
        streaming: vec![Stream::default(); rows * cols],
        shadow: vec![Tile::default(); rows * cols],
        active: vec![Tile::default(); rows * cols],
        partial: vec![Partial::default(); rows * cols],
        memory: vec![Word::default(); length as usize * cols],
        drained: 0,
        cycle: 0,
    };
    let mut sequencer = Sequencer {
        folds,
        rows: spec.rows,
        length,
        preload: spec.preload,
        drain: spec.drain,
        feedback: !layout.separate,
        tiles: 0,
        tile_rows: 0,
        streams: 0,
        elements: 0,
    };
    let mut spans = vec![Span::default(); folds.len()];
    while array.drained < folds.len() {
        let drained = array.drained;
        let issue = sequencer.issue(drained, array.memory[0].folds);
        array.leave(bench);
        array.step_pes(bench);
        array.shift_edges(bench, issue);
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
    spans
}

impl Array<'_> {
    /// A word that an earlier cycle of the fold before has written.
    fn read_memory(&self, bench: &mut Bench<'_>, token: &Partial, column: usize) -> Chain {
        let word = self.memory[token.t as usize * self.cols + column];
        debug_assert!(word.folds == token.fold && word.cycle < self.cycle, "a partial sum is read before it is written");
        bench.events.accumulator_memory_reads += 1;
        word.chain
    }

    /// Partial sums in the bottom row go to the memory, or to the output registers.
    fn leave(&mut self, bench: &mut Bench<'_>) {
        for column in 0..self.cols {
            let token = self.partial[(self.rows - 1) * self.cols + column];
            if !token.present {
                continue;
            }
            if column + 1 == self.cols && token.t + 1 == self.length {
                self.drained += 1;
            }
            if !token.data {
                continue;
            }
            let fold = &self.layout.folds[token.fold as usize];
            let (row, col) = self.layout.place(fold, token.t, column);
            let mut chain = token.chain;
            let mut outermost = chain.outermost(&bench.mac);
            if self.layout.separate {
                let memory = if !fold.first_k {
                    self.read_memory(bench, &token, column).inner
                } else if bench.operands.c.is_some() {
                    let c = self.bottom.facing(column);
                    debug_assert!(c.data && (c.t, c.fold) == (token.t, token.fold), "C misses its result");
                    c.chain.inner
                } else {
                    bench.setup.mode.outermost().zero(false)
                };
                let element = bench.element(row, col);
                outermost = bench.mac.add_fold(memory, outermost, fold.k.end - 1, &element, &mut bench.activity);
                chain = Chain { inner: outermost, outer: 0 };
                bench.events.accumulator_memory_additions += 1;
            }
            if fold.last_k {
                bench.write_output(row, col, outermost);
            } else {
                bench.events.accumulator_memory_writes += 1;
                self.memory[token.t as usize * self.cols + column] = Word { chain, folds: token.fold + 1, cycle: self.cycle };
            }
        }
    }

    fn step_pes(&mut self, bench: &mut Bench<'_>) {
        for r in (0..self.rows).rev() {
            for c in (0..self.cols).rev() {
                let pe = r * self.cols + c;
                let a = if c == 0 { *self.left.facing(r) } else { self.streaming[pe - 1] };
                self.streaming[pe] = a;
                bench.events.streaming_register_writes += u64::from(a.data);
                let tile = self.step_tile(bench, r, c, a.present && a.t == 0);
                self.step_partial(bench, r, c, &a, &tile);
            }
        }
    }

    /// Loads and activates the stationary operand; returns the one to multiply by.
    fn step_tile(&mut self, bench: &mut Bench<'_>, r: usize, c: usize, activate: bool) -> Tile {
        let pe = r * self.cols + c;
        let entering = if r == 0 {
            *self.tiles.facing(c)
        } else {
            let above = self.shadow[pe - self.cols];
            if above.moves_on_from(r - 1) { above } else { Tile::default() }
        };
        let held = self.shadow[pe];
        if self.double && activate {
            debug_assert!(held.present && !held.moves_on_from(r), "a tile is activated before it is in place");
            self.active[pe] = held;
            self.shadow[pe] = Tile::default();
            bench.events.stationary_register_writes += u64::from(held.data);
        }
        if entering.present {
            debug_assert!(!self.double || !self.shadow[pe].present || held.moves_on_from(r), "a tile is overwritten before its use");
            self.shadow[pe] = entering;
            bench.events.stationary_register_writes += u64::from(entering.data);
        } else if held.moves_on_from(r) {
            self.shadow[pe] = Tile::default();
        }
        if self.double { self.active[pe] } else { held }
    }

    fn step_partial(&mut self, bench: &mut Bench<'_>, r: usize, c: usize, a: &Stream, tile: &Tile) {
        let pe = r * self.cols + c;
        let mut partial = if r == 0 {
            let top = self.top.facing(c);
            // The top row is never idle where its column is not.
            let chain = if top.data { top.chain } else { Chain::start(&bench.mac, bench.setup.mode.outermost().zero(false)) };
            Partial { chain, t: a.t, fold: a.fold, present: a.present, data: a.data && tile.data }
        } else {
            self.partial[pe - self.cols]
        };
        debug_assert_eq!(partial.present, a.present, "operand and partial sum meet");
        if partial.present {
            debug_assert_eq!((partial.t, partial.fold), (a.t, a.fold), "operand and partial sum belong together");
            debug_assert_eq!(tile.fold, a.fold, "operands belong together");
        }
        if partial.data && a.data {
            let (row, column) = self.layout.place(&self.layout.folds[a.fold as usize], a.t, c);
            let (left, right) = if self.layout.input_stationary { (tile.code, a.code) } else { (a.code, tile.code) };
            let element = bench.element(row, column);
            partial.chain.step(&bench.mac, left, right, tile.k, tile.closes, &element, &mut bench.activity);
            bench.events.macs += 1;
            bench.events.outer_additions += u64::from(tile.closes);
        }
        bench.events.accumulator_register_writes += u64::from(partial.data);
        self.partial[pe] = partial;
    }

    fn shift_edges(&mut self, bench: &mut Bench<'_>, issue: Issue) {
        let layout = self.layout;
        let Layout { folds, input_stationary: is, separate } = layout;
        let mut writes = 0;
        if separate {
            // A streaming token leaving the last row's skew calls for its row of C.
            let call = *self.left.facing(self.rows - 1);
            writes += self.bottom.shift(|c| if call.present { layout.initial(bench, call.fold, call.t, c) } else { Partial::default() });
        } else {
            writes += self.top.shift(|c| issue.stream.map_or_else(Partial::default, |(f, t)| layout.initial(bench, f as u32, t, c)));
            writes += self.read_back(bench);
        }
        writes += self.left.shift(|r| {
            let Some((f, t)) = issue.stream else { return Stream::default() };
            let k = folds[f].k.start + r as u32;
            let data = k < folds[f].k.end;
            let code = match (data, is) {
                (false, _) => 0,
                (true, false) => bench.read_a(t, k),
                (true, true) => bench.read_b(k, t),
            };
            Stream { code, t, fold: f as u32, present: true, data }
        });
        writes += self.tiles.shift(|c| {
            let Some((f, row)) = issue.tile else { return Tile::default() };
            let fold = &folds[f];
            let (k, column) = (fold.k.start + row, if is { fold.m.start } else { fold.n.start } + c as u32);
            let tile = Tile { k, row, fold: f as u32, present: true, ..Tile::default() };
            if k >= fold.k.end || column >= if is { fold.m.end } else { fold.n.end } {
                return tile;
            }
            let code = if is { bench.read_a(column, k) } else { bench.read_b(k, column) };
            Tile { code, data: true, closes: closes(bench, fold, k, separate), ..tile }
        });
        bench.events.skew_register_writes += writes;
    }

    /// Partial sums of the fold before enter the registers facing the column tops.
    fn read_back(&mut self, bench: &mut Bench<'_>) -> u64 {
        let mut writes = 0;
        for column in 0..self.cols {
            let token = *self.top.facing(column);
            if token.present
                && !self.layout.folds[token.fold as usize].first_k
                && column < self.layout.occupied_columns(&self.layout.folds[token.fold as usize])
            {
                let chain = self.read_memory(bench, &token, column);
                *self.top.facing_mut(column) = Partial { chain, data: true, ..token };
                writes += 1;
            }
        }
        writes
    }
}
