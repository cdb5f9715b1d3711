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

use super::flow::{Rhythm, Run, Wave};
use crate::machine::operation::{Hardware, Matrix};
use systole_arrays::dataflow::Plan;
use systole_arrays::problem::Cost;
use systole_isa::design::{ArraySpec, Convention, Dataflow};
use systole_isa::view::{Layout, Space, TensorView, Window};

/// An extent cut into tiles.
#[derive(Clone, Copy, Debug)]
struct Tiles {
    extent: u64,
    tile: u64,
}

impl Tiles {
    const fn count(self) -> u64 {
        self.extent.div_ceil(self.tile)
    }

    /// Tiles of full size.
    const fn full(self) -> u64 {
        self.extent / self.tile
    }

    /// Elements of tiles `from` to `to`, `to` not included.
    fn sum(self, from: u64, to: u64) -> u64 {
        (to * self.tile).min(self.extent) - (from * self.tile).min(self.extent)
    }
}

/// DRAM bytes behind elements of a view.
#[derive(Clone, Copy, Debug)]
enum Traffic {
    /// Bytes of every element; 0 in the scratchpad.
    Each(u64),
    /// Bytes of all elements that are not padding, and the number of all elements.
    Share(u128, u128),
}

impl Traffic {
    fn new(view: &TensorView) -> Self {
        let size = view.format.storage_bytes();
        match (view.space, view.layout) {
            (Space::Scratchpad, _) => Self::Each(0),
            (Space::Dram, Layout::Strided { .. }) => Self::Each(size.into()),
            (Space::Dram, Layout::Window(_)) => Self::Share(real_elements(view) * u128::from(size), view.elements().into()),
        }
    }

    const fn bytes(self, elements: u64) -> u64 {
        match self {
            Self::Each(bytes) => elements * bytes,
            Self::Share(real, all) => (elements as u128 * real).div_ceil(all) as u64,
        }
    }
}

/// Elements of a view that lie in memory.
pub fn real_elements(view: &TensorView) -> u128 {
    let Layout::Window(w) = view.layout else { return u128::from(view.elements()) };
    let images = view.rows / (w.out_h * w.out_w);
    let rows = axis(&w, w.out_h, w.kernel_h, w.h);
    let cols = axis(&w, w.out_w, w.kernel_w, w.w);
    u128::from(images) * u128::from(rows) * u128::from(cols) * u128::from(w.c)
}

/// Pairs of output and kernel position along an axis that read the input.
fn axis(window: &Window, outputs: u32, kernel: u32, extent: u32) -> u64 {
    let (stride, pad, dilate) = (i64::from(window.stride), i64::from(window.pad), i64::from(window.dilate));
    let reads = |out: u32, at: u32| {
        let spread = i64::from(out) * stride + i64::from(at) - pad;
        spread >= 0 && spread % dilate == 0 && spread / dilate < i64::from(extent)
    };
    (0..outputs).map(|out| (0..kernel).filter(|&at| reads(out, at)).count() as u64).sum()
}

/// A matrix product as its waves.
pub struct Product {
    pub cost: Cost,
    pub rhythm: Rhythm,
    waves: Waves,
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
    keep_a: bool,
    keep_b: bool,
    /// Storage bytes of A, B and C (0 without C), for the scratchpad's bandwidth.
    edge: [u64; 3],
    scratchpad_bytes_per_cycle: u64,
    slot: u64,
    slot_within: u64,
    /// Bytes of a partial sum, and bytes of one array's accumulator memory.
    partial: u64,
    accumulator: u64,
}

impl Product {
    /// The product on a design with `staging` bytes of scratchpad to stage operands in.
    pub fn new(hardware: &Hardware, matrix: &Matrix, staging: u64) -> Self {
        let array = &hardware.design.array;
        let memory = &hardware.design.memory;
        let mode = &hardware.modes[matrix.mode];
        let plan = hardware.plan(matrix);
        let cost = plan.cost();
        let (m, n, k) = (u64::from(matrix.shape.m), u64::from(matrix.shape.n), u64::from(matrix.shape.k));
        let (rows, cols, lanes) = (u64::from(array.rows), u64::from(array.cols), u64::from(mode.lanes));
        let (down, across, stream) = match array.dataflow {
            Dataflow::Os => (Tiles { extent: m, tile: rows }, Tiles { extent: n, tile: cols }, k),
            Dataflow::Ws => (Tiles { extent: k, tile: rows * lanes }, Tiles { extent: n, tile: cols }, m),
            Dataflow::Is => (Tiles { extent: k, tile: rows * lanes }, Tiles { extent: m, tile: cols }, n),
        };
        let stream_cycles = if array.dataflow == Dataflow::Os { stream.div_ceil(lanes) } else { stream };
        let (rhythm, slot, slot_within) = rhythm(&plan, array, stream_cycles, cost.compute_cycles);
        let edge = [mode.a.storage_bytes(), mode.b.storage_bytes(), matrix.c.map_or(0, |c| c.format.storage_bytes())].map(u64::from);
        let in_dram = |view: &TensorView| view.space == Space::Dram;
        let share = |other: &TensorView| if in_dram(other) { staging / 2 } else { staging };
        let panel = match array.dataflow {
            Dataflow::Os => 2 * down.tile.min(m) * k,
            Dataflow::Ws | Dataflow::Is => m * k,
        };
        let waves = Waves {
            dataflow: array.dataflow,
            arrays: array.count.into(),
            down,
            across,
            stream,
            a: Traffic::new(&matrix.a),
            b: Traffic::new(&matrix.b),
            c: matrix.c.as_ref().map_or(Traffic::Each(0), Traffic::new),
            d: Traffic::new(&matrix.d),
            keep_a: panel * edge[0] <= share(&matrix.b),
            keep_b: k * n * edge[1] <= share(&matrix.a),
            edge,
            scratchpad_bytes_per_cycle: u64::from(memory.scratchpad_banks) * u64::from(memory.scratchpad_bank_bytes),
            slot,
            slot_within,
            partial: u64::from(mode.accumulator.storage_bytes()) + mode.chunk.map_or(0, |_| u64::from(mode.outermost().storage_bytes())),
            accumulator: u64::from(memory.accumulator_kib) << 10,
        };
        Self { cost, rhythm, waves }
    }

    /// Bytes of partial sums that leave for DRAM and come back.
    pub fn spilled_bytes(&self) -> u64 {
        (self.waves.folds() - 1) * self.waves.spilled(0, self.waves.groups())
    }

    /// The waves in order.
    pub fn runs(&self) -> impl Iterator<Item = Run> + Clone + '_ {
        let mut at = (0, 0);
        std::iter::from_fn(move || {
            let (wave, repeats) = self.waves.at(at.0, at.1)?;
            at = if at.1 + repeats.folds < self.waves.folds() { (at.0, at.1 + repeats.folds) } else { (at.0 + repeats.groups, 0) };
            Some((wave, repeats.groups * repeats.folds))
        })
    }
}

/// The rhythm of a plan, and the cycles from wave to wave: to other outputs, to the same.
fn rhythm(plan: &Plan, array: &ArraySpec, stream: u64, compute: u64) -> (Rhythm, u64, u64) {
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
    let to_result = match array.dataflow {
        Dataflow::Os => stream + u64::from(array.cols),
        Dataflow::Ws | Dataflow::Is => array.rows.into(),
    };
    (Rhythm { first, stream: stream.min(to_end), to_result: to_result.min(to_end), to_end }, slot, within)
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
        let panels = if self.keep_a && !opens_row { rows.sum(row + 1, last_row + 1) } else { rows.sum(row, last_row + 1) };
        let columns = if self.keep_b {
            if from < across { cols.sum(col, to.min(across)) } else { 0 }
        } else if row == last_row {
            width
        } else if to - from >= across {
            cols.extent
        } else {
            width.min(cols.extent)
        };
        let wave = self.wave(
            self.a.bytes(panels * k) + self.b.bytes(columns * k) + self.c.bytes(results),
            self.d.bytes(results),
            self.slot,
            height * k * self.edge[0] + width * k * self.edge[1] + results * self.edge[2],
        );
        let groups = if across == 1 {
            // A column of tiles: every wave opens rows.
            if from > 0 { rows.full().saturating_sub(from) / self.arrays } else { 0 }
        } else if row == last_row && !(self.keep_a && opens_row) && last_col < cols.full() {
            (cols.full() - col) / self.arrays
        } else {
            0
        };
        (wave, Repeats { groups: groups.max(1), folds: 1 })
    }

    /// Column tiles `from` to `to` at one tile of products.
    fn operand_stationary(&self, from: u64, to: u64, fold: u64) -> (Wave, Repeats) {
        let (down, across) = (self.down, self.across);
        let folds = down.count();
        let (products, width) = (down.sum(fold, fold + 1), across.sum(from, to));
        let (first, last) = (fold == 0, fold + 1 == folds);
        let (moving, resting) = (self.stream * products, width * products);
        let (a, b, kept) = match self.dataflow {
            Dataflow::Is => (resting, moving, self.keep_b),
            _ => (moving, resting, self.keep_a),
        };
        let (edge_a, edge_b) = match self.dataflow {
            Dataflow::Is => (resting, moving * (to - from)),
            _ => (moving * (to - from), resting),
        };
        let stays = kept && from > 0;
        let (a, b) = match self.dataflow {
            Dataflow::Is => (a, if stays { 0 } else { b }),
            _ => (if stays { 0 } else { a }, b),
        };
        let results = self.stream * width;
        let spilled = self.spilled(from, to);
        let c = if first { results } else { 0 };
        let wave = self.wave(
            self.a.bytes(a) + self.b.bytes(b) + self.c.bytes(c) + if first { 0 } else { spilled },
            if last { self.d.bytes(results) } else { spilled },
            if last { self.slot } else { self.slot_within },
            edge_a * self.edge[0] + edge_b * self.edge[1] + c * self.edge[2],
        );
        let repeats = if folds == 1 && from > 0 {
            Repeats { groups: (across.full().saturating_sub(from) / self.arrays).max(1), folds: 1 }
        } else if !first && !last {
            Repeats { groups: 1, folds: (down.full().min(folds - 1)).saturating_sub(fold).max(1) }
        } else {
            Repeats { groups: 1, folds: 1 }
        };
        (wave, repeats)
    }

    /// Bytes of the partial sums of column tiles `from` to `to` beyond the accumulator memories.
    fn spilled(&self, from: u64, to: u64) -> u64 {
        let beyond = |width: u64| (self.stream * width * self.partial).saturating_sub(self.accumulator);
        let full = to.min(self.across.full()).saturating_sub(from);
        let ragged = if full < to - from { beyond(self.across.sum(to - 1, to)) } else { 0 };
        full * beyond(self.across.tile) + ragged
    }

    /// A wave; `edge` are the bytes its arrays' edges read.
    const fn wave(&self, load: u64, store: u64, slot: u64, edge: u64) -> Wave {
        Wave { load, store, slot, extra: edge.div_ceil(self.scratchpad_bytes_per_cycle).saturating_sub(slot) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use systole_arrays::datapath::Output;
    use systole_arrays::problem::Shape;
    use systole_isa::design::{Design, PartialSums};
    use systole_isa::format::Format;

    fn design(rows: u32, cols: u32, count: u32, dataflow: Dataflow, scratchpad_kib: u32) -> Design {
        let mut design = systole_isa::design::find("fp8-16x16").unwrap();
        (design.array.rows, design.array.cols, design.array.count, design.array.dataflow) = (rows, cols, count, dataflow);
        design.memory.scratchpad_kib = scratchpad_kib;
        design.memory.accumulator_kib = 1;
        design.array.partial_sums = PartialSums::Outside;
        design
    }

    fn matrix(m: u32, n: u32, k: u32, with_c: bool) -> Matrix {
        let view = |format, address, rows, cols| TensorView::contiguous(format, Space::Dram, address, rows, cols);
        Matrix {
            a: view(Format::E4M3FN, 0, m, k),
            b: view(Format::E4M3FN, 1 << 20, k, n),
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
        ) {
            let hardware = Hardware::new(design(rows, cols, count, dataflow, 1));
            let matrix = matrix(m, n, k, with_c);
            let product = Product::new(&hardware, &matrix, staging);
            let waves = &product.waves;
            let runs: Vec<Wave> = product.runs().flat_map(|(wave, times)| std::iter::repeat_n(wave, times as usize)).collect();
            let single: Vec<Wave> = (0..waves.groups().div_ceil(waves.arrays))
                .flat_map(|group| (0..waves.folds()).map(move |fold| waves.at(group, fold).unwrap().0))
                .collect();
            prop_assert_eq!(&runs, &single);

            let stored: u64 = runs.iter().map(|w| w.store).sum();
            let results = u64::from(m) * u64::from(n);
            let loaded: u64 = runs.iter().map(|w| w.load).sum();
            let operands = u64::from(m) * u64::from(k) + u64::from(k) * u64::from(n) + if with_c { results * 4 } else { 0 };
            prop_assert!(stored >= results * 4 && loaded >= operands);
            if dataflow == Dataflow::Os {
                prop_assert_eq!(stored, results * 4);
            }
            // Spilled partial sums leave as often as they come back.
            if waves.spilled(0, waves.groups()) == 0 {
                prop_assert_eq!(stored, results * 4);
                let everything_stays = waves.keep_a && waves.keep_b;
                if everything_stays {
                    prop_assert_eq!(loaded, operands);
                }
            } else {
                prop_assert!(waves.folds() == 1 || loaded > operands);
            }
            prop_assert_eq!(product.cost.events.folds, waves.groups() * waves.folds());
        }
    }

    #[test]
    fn padding_is_not_fetched() {
        let window = Window { out_h: 4, out_w: 5, h: 4, w: 5, c: 3, kernel_h: 3, kernel_w: 3, stride: 1, pad: 1, dilate: 1 };
        for window in [window, Window { out_h: 2, out_w: 2, stride: 2, ..window }, Window { h: 2, w: 3, dilate: 2, ..window }] {
            let rows = 2 * window.out_h * window.out_w;
            let view = TensorView { layout: Layout::Window(window), ..TensorView::contiguous(Format::INT8, Space::Dram, 0, rows, 27) };
            assert_eq!(view.problem(), None);
            let real = (0..rows).flat_map(|r| (0..27).map(move |c| (r, c))).filter(|&(r, c)| view.offset(r, c).is_some()).count();
            assert_eq!(real_elements(&view), real as u128);
            assert_eq!(Traffic::new(&view).bytes(view.elements()), real as u64);
        }
    }
}
