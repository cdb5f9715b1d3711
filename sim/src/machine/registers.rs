//! The machine's registers: formats, tensors, MAC mode, shared biases and powers, block scales,
//! blocks of the vector unit, roundings.
//!
//! Every run starts with format and tensor registers unset, MAC mode 0, no block scales and no
//! powers, output rounding as the design's, and the vector unit rounding `rne` with whole axes as
//! blocks. Until the first `bias`, the shared
//! biases are the active mode's own reset values; after it they hold for every mode.

use systole_arrays::vector::Blocks;
use systole_isa::design::Design;
use systole_isa::field::{Address, FormatReg, TensorReg};
use systole_isa::format::Format;
use systole_isa::instruction::Instruction;
use systole_isa::round::Policy;
use systole_isa::view::{Layout, TensorView, Window};

/// The registers.
#[derive(Clone, Debug)]
pub struct Registers {
    formats: [Option<Format>; FormatReg::COUNT],
    tensors: [Option<TensorView>; TensorReg::COUNT],
    /// MAC mode of matrix instructions.
    pub mode: usize,
    /// Shared exponent biases, once set.
    pub biases: Option<(i32, i32)>,
    /// Registers of the tensors that hold the block scales of A and of B.
    pub scales: [Option<TensorReg>; 2],
    /// Registers of the tensors that hold the powers of two of A and of B, in place of biases.
    pub powers: [Option<TensorReg>; 2],
    /// Blocks of vector instructions.
    pub blocks: Blocks,
    /// Conversion of results leaving the array.
    pub output: Policy,
    /// Rounding of the vector unit.
    pub vector: Policy,
}

impl Registers {
    /// The registers at the start of a run.
    pub const fn new(design: &Design) -> Self {
        Self {
            formats: [None; FormatReg::COUNT],
            tensors: [None; TensorReg::COUNT],
            mode: 0,
            biases: None,
            scales: [None; 2],
            powers: [None; 2],
            blocks: Blocks::WHOLE,
            output: design.output.policy(),
            vector: Policy::RNE,
        }
    }

    /// The view a tensor register holds.
    ///
    /// # Errors
    /// It has not been set in this run.
    pub fn tensor(&self, register: TensorReg) -> Result<&TensorView, String> {
        self.tensors[usize::from(register.0)]
            .as_ref()
            .ok_or_else(|| format!("t{0} is not set: put `tensor t{0}, ...` before it", register.0))
    }

    fn tensor_mut(&mut self, register: TensorReg) -> Result<&mut TensorView, String> {
        self.tensors[usize::from(register.0)]
            .as_mut()
            .ok_or_else(|| format!("t{0} is not set: put `tensor t{0}, ...` before it", register.0))
    }

    /// Carries out a configuration instruction; `false` for every other one.
    ///
    /// # Errors
    /// A register that is not set, a mode the design lacks, an address beyond the field.
    pub fn configure(&mut self, instruction: &Instruction, modes: usize) -> Result<bool, String> {
        match *instruction {
            Instruction::Format { dst, format } => self.formats[usize::from(dst.0)] = Some(format),
            Instruction::Tensor { dst, format, space, address, rows, cols } => {
                let format = self.formats[usize::from(format.0)]
                    .ok_or_else(|| format!("f{0} is not set: put `format f{0}, ...` before it", format.0))?;
                self.tensors[usize::from(dst.0)] = Some(TensorView::contiguous(format, space, address.0, rows.0, cols.0));
            }
            Instruction::Stride { dst, inner, outer_stride, inner_stride, col_stride } => {
                self.tensor_mut(dst)?.layout = Layout::Strided {
                    inner: inner.0,
                    outer: outer_stride.0.into(),
                    inner_stride: inner_stride.0.into(),
                    column: col_stride.0.into(),
                };
            }
            Instruction::Window { dst, out_h, out_w, h, w, c, kernel_h, kernel_w, stride, pad, dilate } => {
                self.tensor_mut(dst)?.layout = Layout::Window(Window {
                    out_h: out_h.0.into(),
                    out_w: out_w.0.into(),
                    h: h.0.into(),
                    w: w.0.into(),
                    c: c.0.into(),
                    kernel_h: kernel_h.0.into(),
                    kernel_w: kernel_w.0.into(),
                    stride: stride.0.into(),
                    pad: pad.0.into(),
                    dilate: dilate.0.into(),
                });
            }
            Instruction::Advance { dst, bytes } => {
                let view = self.tensor_mut(dst)?;
                view.address = view.address.checked_add_signed(bytes.0).filter(|address| *address <= Address::MAX).ok_or_else(|| {
                    format!("t{} would move from {:#x} out of the addresses 0 to {:#x}", dst.0, view.address, Address::MAX)
                })?;
            }
            Instruction::Mode { mode } => {
                if usize::from(mode.0) >= modes {
                    return Err(format!("the design has MAC modes 0 to {} only", modes - 1));
                }
                self.mode = mode.0.into();
            }
            Instruction::Bias { a, b } => self.biases = Some((a.0.into(), b.0.into())),
            Instruction::Scales { a, b } => self.scales = [a.0, b.0],
            Instruction::Powers { a, b } => self.powers = [a.0, b.0],
            Instruction::Blocks { rows, cols } => self.blocks = Blocks { rows: rows.0 as usize, cols: cols.0 as usize },
            Instruction::Output { rounding, overflow, no_infinity } => {
                self.output = Policy { no_infinity, ..Policy::new(rounding).overflow(overflow) };
            }
            Instruction::Vector { rounding, overflow, no_infinity } => {
                self.vector = Policy { no_infinity, ..Policy::new(rounding).overflow(overflow) };
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
