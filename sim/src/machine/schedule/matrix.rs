//! The waves of a matrix product: which operand tiles each fold needs, and what it stores.
//!
//! The arrays of a design run in step: wave w holds one fold of each. Tiles of operands in
//! DRAM are loaded for the waves that need them. An operand may keep half of the staging
//! memory (all of it, if the other one is in the scratchpad already), which is what lies
//! above the highest scratchpad byte the program names:
//! - `os`, folds row-major: a row panel of A stays for its row of folds if two panels fit A's
//!   share; B stays as a whole from the first row of folds on if it fits B's share.
//! - `ws` (`is`): every stationary tile is loaded once; A (B), which streams, stays as a
//!   whole from the first output group on if it fits its share.
//!
//! What does not stay is loaded for every wave that needs it; arrays of one wave share it.
//! Partial sums beyond `memory.accumulator_kib` per array move to and from DRAM at every fold
//! boundary. Zeros that a window view pads with are not fetched: tiles carry the view's share.
//! Block scales come and stay with the tiles they belong to ([`super::scales`]). A mask comes like a
//! C, an element for each output; [`masked`] has the waves where it skips folds.

mod masked;

use super::flow::{Rhythm, Run, Wave};
use super::scales::{Groups, Powers, Scales};
use super::traffic::{Tiles, Traffic};
use crate::machine::operation::{Hardware, Matrix};
use systole_arrays::dataflow::{Plan, Selection};
use systole_arrays::problem::Cost;
use systole_isa::design::{ArraySpec, Convention, Dataflow, Ports};
use systole_isa::view::{Space, TensorView};

/// A matrix product as its waves.
pub struct Product {
    pub cost: Cost,
    pub rhythm: Rhythm,
    waves: Waves,
    /// The waves one by one, where a mask skips folds or outputs.
    listed: Option<Vec<Run>>,
    /// Bytes of partial sums that leave for DRAM at every fold but a group's last.
    spilled: u64,
}

struct Waves {
    dataflow: Dataflow,
    arrays: u64,
    /// Rows of D (`os`) or products, on the array's rows.
    down: Tiles,
    /// Columns of D (`os`, `ws`) or its rows (`is`), on the array's columns.
    across: Tiles,
    /// Length of what streams: K, M or N.
    stream: u64,
    a: Traffic,
    b: Traffic,
    c: Traffic,
    d: Traffic,
    scales_a: Scales,
    scales_b: Scales,
    /// How block scales cut the products.
    blocks: Groups,
    keep_a: bool,
    keep_b: bool,
    /// Storage bytes of A, B and C or the mask (0 without either), for the scratchpad's bandwidth.
    edge: [u64; 3],
    /// The same of D, where all accesses share the ports that the edges read by.
    shared: Option<u64>,
    scratchpad_bytes_per_cycle: u64,
    slot: u64,
    slot_within: u64,
    /// Bytes of a partial sum, and bytes of one array's accumulator memory.
    partial: u64,
    accumulator: u64,
    /// Read before the first wave.
    powers: Powers,
}

impl Product {
    /// The product on a design with `staging` bytes of scratchpad to stage operands in.
    /// `selection` is what a mask leaves, everything where that is not known.
    pub fn new(hardware: &Hardware, matrix: &Matrix, staging: u64, selection: Option<&Selection>) -> Self {
        let array = &hardware.design.array;
        let memory = &hardware.design.memory;
        let mode = &hardware.modes[matrix.mode];
        let plan = hardware.plan(matrix, selection);
        let mut cost = plan.cost();
        let (m, n, k) = (u64::from(matrix.shape.m), u64::from(matrix.shape.n), u64::from(matrix.shape.k));
        let (rows, cols, lanes) = (u64::from(array.rows), u64::from(array.cols), u64::from(mode.lanes));
        let (down, across, stream) = match array.dataflow {
            Dataflow::Os => (Tiles { extent: m, tile: rows }, Tiles { extent: n, tile: cols }, k),
            Dataflow::Ws => (Tiles { extent: k, tile: rows * lanes }, Tiles { extent: n, tile: cols }, m),
            Dataflow::Is => (Tiles { extent: k, tile: rows * lanes }, Tiles { extent: m, tile: cols }, n),
        };
        let (rhythm, slot, slot_within) = rhythm(&plan, array, cost.compute_cycles);
        let initial = matrix.c.or(matrix.mask);
        let edge = [mode.a.storage_bytes(), mode.b.storage_bytes(), initial.map_or(0, |c| c.format.storage_bytes())].map(u64::from);
        let blocks = Groups { extent: k, length: mode.chunk.map_or(k, u64::from) };
        let scales_a = Scales::new(matrix.scales[0].as_ref(), Groups { extent: m, length: mode.scale_rows.into() });
        let scales_b = Scales::new(matrix.scales[1].as_ref(), Groups { extent: n, length: mode.scale_cols.into() });
        let in_dram = |view: &TensorView| view.space == Space::Dram;
        let staged_a = if in_dram(&matrix.a) { edge[0] } else { 0 };
        let staged_b = if in_dram(&matrix.b) { edge[1] } else { 0 };
        let share = |other: u64| if other > 0 { staging / 2 } else { staging };
        // Rows of A to be kept: two panels under `os`, where the next comes while one is used.
        let (panel, panels) = match array.dataflow {
            Dataflow::Os => (down.tile.min(m), 2),
            Dataflow::Ws | Dataflow::Is => (m, 1),
        };
        let bytes_a = panels * (panel * k * staged_a + scales_a.axis.most(panel) * blocks.all() * scales_a.loaded);
        let bytes_b = n * k * staged_b + scales_b.axis.all() * blocks.all() * scales_b.loaded;
        let powers = Powers::new(&matrix.powers);
        cost.events.scratchpad_read_bytes += powers.read;
        let waves = Waves {
            dataflow: array.dataflow,
            arrays: array.count.into(),
            down,
            across,
            stream,
            a: Traffic::new(&matrix.a),
            b: Traffic::new(&matrix.b),
            c: initial.as_ref().map_or(Traffic::Each(0), Traffic::new),
            d: Traffic::new(&matrix.d),
            scales_a,
            scales_b,
            blocks,
            keep_a: bytes_a <= share(staged_b + scales_b.loaded),
            keep_b: bytes_b <= share(staged_a + scales_a.loaded),
            edge,
            shared: (memory.scratchpad_ports == Ports::Shared).then_some(matrix.d.format.storage_bytes().into()),
            scratchpad_bytes_per_cycle: memory.scratchpad_bytes_per_cycle(),
            slot,
            slot_within,
            partial: u64::from(mode.accumulator.storage_bytes()) + mode.chunk.map_or(0, |_| u64::from(mode.outermost().storage_bytes())),
            accumulator: u64::from(memory.accumulator_kib) << 10,
            powers,
        };
        let listed = selection.map(|selection| waves.listed(selection.tiles()));
        let spilled = match selection {
            None => waves.spilled(0, waves.groups()),
            Some(selection) => waves.spilled_by(selection.tiles()),
        };
        Self { cost, rhythm, waves, listed, spilled }
    }

    /// Bytes of partial sums that leave for DRAM and come back.
    pub const fn spilled_bytes(&self) -> u64 {
        (self.waves.folds() - 1) * self.spilled
    }

    /// Where a mask selects nothing, its load, and the cycles in which it is read.
    pub fn mask_alone(&self) -> Option<Wave> {
        self.listed.as_ref().filter(|runs| runs.is_empty()).map(|_| self.waves.mask_alone())
    }

    /// The waves in order.
    pub fn runs(&self) -> impl Iterator<Item = Run> + Clone + '_ {
        let (mut at, mut next) = ((0, 0), 0);
        std::iter::from_fn(move || {
            if let Some(runs) = &self.listed {
                next += 1;
                return runs.get(next - 1).copied();
            }
            let (wave, repeats) = self.waves.at(at.0, at.1)?;
            at = if at.1 + repeats.folds < self.waves.folds() { (at.0, at.1 + repeats.folds) } else { (at.0 + repeats.groups, 0) };
            Some((wave, repeats.groups * repeats.folds))
        })
    }
}

/// The rhythm of a plan, and the cycles from wave to wave: to other outputs, to the same.
fn rhythm(plan: &Plan, array: &ArraySpec, compute: u64) -> (Rhythm, u64, u64) {
    let (first, to_end, slot, within) = match array.convention {
        Convention::Rtl => {
            let first = plan.folds().next().map_or(0, |fold| fold.stream - fold.start);
            (first, plan.latency() - first, plan.period(), plan.period_within_group())
        }
        // Every fold takes the same time and none overlap; the last cycle is not counted.
        Convention::Scalesim => {
            let waves = plan.groups().div_ceil(array.count.into()) * plan.folds_per_group();
            let fold = (compute + 1) / waves.max(1);
            (0, fold.saturating_sub(1), fold, fold)
        }
    };
    (Rhythm { first, stream: plan.stream_cycles().min(to_end), to_result: plan.first_result().min(to_end), to_end }, slot, within)
}

/// The operand that moves through the arrays, or the one that rests in them.
struct Side {
    traffic: Traffic,
    scales: Scales,
}

/// The column tiles of a wave.
struct Resting {
    /// The first ones of the product.
    opens: bool,
    /// How many.
    arrays: u64,
    /// Rows or columns of D in all of them.
    width: u64,
    /// Block scales along those.
    scales: u64,
    /// Outputs computed.
    results: u64,
    /// Elements of C or of the mask that come with their first fold.
    initial: u64,
    /// Bytes of their partial sums that the accumulator memories do not hold.
    spilled: u64,
}

/// How many waves like one there are, counted by group or by fold of a group.
struct Repeats {
    groups: u64,
    folds: u64,
}

impl Waves {
    const fn folds(&self) -> u64 {
        match self.dataflow {
            Dataflow::Os => 1,
            Dataflow::Ws | Dataflow::Is => self.down.count(),
        }
    }

    const fn groups(&self) -> u64 {
        match self.dataflow {
            Dataflow::Os => self.down.count() * self.across.count(),
            Dataflow::Ws | Dataflow::Is => self.across.count(),
        }
    }

    /// The wave of each array's `group`-th output group at fold `fold`, and how many equal ones
    /// begin with it.
    fn at(&self, group: u64, fold: u64) -> Option<(Wave, Repeats)> {
        let from = group * self.arrays;
        let to = (from + self.arrays).min(self.groups());
        if from >= to {
            return None;
        }
        Some(match self.dataflow {
            Dataflow::Os => self.output_stationary(from, to),
            Dataflow::Ws | Dataflow::Is => self.operand_stationary(from, to, fold),
        })
    }

    /// Output groups `from` to `to` of the row-major grid of tiles.
    fn output_stationary(&self, from: u64, to: u64) -> (Wave, Repeats) {
        let (rows, cols, k) = (self.down, self.across, self.stream);
        let across = cols.count();
        let (row, col) = (from / across, from % across);
        let (last_row, last_col) = ((to - 1) / across, (to - 1) % across);
        // Rows and columns of D over all tiles of the wave, and its elements.
        let (height, width, results) = if row == last_row {
            let (height, width) = (rows.sum(row, row + 1), cols.sum(col, last_col + 1));
            (height * (to - from), width, height * width)
        } else {
            let (top, bottom) = (rows.sum(row, row + 1), rows.sum(last_row, last_row + 1));
            let between = rows.sum(row + 1, last_row);
            let (right, left) = (cols.sum(col, across), cols.sum(0, last_col + 1));
            (
                top * (across - col) + between * across + bottom * (last_col + 1),
                right + (last_row - row - 1) * cols.extent + left,
                top * right + between * cols.extent + bottom * left,
            )
        };
        let opens_row = from == 0 || (from - 1) / across != row;
        let first_panel = if self.keep_a && !opens_row { row + 1 } else { row };
        let panels = rows.range(first_panel, last_row + 1);
        // Columns of B, and those of its scales.
        let axis = self.scales_b.axis;
        let (columns, columns_scaled) = if self.keep_b {
            let new = if from < across { cols.range(col, to.min(across)) } else { 0..0 };
            (new.end - new.start, axis.begun(&new))
        } else if row == last_row {
            (width, axis.covered(&cols.range(col, last_col + 1)))
        } else if to - from >= across {
            (cols.extent, axis.all())
        } else {
            let pieces = axis.covered(&cols.range(col, across)) + axis.covered(&cols.range(0, last_col + 1));
            (width.min(cols.extent), pieces.min(axis.all()))
        };
        let blocks = self.blocks.all();
        let scales = self.scales_a.axis.covered(&panels) * blocks * self.scales_a.loaded + columns_scaled * blocks * self.scales_b.loaded;
        let powers = if from == 0 { self.powers } else { Powers::default() };
        let wave = self.wave(
            self.a.bytes((panels.end - panels.start) * k) + self.b.bytes(columns * k) + self.c.bytes(results) + scales + powers.loaded,
            self.d.bytes(results),
            (results, [0; 2]),
            self.slot,
            height * (k * self.edge[0] + blocks * self.scales_a.read)
                + width * (k * self.edge[1] + blocks * self.scales_b.read)
                + results * self.edge[2]
                + powers.read,
        );
        let groups = if powers.read > 0 {
            1
        } else if across == 1 {
            // A column of tiles: every wave opens rows.
            let waves = if from > 0 { rows.full().saturating_sub(from) / self.arrays } else { 0 };
            self.scales_a.alike(from * rows.tile, self.arrays * rows.tile, waves)
        } else if row == last_row && !(self.keep_a && opens_row) && last_col < cols.full() {
            self.scales_b.alike(col * cols.tile, self.arrays * cols.tile, (cols.full() - col) / self.arrays)
        } else {
            0
        };
        (wave, Repeats { groups: groups.max(1), folds: 1 })
    }

    /// Column tiles `from` to `to` at one tile of products.
    fn operand_stationary(&self, from: u64, to: u64, fold: u64) -> (Wave, Repeats) {
        let (across, folds) = (self.across, self.folds());
        let results = self.stream * across.sum(from, to);
        let (_, resting) = self.sides();
        let groups = Resting {
            opens: from == 0,
            arrays: to - from,
            width: across.sum(from, to),
            scales: resting.scales.axis.covered(&across.range(from, to)),
            results,
            initial: results,
            spilled: self.spilled(from, to),
        };
        let wave = self.stationary_wave(&groups, fold);
        let repeats = if folds == 1 && from > 0 {
            let waves = across.full().saturating_sub(from) / self.arrays;
            Repeats { groups: resting.scales.alike(from * across.tile, self.arrays * across.tile, waves).max(1), folds: 1 }
        } else {
            Repeats { groups: 1, folds: self.folds_alike(fold) }
        };
        (wave, repeats)
    }

    /// What moves through the arrays, and what rests in them.
    const fn sides(&self) -> (Side, Side) {
        let (a, b) = (Side { traffic: self.a, scales: self.scales_a }, Side { traffic: self.b, scales: self.scales_b });
        if matches!(self.dataflow, Dataflow::Is) { (b, a) } else { (a, b) }
    }

    /// Folds of a group from `fold` on that are alike.
    fn folds_alike(&self, fold: u64) -> u64 {
        let (down, folds) = (self.down, self.folds());
        if fold == 0 || fold + 1 == folds {
            return 1;
        }
        let waves = (down.full().min(folds - 1)).saturating_sub(fold);
        let scaled = self.scales_a.read + self.scales_b.read > 0;
        let waves = if scaled { self.blocks.alike(fold * down.tile, down.tile, waves) } else { waves };
        waves.max(1)
    }

    /// A wave of column tiles at one tile of products.
    fn stationary_wave(&self, groups: &Resting, fold: u64) -> Wave {
        let (down, folds) = (self.down, self.folds());
        let products = down.sum(fold, fold + 1);
        let (first, last) = (fold == 0, fold + 1 == folds);
        let (moving, resting) = self.sides();
        let is = self.dataflow == Dataflow::Is;
        let kept = if is { self.keep_b } else { self.keep_a };
        let (edge_moving, edge_resting) = if is { (self.edge[1], self.edge[0]) } else { (self.edge[0], self.edge[1]) };
        let blocks = self.blocks.covered(&down.range(fold, fold + 1));
        // What stays meets each block once.
        let new_blocks = if kept { self.blocks.begun(&down.range(fold, fold + 1)) } else { blocks };
        let moved = if kept && !groups.opens {
            0
        } else {
            moving.traffic.bytes(self.stream * products) + moving.scales.axis.all() * new_blocks * moving.scales.loaded
        };
        let rested = resting.traffic.bytes(groups.width * products) + groups.scales * blocks * resting.scales.loaded;
        let initial = if first { groups.initial } else { 0 };
        let powers = if groups.opens && first { self.powers } else { Powers::default() };
        self.wave(
            moved + rested + self.c.bytes(initial) + if first { powers.loaded } else { groups.spilled },
            if last { self.d.bytes(groups.results) } else { groups.spilled },
            (if last { groups.results } else { 0 }, [!first, !last].map(|moves| if moves { groups.spilled } else { 0 })),
            if last { self.slot } else { self.slot_within },
            self.stream * groups.arrays * (products * edge_moving + blocks * moving.scales.read)
                + groups.width * (products * edge_resting + blocks * resting.scales.read)
                + initial * self.edge[2]
                + powers.read,
        )
    }

    /// Bytes of the partial sums of column tiles `from` to `to` beyond the accumulator memories.
    fn spilled(&self, from: u64, to: u64) -> u64 {
        let beyond = |width: u64| (self.stream * width * self.partial).saturating_sub(self.accumulator);
        let full = to.min(self.across.full()).saturating_sub(from);
        let ragged = if full < to - from { beyond(self.across.sum(to - 1, to)) } else { 0 };
        full * beyond(self.across.tile) + ragged
    }

    /// A wave; `edge` are the bytes its arrays' edges read. Of those loaded and stored, partial sums
    /// that are spilled do not pass the scratchpad, and on their way there results are written.
    fn wave(&self, load: u64, store: u64, (results, spilled): (u64, [u64; 2]), slot: u64, edge: u64) -> Wave {
        let others = self.shared.map_or(0, |bytes| load - spilled[0] + store - spilled[1] + results * bytes);
        Wave { load, store, slot, extra: (edge + others).div_ceil(self.scratchpad_bytes_per_cycle).saturating_sub(slot) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::operation::Power;
    use proptest::prelude::*;
    use systole_arrays::datapath::Output;
    use systole_arrays::problem::{Shape, scale_extents};
    use systole_isa::design::{Design, PartialSums, Scaling};
    use systole_isa::device::Events;
    use systole_isa::format::Format;

    pub fn design(rows: u32, cols: u32, count: u32, dataflow: Dataflow, scratchpad_kib: u32) -> Design {
        let mut design = systole_isa::design::find("fp8-16x16").unwrap();
        (design.array.rows, design.array.cols, design.array.count, design.array.dataflow) = (rows, cols, count, dataflow);
        design.memory.scratchpad_kib = scratchpad_kib;
        design.memory.accumulator_kib = 1;
        design.array.partial_sums = PartialSums::Outside;
        design
    }

    pub fn matrix(hardware: &Hardware, (m, n, k): (u32, u32, u32), with_c: bool, scaled: [bool; 2], powers: [bool; 2]) -> Matrix {
        let view = |format, address, rows, cols| TensorView::contiguous(format, Space::Dram, address, rows, cols);
        let [a, b] = scale_extents(&hardware.modes[0], Shape { m, n, k });
        let scales = |scaled: bool, address, (rows, cols)| scaled.then(|| view(Format::E8M0, address, rows, cols));
        let power = |named: bool, address| named.then_some(Power { space: Space::Dram, address });
        Matrix {
            powers: [power(powers[0], 1 << 25), power(powers[1], (1 << 25) + 1)],
            scales: [scales(scaled[0], 1 << 23, a), scales(scaled[1], 1 << 24, b)],
            a: view(Format::E4M3FN, 0, m, k),
            b: view(Format::E4M3FN, 1 << 20, k, n),
            mask: None,
            c: with_c.then(|| view(Format::FP32, 1 << 21, m, n)),
            d: view(Format::FP32, 1 << 22, m, n),
            mode: 0,
            biases: (0, 0),
            output: Output { format: Format::FP32, policy: systole_isa::round::Policy::RNE },
            shape: Shape { m, n, k },
        }
    }

    proptest! {
        #[test]
        fn runs_are_the_waves_one_by_one(
            (rows, cols, count) in (1..5u32, 1..5u32, 1..5u32), (m, n, k) in (1..40u32, 1..40u32, 1..40u32),
            dataflow in prop::sample::select(vec![Dataflow::Os, Dataflow::Ws, Dataflow::Is]), with_c: bool, staging in 0..3000u64,
            scaled: [bool; 2], powers: [bool; 2], (chunk, scale_rows, scale_cols) in (1..12u32, 1..9u32, 1..9u32),
            ports in prop::sample::select(vec![Ports::Separate, Ports::Shared]),
        ) {
            let mut design = design(rows, cols, count, dataflow, 1);
            design.memory.scratchpad_ports = ports;
            if scaled != [false; 2] {
                design.mac.scale = Scaling::Exponent;
                (design.mac.chunk, design.mac.scale_rows, design.mac.scale_cols) = (Some(chunk), scale_rows, scale_cols);
            }
            let hardware = Hardware::new(design);
            let matrix = matrix(&hardware, (m, n, k), with_c, scaled, powers);
            let mut product = Product::new(&hardware, &matrix, staging, None);
            // All that enters at the edges, and where ports are shared all that passes them, as `extra`.
            (product.waves.slot, product.waves.slot_within, product.waves.scratchpad_bytes_per_cycle) = (0, 0, 1);
            let waves = &product.waves;
            let runs: Vec<Wave> = product.runs().flat_map(|(wave, times)| std::iter::repeat_n(wave, times as usize)).collect();
            let single: Vec<Wave> = (0..waves.groups().div_ceil(waves.arrays))
                .flat_map(|group| (0..waves.folds()).map(move |fold| waves.at(group, fold).unwrap().0))
                .collect();
            prop_assert_eq!(&runs, &single);
            let passed: u64 = runs.iter().map(|w| w.extra).sum();
            let transferred: u64 = runs.iter().map(|w| w.load + w.store).sum();
            let Events { scratchpad_read_bytes: read, scratchpad_write_bytes: written, .. } = product.cost.events;
            let others = if ports == Ports::Shared { written + transferred - 2 * product.spilled_bytes() } else { 0 };
            prop_assert_eq!(passed, read + others);

            let stored: u64 = runs.iter().map(|w| w.store).sum();
            let results = u64::from(m) * u64::from(n);
            let loaded: u64 = runs.iter().map(|w| w.load).sum();
            let powers = matrix.powers.map(|power| power.map(Power::view));
            let scales: u64 = matrix.scales.iter().chain(&powers).flatten().map(|view| view.elements()).sum();
            let operands = u64::from(m) * u64::from(k) + u64::from(k) * u64::from(n) + if with_c { results * 4 } else { 0 } + scales;
            prop_assert!(stored >= results * 4 && loaded >= operands);
            if dataflow == Dataflow::Os {
                prop_assert_eq!(stored, results * 4);
            }
            // Spilled partial sums leave as often as they come back.
            if waves.spilled(0, waves.groups()) == 0 {
                prop_assert_eq!(stored, results * 4);
                let everything_stays = waves.keep_a && waves.keep_b;
                // A scale at the seam of two tiles comes with each, unless its tensor stays.
                let seams = scaled[0] && !rows.is_multiple_of(scale_rows) || dataflow != Dataflow::Os && scaled != [false; 2];
                if everything_stays && !seams {
                    prop_assert_eq!(loaded, operands);
                }
            } else {
                prop_assert!(waves.folds() == 1 || loaded > operands);
            }
            prop_assert_eq!(product.cost.events.folds, waves.groups() * waves.folds());
        }
    }
}
