//! Writing instructions: tensor and format registers are assigned on demand, and
//! configuration is repeated only when it changes.

use super::memory::Tensor;
use systole_isa::field::{Address, FormatReg, Mode, OptionalTensor, Region, SignedBias, Small, Span, Stride, TensorReg};
use systole_isa::format::Format;
use systole_isa::instruction::Instruction;
use systole_isa::program::Program;
use systole_isa::round::Policy;
use systole_isa::view::{Layout, TensorView};

/// Registers an instruction names at most, with the scales of its operands.
const NAMED: usize = 8;

/// Registers of one kind, refilled in turn, but for those the present instruction may name.
#[derive(Debug)]
struct Registers<T> {
    held: Vec<Option<T>>,
    next: usize,
    /// The latest ones given out.
    named: [usize; NAMED],
}

impl<T: PartialEq> Registers<T> {
    fn new(count: usize) -> Self {
        Self { held: std::iter::repeat_with(|| None).take(count).collect(), next: 0, named: [usize::MAX; NAMED] }
    }

    /// The register that holds `value`, and whether it must be loaded first.
    fn assign(&mut self, value: T) -> (u8, bool) {
        let held = self.held.iter().position(|held| held.as_ref() == Some(&value));
        let index = held.unwrap_or_else(|| {
            while self.named[1..].contains(&self.next) {
                self.next = (self.next + 1) % self.held.len();
            }
            let index = self.next;
            self.next = (index + 1) % self.held.len();
            self.held[index] = Some(value);
            index
        });
        self.named.rotate_left(1);
        self.named[NAMED - 1] = index;
        (index as u8, held.is_none())
    }
}

/// An operand of a product: its codes, and what their values are multiplied by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factor {
    /// The codes.
    pub view: TensorView,
    /// Constant shared exponent bias.
    pub bias: i32,
    /// A power of two in memory, in its place.
    pub power: Option<TensorView>,
    /// Scales of blocks.
    pub scales: Option<TensorView>,
}

/// A program under construction.
#[derive(Debug)]
pub(super) struct Emitter {
    program: Program,
    tensors: Registers<TensorView>,
    formats: Registers<Format>,
    mode: Option<(usize, i32, i32)>,
    /// Whether registers of powers, and of block scales, are named.
    powers: bool,
    scales: bool,
    blocks: (u32, u32),
    output: Option<Policy>,
    vector: Option<Policy>,
    region: Option<u16>,
}

impl Default for Emitter {
    fn default() -> Self {
        Self {
            program: Program::default(),
            tensors: Registers::new(TensorReg::COUNT),
            formats: Registers::new(FormatReg::COUNT),
            mode: None,
            powers: false,
            scales: false,
            blocks: (0, 0),
            output: None,
            vector: None,
            region: None,
        }
    }
}

macro_rules! vector_instructions {
    ($($(#[$doc:meta])* $name:ident => $variant:ident($($operand:ident),*)),* $(,)?) => {$(
        $(#[$doc])*
        pub(super) fn $name(&mut self, d: impl Into<TensorView>, $($operand: impl Into<TensorView>),*) {
            let d = self.register(d.into());
            $(let $operand = self.register($operand.into());)*
            self.program.push(Instruction::$variant { d, $($operand),* });
        }
    )*};
}

impl Emitter {
    /// The finished program.
    pub(super) fn finish(mut self) -> Program {
        self.program.push(Instruction::Halt {});
        self.program
    }

    /// Costs from here on belong to `name`.
    pub(super) fn region(&mut self, name: &str) {
        let region = self.program.region(name);
        if self.region.replace(region) != Some(region) {
            self.program.push(Instruction::Mark { region: Region(region) });
        }
    }

    /// The last word of the region's name: of a layer's regions the part of the step.
    pub(super) fn pass(&self) -> String {
        let name = self.region.and_then(|region| self.program.regions.get(usize::from(region)));
        name.and_then(|name| name.rsplit(' ').next()).unwrap_or_default().to_owned()
    }

    /// Rounds the vector instructions that follow by `policy`.
    pub(super) fn round_by(&mut self, policy: Policy) {
        if self.vector.replace(policy) != Some(policy) {
            self.program.push(Instruction::Vector {
                rounding: policy.rounding,
                overflow: policy.overflow,
                no_infinity: policy.no_infinity,
            });
        }
    }

    /// Extents of the blocks in which the vector instructions that follow repeat and reduce;
    /// 0 for a whole axis.
    pub(super) fn blocks(&mut self, rows: u32, cols: u32) {
        if std::mem::replace(&mut self.blocks, (rows, cols)) != (rows, cols) {
            self.program.push(Instruction::Blocks { rows: Span(rows), cols: Span(cols) });
        }
    }

    /// The extents as they are.
    pub(super) const fn blocks_now(&self) -> (u32, u32) {
        self.blocks
    }

    /// D = A B in a MAC mode, results converted by `policy`.
    pub(super) fn gemm(&mut self, mode: usize, policy: Policy, d: TensorView, a: Factor, b: Factor) {
        self.set_product(mode, policy, a, b);
        let (d, a, b) = (self.register(d), self.register(a.view), self.register(b.view));
        self.program.push(Instruction::Gemm { d, a, b });
    }

    /// D = A B where the mask is not zero.
    pub(super) fn masked_gemm(&mut self, mode: usize, policy: Policy, d: TensorView, (a, b): (Factor, Factor), mask: Tensor) {
        self.set_product(mode, policy, a, b);
        let [d, a, b, m] = [d, a.view, b.view, mask.view()].map(|view| self.register(view));
        self.program.push(Instruction::GemmM { d, a, b, m });
    }

    /// Configures the next product.
    fn set_product(&mut self, mode: usize, policy: Policy, a: Factor, b: Factor) {
        let wanted = (mode, a.bias, b.bias);
        if self.mode.replace(wanted) != Some(wanted) {
            self.program.push(Instruction::Mode { mode: Mode(mode as u8) });
            self.program.push(Instruction::Bias { a: SignedBias(a.bias as i16), b: SignedBias(b.bias as i16) });
        }
        // Registers may have changed hands since they were named.
        let powers = a.power.is_some() || b.power.is_some();
        if std::mem::replace(&mut self.powers, powers) || powers {
            let [a, b] = [a.power, b.power].map(|view| OptionalTensor(view.map(|view| self.register(view))));
            self.program.push(Instruction::Powers { a, b });
        }
        let scales = a.scales.is_some() || b.scales.is_some();
        if std::mem::replace(&mut self.scales, scales) || scales {
            let [a, b] = [a.scales, b.scales].map(|view| OptionalTensor(view.map(|view| self.register(view))));
            self.program.push(Instruction::Scales { a, b });
        }
        if self.output.replace(policy) != Some(policy) {
            self.program.push(Instruction::Output {
                rounding: policy.rounding,
                overflow: policy.overflow,
                no_infinity: policy.no_infinity,
            });
        }
    }

    vector_instructions! {
        /// D = A + B.
        add => VAdd(a, b),
        /// D = A - B.
        subtract => VSub(a, b),
        /// D = A B, elementwise.
        multiply => VMul(a, b),
        /// D = A / B.
        divide => VDiv(a, b),
        /// D = A B + C with one rounding.
        multiply_add => VFma(a, b, c),
        /// D = the larger.
        larger => VMax(a, b),
        /// D = the smaller.
        smaller => VMin(a, b),
        /// D = A where X > 0, else +0.
        gate => VGate(a, x),
        /// D = A, rounded up where P is larger, else down.
        hysteresis => VHyst(a, p),
        /// D = |A| with the sign of X.
        copy_sign => VSign(a, x),
        /// D = indices of the nearest values of the table T.
        find => VFind(a, t),
        /// D = values of the table T at the indices A.
        look => VLook(a, t),
        /// D = -A.
        negate => VNeg(a),
        /// D = |A|.
        absolute => VAbs(a),
        /// D = A, converted.
        convert => VCvt(a),
        /// D = A where A > 0, else +0.
        relu => VRelu(a),
        /// D = e^A.
        exp => VExp(a),
        /// D = 2^A.
        exp2 => VExp2(a),
        /// D = log2 A.
        log2 => VLog2(a),
        /// D = 1 / A.
        reciprocal => VRecip(a),
        /// D = sqrt A.
        root => VSqrt(a),
        /// D = ln A.
        log => VLog(a),
        /// D = tanh A.
        tanh => VTanh(a),
        /// D = erf A.
        erf => VErf(a),
        /// D = 1 / sqrt A.
        reciprocal_root => VRsqrt(a),
        /// Sums along the axes where D has extent 1.
        sum => RSum(a),
        /// Maxima along those axes.
        maximum => RMax(a),
        /// The largest magnitudes along those axes.
        largest => RAmax(a),
    }

    /// Max pooling of a window view.
    pub(super) fn max_pool(&mut self, d: Tensor, windows: TensorView) {
        let (d, a) = (self.register(d.view()), self.register(windows));
        self.program.push(Instruction::PMax { d, a });
    }

    /// Gradient of max pooling.
    pub(super) fn max_pool_gradient(&mut self, d: Tensor, windows: TensorView, g: Tensor) {
        let (d, x, g) = (self.register(d.view()), self.register(windows), self.register(g.view()));
        self.program.push(Instruction::PMaxG { d, x, g });
    }

    /// Window sums.
    pub(super) fn window_sums(&mut self, d: Tensor, windows: TensorView) {
        let (d, a) = (self.register(d.view()), self.register(windows));
        self.program.push(Instruction::PSum { d, a });
    }

    /// Gradient of window sums.
    pub(super) fn spread(&mut self, d: Tensor, windows: TensorView, g: impl Into<TensorView>) {
        let (d, x, g) = (self.register(d.view()), self.register(windows), self.register(g.into()));
        self.program.push(Instruction::PSpread { d, x, g });
    }

    fn register(&mut self, view: TensorView) -> TensorReg {
        let (register, must_load) = self.tensors.assign(view);
        let dst = TensorReg(register);
        if must_load {
            self.describe(dst, view);
        }
        dst
    }

    fn describe(&mut self, dst: TensorReg, view: TensorView) {
        let (format, must_load) = self.formats.assign(view.format);
        let format = FormatReg(format);
        if must_load {
            self.program.push(Instruction::Format { dst: format, format: view.format });
        }
        self.program.push(Instruction::Tensor {
            dst,
            format,
            space: view.space,
            address: Address(view.address),
            rows: Span(view.rows),
            cols: Span(view.cols),
        });
        match view.layout {
            Layout::Strided { .. } if view.is_contiguous() => {}
            Layout::Strided { inner, outer, inner_stride, column } => self.program.push(Instruction::Stride {
                dst,
                inner: Span(inner),
                outer_stride: Stride(outer as i32),
                inner_stride: Stride(inner_stride as i32),
                col_stride: Stride(column as i32),
            }),
            Layout::Window(w) => self.program.push(Instruction::Window {
                dst,
                out_h: Small(w.out_h as u16),
                out_w: Small(w.out_w as u16),
                h: Small(w.h as u16),
                w: Small(w.w as u16),
                c: Small(w.c as u16),
                kernel_h: Small(w.kernel_h as u16),
                kernel_w: Small(w.kernel_w as u16),
                stride: Small(w.stride as u16),
                pad: Small(w.pad as u16),
                dilate: Small(w.dilate as u16),
            }),
        }
    }
}
