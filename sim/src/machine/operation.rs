//! What an instruction asks for with the registers as they stand, checked.
//!
//! Both passes over a program, values and timing, take their work from here, so they refuse
//! the same programs with the same words.

use super::overlap;
use super::registers::Registers;
use systole_arrays::dataflow::{Plan, Selection};
use systole_arrays::datapath::Output;
use systole_arrays::problem::{Shape, scale_extents};
use systole_arrays::ticked::draws_from_registers;
use systole_arrays::vector::function::Function;
use systole_arrays::vector::{Blocks, Codebook, Elementwise, Operation as VectorKind, Pool, Reduction, VectorWork, check_indices, work};
use systole_isa::design::{Design, MacMode, Scaling};
use systole_isa::field::TensorReg;
use systole_isa::format::Format;
use systole_isa::instruction::Instruction;
use systole_isa::round::Policy;
use systole_isa::view::{Layout, Space, TensorView, Window};

/// Where a power of two lies.
#[derive(Clone, Copy, Debug)]
pub struct Power {
    pub space: Space,
    pub address: u64,
}

impl Power {
    /// Its one element.
    pub const fn view(self) -> TensorView {
        TensorView::contiguous(Format::E8M0, self.space, self.address, 1, 1)
    }
}

/// A matrix product on views.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    pub d: TensorView,
    pub a: TensorView,
    pub b: TensorView,
    pub c: Option<TensorView>,
    /// Which outputs are written; all without a mask.
    pub mask: Option<TensorView>,
    /// Block scales of A and of B.
    pub scales: [Option<TensorView>; 2],
    /// Index of the MAC mode.
    pub mode: usize,
    /// Powers of two that multiply A and B in place of their shared exponent biases.
    pub powers: [Option<Power>; 2],
    /// Shared exponent biases of A and B.
    pub biases: (i32, i32),
    pub output: Output,
    pub shape: Shape,
}

impl Matrix {
    /// Everything that is read.
    pub fn operands(&self) -> impl Iterator<Item = TensorView> {
        let powers = self.powers.map(|power| power.map(Power::view));
        [Some(self.a), Some(self.b), self.c, self.mask].into_iter().chain(self.scales).chain(powers).flatten()
    }
}

/// A vector instruction on views. Of a pooling input behind a window, `operands` holds the
/// whole input, a pixel a row.
#[derive(Clone, Copy, Debug)]
pub struct Vector {
    pub kind: VectorKind,
    pub d: TensorView,
    operands: [TensorView; 3],
    count: usize,
    pub policy: Policy,
    pub blocks: Blocks,
    pub work: VectorWork,
}

impl Vector {
    /// The operands.
    pub fn operands(&self) -> &[TensorView] {
        &self.operands[..self.count]
    }
}

/// An instruction with its operands.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and it is only looked at")]
pub enum Operation {
    /// Registers and loops only.
    Configure,
    Fence,
    Mark(usize),
    /// DRAM to scratchpad.
    Load {
        dst: TensorView,
        src: TensorView,
    },
    /// Scratchpad to DRAM.
    Store {
        dst: TensorView,
        src: TensorView,
    },
    Matrix(Matrix),
    Vector(Vector),
}

/// Why an instruction cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As written.
    Illegal(String),
    /// It touches bytes outside a memory.
    OutOfRange { space: Space, first: i128, last: i128 },
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self::Illegal(message)
    }
}

/// Multiply-accumulates of one instruction at most.
const MAX_MACS: u128 = 1 << 50;

/// A design and what follows from it.
#[derive(Debug)]
pub struct Hardware {
    pub design: Design,
    pub modes: Vec<MacMode>,
}

impl Hardware {
    pub fn new(design: Design) -> Self {
        Self { modes: design.mac_modes(), design }
    }

    /// Size of a memory in bytes.
    pub fn size(&self, space: Space) -> u64 {
        match space {
            Space::Dram => u64::from(self.design.memory.dram_mib) << 20,
            Space::Scratchpad => u64::from(self.design.memory.scratchpad_kib) << 10,
        }
    }

    /// Carries out configuration and resolves everything else.
    ///
    /// # Errors
    /// Whatever makes the instruction impossible on this hardware.
    pub fn resolve(&self, registers: &mut Registers, instruction: &Instruction, regions: usize) -> Result<Operation, Refusal> {
        use Instruction as I;
        if registers.configure(instruction, self.modes.len())? {
            return Ok(Operation::Configure);
        }
        let unary = |op| VectorKind::Elementwise(op);
        let function = |f| VectorKind::Elementwise(Elementwise::Function(f));
        match *instruction {
            I::Fence {} => Ok(Operation::Fence),
            I::Mark { region } => {
                if usize::from(region.0) >= regions {
                    return Err(format!("the program names {regions} regions; add `.region NAME`").into());
                }
                Ok(Operation::Mark(region.0.into()))
            }
            I::Load { dst, src } => {
                let (dst, src) = self.copy(registers, dst, src, Space::Scratchpad, Space::Dram)?;
                Ok(Operation::Load { dst, src })
            }
            I::Store { dst, src } => {
                let (dst, src) = self.copy(registers, dst, src, Space::Dram, Space::Scratchpad)?;
                Ok(Operation::Store { dst, src })
            }
            I::Gemm { d, a, b } => self.matrix(registers, d, a, b, None, None),
            I::GemmC { d, a, b, c } => self.matrix(registers, d, a, b, Some(c), None),
            I::GemmM { d, a, b, m } => self.matrix(registers, d, a, b, None, Some(m)),
            I::VAdd { d, a, b } => self.vector(registers, unary(Elementwise::Add), d, &[a, b]),
            I::VSub { d, a, b } => self.vector(registers, unary(Elementwise::Subtract), d, &[a, b]),
            I::VMul { d, a, b } => self.vector(registers, unary(Elementwise::Multiply), d, &[a, b]),
            I::VDiv { d, a, b } => self.vector(registers, unary(Elementwise::Divide), d, &[a, b]),
            I::VMax { d, a, b } => self.vector(registers, unary(Elementwise::Maximum), d, &[a, b]),
            I::VMin { d, a, b } => self.vector(registers, unary(Elementwise::Minimum), d, &[a, b]),
            I::VFma { d, a, b, c } => self.vector(registers, unary(Elementwise::FusedMultiplyAdd), d, &[a, b, c]),
            I::VGate { d, a, x } => self.vector(registers, unary(Elementwise::Gate), d, &[a, x]),
            I::VHyst { d, a, p } => self.vector(registers, unary(Elementwise::Hysteresis), d, &[a, p]),
            I::VSign { d, a, x } => self.vector(registers, unary(Elementwise::CopySign), d, &[a, x]),
            I::VFind { d, a, t } => self.vector(registers, VectorKind::Codebook(Codebook::Find), d, &[a, t]),
            I::VLook { d, a, t } => self.vector(registers, VectorKind::Codebook(Codebook::Look), d, &[a, t]),
            I::VCvt { d, a } => self.vector(registers, unary(Elementwise::Convert), d, &[a]),
            I::VNeg { d, a } => self.vector(registers, unary(Elementwise::Negate), d, &[a]),
            I::VAbs { d, a } => self.vector(registers, unary(Elementwise::Absolute), d, &[a]),
            I::VRelu { d, a } => self.vector(registers, unary(Elementwise::Relu), d, &[a]),
            I::VExp { d, a } => self.vector(registers, function(Function::Exp), d, &[a]),
            I::VExp2 { d, a } => self.vector(registers, function(Function::Exp2), d, &[a]),
            I::VLog { d, a } => self.vector(registers, function(Function::Log), d, &[a]),
            I::VLog2 { d, a } => self.vector(registers, function(Function::Log2), d, &[a]),
            I::VTanh { d, a } => self.vector(registers, function(Function::Tanh), d, &[a]),
            I::VSigmoid { d, a } => self.vector(registers, function(Function::Sigmoid), d, &[a]),
            I::VErf { d, a } => self.vector(registers, function(Function::Erf), d, &[a]),
            I::VRecip { d, a } => self.vector(registers, function(Function::Reciprocal), d, &[a]),
            I::VRsqrt { d, a } => self.vector(registers, function(Function::Rsqrt), d, &[a]),
            I::VSqrt { d, a } => self.vector(registers, function(Function::Sqrt), d, &[a]),
            I::RSum { d, a } => self.vector(registers, VectorKind::Reduce(Reduction::Sum), d, &[a]),
            I::RMax { d, a } => self.vector(registers, VectorKind::Reduce(Reduction::Maximum), d, &[a]),
            I::RAmax { d, a } => self.vector(registers, VectorKind::Reduce(Reduction::Amax), d, &[a]),
            I::PMax { d, a } => self.pool(registers, Pool::Maximum, d, a, None),
            I::PMaxG { d, x, g } => self.pool(registers, Pool::MaximumGradient, d, x, Some(g)),
            I::PSum { d, a } => self.pool(registers, Pool::Sum, d, a, None),
            I::PSpread { d, x, g } => self.pool(registers, Pool::Spread, d, x, Some(g)),
            I::Nop {} | I::Halt {} | I::Loop { .. } => Ok(Operation::Configure),
            I::Format { .. }
            | I::Tensor { .. }
            | I::Stride { .. }
            | I::Window { .. }
            | I::Advance { .. }
            | I::Mode { .. }
            | I::Bias { .. }
            | I::Scales { .. }
            | I::Blocks { .. }
            | I::Powers { .. }
            | I::Output { .. }
            | I::Vector { .. } => Ok(Operation::Configure),
        }
    }

    /// The view in a register, sound and inside its memory.
    fn view(&self, registers: &Registers, register: TensorReg) -> Result<TensorView, Refusal> {
        let view = *registers.tensor(register)?;
        if let Some(problem) = view.problem() {
            return Err(format!("t{}: {problem}", register.0).into());
        }
        if let Layout::Window(w) = view.layout {
            // Wide extents would overflow the offsets below.
            let images = u128::from(view.rows) / (u128::from(w.out_h) * u128::from(w.out_w));
            let bytes = images * u128::from(w.h) * u128::from(w.w) * u128::from(w.c) * u128::from(view.format.storage_bytes());
            if bytes > u128::from(self.size(view.space)) {
                let first = i128::from(view.address);
                return Err(Refusal::OutOfRange { space: view.space, first, last: first + bytes as i128 - 1 });
            }
        }
        if let Some((first, last)) = view.byte_range()
            && (first < 0 || last >= i128::from(self.size(view.space)))
        {
            return Err(Refusal::OutOfRange { space: view.space, first, last });
        }
        Ok(view)
    }

    /// The view of a result: as [`Hardware::view`], and written without ambiguity.
    fn result(&self, registers: &Registers, register: TensorReg) -> Result<TensorView, Refusal> {
        let view = self.view(registers, register)?;
        if matches!(view.layout, Layout::Window(_)) {
            return Err(format!("t{} is an im2col view and cannot be written through; give the result a strided view", register.0).into());
        }
        if overlap::overlaps_itself(&view) {
            return Err(format!(
                "rows or columns of t{} share memory, so its elements would overwrite each other; give the result larger strides",
                register.0
            )
            .into());
        }
        Ok(view)
    }

    fn copy(
        &self,
        registers: &Registers,
        dst: TensorReg,
        src: TensorReg,
        to: Space,
        from: Space,
    ) -> Result<(TensorView, TensorView), Refusal> {
        let (d, s) = (self.result(registers, dst)?, self.view(registers, src)?);
        if d.space != to || s.space != from {
            let name = |space| if space == Space::Dram { "DRAM" } else { "the scratchpad" };
            return Err(format!(
                "it copies from {} to {}, but t{} lies in {} and t{} in {}",
                name(from),
                name(to),
                src.0,
                name(s.space),
                dst.0,
                name(d.space)
            )
            .into());
        }
        if d.format != s.format {
            return Err(format!(
                "it copies codes as they are, but t{} is {} and t{} is {}; convert with `vcvt`",
                src.0, s.format, dst.0, d.format
            )
            .into());
        }
        if (d.rows, d.cols) != (s.rows, s.cols) {
            return Err(
                format!("t{} is {}x{} and t{} is {}x{}; a copy needs equal shapes", src.0, s.rows, s.cols, dst.0, d.rows, d.cols).into()
            );
        }
        Ok((d, s))
    }

    fn matrix(
        &self,
        registers: &Registers,
        d: TensorReg,
        a: TensorReg,
        b: TensorReg,
        c: Option<TensorReg>,
        m: Option<TensorReg>,
    ) -> Result<Operation, Refusal> {
        let (vd, va, vb) = (self.result(registers, d)?, self.view(registers, a)?, self.view(registers, b)?);
        let vc = c.map(|c| self.view(registers, c)).transpose()?;
        let vm = m.map(|m| self.view(registers, m)).transpose()?;
        if va.cols != vb.rows || vd.rows != va.rows || vd.cols != vb.cols {
            return Err(format!(
                "A is {}x{}, B {}x{} and D {}x{}; D = A B needs A of M x K, B of K x N, D of M x N",
                va.rows, va.cols, vb.rows, vb.cols, vd.rows, vd.cols
            )
            .into());
        }
        let mode = &self.modes[registers.mode];
        if (va.format, vb.format) != (mode.a, mode.b) {
            let offered: Vec<String> = self.modes.iter().enumerate().map(|(i, m)| format!("{i}: {} x {}", m.a, m.b)).collect();
            let mend = match self.design.mode_for(va.format, vb.format) {
                Some(fitting) => format!("put `mode {fitting}` before it"),
                None => "convert the operands, or use a design with such a mode".to_owned(),
            };
            return Err(format!(
                "A is {} and B is {}, but MAC mode {} takes {} x {} (the design's modes: {}); {mend}",
                va.format,
                vb.format,
                registers.mode,
                mode.a,
                mode.b,
                offered.join(", ")
            )
            .into());
        }
        if let Some(vc) = vc {
            if (vc.rows, vc.cols) != (vd.rows, vd.cols) {
                return Err(format!("C is {}x{} and D {}x{}; both are M x N", vc.rows, vc.cols, vd.rows, vd.cols).into());
            }
            let outermost = mode.outermost();
            if outermost.is_wide() && vc.format != vd.format {
                return Err(format!(
                    "C is {} and D {}; the outermost accumulator, {outermost}, is too wide for memory, so C comes in D's format",
                    vc.format, vd.format
                )
                .into());
            }
            if !outermost.is_wide() && vc.format != outermost {
                return Err(format!("C is {}, but it initialises the outermost accumulator, which is {outermost}", vc.format).into());
            }
        }
        if let Some(vm) = vm {
            if (vm.rows, vm.cols) != (vd.rows, vd.cols) {
                return Err(format!(
                    "the mask is {}x{} and D {}x{}; it has an element for each output",
                    vm.rows, vm.cols, vd.rows, vd.cols
                )
                .into());
            }
            if draws_from_registers(mode) {
                return Err(format!(
                    "MAC mode {} draws its random bits from shift registers, which skipped outputs would leave in another state; \
                     a masked product needs `entropy: counter`, or another rounding",
                    registers.mode
                )
                .into());
            }
        }
        let shape = Shape { m: va.rows, n: vb.cols, k: va.cols };
        let scales = self.scales(registers, shape)?;
        let powers = self.powers(registers)?;
        let named = [
            (Some(va), "A"),
            (Some(vb), "B"),
            (vc, "C"),
            (vm, "the mask"),
            (scales[0], "the scales of A"),
            (scales[1], "the scales of B"),
            (powers[0].map(Power::view), "the power of A"),
            (powers[1].map(Power::view), "the power of B"),
        ];
        for (view, name) in named {
            let Some(view) = view else { continue };
            let in_place = name == "C" && overlap::same_elements(&vd, &view);
            if !in_place && overlap::overlap(&vd, &view) {
                let mend = if name == "C" { "; D may be C itself, element for element" } else { "" };
                return Err(format!("D overlaps {name}, which is still read while D is written{mend}").into());
            }
        }
        let macs = u128::from(shape.m) * u128::from(shape.n) * u128::from(shape.k);
        if macs > MAX_MACS {
            return Err(format!("{macs} multiply-accumulates are beyond the 2^50 of one instruction; split the product").into());
        }
        Ok(Operation::Matrix(Matrix {
            d: vd,
            a: va,
            b: vb,
            c: vc,
            mask: vm,
            scales,
            powers,
            mode: registers.mode,
            biases: registers.biases.unwrap_or((mode.bias_a, mode.bias_b)),
            output: Output { format: vd.format, policy: registers.output },
            shape,
        }))
    }

    /// The block scales of A and B that the active mode takes.
    fn scales(&self, registers: &Registers, shape: Shape) -> Result<[Option<TensorView>; 2], Refusal> {
        let mode = &self.modes[registers.mode];
        let blocks = [(mode.scale_rows, mode.chunk.unwrap_or_default()), (mode.chunk.unwrap_or_default(), mode.scale_cols)];
        let mut views = [None; 2];
        for (i, (register, (rows, cols))) in registers.scales.into_iter().zip(scale_extents(mode, shape)).enumerate() {
            let Some(register) = register else { continue };
            let (name, operand) = (register.0, ["A", "B"][i]);
            if mode.scale == Scaling::None {
                return Err(format!(
                    "MAC mode {} takes no block scales, but t{name} holds those of {operand}; put `scales none, none` before it",
                    registers.mode
                )
                .into());
            }
            let view = self.view(registers, register)?;
            if matches!(view.layout, Layout::Window(_)) {
                return Err(format!("t{name}, the scales of {operand}, is an im2col view; give scales a strided view").into());
            }
            if view.format != mode.scale_format {
                return Err(format!(
                    "t{name}, the scales of {operand}, is {}, but MAC mode {} takes {} scales",
                    view.format, registers.mode, mode.scale_format
                )
                .into());
            }
            if (view.rows, view.cols) != (rows, cols) {
                let (height, width) = blocks[i];
                return Err(format!(
                    "t{name}, the scales of {operand}, is {}x{}; this product needs {rows}x{cols}, one for each {height}x{width} block of {operand}",
                    view.rows, view.cols
                )
                .into());
            }
            views[i] = Some(view);
        }
        Ok(views)
    }

    /// The powers of two of A and B that stand in for shared exponent biases.
    fn powers(&self, registers: &Registers) -> Result<[Option<Power>; 2], Refusal> {
        let mut powers = [None; 2];
        for ((place, register), operand) in powers.iter_mut().zip(registers.powers).zip(["A", "B"]) {
            let Some(register) = register else { continue };
            let power = self.view(registers, register)?;
            let name = register.0;
            if matches!(power.layout, Layout::Window(_)) {
                return Err(format!("t{name}, the power of {operand}, is an im2col view; give it a strided view").into());
            }
            if power.format != Format::E8M0 {
                return Err(format!("t{name}, the power of {operand}, is {}, but powers of two are e8m0", power.format).into());
            }
            if (power.rows, power.cols) != (1, 1) {
                return Err(format!("t{name}, the power of {operand}, is {}x{}; it must be 1x1", power.rows, power.cols).into());
            }
            *place = Some(Power { space: power.space, address: power.address });
        }
        Ok(powers)
    }

    /// The plan of a matrix product. `selection` is what its mask leaves, where that is known.
    pub fn plan(&self, matrix: &Matrix, selection: Option<&Selection>) -> Plan {
        let mode = &self.modes[matrix.mode];
        let plan = Plan::new(&self.design.array, mode, &matrix.output, matrix.shape, matrix.c.is_some())
            .with_scales(mode, matrix.scales.map(|scales| scales.is_some()));
        match &matrix.mask {
            None => plan,
            Some(mask) => plan.with_mask(mask.format.storage_bytes(), selection.cloned()),
        }
    }

    fn vector(&self, registers: &Registers, kind: VectorKind, d: TensorReg, operands: &[TensorReg]) -> Result<Operation, Refusal> {
        let vd = self.result(registers, d)?;
        let mut views = [vd; 3];
        for (view, register) in views.iter_mut().zip(operands) {
            *view = self.view(registers, *register)?;
        }
        self.finish_vector(registers, kind, vd, views, operands.len())
    }

    fn pool(
        &self,
        registers: &Registers,
        pool: Pool,
        d: TensorReg,
        windows: TensorReg,
        gradient: Option<TensorReg>,
    ) -> Result<Operation, Refusal> {
        let vd = self.result(registers, d)?;
        let view = self.view(registers, windows)?;
        let Layout::Window(window) = view.layout else {
            return Err(format!("t{} must be an im2col view: put `window t{0}, ...` before it", windows.0).into());
        };
        let input = pixels(&view, &window)?;
        let gradient = gradient.map(|g| self.view(registers, g)).transpose()?;
        let (views, count) = match (pool, gradient) {
            // The input of `pspread` gives the geometry; its values are not read.
            (Pool::Spread, Some(g)) => ([g, g, g], 1),
            (_, Some(g)) => ([input, g, g], 2),
            (_, None) => ([input; 3], 1),
        };
        self.finish_vector(registers, VectorKind::Pool(pool, window), vd, views, count)
    }

    fn finish_vector(
        &self,
        registers: &Registers,
        kind: VectorKind,
        d: TensorView,
        operands: [TensorView; 3],
        count: usize,
    ) -> Result<Operation, Refusal> {
        let limit = self.design.vector.format;
        let given = &operands[..count];
        for view in given.iter().chain([&d]) {
            if view.format.precision() > limit.precision() {
                return Err(format!(
                    "{} has {} significant bits, the vector unit {} ({limit}); use narrower tensors or a wider vector.format",
                    view.format,
                    view.format.precision(),
                    limit.precision()
                )
                .into());
            }
        }
        for (i, view) in given.iter().enumerate() {
            // A table is read until the last element is written.
            let streams = matches!(kind, VectorKind::Elementwise(_)) || matches!(kind, VectorKind::Codebook(_)) && i == 0;
            let in_place = streams && d.is_contiguous() && overlap::same_elements(&d, view);
            if !in_place && overlap::overlap(&d, view) {
                return Err(
                    "D overlaps an operand; only an elementwise instruction may write over a contiguous operand, element for element"
                        .to_owned()
                        .into(),
                );
            }
        }
        let shape = |view: &TensorView| (view.rows as usize, view.cols as usize);
        let shapes: Vec<_> = given.iter().map(shape).collect();
        let work = work(&kind, registers.blocks, shape(&d), &shapes).map_err(|e| e.to_string())?;
        if let (VectorKind::Codebook(Codebook::Find), [_, table]) = (kind, given) {
            check_indices(d.format, table.cols as usize).map_err(|e| e.to_string())?;
        }
        Ok(Operation::Vector(Vector { kind, d, operands, count, policy: registers.vector, blocks: registers.blocks, work }))
    }
}

/// The whole input under a window view, a pixel a row and a channel a column.
fn pixels(view: &TensorView, window: &Window) -> Result<TensorView, Refusal> {
    let images = u64::from(view.rows) / (u64::from(window.out_h) * u64::from(window.out_w));
    let rows = images * u64::from(window.h) * u64::from(window.w);
    let rows = u32::try_from(rows).map_err(|_| format!("{rows} input pixels are beyond 2^32 - 1; split the batch"))?;
    Ok(TensorView::contiguous(view.format, view.space, view.address, rows, window.c))
}
