//! What instructions do to memory.

use super::bands::Bands;
use super::engine::Engine;
use super::memory::Memory;
use super::operation::{Hardware, Matrix, Operation, Power, Vector};
use super::seen::Seen;
use super::transfer::{gather, pick, scatter, scatter_selected};
use super::words::Buffers;
use std::collections::BTreeSet;
use std::ops::Range;
use systole_arrays::dataflow::Selection;
use systole_arrays::fast::{self, KernelChoice};
use systole_arrays::mask::Mask;
use systole_arrays::problem::{Operands, Scales, Setup, Shape};
use systole_arrays::ticked;
use systole_arrays::toggles;
use systole_arrays::vector::{Operand, Operation as VectorKind, Target, codebook_into, elementwise_into, pool_into, reduce};
use systole_isa::codes::Codes;
use systole_isa::design::Switching;
use systole_isa::device::{Activity, Toggles};
use systole_isa::entropy::Site;
use systole_isa::format::Decoded;
use systole_isa::round::{Policy, encode_decoded};
use systole_isa::view::{Space, TensorView};

/// Elements of an operand at most.
const MAX_ELEMENTS: u64 = 1 << 31;

/// Both memories, and buffers for what passes between them and the units.
#[derive(Debug)]
pub struct Memories {
    pub dram: Memory,
    pub scratchpad: Memory,
    pub buffers: Buffers,
}

/// Refuses what would take longer than anyone waits.
fn small_enough(view: &TensorView) -> Result<(), String> {
    if view.elements() <= MAX_ELEMENTS {
        return Ok(());
    }
    Err(format!(
        "an operand of {}x{} has more than the 2^31 elements that engines with values take; split it, or use --engine timing",
        view.rows, view.cols
    ))
}

impl Memories {
    /// The codes of a view, row-major.
    pub fn gather(&mut self, view: &TensorView) -> Codes {
        self.gather_columns(view, 0..view.cols)
    }

    fn gather_columns(&mut self, view: &TensorView, columns: Range<u32>) -> Codes {
        let memory = match view.space {
            Space::Dram => &self.dram,
            Space::Scratchpad => &self.scratchpad,
        };
        gather(memory, view, columns, &mut self.buffers)
    }

    /// The codes of some rows and columns of a view, wherever they begin.
    pub fn pick(&self, view: &TensorView, rows: Range<u32>, columns: Range<u32>) -> Codes {
        pick(self.of(view), view, rows, columns)
    }

    const fn of(&self, view: &TensorView) -> &Memory {
        match view.space {
            Space::Dram => &self.dram,
            Space::Scratchpad => &self.scratchpad,
        }
    }

    /// Writes codes to a view, or those of them that a mask selects, and keeps their buffer.
    fn scatter(&mut self, view: &TensorView, codes: Codes, mask: Option<&Mask>) {
        let memory = match view.space {
            Space::Dram => &mut self.dram,
            Space::Scratchpad => &mut self.scratchpad,
        };
        match mask {
            None => scatter(memory, view, &codes, &mut self.buffers),
            Some(mask) => scatter_selected(memory, view, &codes, mask),
        }
        self.buffers.give_codes(codes);
    }
}

/// Executes operations with values, in program order.
#[derive(Debug)]
pub struct Executor<'a> {
    pub hardware: &'a Hardware,
    pub memories: &'a mut Memories,
    pub engine: Engine,
    pub choice: KernelChoice,
    /// Bytes of an operand of a product that are gathered at once.
    pub gathered_bytes: u64,
    /// Kernels used so far, in words.
    pub kernels: &'a mut BTreeSet<String>,
    /// Outputs of a product whose sums are looked at.
    pub looked_at: u64,
    /// What the masks of masked products have left, in order.
    pub selections: Vec<Selection>,
}

/// What a band of a product shares with the other bands.
pub(super) struct Bound<'a> {
    pub matrix: &'a Matrix,
    pub setup: Setup,
    pub mask: Option<(Mask, Selection)>,
}

impl Executor<'_> {
    /// Carries out one operation at a site.
    ///
    /// # Errors
    /// What the engines refuse.
    pub fn execute(&mut self, operation: &Operation, site: Site) -> Result<Seen, String> {
        self.observed(operation, site, None)
    }

    /// The same with something that looks at the arrays' registers under the ticked engine.
    ///
    /// # Errors
    /// What the engines refuse.
    pub fn observed(&mut self, operation: &Operation, site: Site, observer: Option<&mut dyn ticked::Observer>) -> Result<Seen, String> {
        match operation {
            Operation::Configure | Operation::Fence | Operation::Mark(_) => Ok(Seen::default()),
            Operation::Load { dst, src } | Operation::Store { dst, src } => {
                small_enough(src)?;
                let codes = self.memories.gather(src);
                self.memories.scatter(dst, codes, None);
                Ok(Seen::default())
            }
            Operation::Matrix(matrix) => self.matrix(matrix, site, observer),
            Operation::Vector(vector) => Ok(Seen { activity: self.vector(vector, site)?, ..Seen::default() }),
        }
    }

    fn matrix(&mut self, matrix: &Matrix, site: Site, mut observer: Option<&mut dyn ticked::Observer>) -> Result<Seen, String> {
        matrix.operands().try_for_each(|view| small_enough(&view))?;
        let mode = &self.hardware.modes[matrix.mode];
        let mask = matrix.mask.map(|view| {
            let codes = self.memories.gather(&view);
            let mask = Mask::new(view.format, &codes, view.rows, view.cols);
            self.memories.buffers.give_codes(codes);
            let selection = self.hardware.plan(matrix, None).select(&mask);
            self.selections.push(selection.clone());
            (mask, selection)
        });
        let Some((bias_a, bias_b)) = self.biases(matrix) else {
            let activity = self.nan(matrix, mask.as_ref().map(|(mask, _)| mask));
            return Ok(Seen { activity, ..Seen::default() });
        };
        let setup = Setup { array: self.hardware.design.array, mode: mode.clone(), bias_a, bias_b, output: matrix.output, site };
        let bound = Bound { matrix, setup, mask };
        let wanted = |rows: Range<u32>, columns: &Range<u32>| match &bound.mask {
            None => true,
            Some((mask, _)) => rows.clone().any(|row| mask.count(row, columns.clone()) > 0),
        };
        // The ticked array takes the product as it is: its registers pass from tile to tile.
        let bands = if self.engine == Engine::Ticked { Bands::whole(matrix.shape) } else { Bands::of(matrix, mode, self.gathered_bytes) };
        // D may be C itself, so sums are looked at before it is written.
        let mut seen = Seen { sums: self.sums(&bound), ..Seen::default() };
        if self.engine == Engine::Fast && self.counts_toggles() {
            seen.toggles = Some(self.count_toggles(&bound));
        }
        let all = 0..matrix.shape.m;
        let ticked = self.engine == Engine::Ticked;
        for columns in bands.columns().filter(|columns| ticked || wanted(all.clone(), columns)) {
            let b = self.memories.gather_columns(&matrix.b, columns.clone());
            let scales = matrix.scales[1].map(|view| {
                let per_scale = mode.scale_cols;
                self.memories.gather_columns(&view, columns.start / per_scale..columns.end.div_ceil(per_scale))
            });
            for rows in bands.rows().filter(|rows| ticked || wanted(rows.clone(), &columns)) {
                let observer = observer.as_mut().map(|observer| &mut **observer as &mut dyn ticked::Observer);
                let (activity, toggles) = self.band(&bound, rows, columns.clone(), (&b, scales.as_ref()), observer)?;
                seen.activity += activity;
                seen.toggles = toggles.or(seen.toggles);
            }
            [Some(b), scales].into_iter().flatten().for_each(|codes| self.memories.buffers.give_codes(codes));
        }
        Ok(seen)
    }

    fn counts_toggles(&self) -> bool {
        self.hardware.design.energy.activity == Switching::Toggles
    }

    /// Toggles of a product, by a pass over its whole operands.
    fn count_toggles(&mut self, Bound { matrix, setup, mask }: &Bound<'_>) -> Toggles {
        let [a, b] = [&matrix.a, &matrix.b].map(|view| self.memories.gather(view));
        let operands = Operands { mask: mask.as_ref().map(|(mask, _)| mask), ..Operands::new(&a, &b, None) };
        let toggles = toggles::count(setup, matrix.shape, &operands);
        [a, b].into_iter().for_each(|codes| self.memories.buffers.give_codes(codes));
        toggles
    }

    /// The shared exponent biases of A and B, by powers of two where they are named; `None` where
    /// one of these is NaN.
    fn biases(&mut self, matrix: &Matrix) -> Option<(i32, i32)> {
        let mut of = |power: Option<Power>, bias: i32| match power {
            None => Some(bias),
            Some(power) => {
                let view = power.view();
                let codes = self.memories.gather(&view);
                let value = view.format.decode(codes.get(0));
                self.memories.buffers.give_codes(codes);
                match value {
                    Decoded::Finite(x) => Some(-x.magnitude_exponent()),
                    _ => None,
                }
            }
        };
        Some((of(matrix.powers[0], matrix.biases.0)?, of(matrix.powers[1], matrix.biases.1)?))
    }

    /// A product under a power of two that is NaN: every sum is NaN, whatever its terms.
    fn nan(&mut self, matrix: &Matrix, mask: Option<&Mask>) -> Activity {
        let output = matrix.output;
        let policy = Policy { nan: self.hardware.modes[matrix.mode].nan, ..output.policy };
        let (code, _) = encode_decoded(output.format, Decoded::Nan, policy, 0);
        let results = matrix.d.elements();
        let codes = Codes::from_fn(output.format, results as usize, |_| code);
        self.memories.scatter(&matrix.d, codes, mask);
        Activity { accumulator_nans: mask.map_or(results, Mask::selected), ..Activity::default() }
    }

    /// Computes some rows and columns of a product, those of B and its scales at hand.
    fn band(
        &mut self,
        Bound { matrix, setup, mask }: &Bound<'_>,
        rows: Range<u32>,
        columns: Range<u32>,
        (b, scales_b): (&Codes, Option<&Codes>),
        observer: Option<&mut dyn ticked::Observer>,
    ) -> Result<(Activity, Option<Toggles>), String> {
        let setup = Setup { site: setup.site.part(rows.start, columns.start), ..setup.clone() };
        let selection = mask.as_ref().map(|(_, selection)| selection);
        let mask = mask.as_ref().map(|(mask, _)| mask.of(rows.clone(), columns.clone()));
        let a = self.memories.gather(&matrix.a.of_rows(rows.clone()));
        let c = matrix.c.map(|c| self.memories.gather_columns(&c.of_rows(rows.clone()), columns.clone()));
        let scales_a = matrix.scales[0].map(|view| {
            let per_scale = setup.mode.scale_rows;
            self.memories.gather(&view.of_rows(rows.start / per_scale..rows.end.div_ceil(per_scale)))
        });
        let shape = Shape { m: rows.len() as u32, n: columns.len() as u32, k: matrix.shape.k };
        let operands = Operands { a: &a, b, c: c.as_ref(), scales: Scales { a: scales_a.as_ref(), b: scales_b }, mask: mask.as_ref() };
        let counts_toggles = self.counts_toggles();
        let mut toggles = None;
        let values = match self.engine {
            Engine::Ticked => {
                let keep = |(values, cost, counted)| {
                    toggles = Some(counted);
                    (values, cost)
                };
                let ticked = match (observer, counts_toggles) {
                    (None, false) => ticked::gemm(&setup, shape, &operands),
                    (Some(mut observer), false) => ticked::observe(&setup, shape, &operands, &mut observer),
                    (None, true) => ticked::gemm_with_toggles(&setup, shape, &operands, &mut ()).map(keep),
                    (Some(mut observer), true) => ticked::gemm_with_toggles(&setup, shape, &operands, &mut observer).map(keep),
                };
                let (values, counted) = ticked.map_err(|e| e.to_string())?;
                let predicted = self.hardware.plan(matrix, selection).cost();
                if counted != predicted {
                    return Err(format!(
                        "the ticked array counted {counted:?}, the closed form {predicted:?}; this is a defect of the simulator"
                    ));
                }
                values
            }
            Engine::Fast | Engine::Timing => {
                let (values, used) = fast::gemm(&setup, shape, &operands, self.choice);
                let words = if used.reason.is_empty() { used.name.to_owned() } else { format!("{}: {}", used.name, used.reason) };
                self.kernels.insert(words);
                values
            }
        };
        let d = matrix.d.of_rows(rows);
        self.memories.scatter(&d.of_columns(columns).unwrap_or(d), values.d, mask.as_ref());
        let buffers = &mut self.memories.buffers;
        [Some(a), c, scales_a].into_iter().flatten().for_each(|codes| buffers.give_codes(codes));
        Ok((values.activity, toggles))
    }

    fn vector(&mut self, vector: &Vector, site: Site) -> Result<Activity, String> {
        vector.operands().iter().try_for_each(small_enough)?;
        let codes: Vec<_> = vector.operands().iter().map(|view| self.memories.gather(view)).collect();
        let operands: Vec<Operand> = vector
            .operands()
            .iter()
            .zip(&codes)
            .map(|(view, codes)| Operand { format: view.format, rows: view.rows as usize, cols: view.cols as usize, codes })
            .collect();
        let d = &vector.d;
        let target =
            Target { format: d.format, rows: d.rows as usize, cols: d.cols as usize, policy: vector.policy, blocks: vector.blocks, site };
        let mut result = self.memories.buffers.take_codes(d.format, target.rows * target.cols);
        let activity = match vector.kind {
            VectorKind::Elementwise(op) => elementwise_into(op, &target, &operands, &mut result),
            VectorKind::Codebook(op) => codebook_into(op, &target, &operands, &mut result),
            VectorKind::Reduce(op) => reduce(op, &target, &operands).map(|(sums, activity)| {
                result = sums;
                activity
            }),
            VectorKind::Pool(op, window) => pool_into(op, &target, &window, &operands, &mut result),
        }
        .map_err(|e| e.to_string())?;
        self.memories.scatter(d, result, None);
        codes.into_iter().for_each(|codes| self.memories.buffers.give_codes(codes));
        Ok(activity)
    }
}
